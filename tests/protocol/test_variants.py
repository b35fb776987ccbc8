"""Variants of a study differ from it and from each other: a copy agrees whatever is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from insilico.protocol.read import mistakes, shipped_protocols

DOCS = Path(__file__).parents[2] / "docs"
STUDY = """\
preset: phantom
seed: 7
stimuli: {n: 6}
conditions:
  intact: {}
  lost: {perturb: {kind: ablate, atlas: yeo7, region: [Vis, Limbic, Default]}}
scores: [pixcorr]
stability: {fill: [zero]}
statistics:
  order: {kind: stability, of: [lost], against: [intact]}
"""
ZERO = {
    "perturb": {
        "kind": "ablate",
        "atlas": "yeo7",
        "region": ["Vis", "Limbic", "Cont"],
        "fill": "zero",
    }
}
ALREADY = "is what the study has already"
WRONG = {
    "ridge's default": ({"alpha": [10, 1000]}, f"stability.alpha: alpha 1000 {ALREADY}"),
    "the default fill": ({"fill": ["mean", "zero"]}, f"stability.fill: fill mean {ALREADY}"),
    "the protocol's seed": ({"seed": [7, 8]}, f"stability.seed: seed 7 {ALREADY}"),
    "one twice": ({"alpha": [10, 10.0]}, "met [10.0, 10.0]; allowed: different ones"),
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Write the study, in a world where steps are built without their weights."""
    from insilico.decoders.mindeye2.step import MindEye2
    from insilico.encoders.mary_nano import MaryNano
    from insilico.step import Step

    for step in (MindEye2, MaryNano):
        monkeypatch.setattr(step, "digests", Step.digests)
    path = tmp_path / "p.yaml"
    path.write_text(STUDY)
    return path


@pytest.mark.parametrize(("asked", "words"), WRONG.values(), ids=WRONG)
def test_a_variant_that_is_the_study_is_refused(study, asked, words):
    text = STUDY.replace("stability: {fill: [zero]}", f"stability: {asked}")
    study.write_text(text)
    (line,) = mistakes(study)
    assert words in line


def test_what_the_study_says_itself_counts(study):
    assert mistakes(study, {"stability.alpha": [1000], "adapter.alpha": 10}) == []
    (line,) = mistakes(study, {"stability.alpha": [10], "adapter.alpha": 10})
    assert f"alpha 10 {ALREADY}" in line


def test_a_statistic_is_given_no_condition_twice(study):
    """A fill that changes one lesion repeats another, whose order would agree with itself."""
    two = {"conditions.other": ZERO, "stability.fill": ["zero"]}
    assert mistakes(study, two) == []  # 'other fill zero' is a copy, and no statistic takes it
    (line,) = mistakes(study, {**two, "statistics.order.of": ["other"]})
    assert "statistics.order.of: 'other fill zero' has the very results of 'other'" in line


def test_a_statistic_of_order_alone_is_told_the_key_to_write(study):
    study.write_text(STUDY.replace("stability: {fill: [zero]}\n", ""))
    (line,) = mistakes(study)
    assert "the key 'stability' of the protocol repeats it" in line
    key = re.search(r"stability: {.*}", line)[0]
    study.write_text(STUDY.replace("stability: {fill: [zero]}", key))
    assert mistakes(study) == []


@pytest.mark.parametrize("page", ["lesions", "protocols"])
def test_the_pages_examples_are_right(study, page):
    shown = re.findall(
        r"stability: (\{.*\})\n|`(\{alpha: .*?\})`", (DOCS / f"{page}.md").read_text()
    )
    for example in (one or other for one, other in shown):
        study.write_text(STUDY.replace("{fill: [zero]}", example))
        assert mistakes(study) == []
    assert shown


def test_no_shipped_study_is_repeated_as_it_is(study):
    varied = [
        name for name, path in shipped_protocols().items() if "stability:" in path.read_text()
    ]
    assert "yeo7_ablation" in varied
    assert [line for name in varied for line in mistakes(name) if "agrees" in line] == []
