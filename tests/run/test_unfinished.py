"""Checkpoints of a long computation lie beside the place of its result until that is there."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import xarray as xr

from insilico.job import Job
from insilico.run.runner import obtain
from insilico.run.store import Store
from insilico.step import Step, scratch


class Long(Step):
    """Counts its starts in its scratch folder; comes to an end at the third."""

    kind: ClassVar[str] = "long"
    name: str = "a"

    def __call__(self) -> xr.Dataset:
        folder = scratch()
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"start-{len(list(folder.iterdir()))}").touch()
        if len(list(folder.iterdir())) < 3:
            raise KeyboardInterrupt
        return xr.Dataset({"starts": len(list(folder.iterdir()))})


def test_a_killed_computation_finds_what_it_left(tmp_path: Path):
    store, job, other = Store(tmp_path), Job("a", Long()), Job("b", Long(name="b"))
    for unlucky in (job, other, job):
        with pytest.raises(KeyboardInterrupt):
            obtain(unlucky, store)
    assert sorted(p.name for p in store.unfinished(job.key).iterdir()) == ["start-0", "start-1"]
    assert obtain(job, store)["starts"] == 3
    assert not store.unfinished(job.key).exists()
    assert store.unfinished(other.key).exists()
    assert scratch() is None
