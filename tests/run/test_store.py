from __future__ import annotations

import errno
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from insilico.errors import ParameterError, StoreError
from insilico.run import store as storage
from insilico.run.portable import portable
from insilico.run.store import DamagedEntry, Store
from insilico.schema import NOUNS, sample

KEY = "ab" * 16


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_comes_back_the_same(noun, tmp_path):
    before = Store(tmp_path).write(KEY, sample(noun))
    after = Store(tmp_path).read(KEY)
    xr.testing.assert_identical(before, after)
    for name in before.variables:
        assert before[name].dtype == after[name].dtype


def test_strings_and_attributes_survive(tmp_path):
    odd = sample("stimuli", 2)
    odd["caption"] = ("stimulus", np.array(["", "ein Bär – 熊"], dtype=object))
    odd.attrs |= {"yes": True, "none": None, "list": (1, "b"), "number": np.float32(0.5), "e": ""}
    odd["caption"].attrs = {"nested": {"a": [1]}}
    Store(tmp_path).write(KEY, odd)
    after = Store(tmp_path).read(KEY)
    assert after["caption"].values.tolist() == ["", "ein Bär – 熊"]
    assert after["caption"].dtype.kind == "U"
    kept = {k: after.attrs[k] for k in ("yes", "none", "list", "number", "e")}
    assert kept == {"yes": True, "none": None, "list": [1, "b"], "number": 0.5, "e": ""}
    assert after["caption"].attrs == {"nested": {"a": [1]}}


def test_xarray_opens_an_entry_alone(tmp_path):
    store = Store(tmp_path)
    store.write(KEY, sample("response"), "encode")
    with xr.open_dataset(store.path(KEY), engine="h5netcdf") as opened:
        assert opened.attrs["insilico_job"] == "encode"
        assert opened["stimulus"].values.astype(str)[0] == "sample-000000"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damage_is_found(damage, tmp_path):
    store = Store(tmp_path)
    store.write(KEY, sample("response", 50))
    content = bytearray(store.path(KEY).read_bytes())
    if damage == "flipped":
        bold = sample("response", 50)["bold"].values.tobytes()
        content[content.index(bold[:64]) + 7] ^= 0xFF
    size = {"truncated": len(content) // 2, "flipped": len(content), "empty": 0}[damage]
    store.path(KEY).write_bytes(bytes(content[:size]))
    with pytest.raises(DamagedEntry, match="delete it and run again"):
        Store(tmp_path).read(KEY)


def test_death_between_write_and_rename_leaves_no_entry(tmp_path, monkeypatch):
    def die(path):
        raise KeyboardInterrupt

    store = Store(tmp_path)
    monkeypatch.setattr(storage, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        store.write(KEY, sample("response"))
    assert KEY not in store
    monkeypatch.undo()
    (store.path(KEY).with_name(f".{KEY}.nc.1.part")).write_bytes(b"half")  # what kill -9 leaves
    assert KEY not in store
    store.write(KEY, sample("response"))
    xr.testing.assert_identical(Store(tmp_path).read(KEY), portable(sample("response")))


def test_no_space_is_one_error_and_leaves_nothing(tmp_path):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
        with pytest.raises(StoreError, match=r"cannot be written .*--store"):
            Store(tmp_path).write(KEY, sample("response", 200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)
    assert KEY not in Store(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.part")] == []


def test_full_disk_says_so(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"no space left on the disk of .*; free some.*--store"):
        Store(tmp_path).write(KEY, sample("response"))


def test_memory_is_bounded_and_not_shared(tmp_path):
    store = Store(tmp_path, memory_bytes=1)
    for letter in "abc":
        store.write(letter * 32, sample("response"))
    assert len(store._recent) == 1
    store.read("c" * 32).attrs["source"] = "changed"
    assert store.read("c" * 32).attrs["source"] == "sample"


def test_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSILICO_STORE", str(tmp_path / "there"))
    assert Store().folder == tmp_path / "there"


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ParameterError, match="is a file; name a folder"):
        Store(tmp_path / "file")
