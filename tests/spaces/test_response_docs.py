"""What docs/responses.md shows runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "responses.md"


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)
    assert len(blocks) == 4
    assert (names["same"]["bold"].values == names["again"]["bold"].values).all()
    assert names["response"].sizes["row"] == 4


def test_every_format_is_in_the_table():
    from insilico.spaces.responses.files import _READERS, VOLUMES

    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    for suffix in (*_READERS, *VOLUMES):
        assert any(f"{suffix}`" in line for line in table), suffix
