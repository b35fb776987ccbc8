"""Cycle, naming, weights and words as protocols: small runs, scripts with the same numbers."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import insilico as isi
from insilico.decoders.mindeye2.step import MindEye2
from insilico.figures import KINDS
from insilico.protocol.read import mistakes, read
from insilico.statistics.cycle import Cycle
from insilico.statistics.region_weights import RegionWeights
from insilico.statistics.region_words import RegionWords
from insilico.statistics.zero_shot import ZeroShot

SMALL = {"training.n": 40, "adapter.pairs": 40}
FEW = {"decoder.captions": "none", "decoder.prior_steps": 5, **SMALL}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return what runs a shipped protocol into one store that all share."""
    folder = tmp_path_factory.mktemp("readouts")

    def run(name, **changes):
        changes = {"figures": [], **changes}
        results = isi.run(name, set=changes, out=folder / name, store=folder / "store")
        assert results.failures == ()
        return results

    run.store = folder / "store"
    return run


def _words(kind, estimate):
    found = KINDS[kind](estimate).findobj(mpl.text.Text)
    return " ".join(text.get_text() for text in found).replace("\n", " ")


def test_what_was_encoded_comes_back_and_a_script_says_the_same(ran):
    found = ran("cycle", **{"stimuli.n": 6, "statistics.cycle.n": 200}, **FEW).open(
        "estimate-cycle"
    )
    synthetic = found.sel(metric="synthetic")
    assert (synthetic["effect"] > synthetic["chance_level"] + 0.2).all()
    assert (found["chance_level"] < 0.3).all()
    text = _words("cycle", found)
    for said in ("n = 6", "BCa", "mismatched", "simulated", "nothing propagates"):
        assert said in text, said
    chain = isi.load_chain("phantom", seed=7, set=FEW, store=ran.store)
    first = chain.encode(chain.stimuli(n=6))
    second = chain.encode_again(chain.decode(first))
    training = chain.encode(chain.stimuli(split="train", n=40))
    same = Cycle(of=("synthetic",), by="phantom7", n=200, seed=7)(training, first, second)
    for name in ("effect", "p_corrected", "apart"):
        np.testing.assert_allclose(same[name].values[:, 0], synthetic[name], atol=1e-5)


def test_a_file_of_responses_sees_no_decoded_picture():
    found = mistakes("cycle", {"encoder": {"kind": "precomputed", "file": "/nowhere.nc"}})
    assert any("no response to pictures that are yet to be decoded" in line for line in found)


def test_decoded_things_are_named(ran):
    changes = {"stimuli.n": 12, "statistics.naming.classes": 8, "statistics.naming.n": 500}
    changes |= {"statistics.naming.pictures": 40}
    found = ran("zero_shot", **changes, **FEW).open("estimate-naming")
    top1 = found.sel(metric="top1")
    assert (top1["effect"].sel(contrast="measured, tokens") > 0.4).all()
    assert (top1["p_corrected"] < 0.05).any()
    assert (found["chance_level"].sel(metric="top5") == 5 / 8).all()
    right = (found["answer"] == found["truth"]).mean("stimulus")
    np.testing.assert_allclose(right, top1["effect"])
    assert (found["part_low"] <= found["part"]).all()
    assert (found["part"] <= found["part_high"]).all()
    assert (found["part"] >= right).all()  # a pair is right where both of its parts are
    colours = [
        [str(one).split("|")[0] for one in found[k].values.ravel()] for k in ("answer", "truth")
    ]
    said = np.array(colours[0]).reshape(found["answer"].shape)
    shuffled = np.mean(
        [said == np.roll(colours[1], k) for k in range(len(colours[1]))], axis=(0, 2)
    )
    np.testing.assert_allclose(found["part_guessed"].sel(label="colour"), shuffled)
    chain = isi.load_chain(
        "phantom", seed=7, set={"decoder.keep": ["prior"], **FEW}, store=ran.store
    )
    stimuli, training = chain.stimuli(n=12), chain.stimuli(split="train", n=40)
    prompts = tuple(read("zero_shot").protocol.statistics["naming"]["prompts"])
    step = ZeroShot(of=("synthetic",), prompts=prompts, classes=8, pictures=40, n=500, seed=7)
    same = step(stimuli, training, chain.decode(chain.encode(stimuli)))
    assert (same["answer"] == found["answer"].sel(contrast=same["contrast"])).all()
    for name in ("effect", "p", "guessed"):
        np.testing.assert_allclose(same[name], found[name].sel(contrast=same["contrast"]))
    text = _words("zero_shot", found)
    for said in (
        "Clopper",
        "labels shuffled",
        "simulated",
        "chance",
        f"n = {int(found['n'][0, 0])}",
    ):
        assert said in text, said


