"""What the labels of stimuli and conditions tell is told by check, not at the end of a run."""

from __future__ import annotations

import pytest

from insilico.protocol.read import mistakes

STUDY = """\
title: Labels
preset: phantom
stimuli: {n: 6}
conditions:
  intact: {}
  lost: {perturb: {kind: ablate, atlas: yeo7, region: [Vis, Limbic], fill: mean}}
scores: [pixcorr]
statistics:
  it: {kind: paired, of: lost, against: intact}
"""
DOSED = {"kind": "stimulate", "atlas": "yeo7", "region": "Vis", "dose": [4]}
SWAPPED = {"kind": "swap", "atlas": "yeo7", "region": "Vis", "partner": "scene-17"}
CURVE = {"kind": "dose_response", "of": "lost"}
NAMES = {"kind": "zero_shot", "of": ["intact"], "prompts": ["a {colour} {object}"], "top": [1]}
MAPS = {"kind": "map_correlation", "first": "gap.effect_map", "second": "measured.mean"}
GAP = {"kind": "paired", "of": "lost", "against": "intact"}

WRONG = {
    "a curve of one level": (
        {"conditions.lost.perturb": DOSED, "statistics.it": CURVE}, {"statistics.it.against": "intact"}, "has one level, 4"),
    "a map of what has none": (
        {"statistics": {"gap": GAP, "map": MAPS}}, {"statistics.map.first": "prediction.mean"}, "'gap' is made of scores"),
    "a partner that is not shown": (
        {"conditions.lost.perturb": SWAPPED}, {"conditions.lost.perturb.partner": "phantom-test-000001"}, "unknown stimulus 'scene-17'"),
    "more classes than are shown": (
        {"statistics.it": NAMES}, {"statistics.it.classes": 6}, "50 classes are asked for and 6 are shown"),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "mended", "words"), WRONG.values(), ids=WRONG)
def test_what_labels_tell_is_told_by_check(tmp_path, wrong, mended, words):
    path = tmp_path / "p.yaml"
    path.write_text(STUDY)
    (line,) = mistakes(path, wrong)
    assert words in line
    assert mistakes(path, {**wrong, **mended}) == []
