"""What a protocol alone tells of sizes, spaces and places is told by check, before minutes of work."""

from __future__ import annotations

import pytest

from insilico.errors import ProtocolError
from insilico.protocol.read import mistakes, read

STUDY = """\
title: What is known ahead
preset: phantom
stimuli: {n: 6}
conditions:
  intact: {}
  lost: {perturb: {kind: ablate, atlas: yeo7, region: [Vis, Limbic], fill: mean}}
scores: [pixcorr]
statistics:
  gap: {kind: paired, of: lost, against: intact}
"""


pytestmark = pytest.mark.usefixtures("no_weights_needed")


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(STUDY)
    return path


def of_gap(**spec):
    return {"statistics.gap": {"of": "lost", "against": "intact", **spec}}


def perturbed(**spec):
    return {"conditions.lost": {"perturb": {"kind": "ablate", "atlas": "yeo7", **spec}}}


SWAPPED = perturbed(kind="swap", region=["Vis", "Limbic"])
PREVALENT = of_gap(kind="prevalence", of=["lost", "lost"], against=["intact", "intact"])
MEASURED = {"conditions.intact.source": "recording", "conditions.lost.source": "recording"}
RAISED = perturbed(kind="stimulate", region="Vis", dose=[1, 2], unit="sd")
THREE = {
    "conditions.lost": {"perturb": {"region": ["Vis", "Limbic", "Cont"]}},
    "statistics.gap.of": ["lost", "kept"],
}
THREE["conditions.kept"] = {
    "perturb": {"kind": "keep_only", "atlas": "yeo7", "region": ["Vis", "Limbic", "Cont"]}
}
LED = {
    **perturbed(kind="interpolate", region="Vis"),
    "conditions.intact.perturb": {"kind": "interpolate", "region": "yeo7:Vis", "weight": 0},
    "scores": ["pixcorr", {"kind": "to_partner", "score": "pixcorr"}],
    "statistics.gap": {
        "kind": "crossing",
        "of": "lost",
        "scores": {"pixcorr": "pixcorr to partner"},
    },
}
WEIGHED = {"statistics.gap": {"kind": "region_weights", "areas": {"V1": "roi:V1"}}}
AHEAD = {
    "draws are resampled, and there is one": (
        of_gap(kind="paired", interval="two_way"), {"decoder.draws": 2}, "let the decoder draw more"),
    "too few stimuli to be significant": (
        {**PREVALENT, "stimuli.n": 4}, {"stimuli.n": 6}, "with 4 stimuli no subject"),
    "terms of one draw": (
        of_gap(kind="mixed", random=["draw"]), {"decoder.draws": 2}, "with one draw only 'stimulus'"),
    "reliability of one draw": (
        {"statistics.gap": {"kind": "draw_reliability"}}, {"decoder.draws": 2}, "one draw a stimulus"),
    "unlike numbers of draws": (
        {"conditions.lost.decoder.draws": 3}, {"decoder.draws": 3}, "3 draws of each stimulus, and 'intact' has 1"),
    "an odd number exchanged by twos": (
        {**SWAPPED, "stimuli.n": 7}, {"stimuli.n": 8}, "7 stimuli cannot be exchanged two by two"),
    "an odd number of pairs refitted": (
        {**SWAPPED, "conditions.lost.perturb.refit": True, "adapter.pairs": 7}, {"adapter.pairs": 8}, "7 stimuli cannot"),
    "another stimulus of one": (
        {**perturbed(region="Vis", fill="resample"), "stimuli.n": 1, "statistics.gap": {"kind": "sweep", "by": "yeo7"}},
        {"stimuli.n": 2}, "another stimulus to take a response from is needed; 1 is shown"),
    "a matrix of what is none": (
        {"statistics.gap": {"kind": "sweep", "by": "yeo7"}, "adapter": {"kind": "mlp", "pairs": 9}},
        {"adapter": {"kind": "ridge", "pairs": 9}}, "met 'mlp'; allowed: ridge"),
    "leverage of no matrix": (
        {**perturbed(region="Vis", control="leverage"), "adapter": {"kind": "mlp", "pairs": 9}},
        {"adapter": {"kind": "ridge", "pairs": 9}}, "met 'mlp'; allowed: ridge"),
    "a null of parcels": (
        {"statistics.gap": {"kind": "map_correlation", "null": "hungarian"}}, {"statistics.gap.by": "yeo7"},
        "null 'hungarian' is for maps over parcels"),
    "a map of no response": (
        {"statistics.gap": {"kind": "map_correlation", "first": "prediction.sprad"}},
        {"statistics.gap.first": "prediction.spread"}, "did you mean 'prediction.spread'"),
    "labels that a prediction has not": (
        perturbed(region="floc-faces:any"), MEASURED, "needs a response with the coordinate 'floc-faces'"),
    "labels that a recording has not": (
        {**perturbed(region="roi:V9"), **MEASURED}, {"conditions.lost.perturb.region": "roi:V1"}, "unknown roi 'V9'"),
    "a lesion against another source": (
        {**perturbed(region="Vis"), "conditions.lost.source": "recording"}, MEASURED, "compare like with like"),
    "an encoder of nothing": (
        {"encoder.without": ["text", "vision", "sound"]}, {"encoder.without": ["text", "sound"]}, "has no input"),
    "stimuli of no stream": (
        {"encoder.without": ["vision"]}, {"encoder.without": ["sound"]}, "nothing is left of stimuli of modality image"),
    "a mean of no training": (
        {**MEASURED, **perturbed(region="Vis"), "adapter": None}, {"conditions.lost.perturb.fill": "zero"},
        "fill 'mean' needs the responses to training stimuli"),
    "a dose in units of no training": (
        {**MEASURED, **RAISED, "adapter": None}, {"conditions.lost.perturb.unit": "response"},
        "unit 'sd' needs the responses to training stimuli"),
    "an order of two": (
        of_gap(kind="stability", of=["lost", "intact"], against=["intact"]), THREE, "stands for 2 regions; an order needs three"),
    "doses of no curve": (
        {"statistics.gap": {"kind": "dose_response", "of": "lost"}}, {**RAISED, "conditions.lost.perturb.unit": "response"},
        "'lost' is no curve"),
    "a curve of two": (
        {**LED, "conditions.lost.perturb.weight": [0, 1]}, {"conditions.lost.perturb.weight": [0, 0.5, 1]},
        "1 regions and 2 levels"),
    "regions never together": (
        of_gap(kind="shapley", regions=["Vis", "Limbic"]), {"conditions.lost.perturb.combine": "subsets"},
        "no condition for Vis | Limbic"),
    "too few to leave groups out": (
        {**WEIGHED, "adapter.pairs": 30}, {"adapter.pairs": 40}, "region_weights: 30 stimuli; 40 are needed"),
    "too few to correlate": (
        {"statistics.gap": {"kind": "voxelwise_accuracy", "stimuli": {"n": 2}}}, {"statistics.gap.stimuli.n": 3},
        "a correlation needs 3 stimuli; there are 2"),
    "too few to mismatch": (
        {"statistics.gap": {"kind": "cycle", "of": ["intact"], "by": "yeo7"}, "stimuli.n": 2}, {"stimuli.n": 3},
        "mismatched pairs of 2 stimuli"),
    "one control and several": (
        perturbed(region="Vis", control="patch", n=2, control_index=1),
        perturbed(region="Vis", control="patch", control_index=1), "control_index: names one of them"),
    "overlap of no control": (
        perturbed(region="Vis", overlap=0.3), {"conditions.lost.perturb.control": "patch"}, "overlap is of a matched control"),
    "number of no control": (
        perturbed(region="Vis", control_index=3), {"conditions.lost.perturb.control": "patch"}, "control_index is of a matched"),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "mended", "words"), AHEAD.values(), ids=AHEAD)
def test_what_a_run_would_find_is_told_by_check(study, wrong, mended, words):
    (line,) = mistakes(study, wrong)
    assert words in line
    assert mistakes(study, {**wrong, **mended}) == []


def test_of_files_whose_number_is_not_known_ahead_nothing_is_said(study, tmp_path):
    """One that is left out as broken is found by reading them all, which a run does."""
    from PIL import Image

    for k in range(3):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{k}.png")
    study.write_text(STUDY.replace("{n: 6}", f"{{kind: images, path: {tmp_path}}}"))
    assert "3 stimuli cannot be exchanged" in mistakes(study, SWAPPED)[0]
    assert mistakes(study, {**SWAPPED, "stimuli.broken": "skip"}) == []


def test_keys_that_are_set_are_words_as_in_a_file(study):
    spec = "{kind: map_correlation, by: yeo7, null: baum}"  # null is no word of YAML
    assert read(study, {"statistics.gap": spec}).protocol.statistics["gap"]["null"] == "baum"
    with pytest.raises(ProtocolError, match="--set statistics.gap:1:of: this key is repeated"):
        read(study, {"statistics.gap": "{kind: paired, of: lost, of: intact}"})
