"""What docs/nulls.md shows runs as it stands, and a protocol may say what stands there."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

from insilico.statistics import KINDS
from insilico.statistics.nulls import SPINS

PAGE = (Path(__file__).parents[2] / "docs" / "nulls.md").read_text(encoding="utf-8")


def test_the_worked_example(capsys):
    block = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)
    exec(block[1], {})
    assert capsys.readouterr().out == block[2]


def test_every_statistic_of_the_page_can_be_built():
    shown = YAML(typ="safe", pure=True).load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])
    for spec in shown["statistics"].values():
        spec.pop("subjects", None)  # the protocol's own key
        spec = {"null" if key is None else key: value for key, value in spec.items()}
        assert KINDS.build(spec).kind == spec["kind"]


def test_every_null_is_in_the_tables():
    for name in (*SPINS, "variogram"):
        assert PAGE.count(f"`{name}`") >= 2, name
