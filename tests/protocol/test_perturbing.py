"""Perturbations in protocols: curves, pairs, controls, refitting, and studies done again."""

from __future__ import annotations

import re

import numpy as np
import pytest

from insilico.errors import ProtocolError
from insilico.job import walk
from insilico.protocol.expand import rows
from insilico.protocol.half import Half
from insilico.protocol.plan import Planner, plan
from insilico.protocol.read import read
from insilico.schema import sample

STUDY = """\
title: Everything that perturbs
preset: phantom
seed: 7
stimuli: {split: test, n: 4}
conditions:
  intact:   {}
  silenced: {perturb: {kind: ablate, atlas: yeo7, region: [Vis, Limbic], fill: mean}}
scores: [pixcorr]
"""


pytestmark = pytest.mark.usefixtures("no_weights_needed")


@pytest.fixture
def study(tmp_path):
    def study(condition="", **more):
        text = STUDY.replace("scores:", f"  other: {condition}\nscores:") if condition else STUDY
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return read(path, {key.replace("__", "."): value for key, value in more.items()}).protocol

    return study


def named(protocol, base="other"):
    return [(row.name, row.region, row.level) for row in rows(protocol) if row.base == base]


def jobs(protocol):
    return {job.name: job for job in walk(plan(protocol).targets())}


def adapted(protocol):
    """Return the job of each condition's response in voxels."""
    return {one.row.name: one.reconstruction.inputs[0] for one in plan(protocol).branches}


def test_lists_of_levels_are_curves(study):
    found = named(study("{perturb: {kind: mask, fraction: [0.25, 1]}}"))
    assert found == [
        ("other/fraction 0.25", "fraction 0.25", 0.25),
        ("other/fraction 1", "fraction 1", 1.0),
    ]
    spec = (
        "{kind: stimulate, atlas: yeo7, region: [Vis, Limbic], dose: [0, 2], control: patch, n: 2}"
    )
    protocol = study(f"{{perturb: {spec}}}")
    assert named(protocol)[:3] == [
        ("other/Vis/dose 0/0", "Vis, dose 0", 0.0),
        ("other/Vis/dose 0/1", "Vis, dose 0", 0.0),
        ("other/Vis/dose 2/0", "Vis, dose 2", 2.0),
    ]
    assert len(named(protocol)) == 8
    step = plan(protocol).score.step
    assert step.level[-1] == 2.0
    assert step.level[0] is None


def test_a_region_by_itself_stands_in_the_label(study):
    found = named(study("{perturb: {kind: stimulate, atlas: yeo7, region: Vis, dose: [2]}}"))
    assert found == [("other/dose 2", "Vis, dose 2", 2.0)]


def test_masks_are_counted(study):
    protocol = study("{perturb: {kind: mask, fraction: [0.5, 1], n: 2}}")
    assert [one[0] for one in named(protocol)] == [
        f"other/fraction {fraction}/{k}" for fraction in ("0.5", "1") for k in (0, 1)
    ]
    steps = [job.step for name, job in jobs(protocol).items() if name.startswith("perturb other")]
    assert sorted((step.fraction, step.mask_index) for step in steps) == [
        (0.5, 0), (0.5, 1), (1.0, 0), (1.0, 1)
    ]  # fmt: skip
    held = "{perturb: {kind: mask, region: 'phantom7:Vis', fraction: 1, control: patch, n: 2}}"
    assert [row.perturb["control_index"] for row in rows(study(held))[-2:]] == [0, 1]


def test_pairs_are_every_region_and_every_two(study):
    spec = "{kind: ablate, atlas: yeo7, region: each, combine: pairs}"
    found = named(study(f"{{perturb: {spec}}}"))
    assert len(found) == 7 + 21
    assert found[7][:2] == ("other/Vis | SomMot", "Vis | SomMot")


def test_atlases_are_bound_in_lists_of_regions(study):
    row = rows(study("{perturb: {kind: ablate, region: ['yeo7:Vis', 'yeo7:Limbic & lh']}}"))[-1]
    assert row.perturb["region"] == "phantom7:Limbic & lh"
    assert row.notes == ("phantom7 in place of yeo7",)


def test_refitting_perturbs_the_pairs_alike(study):
    spec = "{kind: ablate, atlas: yeo7, region: Vis, fill: noise, refit: true}"
    work = jobs(study(f"{{perturb: {spec}}}"))
    adapt = work["adapt other"]
    response, fit = adapt.inputs
    assert fit.method == "fit"
    assert fit.key != work["adapt intact"].inputs[1].key
    source, target = fit.inputs
    assert source.step == response.step  # the very same perturbation
    assert source.inputs[0].key == source.inputs[1].key == work["encode train 2000"].key
    assert target.name == "record voxels train 2000"
    assert "fitted again" in adapt.note
    assert "fitted again" not in work["adapt intact"].note


