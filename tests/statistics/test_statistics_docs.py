"""What docs/statistics.md states is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from insilico.protocol.document import parse
from insilico.protocol.steps import complaints
from insilico.statistics import KINDS
from insilico.statistics.attainable import of_flips

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_every_statistic_of_scores_is_there():
    for kind in ("paired", "levels", "mixed", "interaction", "shapley", "prevalence", "stability"):
        assert kind in KINDS
        assert f"| `{kind}`" in TEXT
        assert f"- `{kind}`:" in TEXT  # what it cannot show


def test_what_corrects_p_is_told_of_every_statistic():
    section = re.search(r"## Which correction\n(.*?)\n## ", TEXT, re.DOTALL)[1]
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|.*\|(.*)\|$", section, re.M)))
    assert set(KINDS) <= set(listed)


def test_the_table_of_attainable_p():
    rows = re.findall(r"^\| (\d+) \| ([\d.e-]+) \| ([\d.e-]+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 8
    for stimuli, every, drawn in rows:
        assert of_flips(int(stimuli), 2 ** int(stimuli)) == pytest.approx(float(every), rel=0.01)
        assert of_flips(int(stimuli), 10_000) == pytest.approx(float(drawn), rel=0.01)


def _heads(text):
    heads = re.findall(r"^#+ (.*)", text, re.M)
    return [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads]


def test_the_example_and_the_links():
    example = parse(re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1], "example").data
    for name, spec in example["statistics"].items():
        assert list(complaints("statistics", spec, ("statistics", name))) == []
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = link.partition("#")
        page = PAGE.parent / path if path else PAGE
        assert page.exists(), link
        assert not anchor or anchor in _heads(page.read_text(encoding="utf-8")), link
