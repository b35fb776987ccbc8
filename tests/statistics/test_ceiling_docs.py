"""What docs/ceilings.md shows runs as it stands, and prints what stands there."""

from __future__ import annotations

import re
from pathlib import Path

from insilico.statistics.ceilings import VARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "ceilings.md"


def test_the_worked_example(capsys):
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(block[1], names)
    assert capsys.readouterr().out == block[2]
    assert abs(names["found"]["anova"] - 0.6) < 0.02
    assert abs(names["unbiased"] - 0.6) < 0.03


def test_every_variant_is_in_the_table():
    text = PAGE.read_text(encoding="utf-8")
    for name in VARIANTS:
        assert f"| `{name}`" in text, name
