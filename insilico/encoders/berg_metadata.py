"""BERG's metadata: nested dictionaries in pickled .npy files, read without running their code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import ParameterError, SchemaError, StoreError, listed
from insilico.spaces.responses.arrays import read_arrays

PLAIN = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in
      ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),
}  # fmt: skip
"""What a pickle of numpy arrays in dictionaries asks for; nothing else is let in."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which is no numpy array")
        return super().find_class(module, name)


def read_metadata(path: Path, *, trust: bool = False) -> dict[str, Any]:
    """Return the metadata of a BERG model.

    Parameters
    ----------
    path : Path
        A .npz file whose names are paths such as ``fmri/roi_mask_volume``, or BERG's own .npy,
        which is a pickle.
    trust : bool
        Whether pickles are read; of those, only numpy arrays, numbers, lists and dictionaries.

    Raises
    ------
    ParameterError
        If the file is a pickle and `trust` is not given.
    StoreError
        If it is broken, or asks for more than arrays.
    """
    if path.suffix == ".npz":
        return nested(read_arrays(path))
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    if not trust:
        raise ParameterError(
            f"{path}: BERG's metadata are pickled; if you know where the file comes from, say "
            "trust=True (trust: true in a protocol), or hand over a .npz file with names such as "
            "fmri/roi_mask_volume"
        )
    return _unpickled(path)


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            held = _Plain(file).load()
    except Exception as error:  # a broken pickle raises whatever it happens to run into
        raise StoreError(f"{path}: cannot be read as BERG's metadata: {error}") from error
    found = held.item() if isinstance(held, np.ndarray) and held.ndim == 0 else held
    if not isinstance(found, dict):
        raise SchemaError(f"{path}: metadata must be a dictionary; is {type(found).__name__}")
    return found


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Turn names such as ``fmri/ncsnr`` into dictionaries of dictionaries."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split("/")
        inner = found
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return found


def entry(metadata: Mapping[str, Any], *keys: str) -> Any:
    """Return what lies under keys, or say what is there instead."""
    found: Any = metadata
    for k, key in enumerate(keys):
        if not isinstance(found, Mapping) or key not in found:
            held = listed(found) if isinstance(found, Mapping) else type(found).__name__
            where = "/".join(keys[: k + 1])
            raise SchemaError(f"metadata of BERG: {where} is missing; has {held or 'nothing'}")
        found = found[key]
    return found
