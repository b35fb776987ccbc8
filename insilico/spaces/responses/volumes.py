"""Voxels that know their place in a volume: a mask, an affine, positions in mm, and NIfTI files.

A voxel's label is its index in the volume read in C order, so that the voxels of two masks over one
volume can be compared by label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError, listed
from insilico.schema import check
from insilico.spaces.responses.arrays import varied
from insilico.spaces.responses.surfaces import load, values

GEOMETRY = ("volume_shape", "affine")
"""Attributes of a response whose voxels know their volume."""


def response(
    bold: np.ndarray,
    stimuli: Sequence[str] | np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    *,
    space: str,
    **attrs: Any,
) -> xr.Dataset:
    """Make a response of the voxels of a mask.

    Parameters
    ----------
    bold : array (stimulus, voxel)
        Voxels in the C order of the mask.
    stimuli : sequence of str
    mask : bool or 0/1 (i, j, k)
        Which voxels the columns are.
    affine : float (4, 4)
        From voxel indices to mm, x to the right, y forwards, z upwards: x < 0 is left.
    space : str
        Name of the space, such as ``"nsd-subj01-func1pt8mm"``.
    **attrs
        Attributes of a response, such as units, subject, source.
    """
    inside, affine = checked_mask(mask), checked_affine(affine)
    bold, n_voxels = varied(bold), int(inside.sum())
    if bold.shape != (len(stimuli), n_voxels):
        raise SpaceError(
            f"bold of shape {bold.shape} does not fit {len(stimuli)} stimuli and the {n_voxels} "
            "voxels of the mask"
        )
    coords = {"stimulus": [str(name) for name in stimuli], **coordinates(inside, affine)}
    said = {"space": space, "volume_shape": list(inside.shape), "affine": affine.ravel().tolist()}
    return xr.Dataset({"bold": (("stimulus", "voxel"), bold)}, coords, {**attrs, **said})


def coordinates(mask: np.ndarray, affine: np.ndarray) -> dict[str, Any]:
    """Return the coordinates of the voxel dimension: index, hemisphere, and x, y, z in mm."""
    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    axes = {axis: ("voxel", places[:, k].astype(np.float32)) for k, axis in enumerate("xyz")}
    sides = np.where(places[:, 0] < 0, "L", "R")
    return {"voxel": np.flatnonzero(mask), "hemi": ("voxel", sides), **axes}


def checked_mask(mask: np.ndarray) -> np.ndarray:
    """Return a mask as bool (i, j, k), or say why it is none; -1 counts as outside."""
    mask = np.asarray(mask)
    if mask.ndim != 3 or mask.dtype.kind not in "biuf":
        raise SpaceError(f"a mask is a volume of 0 and 1; this one is {mask.dtype} {mask.shape}")
    held = np.unique(mask)
    if not np.isin(held, (-1, 0, 1)).all():
        raise SpaceError(
            f"a mask holds 1 (in), 0 and -1 (out) only; this one holds {listed(held, 5)}: "
            "write a mask of the values that are meant"
        )
    if held.max() < 1:
        raise SpaceError("the mask holds no voxel")
    return mask == 1


def checked_affine(affine: np.ndarray) -> np.ndarray:
    """Return an affine as float64 (4, 4), or say why it is none."""
    try:
        matrix = np.asarray(affine)
    except ValueError as error:
        raise SpaceError(f"an affine is 4 × 4 finite numbers: {error}") from error
    matrix = matrix.reshape(4, 4) if matrix.size == 16 else matrix
    if matrix.shape != (4, 4) or matrix.dtype.kind not in "fiu" or not np.isfinite(matrix).all():
        raise SpaceError(f"an affine is 4 × 4 finite numbers; got {matrix.dtype} {matrix.shape}")
    matrix = matrix.astype(np.float64)
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9 or (matrix[3] != [0, 0, 0, 1]).any():
        raise SpaceError("the affine cannot be inverted, or its last row is not 0 0 0 1")
    return matrix


def geometry(response: xr.Dataset) -> tuple[tuple[int, ...], np.ndarray]:
    """Return the shape of the volume that voxels lie in, and its affine."""
    if missing := [name for name in GEOMETRY if name not in response.attrs]:
        raise SchemaError(
            f"these voxels do not know their volume (attributes {listed(missing)} missing)"
        )
    shape = tuple(int(size) for size in response.attrs["volume_shape"])
    voxels = response["voxel"].values
    inside = 0 <= voxels.min() <= voxels.max() < np.prod(shape)
    if len(shape) != 3 or not inside or len(np.unique(voxels)) != len(voxels):
        raise SpaceError(f"voxel labels must be different places of a volume of {shape}")
    return shape, checked_affine(response.attrs["affine"])


def read_mask(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask, bool (i, j, k), and its affine from a NIfTI file."""
    from nibabel import Nifti1Image

    image = load(path, Nifti1Image)
    return checked_mask(values(path, image)), checked_affine(image.affine)


def read_volume(path: Path, mask: Path, attrs: dict[str, Any]) -> xr.Dataset:
    """Return the voxels of a NIfTI file that lie in a mask; their stimuli are numbers."""
    from nibabel import Nifti1Image

    if attrs.get("space", "fsaverage5") == "fsaverage5":
        raise ParameterError("a volume needs space=, such as 'nsd-subj01-func1pt8mm'")
    inside, affine = read_mask(mask)
    image = load(path, Nifti1Image)
    if image.ndim not in (3, 4):
        raise SpaceError(f"a volume of 3 dimensions, or 4 with the items, is needed: {image.shape}")
    if image.shape[:3] != inside.shape or not np.allclose(image.affine, affine, atol=1e-3):
        raise SpaceError(f"shape {image.shape} or affine is not that of the mask {mask.name}")
    exact = checked_affine(attrs.get("affine", affine))
    if not np.allclose(exact, affine, atol=1e-3):
        raise SpaceError("the affine is not the one that stands beside it")
    bold = values(path, image)[inside].reshape(int(inside.sum()), -1).T
    flat = response(bold, np.arange(len(bold)).astype(str), inside, exact, space=attrs["space"])
    return flat.assign_attrs({key: v for key, v in attrs.items() if key not in GEOMETRY})


def write_volume(response: xr.Dataset, path: Path) -> list[Path]:
    """Write a response as NIfTI, zero outside its voxels, and NAME_mask.nii.gz beside it."""
    import nibabel

    check(response, "response", rows=True)
    (shape, affine), bold = geometry(response), response["bold"].values
    volume = np.zeros((int(np.prod(shape)), len(bold)), np.float32)
    volume[response["voxel"].values] = bold.T
    mask = np.zeros(len(volume), np.uint8)
    mask[response["voxel"].values] = 1
    files = {path: volume.reshape(*shape, -1), mask_of(path): mask.reshape(shape)}
    for file, array in files.items():
        nibabel.save(nibabel.Nifti1Image(array, affine), str(file))
    return list(files)


def mask_of(path: Path) -> Path:
    """Return where the mask of NAME.nii or NAME.nii.gz lies."""
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + "_mask.nii.gz")
