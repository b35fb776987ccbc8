"""Betas of one session from NSD's files: float32 (trial, place), and z-scores of them.

In the volume NSD stores int16, percent signal change times 300; on fsaverage, float32 in percent.
HDF5 written by MATLAB has its axes reversed: (trial, k, j, i).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import InsilicoError, RecordingError
from insilico.spaces.fsaverage5 import N_HEMISPHERE
from insilico.spaces.nsd.rois import N_FSAVERAGE, opened

SCALE = np.float32(300)
TRIALS_AT_ONCE = 25


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Turn whatever a reader says of a broken file into a `RecordingError` with its name."""
    try:
        yield
    except InsilicoError:
        raise
    except Exception as error:  # h5py's and nibabel's readers raise what the file makes them raise
        raise RecordingError(f"{file}: cut short or damaged ({error})") from error


def voxels(file: Path, inside: np.ndarray) -> np.ndarray:
    """Return a session's betas in a mask, percent signal change.

    Parameters
    ----------
    file : Path
        ``.hdf5`` or ``.nii.gz``.
    inside : bool (i, j, k)

    Returns
    -------
    float32 (trial, voxel)
        Voxels in the C order of the mask. One slice of the volume is held at a time.
    """
    with named(file):
        read = _from_hdf5 if file.suffix == ".hdf5" else _from_nifti
        return read(file, inside) / SCALE


def _from_hdf5(file: Path, inside: np.ndarray) -> np.ndarray:
    import h5py

    with h5py.File(file, "r") as held:
        _require_key(file, held)
        data = held["betas"]
        _check(file, data.dtype, data.shape[1:], inside.shape[::-1], "(trial, k, j, i)")
        i, j, k = np.nonzero(inside)
        betas = np.empty((data.shape[0], len(i)), np.float32)
        rows, columns = slice(j.min(), j.max() + 1), slice(i.min(), i.max() + 1)
        for plane in np.unique(k):
            at = np.flatnonzero(k == plane)
            part = data[:, plane, rows, columns]
            betas[:, at] = part[:, j[at] - j.min(), i[at] - i.min()]
    return betas


def _from_nifti(file: Path, inside: np.ndarray) -> np.ndarray:
    from nibabel import Nifti1Image

    image: Any = Nifti1Image.from_filename(str(file), keep_file_open=True)
    shape = image.shape
    _check(file, image.get_data_dtype(), shape[:3], inside.shape, "(i, j, k, trial)")
    if image.dataobj.slope != 1 or image.dataobj.inter != 0:
        raise RecordingError(f"{file}: NSD's betas are not scaled in their header; this one is")
    betas = np.empty((shape[3] if len(shape) > 3 else 1, int(inside.sum())), np.float32)
    for start in range(0, len(betas), TRIALS_AT_ONCE):
        part = np.asarray(image.dataobj[..., start : start + TRIALS_AT_ONCE])
        betas[start : start + TRIALS_AT_ONCE] = part[inside].T
    return betas


def check_head(file: Path, trials: int) -> None:
    """Raise if the head or the size of a session's file says that it cannot be read.

    No beta is read, so it costs milliseconds. What is cut off inside a ``.nii.gz``, and betas that
    hold nothing, only reading tells.

    Parameters
    ----------
    file : Path
        ``.hdf5``, ``.nii.gz`` or ``.mgh``, there.
    trials : int
        Of a session.

    Raises
    ------
    RecordingError
        A file cut short, of another type of number, or with another number of trials.
    """
    state = file.stat()
    found = _trials(file, state.st_size, state.st_mtime_ns)
    if found != trials:
        raise RecordingError(f"{file}: {found} trials; sessions of this design have {trials}")


