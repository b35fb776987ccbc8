"""The labels of a response's items, and the JSON file that holds them beside other formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, StoreError, listed
from insilico.schema import check, short_digest
from insilico.spaces.responses.rows import as_rows

SAID = ("units", "subject", "hemodynamic_offset_s")
"""What must be known of every response and is in none of the formats."""


def labels_of(
    held: Mapping[str, Any],
    stimuli: Sequence[str] | np.ndarray | None,
    timeline: str | Sequence[str] | None,
    time: Sequence[float] | None,
) -> dict[str, Any]:
    """Return the labels of the items: what the caller says, else what is `held` beside a file."""
    if timeline is not None and time is not None:
        names = [timeline] * len(time) if isinstance(timeline, str) else list(timeline)
        return {"timeline": names, "time": list(time)}
    if timeline is not None or isinstance(stimuli, str):
        raise ParameterError("rows need timeline= and time=; stimuli= is a list of ids")
    if stimuli is not None:
        return {"stimulus": [str(name) for name in stimuli]}
    if "stimulus" not in held and not {"timeline", "time"} <= set(held):
        raise ParameterError(
            "the items have no labels: give stimuli=[...], or timeline= and time= for rows"
        )
    return dict(held)


def complete(said: dict[str, Any], what: object) -> dict[str, Any]:
    """Return attributes, if nothing that every response must say is missing."""
    missing = [name for name in SAID if name not in said]
    if missing:
        raise ParameterError(
            f"{what}: does not say its {listed(missing)}; give them, such as units='session z', "
            "subject='sub-01', hemodynamic_offset_s=0.0"
        )
    offset = said["hemodynamic_offset_s"]
    if isinstance(offset, bool) or not isinstance(offset, int | float) or not np.isfinite(offset):
        raise ParameterError(f"{what}: hemodynamic_offset_s must be seconds; is {offset!r}")
    return {**said, "hemodynamic_offset_s": float(offset)}


def labelled(flat: xr.Dataset, labels: Mapping[str, Any]) -> xr.Dataset:
    """Put labels on the items of a response whose stimuli are numbers."""
    item, n = "stimulus" if "stimulus" in labels else "row", flat.sizes["stimulus"]
    for key, values in labels.items():
        if len(values) != n:
            raise SchemaError(f"bold has {n} items, but there are {len(values)} values of {key}")
    if item == "row":
        flat = as_rows(flat, labels["timeline"], labels["time"])
    rest = {key: (item, np.asarray(v)) for key, v in labels.items() if key not in flat.coords}
    own = {"stimulus": list(labels["stimulus"])} if item == "stimulus" else {}
    return check(flat.assign_coords({**rest, **own}), "response", rows=True)


def beside_of(path: Path) -> dict[str, Any]:
    """Return what a JSON file says of the response beside it; nothing, where there is none."""
    if not path.is_file():
        return {"labels": {}, "attrs": {}}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise StoreError(f"{path}: is not JSON: {error}") from error
    labels, attrs = (about.get(k) if isinstance(about, dict) else None for k in ("labels", "attrs"))
    lists = isinstance(labels, dict) and all(_plain_list(values) for values in labels.values())
    if not lists or not isinstance(attrs, dict):
        raise StoreError(f"{path}: must hold the objects 'labels' (of plain lists) and 'attrs'")
    return about


def _plain_list(values: Any) -> bool:
    return isinstance(values, list) and not any(isinstance(v, list | dict) for v in values)


def as_text(response: xr.Dataset) -> str:
    """Return the JSON that stands beside a response's file."""
    item = response["bold"].dims[0]
    own = {str(k): v.values.tolist() for k, v in response.coords.items() if v.dims == (item,)}
    about = {
        "labels": own,
        "attrs": dict(response.attrs),
        "order": "lh,rh",
        "bold": digest_of(response),
    }
    return json.dumps(about, ensure_ascii=False, indent=1, default=_plain)


def digest_of(response: xr.Dataset) -> str:
    """Return a digest of the values, by which a file and what stands beside it know each other."""
    return short_digest((response["bold"].values + np.float32(0)).tobytes())  # -0 counts as 0


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