def test_leverage_comes_from_the_intact_fit(study):
    work = jobs(study("{perturb: {kind: ablate, atlas: yeo7, region: Vis, control: leverage}}"))
    _, training, leverage = work["perturb other"].inputs
    assert leverage.inputs[0].key == work["adapt intact"].inputs[1].key
    assert training.name == "encode train 2000"


def test_a_study_is_repeated_by_one_key(study):
    protocol = study(
        stability__alpha=[10],
        stability__halves=1,
        stability__seed=[3],
        stability__fill=["zero"],
        statistics__gap={
            "kind": "paired",
            "of": "silenced fill zero",
            "against": "intact alpha 10",
        },
    )
    variants = ["alpha 10", "half 1a", "half 1b", "seed 3", "fill zero"]
    assert [name for name in protocol.conditions if name.startswith("silenced ")] == [
        f"silenced {variant}" for variant in variants
    ]
    work, adapt = jobs(protocol), adapted(protocol)
    names = ["intact", *(f"intact {variant}" for variant in variants)]
    fit = {name: adapt[name].inputs[1] for name in names}
    assert fit["intact alpha 10"].step.alpha == 10
    assert fit["intact"].step.alpha == 1000
    assert fit["intact fill zero"].key == fit["intact seed 3"].key == fit["intact"].key
    halves = [fit[f"intact half 1{side}"] for side in "ab"]
    assert [half.inputs[0].step for half in halves] == [Half(split=1, side=s) for s in "ab"]
    assert halves[0].inputs[1].step == Half(split=1, side="a")
    assert halves[0].inputs[0].inputs[0].key == work["encode train 2000"].key
    assert adapt["silenced fill zero/Vis"].inputs[0].step.fill == "zero"
    assert adapt["silenced seed 3/Vis"].inputs[0].step.seed == 3
    assert work["decode intact seed 3"].step.seed == 3
    joined = plan(protocol).score.step
    assert set(joined.variant) == {"", *variants}


def test_a_varied_study_can_be_written_out_and_run_again(study, tmp_path):
    from insilico.report.experiment import resolved

    work = plan(study(stability__alpha=[0.5], stability__fill=["zero"]))
    again = tmp_path / "again.yaml"
    again.write_text(resolved(work, "study.yaml"))
    assert plan(read(again).protocol).key == work.key


def test_halves_share_nothing_and_miss_nothing():
    response = sample("response", 9)
    a, b = (Half(split=1, side=side)(response)["stimulus"].values for side in "ab")
    assert sorted([*a, *b]) == sorted(response["stimulus"].values)
    assert (len(a), len(b)) == (4, 5)
    assert list(a) == sorted(a)
    assert list(Half(split=2, side="a")(response)["stimulus"].values) != list(a)


def test_joined_scores_carry_levels_and_variants(study):
    protocol = study("{perturb: {kind: mask, fraction: [0.5, 1]}}", stability__fill=["zero"])
    step = plan(protocol).score.step
    scores = [sample("score", 4).isel(metric=[0])] * len(step.condition)
    joined = step(*scores)
    levels = joined["level"].values[joined["name"].values == "other"]
    np.testing.assert_array_equal(levels, [0.5, 1.0])
    assert np.isnan(joined["level"].values[0])
    assert joined["variant"].values[-1] == "fill zero"


def test_what_was_done_is_said_in_every_way_it_was(study):
    from insilico.perturbations.perturbation import CHANGE
    from insilico.schema import LESION

    protocol = study("{perturb: {kind: stimulate, region: cortex, dose: 1}}")
    step = plan(protocol).score.step
    said = [{}, {"lesion": LESION}, {"lesion": LESION}, {"lesion": CHANGE}]
    scores = [sample("score", 4).isel(metric=[0]).assign_attrs(attrs) for attrs in said]
    assert step(*scores).attrs["lesion"] == f"{LESION} {CHANGE}"


def test_sweeps_take_the_fitted_adapter(study):
    protocol = study(statistics__sweep={"kind": "sweep", "by": "yeo7", "readout": "decoder"})
    work = jobs(protocol)
    given = work["statistics sweep"].inputs
    assert [job.method for job in given] == ["__call__", "fit", "__call__", "entry_of"]
    assert given[1].key == work["adapt intact"].inputs[1].key
    assert work["statistics sweep"].step.by == "phantom7"


