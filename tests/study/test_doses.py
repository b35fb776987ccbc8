"""Stimulation, masks and interpolation as protocols: small, against known truth and laws."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import insilico as isi
from insilico.figures.doses import dose_curves
from insilico.figures.interpolations import interpolation
from insilico.figures.masks import masking_curves
from insilico.protocol.read import mistakes
from insilico.statistics.crossing import Crossing
from insilico.statistics.multilabel import MultilabelAuc

SMALL = {
    "stimuli.n": 3,
    "training.n": 100,
    "adapter.pairs": 100,
    "decoder.prior_steps": 3,
    "decoder.steps": 2,
    "figures": [],
}
AREA = "place"
DOSED = {f"conditions.{name}.perturb.region": AREA for name in ("raised", "raised patches")}
DOSED |= {f"conditions.{name}.perturb.region": AREA for name in ("alone", "alone patches")}
DOSED |= {f"conditions.{name}.perturb.dose": [0, 16] for name in ("alone", "alone patches")}
DOSED |= {f"conditions.{name}.perturb.dose": [32] for name in ("raised", "raised patches")}
DOSED |= {f"conditions.{name}.perturb.region": ["V4"] for name in ("silenced", "silenced patches")}
NAMED = {"kind": "caption_names", "name": "names a place", "words": ["house"]}
DOSED["scores"] = [NAMED, "pixcorr"]
KINDS = ("face", "body", "word", "place")
for name in ("raised", "alone"):
    DOSED[f"statistics.{name}.scores"] = dict.fromkeys(KINDS, "names a place")
MASKED = {"conditions.masked.perturb.fraction": [0.9, 1]}
MASKED |= {"conditions.masked.perturb.n": 2}
MASKED |= {"scores": ["pixcorr"], "decoder.captions": "none"}
MASKED |= {"conditions.predicted masked.perturb.fraction": [1]}
for name in ("responses", "tokens", "predicted responses"):
    MASKED |= {f"statistics.{name}.stimuli": {"n": 30}, f"statistics.{name}.training": 100}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return what runs a shipped protocol into one store that all share."""
    folder = tmp_path_factory.mktemp("doses")

    def run(name, **changes):
        results = isi.run(name, set=SMALL | changes, out=folder / name, store=folder / "store")
        assert results.failures == ()
        return results

    return run


def words(figure):
    found = figure.findobj(mpl.text.Text)
    return " ".join(text.get_text() for text in found).replace("\n", " ")


def test_an_area_of_places_that_speaks_alone_says_house(ran):
    results = ran("microstimulation", **DOSED)
    alone = results.open("estimate-alone").isel(contrast=0, metric=0)
    assert alone["contrast"] == "place, 16"
    assert alone["value"] == 1
    assert alone["control_value"] < 0.5
    assert alone["n"] == 3
    notes = alone.attrs["note"].split("; ")
    assert len(set(notes)) == len(notes)
    said = words(
        dose_curves(results.open("estimate-raised"), {"alone": results.open("estimate-alone")})
    )
    for part in ("n = 3 stimuli", "95 %", "chance", "simulated", "nothing propagates", "null:"):
        assert part in said, part
    assert said.startswith("place ")  # over the one panel of each row
    assert "over 1 level, per metric;" in said
    assert "over areas" not in said


def test_what_is_read_out_from_a_mask(ran):
    results = ran("masking_ratio", **MASKED)
    found = {name: results.open(f"estimate-{name}") for name in ("responses", "tokens")}
    for one in found.values():
        assert one["contrast"].values.tolist() == ["0", "0.9", "1"]
        assert (one["effect"].sel(contrast="0") > one["effect"].sel(contrast="1")).all()
        np.testing.assert_allclose(one["effect"][2], one["chance_level"][2])  # nothing is left
    assert found["responses"]["effect"].sel(metric="object", contrast="0") > 0.8
    pictures = results.open("estimate-pictures")
    assert pictures["effect"].sel(metric="pixcorr", contrast="1") < 0
    assert pictures["spread"].sel(metric="pixcorr", contrast="0.9") > 0
    np.testing.assert_allclose(found["tokens"]["spread"].sel(contrast="1"), 0, atol=1e-9)
    assert pictures.attrs["test"].endswith("levels are means of 2 conditions")
    said = words(masking_curves(pictures, found))
    for part in ("n = 3 stimuli", "n = 30 stimuli", "95 %", "chance", "simulated", "SD of masks"):
        assert part in said, part


