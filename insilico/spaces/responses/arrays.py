"""Arrays of unlabelled columns: the order is said by who knows it, and what can be checked is.

No array of 20,484 columns says which hemisphere comes first. `left_first` therefore takes no array
without an `order`, and refuses one whose zeros lie on the other order's medial wall.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError, StoreError, listed, not_one_of
from insilico.schema import UNKNOWN
from insilico.spaces import fsaverage5
from insilico.spaces.fsaverage5 import N_HEMISPHERE, N_VERTICES
from insilico.spaces.responses.labels import SAID, complete, labelled, labels_of

ORDERS = ("lh,rh", "rh,lh")
N_FSAVERAGE = 163_842
"""Vertices of one hemisphere of fsaverage, whose first 10,242 are those of fsaverage5."""
COLUMNS = (N_VERTICES, 2 * N_FSAVERAGE)
ONLY = "bold"
"""Name of the array in a .npy file."""


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npy file (one, called ``bold``) or a .npz file, never a pickle."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    with _read(path), path.open("rb") as file:
        held = np.load(file, allow_pickle=False)
        return {ONLY: held} if isinstance(held, np.ndarray) else dict(held)


def check_header(path: Path, items: int) -> None:
    """Raise if the header of a .npy file says that it cannot hold so many responses.

    No value is read. Other files pass: only reading tells what they hold.
    """
    if path.suffix != ".npy" or not path.is_file():
        return
    with _read(path):
        held = np.load(path, mmap_mode="r", allow_pickle=False)
    try:
        _halves(numbers(held))
    except (SchemaError, SpaceError) as error:
        raise type(error)(f"{path}: {error}") from error
    if len(held) != items:
        raise SchemaError(
            f"{path}: {len(held)} rows, and {items} are named: are the names those of another file?"
        )


@contextmanager
def _read(path: Path) -> Iterator[None]:
    """Turn what numpy says of a broken file into a `StoreError`."""
    try:
        yield
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        why = f"cannot be read as .npy or .npz: {error}"
        if "pickle" in str(error) or "Python objects" in str(error):
            why = (
                "holds pickled Python objects, or is no array file; reading them would run code "
                "from the file: save plain numbers with numpy.save or numpy.savez"
            )
        raise StoreError(f"{path}: {why}") from error


def bold_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Return the response among arrays: ``lh`` and ``rh``, ``bold``, or the only one."""
    if {"lh", "rh"} <= set(arrays):
        return arrays["lh"], arrays["rh"]
    if ONLY in arrays or len(arrays) == 1:
        return arrays.get(ONLY, next(iter(arrays.values())))
    raise SchemaError(
        f"needs the arrays 'lh' and 'rh', one called '{ONLY}', or only one; "
        f"has {listed(arrays) or 'none'}"
    )


def left_first(bold: np.ndarray | Sequence[np.ndarray], order: str | None) -> np.ndarray:
    """Return an array on fsaverage5, left hemisphere first.

    Parameters
    ----------
    bold : array (item, 20484) or (item, 327684), or two arrays (item, 10242) or (item, 163842)
        On fsaverage5 or fsaverage; two arrays are the two hemispheres.
    order : {"lh,rh", "rh,lh"}
        Which hemisphere comes first; two arrays are left and right if it is not said.

    Returns
    -------
    float32, (item, 20484)
        Of fsaverage the vertices that fsaverage5 has: the first 10,242 of each hemisphere.
    """
    pair = isinstance(bold, list | tuple) and len(bold) == 2
    order = ORDERS[0] if order is None and pair else order
    if order not in ORDERS:
        raise ParameterError(
            f"{not_one_of('order of the hemispheres', order, ORDERS)}; an array of vertices does "
            "not say which side comes first, so the order must be stated"
        )
    halves = [numbers(half) for half in bold] if pair else _halves(numbers(bold))
    left, right = halves if order == ORDERS[0] else halves[::-1]
    _fit(left, right)
    both = varied(np.concatenate([left[:, :N_HEMISPHERE], right[:, :N_HEMISPHERE]], axis=1))
    _refuse_other_wall(both, order)
    return both


def _halves(array: np.ndarray) -> list[np.ndarray]:
    if array.shape[1] not in COLUMNS:
        raise SpaceError(_columns(array))
    return np.split(array, 2, axis=1)


def _columns(array: np.ndarray) -> str:
    return (
        f"an array on the cortex has {COLUMNS[0]} columns (fsaverage5) or {COLUMNS[1]} "
        f"(fsaverage); this one has {array.shape[1]}"
    )


