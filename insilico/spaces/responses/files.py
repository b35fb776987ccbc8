"""Responses in the files that the field exchanges, in and out.

=====================  ============  =========================================================
file                   space         also written
=====================  ============  =========================================================
NAME.func.gii, .gii    fsaverage5    as NAME_hemi-L.func.gii and NAME_hemi-R.func.gii
NAME.dscalar.nii       fsaverage5
NAME.dtseries.nii      fsaverage5    read only: rows, with their times
NAME.nii, NAME.nii.gz  voxels        NAME_mask.nii.gz
NAME.npy               fsaverage5
NAME.npz               fsaverage5    read only: `lh` and `rh`, or `bold`
=====================  ============  =========================================================

What these formats cannot hold (stimulus ids, timelines, units, subject, source) stands beside them
in NAME.response.json. Where there is no such file, the caller must say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError, StoreError, listed
from insilico.schema import check, place_of
from insilico.spaces.responses import surfaces, volumes
from insilico.spaces.responses.arrays import (
    bold_of,
    check_header,
    left_first,
    on_cortex,
    read_arrays,
)
from insilico.spaces.responses.labels import (
    as_text,
    beside_of,
    complete,
    digest_of,
    labelled,
    labels_of,
)

VOLUMES = (".nii.gz", ".nii")
BESIDE = ".response.json"


def read_response(
    path: str | Path,
    *,
    order: str | None = None,
    stimuli: Sequence[str] | np.ndarray | None = None,
    timeline: str | Sequence[str] | None = None,
    time: Sequence[float] | None = None,
    mask: str | Path | None = None,
    **said: Any,
) -> xr.Dataset:
    """Read a response from a file.

    Parameters
    ----------
    path : path
        See the table of `insilico.spaces.responses.files`; of a pair of GIFTI files, either.
    order : {"lh,rh", "rh,lh"}, optional
        Which hemisphere comes first in a .npy or .npz file without NAME.response.json.
    stimuli : sequence of str, optional
        Stimulus ids; needed without NAME.response.json, unless the items are rows.
    timeline, time : optional
        Of each row, where the items are rows; a dtseries file knows its times.
    mask : path, optional
        For a volume: NIfTI of 0 and 1; by default NAME_mask.nii.gz.
    **said
        Attributes, which go before those of NAME.response.json: without it, units, subject and
        hemodynamic_offset_s are needed; space too, for a volume.

    Returns
    -------
    response (stimulus or row, vertex or voxel)
        float32; on fsaverage5 its medial wall holds zero.
    """
    path = Path(path)
    beside, suffix = _beside(path), suffix_of(path)
    absent = [part for part in files_of(path) if not part.exists()]
    if absent:
        raise StoreError(f"{absent[0]}: no such file")
    held = beside_of(beside)
    if suffix == ".dtseries.nii" and time is None and timeline is not None:
        time = surfaces.series_times(path)
    with named(path):
        labels = labels_of(held["labels"], stimuli, timeline, time)
        attrs = complete({"source": f"file {path.name}", **held["attrs"], **said}, "the file")
        if suffix in VOLUMES:
            where = Path(mask) if mask else volumes.mask_of(path)
            response = labelled(volumes.read_volume(path, where, attrs), labels)
        else:
            bold = _READERS[suffix](path, order or held.get("order"))
            response = on_cortex(bold, labels, attrs)
    if held.get("bold", digest_of(response)) != digest_of(response):
        raise StoreError(
            f"{path}: its values are not those that {beside.name} describes; if the file was "
            "changed on purpose, remove the .json file and state labels and attributes"
        )
    return response


def write_response(response: xr.Dataset, path: str | Path) -> list[Path]:
    """Write a response in the format that the file's name asks for, and NAME.response.json.

    Reading it again gives the same `bold`, bit for bit, the same labels and attributes. Other
    variables, and further coordinates of vertices or voxels, are not written.

    Parameters
    ----------
    response : response (stimulus or row, vertex or voxel)
    path : path
        See the table of `insilico.spaces.responses.files`.

    Returns
    -------
    list of path
        What was written.
    """
    check(response, "response", rows=True)
    path, place = Path(path), place_of(response)
    if response["bold"].ndim != 2:
        raise SchemaError(
            f"a file holds one table (item, place); bold has {response['bold'].dims}: select one "
            f"{response['bold'].dims[0]} first"
        )
    if suffix_of(path) not in _WRITERS[place]:
        raise ParameterError(
            f"{path}: a response of {place} can be written as {listed(_WRITERS[place])}"
        )
    beside, text = _beside(path), as_text(response)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        with named(path):
            written = _WRITERS[place][suffix_of(path)](response, path)
        beside.write_text(text, encoding="utf-8")
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{path}: cannot be written: {error}") from error
    return [*written, beside]


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Let errors about what a file holds begin with its name."""
    try:
        yield
    except (SchemaError, SpaceError, ParameterError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def files_of(path: Path) -> list[Path]:
    """Return the files that hold a response: itself or its pair, and what stands beside it."""
    parts = surfaces.pair(path)[:2] if suffix_of(path).endswith(".gii") else [path]
    beside = [_beside(path), *([volumes.mask_of(path)] if suffix_of(path) in VOLUMES else [])]
    return [*parts, *(part for part in beside if part.exists())]


def held_ids(path: Path) -> dict[str, None]:
    """Return the stimuli, or timelines, of a response as its NAME.response.json lists them.

    Raises
    ------
    SchemaError, SpaceError
        If it does not, or a .npy file is not of as many rows, or of another width.
    """
    labels = beside_of(_beside(path))["labels"]
    names = labels.get("stimulus", labels.get("timeline"))
    if names is None:
        raise SchemaError(
            f"{path}: nothing says whose responses these are; {_beside(path).name} does, as "
            "insilico.write_response leaves it"
        )
    check_header(path, len(names))
    return dict.fromkeys(map(str, names))


def suffix_of(path: Path) -> str:
    """Return the suffix that tells the format of a file."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix) and path.name != suffix:
            return suffix
    raise ParameterError(f"{path}: unknown kind of file; one of: {listed(SUFFIXES)}")


def _beside(path: Path) -> Path:
    """Return where NAME.response.json lies, NAME with its suffix; a pair shares one."""
    name = surfaces.pair(path)[2] if suffix_of(path).endswith(".gii") else path.name
    return path.with_name(name + BESIDE)


def _read_array(path: Path, order: str | None) -> np.ndarray:
    return left_first(bold_of(read_arrays(path)), order)


def _write_array(response: xr.Dataset, path: Path) -> list[Path]:
    np.save(path, surfaces.table(response), allow_pickle=False)
    return [path]


_READERS: dict[str, Callable[[Path, str | None], np.ndarray]] = {
    ".func.gii": lambda path, _: surfaces.read_gifti(path),
    ".gii": lambda path, _: surfaces.read_gifti(path),
    ".dscalar.nii": lambda path, _: surfaces.read_cifti(path),
    ".dtseries.nii": lambda path, _: surfaces.read_cifti(path),
    ".npy": _read_array,
    ".npz": _read_array,
}
_WRITERS: dict[str, dict[str, Callable[[xr.Dataset, Path], list[Path]]]] = {
    "vertex": {
        ".func.gii": surfaces.write_gifti,
        ".gii": surfaces.write_gifti,
        ".dscalar.nii": surfaces.write_cifti,
        ".npy": _write_array,
    },
    "voxel": dict.fromkeys(VOLUMES, volumes.write_volume),
}
SUFFIXES = (*_READERS, *VOLUMES)
"""Of the files that can be read."""
