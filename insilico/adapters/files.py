"""A fitted adapter as a folder: `adapter.json` says what it is, `adapter.safetensors` its numbers.

Numbers lie in safetensors under their names; words (ids, hemispheres, regions), dimensions and
attributes lie in the JSON file. Nothing in either is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, StoreError, WeightsError, listed
from insilico.schema import short_digest

ABOUT, NUMBERS = "adapter.json", "adapter.safetensors"
FORMAT = 1


def save_adapter(fitted: xr.Dataset, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write a fitted adapter into a folder, for use elsewhere.

    Parameters
    ----------
    fitted : Dataset
        Of an adapter's `fit`, or of ``chain.fitted()``.
    folder : path
        Is made; must not hold another adapter, unless `overwrite`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ParameterError
        If it is no fitted adapter, or the folder holds one.
    StoreError
        If it cannot be written.
    """
    folder = Path(folder).expanduser()
    if not isinstance(fitted, xr.Dataset) or "adapter" not in fitted.attrs:
        raise ParameterError("save_adapter needs what an adapter's fit returned, a Dataset")
    if (folder / ABOUT).exists() and not overwrite:
        raise ParameterError(f"{folder} holds an adapter; name another folder, or overwrite=True")
    numbers, words = {}, {}
    for name, variable in fitted.variables.items():
        values = np.asarray(variable.values)
        if values.dtype.kind in "OUT":
            words[str(name)] = values.astype(str).tolist()
        else:
            numbers[str(name)] = np.ascontiguousarray(values)
    about = {
        "format": FORMAT,
        "dims": {str(name): list(variable.dims) for name, variable in fitted.variables.items()},
        "coords": sorted(str(name) for name in fitted.coords),
        "words": words,
        "attrs": fitted.attrs,
    }
    _write(folder, about, numbers)
    return folder


def _write(folder: Path, about: dict[str, Any], numbers: dict[str, np.ndarray]) -> None:
    """Write both files beside their places, and rename them, the one that names the other last."""
    from safetensors.numpy import save_file

    parts = {name: folder / f".{name}.{os.getpid()}.part" for name in (NUMBERS, ABOUT)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(numbers, parts[NUMBERS])
        parts[NUMBERS].chmod(0o644)
        parts[ABOUT].write_text(
            json.dumps(about, indent=1, ensure_ascii=False, default=_plain) + "\n", "utf-8"
        )
        (folder / ABOUT).unlink(missing_ok=True)
        for name, part in parts.items():
            part.replace(folder / name)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written ({error}); name another folder") from error
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def load_adapter(folder: str | Path) -> xr.Dataset:
    """Read a fitted adapter that `save_adapter` wrote; exactly what was saved.

    Raises
    ------
    WeightsError
        If there is none, or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    about = _about(Path(folder).expanduser())
    try:
        numbers = load_file(Path(folder).expanduser() / NUMBERS)
        words = {name: np.array(values, dtype=str) for name, values in about["words"].items()}
        found = {
            name: (about["dims"][name], values) for name, values in {**numbers, **words}.items()
        }
        missing = set(about["dims"]) - set(found)
        if missing:
            raise WeightsError(f"{folder}: {NUMBERS} lacks {listed(sorted(missing), 3)}")
        coords = {name: found.pop(name) for name in about["coords"]}
        return xr.Dataset(found, coords=coords, attrs=about["attrs"])
    except (OSError, KeyError, ValueError, TypeError, AttributeError, SafetensorError) as error:
        raise WeightsError(f"{folder}: a damaged adapter ({error}); save it again") from error


def fitted_ids(folder: str | Path) -> list[str]:
    """Return the ids of the stimuli that a saved adapter was fitted on."""
    words = _about(Path(folder).expanduser())["words"]
    return [str(name) for name in words.get("stimulus", [])]


def about_adapter(folder: str | Path) -> tuple[dict[str, Any], str]:
    """Return a saved adapter's attributes, and a digest of its files."""
    folder = Path(folder).expanduser()
    about = _about(folder)
    try:
        with (folder / NUMBERS).open("rb") as file:
            numbers = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{folder}: no {NUMBERS} beside {ABOUT}; save it again") from error
    return about["attrs"], short_digest(about, numbers)


def _about(folder: Path) -> dict[str, Any]:
    file = folder / ABOUT
    if not file.is_file():
        there = sorted(p.name for p in folder.iterdir())[:3] if folder.is_dir() else []
        raise WeightsError(
            f"no adapter in {folder}: {ABOUT} is missing (it holds {listed(there) or 'nothing'}); "
            "write one with isi.save_adapter(fitted, folder)"
        )
    try:
        about = json.loads(file.read_text("utf-8"))
        known = about["format"]
        said = about["attrs"]["adapter"], about["attrs"]["step"], about["dims"], about["words"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{file}: not what save_adapter wrote ({error}); save it again"
        ) from error
    if known != FORMAT or not all(said):
        raise WeightsError(f"{file}: format {known}; this version of insilico reads {FORMAT}")
    return about


def _plain(value: Any) -> Any:
    """Return a number of numpy's, as attributes have once they were in a file, as Python's own."""
    return np.asarray(value).tolist()