def _fit(left: np.ndarray, right: np.ndarray) -> None:
    for half in (left, right):
        if half.shape[1] not in (N_HEMISPHERE, N_FSAVERAGE):
            raise SpaceError(
                f"a hemisphere has {N_HEMISPHERE} vertices (fsaverage5) or {N_FSAVERAGE} "
                f"(fsaverage); this one has {half.shape[1]}; other meshes must be resampled first"
            )
    if left.shape != right.shape:
        raise SchemaError(f"hemispheres of {len(left)} and {len(right)} items, or of two meshes")


def numbers(values: Any) -> np.ndarray:
    """Return a table of real numbers, (item, place), or say why it is none."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.ndim != 2 or 0 in array.shape:
        raise SchemaError(
            f"bold must be real numbers of shape (item, place); is {array.dtype} {array.shape}"
        )
    return array


def varied(bold: np.ndarray) -> np.ndarray:
    """Return finite float32 values that vary, (item, place), or say which items do not."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(numbers(bold), dtype=np.float32)
    finite = np.isfinite(array)
    if not finite.all():
        raise SchemaError(
            f"NaN or infinite values (in float32) in items {_which(~finite.all(axis=1))}, at "
            f"{int((~finite).any(axis=0).sum())} places; set those outside the cortex to 0"
        )
    flat = array.max(axis=1) == array.min(axis=1)
    if flat.any() and array.shape[1] > 1:
        raise SchemaError(f"the response is constant over all places in items {_which(flat)}")
    if len(array) > 1 and (array == array[0]).all():
        raise SchemaError(f"all {len(array)} items have the same response")
    return array


def _which(mask: Any) -> str:
    return listed(np.flatnonzero(mask), 3)


def _refuse_other_wall(bold: np.ndarray, order: str) -> None:
    """Raise where vertices without signal are the medial wall of the other order."""
    silent, wall = (bold == 0).all(axis=0), fsaverage5.medial_wall()
    here, there = (int((silent & side).sum()) for side in (wall, np.roll(wall, N_HEMISPHERE)))
    if there > 0.9 * wall.sum() > here:
        raise SpaceError(
            f"wrong hemisphere order: said to be '{order}', but {here} of the {wall.sum()} "
            f"vertices of the medial wall are zero, and {there} with the hemispheres swapped"
        )


def from_array(
    bold: np.ndarray | Sequence[np.ndarray],
    *,
    order: str | None = None,
    space: str | None = None,
    stimuli: Sequence[str] | np.ndarray | None = None,
    timeline: str | Sequence[str] | None = None,
    time: Sequence[float] | None = None,
    coords: Mapping[str, Any] | None = None,
    **said: Any,
) -> xr.Dataset:
    """Make a response of an array: of the cortex, once its order is stated, or of voxels.

    Parameters
    ----------
    bold : array (item, place) or (repeat, item, place), or two arrays
        On fsaverage5 or fsaverage as `left_first` takes them; in a space of your own any number
        of voxels. Any real numbers; they become float32.
    order : {"lh,rh", "rh,lh"}
        On the cortex: which hemisphere comes first; two arrays are left and right if it is not
        said.
    space : str, optional
        A name of your own for the voxels, such as ``"sub-01-native"``: only responses in spaces of
        one name are compared, and their voxels are taken to be in one order.
    stimuli : sequence of str
        Stimulus ids, one for each item of the array.
    timeline, time : optional
        In place of stimuli, where the items of the array are rows of timelines.
    coords : dict, optional
        Of voxels: `hemi` (``"L"``, ``"R"``), `x`, `y`, `z` in mm, labels of your own such as
        ``{"roi": names}``. What is not said of hemi and position stays unknown (empty, NaN).
    **said
        Attributes: units, subject and hemodynamic_offset_s (recorded, not applied) are needed.

    Returns
    -------
    response ([repeat,] stimulus or row, vertex or voxel)
        On fsaverage5 its medial wall holds zero.

    Raises
    ------
    ParameterError
        With all that is not said, at once.
    SchemaError, SpaceError
        If the array, or its labels, are not those of a response.
    """
    own = space is not None and not space.startswith("fsaverage")
    pair = isinstance(bold, list | tuple) and len(bold) == 2
    _require_said(own or pair or order is not None, stimuli, timeline, said)
    labels = labels_of({}, stimuli, timeline, time)
    said = complete({"source": "an array", **said}, "the array")
    if not own:
        _refuse_voxels_only(coords)
        known = {"space": space} if space else {}
        halves = [_items(half) for half in bold] if pair else _items(bold)
        if isinstance(halves, np.ndarray) and halves.shape[1] not in COLUMNS:
            raise SpaceError(
                f"{_columns(halves)}; voxels of your own need space= in place of order="
            )
        flat = left_first(halves, order)
        return _repeated(on_cortex, flat, bold[0] if pair else bold, labels, {**said, **known})
    if order is not None or pair:
        raise ParameterError(f"order= and two hemispheres are fsaverage5's; space is '{space}'")
    make = partial(in_voxels, coords=coords or {})
    flat = varied(_items(bold))
    return _repeated(make, flat, bold, labels, {**said, "space": space})