MISTAKES = {
    "fraction beyond 1": ("{kind: mask, fraction: [0.5, 1.5]}", "fraction: met 1.5; allowed"),
    "levels twice": ("{kind: mask, fraction: [1, 1]}", "a number, or a list of different numbers"),
    "no level": ("{kind: mask, fraction: []}", "a number, or a list of different numbers"),
    "each of no atlas": ("{kind: ablate, region: each}", "'each' of which atlas?"),
    "pairs as a region": (
        "{kind: ablate, atlas: yeo7, region: pairs}",
        r"'pairs' is no region; .* write region: each \(or a list\), combine: pairs",
    ),
    "unknown region": (
        "{kind: swap, region: 'phantom7:Visaul'}",
        r"unknown region of phantom7 'Visaul'.*did you mean 'Vis'",
    ),
    "empty region": (
        "{kind: ablate, region: 'phantom7:Vis & phantom7:Limbic'}",
        "holds no vertex of this space",
    ),
    "refit of a measured response": (
        "{kind: ablate, region: 'roi:V1', refit: true}, source: recording",
        "refit: no adapter is fitted here",
    ),
    "refit is no number": ("{kind: ablate, region: cortex, refit: 1}", "met 1; allowed: true or"),
    "control of a measured response": (
        "{kind: ablate, region: 'roi:V1', control: spin}, source: recording",
        "control: control 'spin' turns the sphere of fsaverage5; in voxels use control: patch",
    ),
    "leverage of a measured response": (
        "{kind: ablate, region: 'roi:V1', control: leverage}, source: recording",
        "control 'leverage' is matched in what the adapter takes.*in voxels use control: patch",
    ),
    "control that cannot fit in voxels": (
        "{kind: ablate, region: ['cortex - roi:V4'], control: patch, n: 2}, source: recording",
        "other.perturb.control: .*no control 'patch' of 4203 voxels .*has [0-9]+ left and",
    ),
    "control that cannot fit": (
        "{kind: ablate, region: ['~phantom7:Limbic'], control: patch, n: 2}",
        r"conditions.other.perturb.control: .*no control 'patch' of 17865 vertices.* left and",
    ),
    "unknown control": (
        "{kind: ablate, region: 'phantom7:Vis', control: patches}",
        r"control: unknown value 'patches'.*did you mean 'patch'",
    ),
}


@pytest.mark.parametrize(("spec", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_before_any_work(spec, message, study):
    with pytest.raises(ProtocolError, match=message):
        study(f"{{perturb: {spec}}}")


STABILITY = {
    "nothing": ({}, "it changes nothing: name alpha, halves, seed or fill"),
    "fill": ({"fill": ["maen"]}, "unknown fill 'maen'; one of: mean, zero"),
    "condition": ({"of": ["silent"], "seed": [1]}, "unknown condition 'silent'"),
    "key": ({"alphas": [1]}, "unknown key 'alphas'; one of: of, alpha"),
    "value": ({"alpha": [-1]}, "alpha.0: met -1; allowed: greater than 0"),
}


@pytest.mark.parametrize(("asked", "message"), STABILITY.values(), ids=STABILITY)
def test_mistakes_of_stability_are_named(asked, message, study):
    with pytest.raises(ProtocolError, match=re.escape(message)):
        study(stability=asked)


def test_a_sweep_needs_a_decoder_with_an_entry(study):
    with pytest.raises(ProtocolError, match="atlas .by. or discs"):
        study(statistics__sweep={"kind": "sweep"})


def test_perturbations_go_by_the_chain_in_python_too(monkeypatch):
    from insilico.chain import load_chain, perturb
    from insilico.errors import ParameterError

    chain = load_chain("phantom", seed=3)
    assert isinstance(chain.planner, Planner)
    with pytest.raises(ParameterError, match="refit fits the adapter again in a protocol"):
        chain.perturb(sample("response"), kind="ablate", region="cortex", refit=True)
    with pytest.raises(ParameterError, match="'each' stands for several conditions"):
        perturb(sample("response"), kind="ablate", atlas="phantom7", region="each")
    shown = sample("response", 4)
    swapped = perturb(shown, kind="swap", region="cortex")
    assert sorted(swapped["partner"].values) == sorted(shown["stimulus"].values)


def test_a_measured_response_has_its_control_in_the_chain():
    from insilico.chain import load_chain

    chain = load_chain("phantom", seed=3, set={"adapter.pairs": 12})
    recorded = chain.record(chain.stimuli(split="test", n=3))
    lesion = {"atlas": "areas", "region": "V1", "fill": "mean"}
    region = chain.ablate(recorded, **lesion)
    elsewhere = chain.ablate(recorded, **lesion, control="patch", control_index=1)
    changed, other = (
        (r["bold"] != recorded["bold"]).any(("repeat", "stimulus")).values
        for r in (region, elsewhere)
    )
    right = recorded["hemi"].values == "R"
    assert not (changed & other).any()
    assert [(changed & side).sum() for side in (right, ~right)] == [
        (other & side).sum() for side in (right, ~right)
    ]
    assert elsewhere.attrs["control"] == "patch 1"
    with pytest.raises(ProtocolError, match="leverage"):
        chain.ablate(recorded, **lesion, control="leverage")