@lru_cache(maxsize=512)
def _trials(file: Path, size: int, _: int) -> int:
    """Return how many trials the head of a file of this size and time names."""
    import h5py
    from nibabel import Nifti1Image

    with named(file):
        if file.suffix == ".hdf5":
            with h5py.File(file, "r") as held:
                _require_key(file, held)
                _require_int16(file, held["betas"].dtype)
                return int(held["betas"].shape[0])
        if file.suffix == ".gz":
            image: Any = Nifti1Image.from_filename(str(file))
            _require_int16(file, image.get_data_dtype())
            return int(image.shape[3]) if len(image.shape) > 3 else 1
        with opened(file) as surface:
            needed = surface.dataobj.offset + 4 * int(np.prod(surface.shape))
            if size < needed:
                raise RecordingError(f"{file}: cut short")
            return int(surface.shape[3]) if len(surface.shape) > 3 else 1


def _require_key(file: Path, held: Any) -> None:
    if "betas" not in held:
        raise RecordingError(f"{file}: the key 'betas' is missing; holds {sorted(held)}")


def _require_int16(file: Path, dtype: Any) -> None:
    if np.dtype(dtype).newbyteorder("=") != np.int16:
        raise RecordingError(
            f"{file}: holds {dtype}; NSD's betas in the volume are int16, percent times 300: is it "
            "a file that another program wrote?"
        )


def _check(
    file: Path, dtype: Any, shape: tuple[int, ...], wanted: tuple[int, ...], axes: str
) -> None:
    _require_int16(file, dtype)
    if tuple(shape) != tuple(wanted):
        raise RecordingError(
            f"{file}: volumes of {tuple(shape)}; those of the mask are {tuple(wanted)} in this "
            f"file's axes {axes}: is it another subject's, or of another resolution?"
        )


def vertices(left: Path, right: Path) -> np.ndarray:
    """Return a session's betas on fsaverage5, percent signal change, float32 (trial, 20484).

    fsaverage5's vertices are the first 10,242 of fsaverage's; only they are read.
    """
    halves = [_hemisphere(file) for file in (left, right)]
    if len(halves[0]) != len(halves[1]):
        raise RecordingError(
            f"{left.name} has {len(halves[0])} trials, {right.name} has {len(halves[1])}, in "
            f"{left.parent}: is one of them another subject's?"
        )
    return np.concatenate(halves, axis=1)


def _hemisphere(file: Path) -> np.ndarray:
    with opened(file) as image:
        shape = (*image.shape, 1)[:4]
        if tuple(shape[:3]) != (N_FSAVERAGE, 1, 1):
            raise RecordingError(
                f"{file}: {image.shape}; a session on fsaverage is ({N_FSAVERAGE}, 1, 1, trials)"
            )
        part = np.asarray(image.dataobj[:N_HEMISPHERE])
        return part.reshape(N_HEMISPHERE, shape[3]).T.astype(np.float32)


def refuse_gaps(betas: np.ndarray, what: str, *, least: int = 2) -> np.ndarray:
    """Return which places hold no data in a session, bool (place,): NaN or constant throughout.

    Raises
    ------
    RecordingError
        If no place has data, or one has them in some trials only.
    """
    broken = ~np.isfinite(betas)
    some = broken.any(0) & ~broken.all(0)
    if some.any():
        trials = np.flatnonzero(broken[:, some].any(1))
        raise RecordingError(
            f"{what}: NaN in {len(trials)} of {len(betas)} trials (from trial {trials[0]} of the "
            f"session) at {int(some.sum())} places that have values in the others: leave this "
            "session out (sessions), or get the file again"
        )
    constant = (betas == betas[0]).all(0) if len(betas) >= least else np.zeros(len(some), bool)
    empty = broken.all(0) | constant
    if empty.all():
        raise RecordingError(
            f"{what}: no place has a value that varies; leave this session out (sessions), or get "
            "the file again"
        )
    return empty


def zscored(betas: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Return betas z-scored over the trials of a session, in place; empty places become 0.

    All trials count; the standard deviation divides by their number.
    """
    betas[:, empty] = 0
    mean = betas.mean(0, dtype=np.float64)
    betas -= mean.astype(np.float32)
    spread = np.sqrt(np.einsum("tp,tp->p", betas, betas, dtype=np.float64) / len(betas))
    betas /= np.where(empty, 1, spread).astype(np.float32)
    return betas