def _require_said(placed: bool, stimuli: Any, timeline: Any, said: Mapping[str, Any]) -> None:
    """Raise if several things that only the caller knows are not said; one has its own error."""
    lacking = [] if placed else ["order='lh,rh' (or 'rh,lh') on the cortex, space='...' in voxels"]
    if stimuli is None and timeline is None:
        lacking.append("stimuli=[...], an id for each item")
    examples = ("units='session z'", "subject='sub-01'", "hemodynamic_offset_s=0.0")
    lacking += [one for name, one in zip(SAID, examples, strict=True) if name not in said]
    if len(lacking) > 1:
        raise ParameterError(
            f"the array does not say all that a response must; add {listed(lacking)}"
        )


def _refuse_voxels_only(coords: Mapping[str, Any] | None) -> None:
    if coords:
        raise ParameterError(
            f"coords= ({listed(coords)}) are of voxels in a space of your own (space=); the "
            "vertices of fsaverage5 are known"
        )


def _items(bold: Any) -> np.ndarray:
    """Return the items of all repeats, if there are such, below one another, (item, place)."""
    array = np.asarray(bold)
    if array.ndim not in (2, 3) or array.dtype.kind not in "fiu" or 0 in array.shape:
        raise SchemaError(
            "bold must be real numbers of shape (item, place), or (repeat, item, place); "
            f"is {array.dtype} {array.shape}"
        )
    return array.reshape(-1, array.shape[-1])


def _repeated(
    make: Callable[..., xr.Dataset],
    flat: np.ndarray,
    bold: Any,
    labels: Mapping[str, Any],
    said: dict[str, Any],
) -> xr.Dataset:
    """Make a response of what `_items` returned, with a dimension `repeat` if the array has one."""
    if np.ndim(bold) == 2:
        return make(flat, labels, said)
    many, n = np.shape(bold)[:2]
    for name, values in labels.items():
        if len(values) != n:
            raise SchemaError(
                f"bold has {many} repeats of {n} items, but there are {len(values)} values of "
                f"{name}; the array's shape is (repeat, item, place): {np.shape(bold)}"
            )
    each = [make(part, labels, said) for part in flat.reshape(many, n, -1)]
    return xr.concat(
        each, xr.Variable("repeat", np.arange(many)), coords="minimal", compat="override"
    )


def in_voxels(
    bold: np.ndarray, labels: Mapping[str, Any], said: dict[str, Any], *, coords: Mapping[str, Any]
) -> xr.Dataset:
    """Make a response of an array of voxels, with labels of its items and of its voxels."""
    n = bold.shape[1]
    unknown = {"hemi": np.full(n, UNKNOWN), **{axis: np.full(n, np.nan) for axis in "xyz"}}
    places = {name: np.asarray(values) for name, values in {**unknown, **coords}.items()}
    for name, values in places.items():
        if values.shape != (n,):
            raise SchemaError(f"bold has {n} voxels; coords['{name}'] is of shape {values.shape}")
    if any(places[axis].dtype.kind not in "fiu" for axis in "xyz"):
        raise SchemaError("coords: x, y and z are numbers, in mm (NaN where not known)")
    flat = xr.Dataset(
        {"bold": (("stimulus", "voxel"), bold)},
        coords={
            "stimulus": np.arange(len(bold)).astype(str),
            "voxel": np.arange(n),
            **{name: ("voxel", values) for name, values in places.items()},
        },
        attrs=said,
    )
    return labelled(flat, labels)


def on_cortex(bold: np.ndarray, labels: Mapping[str, Any], said: dict[str, Any]) -> xr.Dataset:
    """Make a response of an array that is on fsaverage5, left first, with labels of its items."""
    if said.get("space", "fsaverage5") != "fsaverage5":
        raise SpaceError(f"these vertices are fsaverage5's, not those of {said['space']}")
    flat = fsaverage5.response(bold, np.arange(len(bold)).astype(str))
    return labelled(flat.assign_attrs(said), labels)
