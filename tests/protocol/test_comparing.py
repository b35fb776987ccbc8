"""A wrong control and a figure that cannot be drawn are refused before anything is decoded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from insilico.errors import ProtocolError
from insilico.protocol.drawn import beside_of
from insilico.protocol.plan import plan
from insilico.protocol.read import mistakes, read

DOCS = Path(__file__).parents[2] / "docs"
STUDY = """\
title: Two areas
preset: phantom
stimuli: {n: 6}
conditions:
  intact: {}
  lost: {perturb: {kind: ablate, atlas: areas, region: [V1, place], fill: mean}}
  patch: {perturb: {kind: ablate, atlas: areas, region: [V1, place], control: patch, n: 2}}
  other fill: {perturb: {kind: ablate, atlas: areas, region: [V1, place], fill: zero, control: patch}}
  kept: {perturb: {kind: keep_only, atlas: areas, region: [V1, place], control: patch}}
  one: {perturb: {kind: ablate, atlas: areas, region: [place], control: patch}}
  raised: {perturb: {kind: stimulate, atlas: areas, region: [V1], dose: [4, 8]}}
  raised patch: {perturb: {kind: stimulate, atlas: areas, region: [V1], dose: [4], control: patch}}
  more: {perturb: {kind: stimulate, atlas: areas, region: [V1, place], dose: 9, control: patch}}
  decoded otherwise:
    decoder: {steps: 3}
    perturb: {kind: ablate, atlas: areas, region: [V1, place], control: patch}
scores: [pixcorr, clip_cosine]
statistics:
  gap: {kind: paired, of: lost, against: intact, control: patch}
  bare: {kind: paired, of: lost, against: intact}
  cross:
    {kind: interaction, of: lost, against: intact, regions: [V1, PPA], scores: [pixcorr, clip_cosine]}