def test_early_areas_lean_on_looks_and_category_areas_on_meaning(ran):
    changes = {"training.n": 200, "adapter.pairs": 200, "statistics.weights.n": 100}
    results = ran("region_weights", **changes)
    assert "stimuli, nothing is decoded" not in results.summary  # those shown are not used
    assert "n = 200 stimuli" in results.summary
    found = results.open("estimate-weights")
    early, late = (found["effect"].sel(contrast=name) for name in ("V1-V4", "category"))
    table = pd.read_csv(results.folder / "estimates.csv")
    given = table["metric"] == "entry"
    assert table["n"].isna().tolist() == given.tolist()  # no stimulus enters the entry's weights
    assert not set(table["metric"]) & set(table["contrast"])  # 'words' is an area
    meaning = [name for name in found["metric"].values if name != "entry"]
    assert (early.sel(metric=meaning) < 0).all()
    assert (late.sel(metric=meaning) > 0).all()
    chain = isi.load_chain("phantom", seed=7, set={"training.n": 200, "adapter.pairs": 200})
    training = chain.stimuli(split="train", n=200)
    betas = chain.record(training)
    areas = read("region_weights").protocol.statistics["weights"]["areas"]
    same = RegionWeights(areas=areas, n=100, seed=7)(training, betas, MindEye2().entry_of(betas))
    for name in ("effect", "p_corrected", "ci_low"):
        np.testing.assert_allclose(same[name], found[name], atol=1e-4)
    text = _words("region_weights", found)
    for said in ("n = 200", "jackknife", "patches", "simulated", "patterns"):
        assert said in text, said


def test_an_area_s_words_and_a_script_s_are_the_same(ran):
    changes = {"stimuli.n": 6, "decoder.prior_steps": 5, **SMALL}
    changes |= {"statistics.strongest.n": 50, "statistics.alone.n": 50}
    changes |= {"statistics.strongest.share": 0.25, "statistics.alone.least": 2}
    results = ran("voxel_captions", **changes, **{"statistics.strongest.least": 1})
    found = results.open("estimate-alone")
    assert found["contrast"].values.tolist()[0] == "floc-faces:any"
    same = RegionWords(of=("alone",), least=2, n=50, seed=7)(results.open("reconstruction"))
    for name in ("effect", "p_corrected", "ci_low"):
        np.testing.assert_allclose(same[name], found[name])
    assert results.open("estimate-strongest").sizes["contrast"] == 5
    text = _words("region_words", found)
    for said in ("n = 6", "percentile", "change places", "simulated", "nothing propagates"):
        assert said in text, said


WRONG = {
    "an unknown condition": ("cycle", {"statistics.cycle.of": ["nothing"]}, "unknown condition"),
    "no adapter": ("region_weights", {"adapter": None}, "adapter.pairs"),
    "one region": ("voxel_captions", {"statistics.alone.of": ["seen"]}, "regions are compared"),
    "no class": ("zero_shot", {"statistics.naming.prompts": ["a thing"]}, "name no class"),
    "too many answers": ("zero_shot", {"statistics.naming.classes": 4}, "always right"),
    "not a region": ("region_weights", {"statistics.weights.areas": {"a": "V1 |"}}, "at the end"),
    "several conditions": ("cycle", {"statistics.cycle.of": ["synthetic", "each"],
                           "conditions.each.perturb": {"kind": "ablate", "atlas": "yeo7",
                           "region": "each", "fill": "zero"}}, "name a condition of one region"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_are_named(name, changes, message):
    found = mistakes(name, changes)
    assert any(message in line for line in found), found