def test_an_interpolation_goes_from_one_end_to_the_other(ran):
    results = ran("interpolation", **{"conditions.between.perturb.weight": [0, 0.5, 1]})
    found = results.open("estimate-crossing").sel(metric="pixcorr")
    first, last = found["effect"].values[[0, 2]]
    assert first > 0.2
    assert last < -0.2
    assert 0 < found["crossing"].values[0] < 1
    figure = interpolation(results.open("estimate-crossing"), results.open("reconstruction"))
    said = words(figure)
    for part in ("n = 3 stimuli", "95 %", "simulated", "nothing propagates", "crossing", "null:"):
        assert part in said, part
    figure.draw_without_rendering()
    told = [(text, axes) for axes in figure.axes for text in axes.texts]
    assert ["rank r" in text.get_text() for text, _ in told] == [True] * 3  # one a metric
    for text, axes in told:  # no curve runs into what is said of it
        assert text.get_window_extent().y0 > axes.bbox.y1


def chain_of(results):
    same = {k: v for k, v in SMALL.items() if k not in ("stimuli.n", "figures")}
    return isi.load_chain("phantom", seed=7, set=same, store=results.folder.parent / "store")


def test_a_script_gives_the_interpolation(ran):
    results = ran("interpolation", **{"conditions.between.perturb.weight": [0, 0.5, 1]})
    chain = chain_of(results)
    stimuli = chain.stimuli(split="test", n=3)
    half = chain.perturb(chain.encode(stimuli), kind="interpolate", weight=0.5)
    metrics = ["pixcorr", {"kind": "to_partner", "score": "pixcorr"}]
    own = isi.score(chain.decode(half), stimuli, metrics, perturbed=half)["value"]
    kept = results.open("score")
    for metric in ("pixcorr", "pixcorr to partner"):
        stored = kept["value"].sel(condition="between/weight 0.5", metric=metric)
        np.testing.assert_array_equal(own.sel(metric=metric), stored)
    again = Crossing(of="between", scores={"pixcorr": "pixcorr to partner"}, seed=7)(kept)
    stored = results.open("estimate-crossing").sel(metric="pixcorr")
    np.testing.assert_array_equal(again["effect"][:, 0], stored["effect"])


def test_a_script_gives_the_doses(ran):
    results = ran("microstimulation", **DOSED)
    chain = chain_of(results)
    stimuli = chain.stimuli(split="test", n=3)
    how = {"kind": "stimulate", "atlas": "areas", "region": "place", "unit": "sd"}
    alone = chain.perturb(chain.encode(stimuli), **how, dose=16, elsewhere="silence")
    own = isi.score(chain.decode(alone), stimuli, [NAMED])["value"].isel(metric=0)
    kept = results.open("score")["value"].sel(condition="alone/dose 16")
    np.testing.assert_array_equal(own, kept.sel(metric="names a place"))


def test_a_script_gives_the_areas(ran):
    results = ran("masking_ratio", **MASKED)
    chain = chain_of(results)
    learned = chain.stimuli(split="train", start=100, n=100)
    shown = chain.stimuli(split="test", n=30)
    intact = chain.encode(shown)
    gone = chain.perturb(intact, kind="mask", fraction=1.0, fill="mean")
    levels = xr.concat([intact, gone], "condition", combine_attrs="drop_conflicts")
    levels = levels.assign_coords(level=("condition", [0.0, 1.0]))
    step = MultilabelAuc(of="predicted masked", against="predicted", training=100, seed=7)
    own = step(learned, chain.encode(learned), shown, levels)
    stored = results.open("estimate-predicted responses")
    np.testing.assert_array_equal(own["effect"], stored["effect"])
    np.testing.assert_array_equal(own["ci_low"], stored["ci_low"])


MISTAKES = {
    "a partner of nothing": (
        "interpolation",
        {"conditions.intact": {}},
        "needs a partner of each stimulus",
    ),
    "no such metric": (
        "microstimulation",
        {"statistics.raised.scores": {"face": "names a fase"}},
        "unknown score 'names a fase'",
    ),
    "one level": (
        "masking_ratio",
        {"conditions.masked.perturb.region": ["yeo7:Vis", "yeo7:Default"]},
        "is no curve of one region",
    ),
    "a read-out of a mask": (
        "masking_ratio",
        {"conditions.measured.perturb": {"kind": "mask", "fraction": 0.5}},
        "name a condition that is not",
    ),
    "tokens of what": ("masking_ratio", {"statistics.tokens.tokens": "words"}, "clip_voxels"),
    "an unknown mode": (
        "microstimulation",
        {"conditions.alone.perturb.elsewhere": "quiet"},
        "silence",
    ),
}


@pytest.mark.parametrize(("name", "changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told_before_any_work(name, changes, message):
    found = mistakes(name, changes)
    assert any(message in line for line in found), found


@pytest.mark.parametrize("name", ["microstimulation", "masking_ratio", "interpolation"])
def test_nsd_lacks_nothing_but_files(name, monkeypatch):
    monkeypatch.delenv("INSILICO_NSD", raising=False)
    found = mistakes(name, {"preset": "nsd-subj01"})
    absent = (
        "where is NSD",
        "INSILICO_TRIBE is",
        "no model",
        "no weights of",
        "are not here",
    )
    assert found
    assert all(any(word in line for word in absent) for line in found), found
