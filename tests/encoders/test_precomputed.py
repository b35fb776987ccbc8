"""Responses computed before, from a file, are found by stimulus id."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import insilico as isi
from insilico.encoders import KINDS
from insilico.encoders.precomputed import ids_of
from insilico.errors import InsilicoError, SchemaError, StoreError

SAID = {"units": "session z", "subject": "s1", "hemodynamic_offset_s": 0.0}


def response(*ids, **rows):
    bold = np.random.default_rng(0).standard_normal((len(ids) or len(rows["time"]), 20484))
    labels = {"stimuli": ids} if ids else rows
    return isi.from_array(bold.astype(np.float32), order="lh,rh", **labels, **SAID)


def shown(*ids):
    coords = {"stimulus": list(ids), "split": ("stimulus", ["test"] * len(ids))}
    return xr.Dataset({"caption": ("stimulus", list(ids))}, coords, {"source": "test"})


@pytest.mark.parametrize("name", ["r.func.gii", "r.dscalar.nii", "r.npy"])
def test_responses_come_in_the_order_of_the_stimuli(tmp_path, name):
    isi.write_response(given := response("a", "b", "c"), tmp_path / name)
    found = KINDS.build({"kind": "precomputed", "file": str(tmp_path / name)})(shown("c", "a"))
    xr.testing.assert_identical(found, given.sel(stimulus=["c", "a"]))


def test_rows_are_kept_or_averaged(tmp_path):
    given = response(timeline=["a", "a", "b"], time=[0, 1, 0])
    isi.write_response(given, tmp_path / "r.npy")
    spec = {"kind": "precomputed", "file": str(tmp_path / "r.npy")}
    mean = KINDS.build(spec)(shown("b", "a"))
    assert mean["n_rows"].values.tolist() == [1, 2]
    np.testing.assert_array_equal(mean["bold"][0], given["bold"][2])
    kept = KINDS.build({**spec, "rows": "keep"})(shown("b", "a"))
    assert kept["timeline"].values.tolist() == ["b", "a", "a"]
    np.testing.assert_array_equal(kept["bold"], given["bold"][[2, 0, 1]])


def test_the_digests_follow_everything_that_is_read(tmp_path):
    step = KINDS.build({"kind": "precomputed", "file": str(tmp_path / "r.func.gii")})
    isi.write_response(response("a", "b"), tmp_path / "r.func.gii")
    before = step.digests()
    assert set(before) == {"r_hemi-L.func.gii", "r_hemi-R.func.gii", "r.func.gii.response.json"}
    isi.write_response(response("a", "c"), tmp_path / "r.func.gii")
    assert {k for k, v in step.digests().items() if v != before[k]} == {"r.func.gii.response.json"}


def test_missing_files_stimuli_and_labels_are_named(tmp_path):
    step = KINDS.build({"kind": "precomputed", "file": str(tmp_path / "r.npy")})
    with pytest.raises(StoreError, match=r"r\.npy: cannot be read"):
        step.digests()
    isi.write_response(response("a", "b"), tmp_path / "r.npy")
    with pytest.raises(SchemaError, match=r"r\.npy holds no response to 1 of 2 stimuli: z; it has"):
        step(shown("a", "z"))
    (tmp_path / "r.npy.response.json").unlink()
    with pytest.raises(InsilicoError, match="the items have no labels"):
        step(shown("a"))
    with pytest.raises(InsilicoError, match="unknown kind of file"):
        KINDS.build({"kind": "precomputed", "file": "r.mat"}).digests()


def test_ids_are_one_a_line(tmp_path):
    (tmp_path / "ids.txt").write_text("\ufeffa b\n\n c \r\n", encoding="utf-8")
    assert ids_of(tmp_path / "ids.txt") == ["a b", "c"]
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match="one a line, cannot be read"):
        ids_of(tmp_path / "ids.txt")


def test_a_chain_decodes_from_a_file_what_it_decodes_from_its_encoder(tmp_path):
    few = {"adapter.pairs": 40}
    chain = isi.load_chain("phantom", set=few, store=tmp_path / "store")
    stimuli, training = chain.stimuli(split="test", n=3), chain.stimuli(split="train", n=40)
    both = np.concatenate([chain.encode(shown)["bold"] for shown in (stimuli, training)])
    ids = np.concatenate([shown["stimulus"] for shown in (stimuli, training)])
    given = isi.from_array(both, order="lh,rh", stimuli=ids, **SAID)
    isi.write_response(given, tmp_path / "r.npy")
    spec = {"kind": "precomputed", "file": str(tmp_path / "r.npy")}
    other = isi.load_chain("phantom", set={**few, "encoder": spec}, store=tmp_path / "other")
    expected, found = (c.adapt(c.encode(stimuli)) for c in (chain, other))
    np.testing.assert_array_equal(found["bold"], expected["bold"])
