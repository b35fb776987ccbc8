"""Datasets in the one form that a netCDF file can hold and give back unchanged."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

AS_JSON = "json_attrs"


def portable(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset as it will be read again: plain attributes, fixed-width strings.

    Attributes become JSON values (a tuple a list, a numpy number a number), labels and texts
    numpy strings, and what xarray remembers of an earlier file is forgotten.
    """
    dataset = dataset.copy(deep=False).drop_encoding()
    dataset.attrs = _plain_attrs(dataset.attrs)
    for name, variable in list(dataset.variables.items()):
        if variable.dtype.kind in "OT":
            dataset[name] = (variable.dims, _strings(variable.values), variable.attrs)
    for variable in dataset.variables.values():
        variable.attrs = _plain_attrs(variable.attrs)
    return dataset


def _strings(values: Any) -> np.ndarray:
    return np.asarray(values).astype(str)


def _plain_attrs(attrs: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in attrs.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def packed(dataset: xr.Dataset) -> xr.Dataset:
    """Return a portable dataset with what netCDF attributes cannot hold written as JSON."""
    dataset = dataset.copy(deep=False)
    dataset.attrs = _packed_attrs(dataset.attrs)
    for variable in dataset.variables.values():
        variable.attrs = _packed_attrs(variable.attrs)
    return dataset


def unpacked(dataset: xr.Dataset) -> xr.Dataset:
    """Undo `packed` after reading."""
    dataset.attrs = _unpacked_attrs(dataset.attrs)
    for variable in dataset.variables.values():
        variable.attrs = _unpacked_attrs(variable.attrs)
    return portable(dataset)


def _packed_attrs(attrs: dict[Any, Any]) -> dict[str, Any]:
    odd = [name for name, value in attrs.items() if not _native(value)]
    if not odd:
        return dict(attrs)
    texts = {name: json.dumps(attrs[name], ensure_ascii=False) for name in odd}
    return {**attrs, **texts, AS_JSON: json.dumps(odd)}


def _native(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return (
        isinstance(value, float)
        or (isinstance(value, int) and -(2**63) <= value < 2**63)
        or (isinstance(value, str) and value != "" and "\0" not in value)
    )


def _unpacked_attrs(attrs: dict[Any, Any]) -> dict[str, Any]:
    attrs = dict(attrs)
    for name in json.loads(attrs.pop(AS_JSON, "[]")):
        attrs[name] = json.loads(attrs[name])
    return attrs
