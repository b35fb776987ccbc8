"""The lesion experiments, small: networks, areas, a dissociation, against the phantom's truth."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import insilico as isi
from insilico.figures.area_lesions import area_lesions
from insilico.figures.dissociation import dissociation
from insilico.figures.network_lesions import network_lesions
from insilico.protocol.document import parse
from insilico.protocol.read import mistakes
from insilico.statistics.interaction import Interaction

FAST = {"decoder.steps": 2, "decoder.prior_steps": 2, "adapter.pairs": 100}
WELL = {"decoder.steps": 5, "decoder.prior_steps": 10}
THREE = ["Vis", "Limbic", "Cont"]
KINDS = {"picture": ["pixcorr", "ssim"], "meaning": ["clip_cosine"]}
ROOT = Path(__file__).parents[2]


def _networks(data):
    """Leave three networks, the controls of one fill, and fewer variants."""
    kept = ("intact", "wall", "cortex", "mean", "mean patches", "mean spins")
    conditions = {name: data["conditions"][name] for name in kept}
    for name in kept[3:]:
        conditions[name]["perturb"] |= {"region": THREE}
    conditions["mean patches"]["perturb"]["n"] = 1
    asked = ("mean and patches", "mean and spins", "ends", "order")
    statistics = {name: data["statistics"][name] for name in asked}
    few = {"stability": data["stability"] | {"alpha": []}, "scores": ["pixcorr"]}
    return data | {"conditions": conditions, "statistics": statistics} | few


def _two_ways(data):
    """Leave measured responses: V1 and category areas, which few stimuli tell apart, and halves."""
    conditions = {name: data["conditions"][name] for name in ("measured", "lesioned")}
    regions = conditions["lesioned"]["perturb"]["region"]
    conditions["lesioned"]["perturb"]["region"] = regions[2:]
    statistics = {name: data["statistics"][name] for name in ("V1 alone", "unplanted")}
    for one in statistics.values():
        one["scores"] = KINDS
    scores = ["pixcorr", "ssim", "clip_cosine"]
    return data | {"conditions": conditions, "statistics": statistics, "scores": scores}


TWO = ["V1", "object"]
AREAS = {
    f"conditions.{name}.perturb.region": TWO
    for name in ("without", "without patches", "only", "only patches")
}
AREAS |= {f"conditions.{name} patches.perturb.n": 1 for name in ("without", "only")}
AREAS |= {"stimuli.n": 4, "scores": ["pixcorr"], "decoder.captions": "none"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("lesions")


@pytest.fixture(scope="module")
def ran(store):
    """Return what runs a shipped protocol, small, into one store that all share."""

    def run(name, changes, cut=lambda data: data):
        text = (ROOT / "protocols" / f"{name}.yaml").read_text()
        data = cut(parse(text, name).data) | {"figures": []}
        file = store / f"{name}.yaml"
        file.write_text(json.dumps(data))
        results = isi.run(file, set=FAST | changes, out=store / name, store=store / "store")
        assert results.failures == ()
        return results

    return run


@pytest.fixture(scope="module")
def networks(ran):
    return ran("yeo7_ablation", {"stimuli.n": 4, "decoder.captions": "none"}, _networks)


@pytest.fixture(scope="module")
def areas(ran):
    return ran("roi_ablation", AREAS)


@pytest.fixture(scope="module")
def two_ways(ran):
    few = {"stimuli.n": 24, "decoder.captions": "none"} | WELL
    return ran("dissociation", few, _two_ways)


def _words(figure):
    found = figure.findobj(mpl.text.Text)
    return " ".join(text.get_text() for text in found).replace("\n", " ")


def _again(store, n, *, measured=False, **perturb):
    """Return the scores that a script finds."""
    steps = WELL if measured else {}
    chain = isi.load_chain("phantom", seed=7, set=FAST | steps, store=store / "store")
    stimuli = chain.stimuli(split="test", n=n)
    response = chain.record(stimuli) if measured else chain.encode(stimuli)
    lesioned = chain.perturb(response, **perturb)
    return isi.score(chain.decode(lesioned), stimuli, ["pixcorr"])["value"].isel(metric=0)


def test_the_ends_are_what_they_must_be(networks):
    """No information is lost in the medial wall, and none is left without cortex."""
    value = networks.open("score")["value"].isel(draw=0)
    np.testing.assert_array_equal(value.sel(condition="wall"), value.sel(condition="intact"))
    response = networks.open("response")["bold"].sel(condition="cortex").values
    assert (response == response[0]).all()
    ends = networks.open("estimate-ends").sel(metric="pixcorr")
    intact, cortex = (ends.sel(contrast=name) for name in ("intact", "cortex"))
    assert abs(cortex["effect"] - cortex["chance_level"]) < 0.1
    assert intact["effect"] > cortex["effect"] + 0.2


def test_an_order_is_that_of_every_variant(networks):
    """`stability`, the key, and `stability`, the statistic, speak of the same conditions."""
    order = networks.open("estimate-order").sel(metric="pixcorr")
    assert order["variant"].values.tolist() == [
        "mean", "mean half 1a", "mean half 1b", "mean fill resample",
    ]  # fmt: skip
    assert order["region"].values.tolist() == THREE
    paired = networks.open("estimate-mean and spins").sel(metric="pixcorr")
    np.testing.assert_allclose(
        order["variant_effect"].sel(variant="mean"), paired["effect"], atol=1e-7
    )
    value = networks.open("score")["value"].isel(draw=0, metric=0).mean("stimulus")
    other = (
        order["variant_effect"]
        .sel(variant="mean fill resample")
        .isel(metric=0, missing_dims="ignore")
    )
    lost = [value.sel(condition=f"mean fill resample/{one}") for one in THREE]
    np.testing.assert_allclose(
        other, np.array(lost) - value.sel(condition="intact").item(), atol=1e-7
    )
    assert (order["variant_low"] <= order["variant_effect"]).all()
    assert 0 <= order["effect"].sel(contrast="all variants") <= 1
    other = order["variant_effect"].sel(variant="mean half 1a")
    assert (other != order["variant_effect"].sel(variant="mean half 1b")).any()
    csv = (networks.folder / "estimates.csv").read_text()
    assert csv.count("order,") == 4  # a row a contrast: variants make no more


def test_controls_are_tested_one_kind_after_another(networks):
    every = {
        name: networks.open(f"estimate-{name}") for name in ("mean and patches", "mean and spins")
    }
    patches, spins = every.values()
    for kind, one in (("patches", patches), ("spins", spins)):
        assert f"'mean {kind}': no more than the matched controls" in one.attrs["null"]
    np.testing.assert_array_equal(spins["effect"], patches["effect"])
    assert (spins["control_effect"] != patches["control_effect"]).any()
    every["ends"] = networks.open("estimate-ends")
    words = _words(network_lesions(networks.open("estimate-order"), every))
    for said in (
        "n = 4 stimuli",
        "BCa",
        "sign flips",
        "maximum of |t|",
        "(simulated)",
        "nothing propagates",
        "W = ",
        "fill: mean",
        "phantom7 in place of yeo7",
    ):
        assert said in words, said


def test_a_script_finds_the_same_networks(networks, store):
    found = _again(store, 4, kind="ablate", atlas="yeo7", region="Visual", fill="mean")
    stored = networks.open("score")["value"].sel(condition="mean/Vis", metric="pixcorr")
    np.testing.assert_allclose(found.values, stored.values, rtol=1e-6)


def test_v1_alone_tells_of_pixels_and_an_object_area_does_not(areas, store):
    alone = areas.open("estimate-sufficiency").sel(metric="pixcorr")
    without = areas.open("estimate-necessity").sel(metric="pixcorr")
    assert alone["effect"].sel(contrast="V1") > alone["effect"].sel(contrast="object") + 0.1
    assert alone["effect_control"].sel(contrast="V1") > 0.1
    assert without["effect"].sel(contrast="V1") < without["effect"].sel(contrast="object")
    words = _words(
        area_lesions(areas.open("estimate-necessity"), {"s": areas.open("estimate-sufficiency")})
    )
    for said in (
        "n = 4 stimuli",
        "BCa",
        "sign flips",
        "matched controls",
        "(simulated)",
        "nothing propagates",
        "with it alone",
        "phantom_areas in place of areas",
    ):
        assert said in words, said
    found = _again(store, 4, kind="keep_only", atlas="areas", region="V1", fill="mean")
    stored = areas.open("score")["value"].sel(condition="only/V1", metric="pixcorr")
    np.testing.assert_allclose(found.values, stored.values, rtol=1e-6)


def test_a_planted_dissociation_is_found_and_no_other(two_ways):
    planted, unplanted = (two_ways.open(f"estimate-{name}") for name in ("V1 alone", "unplanted"))
    assert planted.attrs["dissociation"] == "double"
    assert unplanted.attrs["dissociation"] == "none"
    words = _words(dissociation(planted, {"unplanted": unplanted}))
    for said in ("n = 24 stimuli", "BCa", "sign flips", "regions can be exchanged", "(simulated)",
                 "nothing propagates", "planted: double", "unplanted: none"):  # fmt: skip
        assert said in words, said


def test_a_script_finds_the_same_dissociation(two_ways, store):
    score, planted = two_ways.open("score"), two_ways.open("estimate-V1 alone")
    category = "face | body | word | place | object | ventral"
    regions = {"V1": ("V1",), "category": (category,)}
    named = {"of": "lesioned", "against": "measured", "seed": 7}
    again = Interaction(**named, regions=regions, scores=KINDS)(score)
    np.testing.assert_allclose(again["effect"], planted["effect"])
    np.testing.assert_array_equal(again["p"], planted["p"])
    where = {"atlas": "areas", "region": category, "fill": "mean"}
    found = _again(store, 24, measured=True, kind="ablate", **where)
    stored = score["value"].sel(condition=f"lesioned/{category}", metric="pixcorr")
    np.testing.assert_allclose(found.values, stored.values, rtol=1e-6)


MISTAKES = {
    "an area that is none": (
        "roi_ablation",
        {"conditions.only.perturb.region": ["V1", "V9"]},
        "unknown region of phantom_areas 'V9'",
    ),
    "a side that no lesion has": (
        "dissociation",
        {"statistics.planted.regions": ["V1", "V2"]},
        "unknown region of 'lesioned' 'V2'",
    ),
    "an order of none": (
        "yeo7_ablation",
        {"statistics.order.of": ["meen"]},
        "unknown condition 'meen",
    ),
}


@pytest.mark.parametrize(("name", "changes", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told_before_anything_is_computed(name, changes, said):
    found = mistakes(name, changes)
    assert len(found) == 1
    assert said in found[0]