"""


pytestmark = pytest.mark.usefixtures("no_weights_needed")


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(STUDY)
    return path


def said(study, **changes):
    return mistakes(study, {key.replace("__", "."): value for key, value in changes.items()})


def test_a_control_that_repeats_its_lesion_elsewhere_is_right(study):
    assert said(study) == []


def test_a_control_in_voxels_repeats_the_lesion_of_a_measured_response(study):
    perturb = {"kind": "ablate", "atlas": "areas", "region": ["V1", "place"]}
    raised = {"kind": "stimulate", "atlas": "areas", "region": ["V1"], "dose": [4, 8]}
    measured = {"source": "recording"}
    conditions = {
        "there": measured,
        "lost there": {**measured, "perturb": perturb},
        "elsewhere": {**measured, "perturb": {**perturb, "control": "patch", "n": 2}},
        "raised there": {**measured, "perturb": raised},
        "raised elsewhere": {**measured, "perturb": {**raised, "control": "vertices"}},
    }
    lost = {"kind": "paired", "of": "lost there", "against": "there", "control": "elsewhere"}
    doses = {"kind": "dose_response", "of": "raised there", "control": "raised elsewhere"}
    changes = {f"conditions.{name}": spec for name, spec in conditions.items()}
    changes |= {"statistics.lost": lost, "statistics.doses": doses}
    assert mistakes(study, changes) == []
    (line,) = mistakes(study, {**changes, "statistics.lost.control": "patch"})
    assert "'patch' is no control of 'lost there': source is encoder, not recording" in line


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ("other fill", "'other fill' is no control of 'lost': fill is zero, not mean"),
        ("kept", "'kept' is no control of 'lost': kind is keep_only, not ablate"),
        ("one", "'one' has no controls of V1; it has place"),
        ("intact", "'intact' holds no matched controls; .*control: patch"),
        ("more", "'more' is no control of 'lost': kind is stimulate"),
        ("decoded otherwise", "'decoded otherwise' is no control of 'lost': decoder is"),
    ],
)
def test_a_wrong_control_is_refused(study, control, message):
    (line,) = said(study, statistics__gap__control=control)
    assert re.search(f"statistics.gap.control: {message}", line), line


def test_doses_of_controls_are_those_of_the_area(study):
    spec = {"kind": "dose_response", "of": "raised", "control": "raised patch"}
    (line,) = said(study, statistics={"gap": spec})
    assert "has no controls of V1, dose 8; it has V1, dose 4" in line


def test_nothing_is_compared_with_itself_or_with_several(study):
    (line,) = said(study, statistics__bare__against="lost")
    assert "met 'lost', which is 'of' too" in line
    (line,) = said(study, statistics__bare={"of": "kept", "against": "lost"})
    assert "'lost' stands for 2 conditions; allowed: one" in line


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        (["area_lesions"], "figures.0: area_lesions needs 'beside', a list of statistics"),
        ([{"kind": "lesion_effects", "estimate": "gap"}], "'estimate'; one of: kind, of, name$"),
        ([{"lesion_effects": "gap"}], r"'kind' is missing \(write {kind: lesion_effects, of: gap}"),
        ([{"kind": "lesion_effects", "of": "cross"}], "'cross' is of kind interaction"),
        ([{"kind": "area_lesions", "of": "gap", "beside": "bare"}], "add control: to bare"),
        ([{"kind": "area_lesions", "beside": ["gpa"]}], r"statistic 'gpa'.*mean 'gap'"),
        ([{"kind": "reconstruction_grid", "n": 0}], r"figures\.0\.n: met 0; allowed: greater than"),
        ([{"kind": "reconstruction_grid", "n": "6"}], "figures.0.n: met '6'; allowed: a valid int"),
        (
            ["lesion_effects"] * 2,
            "to lesion_effects.png; give one a name: {kind: lesion_effects, n",
        ),
        (
            [{"kind": "lesion_effects", "name": "../x"}],
            r"met '\.\./x'; allowed: the name of a file",
        ),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused(study, figures, message):
    (line,) = said(study, figures=figures)
    assert re.search(message, line), line


def test_figures_of_one_kind_have_names_and_one_beside_needs_no_brackets(study):
    two = ["lesion_effects", {"kind": "lesion_effects", "of": "bare", "name": "bare effects"}]
    assert said(study, figures=two) == []
    one = {"kind": "area_lesions", "of": "gap", "beside": "gap"}
    assert said(study, figures=[one]) == []
    assert beside_of(one) == ["gap"]


def test_regions_of_a_statistic_go_by_any_spelling(study):
    assert set(plan(read(study).protocol).statistics["cross"].step.regions) == {"V1", "place"}
    (line,) = said(study, statistics__cross__regions=["V1", "FFA"])
    assert "unknown region of 'lost' 'face'; one of: V1, place" in line


def test_a_value_of_the_wrong_type_is_said_once_and_at_its_key(study):
    (line,) = said(study, statistics__gap__equivalent_within=True)
    assert (
        "statistics.gap.equivalent_within: met True; allowed: a valid number, or a mapping" in line
    )
    (line,) = said(study, statistics__gap__equivalent_within={"pixcorr": -0.1})
    assert "statistics.gap.equivalent_within.pixcorr: met -0.1; allowed: greater than 0" in line
    (line,) = said(study, statistics={"ends": {"kind": "levels", "of": "lost"}})
    assert "statistics.ends.of: met 'lost'; allowed: a list in [ ]" in line


def test_a_misspelt_each_is_named(study):
    lines = said(study, conditions__lost__perturb__region="Each")
    assert any("for every region of phantom_areas write region: each" in line for line in lines)


def test_a_protocol_made_in_a_script_must_be_a_file():
    with pytest.raises(ProtocolError, match="met a dict; allowed: a path, .*yaml.safe_dump"):
        read({"title": "x"})  # type: ignore[arg-type]


def test_the_curve_of_the_page_of_statistics_is_right(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "statistics.md").read_text(), re.S)
    (curve,) = (block for block in blocks if "dose_curves" in block)
    path = tmp_path / "curve.yaml"
    path.write_text("title: Doses\npreset: phantom\nstimuli: {n: 6}\n" + curve)
    assert mistakes(path) == []


def test_the_whole_protocol_of_the_page_is_right_and_draws_what_it_says(tmp_path):
    page = (DOCS / "protocols.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.S)
    (whole,) = (block for block in blocks if block.startswith("title:"))
    path = tmp_path / "whole.yaml"
    path.write_text(whole)
    assert mistakes(path) == []
    work = plan(read(path).protocol)
    assert {"perturb", "statistics", "figures"} <= {*re.findall(r"\b[a-z]+\b", whole)}
    assert {job.step.kind for job in work.statistics.values()} == {"paired", "interaction"}
    (alone,) = (block for block in blocks if block.startswith("figures:"))
    renamed = whole[: whole.index("figures:")] + alone
    path.write_text(renamed)
    assert mistakes(path) == []
