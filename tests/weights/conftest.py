"""A weights folder of the authors' layout."""

from __future__ import annotations

import pytest


@pytest.fixture
def hub(tmp_path):
    """Return an empty weights folder; nothing half-made may be left in it."""
    root = tmp_path / "hub"
    root.mkdir()
    yield root
    assert not list(root.rglob("*.part"))
