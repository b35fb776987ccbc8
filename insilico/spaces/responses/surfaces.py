"""Surface formats and fsaverage5: GIFTI, CIFTI-2 and nilearn's SurfaceImage, in and out.

Each of them says by itself which side is which. One that contradicts its name is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from insilico.errors import SchemaError, SpaceError, StoreError, listed
from insilico.schema import check
from insilico.spaces import fsaverage5
from insilico.spaces.fsaverage5 import N_HEMISPHERE, N_VERTICES
from insilico.spaces.responses.arrays import left_first, on_cortex
from insilico.spaces.responses.labels import complete, labels_of

if TYPE_CHECKING:
    from nilearn.surface import SurfaceImage

PRIMARY = ("CortexLeft", "CortexRight")
"""The hemispheres as GIFTI names them."""
CORTEX = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")
"""The hemispheres as CIFTI names them."""
MARKS = (("_hemi-{}", "LR"), ("{}h.", "lr"), (".{}.", "LR"))
"""How the names of a pair of GIFTI files tell the sides: BIDS, FreeSurfer, HCP."""
FAR_MM = 50.0
"""How much further right the left side of a mesh must lie to be taken for the right one.

White and pial surfaces of the two sides lie 59 mm apart; the flat maps of fsaverage5 lie 39 mm the
other way round."""


def load(path: Path, kind: type) -> Any:
    """Return an image of nibabel, or raise `StoreError` with the reason."""
    import nibabel

    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    try:
        image: Any = nibabel.load(str(path))
    except Exception as error:  # nibabel's readers raise whatever a broken file makes them raise
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if not isinstance(image, kind):
        raise StoreError(f"{path}: is a {type(image).__name__}, not a {kind.__name__}")
    return image


def values(path: Path, image: Any) -> np.ndarray:
    """Return the values of a volume or a CIFTI file, or raise `StoreError` with the reason."""
    try:
        return np.asarray(image.dataobj)
    except Exception as error:  # as above: a file cut short, a broken compression
        raise StoreError(f"{path}: its values cannot be read: {error}") from error


def table(response: xr.Dataset) -> np.ndarray:
    """Return bold (item, 20484) of a response that lies on fsaverage5, its medial wall at zero."""
    check(response, "response", space="fsaverage5", rows=True)
    fsaverage5.check_order(response)
    bold = np.ascontiguousarray(response["bold"].values)
    if bold[..., fsaverage5.medial_wall()].any():
        raise SchemaError("the medial wall of this response does not hold zero")
    return bold


def pair(path: Path) -> tuple[Path, Path, str]:
    """Return the files of the left and the right side, and the name that they share.

    Parameters
    ----------
    path : Path
        Either of the two, or NAME.func.gii for NAME_hemi-L.func.gii and NAME_hemi-R.func.gii.
    """
    for mark, sides in MARKS:
        left, right = (mark.format(side) for side in sides)
        for side in (left, right):
            head, found, tail = path.name.rpartition(side)
            if found and not (mark == MARKS[1][0] and head):
                shared = f"{head}.{tail}" if mark == MARKS[2][0] else head + tail
                return (
                    path.with_name(head + left + tail),
                    path.with_name(head + right + tail),
                    shared,
                )
    name = path.name.removesuffix(".gii").removesuffix(".func")
    left, right = (f"{name}_hemi-{side}{path.name[len(name) :]}" for side in "LR")
    return path.with_name(left), path.with_name(right), path.name


def read_gifti(path: Path) -> np.ndarray:
    """Return what a pair of functional GIFTI files holds, float32 (item, 20484).

    Hemispheres of fsaverage (163,842 vertices) keep their first 10,242.
    """
    halves = zip(pair(path)[:2], PRIMARY, strict=True)
    return left_first([_gifti_half(file, side) for file, side in halves], "lh,rh")


def _gifti_half(path: Path, side: str) -> np.ndarray:
    from nibabel.gifti import GiftiImage

    image = load(path, GiftiImage)
    named = {part.meta.get("AnatomicalStructurePrimary") for part in [image, *image.darrays]}
    if wrong := named - {None, side}:
        raise SpaceError(
            f"{path}: taken for {side}, but the file says {listed(sorted(wrong))}: "
            "wrong hemisphere order"
        )
    shapes = {part.data.shape for part in image.darrays}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise SpaceError(
            f"{path}: one array of vertices for each item is needed; has {listed(shapes) or 'none'}"
        )
    return np.stack([part.data for part in image.darrays])


def write_gifti(response: xr.Dataset, path: Path) -> list[Path]:
    """Write a response on fsaverage5 as a pair of functional GIFTI files."""
    import nibabel
    from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

    files, halves = pair(path)[:2], np.split(table(response), 2, axis=1)
    for file, half, side in zip(files, halves, PRIMARY, strict=True):
        arrays = [GiftiDataArray(np.ascontiguousarray(row), datatype="float32") for row in half]
        meta = GiftiMetaData({"AnatomicalStructurePrimary": side})
        nibabel.save(GiftiImage(darrays=arrays, meta=meta), str(file))
    return list(files)


def read_cifti(path: Path) -> np.ndarray:
    """Return what a dscalar or dtseries file on fsaverage5 holds, float32 (item, 20484).

    Vertices that the file leaves out must lie on the medial wall; they hold zero.
    """
    from nibabel import Cifti2Image

    image = load(path, Cifti2Image)
    if image.ndim != 2:
        raise SpaceError(f"{path}: a table (item, vertex) is needed; has {image.shape}")
    places = _cifti_places(path, image.header.get_axis(1))
    bold = np.zeros((image.shape[0], N_VERTICES), np.float32)
    bold[:, places] = values(path, image)
    return left_first(bold, "lh,rh")


def _cifti_places(path: Path, axis: Any) -> np.ndarray:
    """Return the vertex on fsaverage5 of each column."""
    from nibabel.cifti2 import BrainModelAxis

    if not isinstance(axis, BrainModelAxis):
        raise SpaceError(
            f"{path}: columns are {type(axis).__name__}, not vertices (BrainModelAxis)"
        )
    if dict(axis.nvertices) != dict.fromkeys(CORTEX, N_HEMISPHERE) or axis.volume_mask.any():
        held = [f"{name} ({count} vertices)" for name, count in axis.nvertices.items()]
        volume = sorted({str(name) for name in axis.name[axis.volume_mask]})
        raise SpaceError(
            f"{path}: fsaverage5 has {N_HEMISPHERE} vertices a side and no volume; this file "
            f"holds {listed(held + volume, 4) or 'no surface'}; resample it to fsaverage5 first"
        )
    places = axis.vertex + np.where(axis.name == CORTEX[1], N_HEMISPHERE, 0)
    lost = ~fsaverage5.medial_wall()
    lost[places] = False
    twice = len(places) - len(np.unique(places))
    if twice or lost.any():
        raise SpaceError(
            f"{path}: {int(lost.sum())} cortical vertices are left out and {twice} named twice; "
            "every vertex is needed once"
        )
    return places


def series_times(path: Path) -> list[float]:
    """Return the times of a dtseries file's rows in s."""
    from nibabel import Cifti2Image
    from nibabel.cifti2 import SeriesAxis

    axis = load(path, Cifti2Image).header.get_axis(0)
    if not isinstance(axis, SeriesAxis) or axis.unit != "SECOND":
        raise SchemaError(f"{path}: its rows are not a series in seconds")
    return [float(value) for value in axis.time]


def write_cifti(response: xr.Dataset, path: Path) -> list[Path]:
    """Write the cortex of a response as a dscalar file, one named map for each item."""
    import nibabel
    from nibabel.cifti2 import BrainModelAxis, ScalarAxis

    bold, cortex = table(response), ~fsaverage5.medial_wall()
    left, right = map(BrainModelAxis.from_mask, np.split(cortex, 2), CORTEX)
    image = nibabel.Cifti2Image(bold[:, cortex], (ScalarAxis(_names(response)), left + right))
    image.nifti_header.set_data_dtype(np.float32)
    nibabel.save(image, str(path))
    return [path]


def _names(response: xr.Dataset) -> list[str]:
    if "row" not in response.dims:
        return [str(name) for name in response["stimulus"].values]
    labels = zip(response["timeline"].values, response["time"].values, strict=True)
    return [f"{name} @ {time:g} s" for name, time in labels]


def to_surface_image(response: xr.Dataset, kind: str = "pial") -> SurfaceImage:
    """Return a response on fsaverage5 as nilearn's SurfaceImage, one column for each item.

    Parameters
    ----------
    response : response (stimulus or row, vertex)
    kind : {"white", "pial", "infl", "sphere", "flat"}
        Which mesh of fsaverage5 it lies on.
    """
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    places, faces = fsaverage5.mesh(kind)
    is_left = (faces < N_HEMISPHERE).all(axis=1)
    left = InMemoryMesh(places[:N_HEMISPHERE], faces[is_left])
    right = InMemoryMesh(places[N_HEMISPHERE:], faces[~is_left] - N_HEMISPHERE)
    halves = (half.T for half in np.split(table(response), 2, axis=1))
    return SurfaceImage(PolyMesh(left, right), dict(zip(("left", "right"), halves, strict=True)))


def from_surface_image(
    image: SurfaceImage,
    *,
    stimuli: Sequence[str] | np.ndarray | None = None,
    timeline: str | Sequence[str] | None = None,
    time: Sequence[float] | None = None,
    **said: Any,
) -> xr.Dataset:
    """Make a response of nilearn's SurfaceImage on fsaverage5 or fsaverage.

    Parameters
    ----------
    image : nilearn.surface.SurfaceImage
        Of both hemispheres; its columns are the items.
    stimuli, timeline, time, **said
        As `insilico.from_array` takes them.

    Returns
    -------
    response (stimulus or row, vertex) on fsaverage5
    """
    parts = image.data.parts
    if set(parts) != {"left", "right"}:
        raise SpaceError(f"both hemispheres are needed; this SurfaceImage has {listed(parts)}")
    x = {side: np.mean(image.mesh.parts[side].coordinates[:, 0]) for side in parts}
    if x["left"] > x["right"] + FAR_MM:
        raise SpaceError("wrong hemisphere order: the part 'left' lies to the right of 'right'")
    halves = [np.asarray(parts[side]) for side in ("left", "right")]
    bold = left_first([half.reshape(len(half), -1).T for half in halves], "lh,rh")
    labels = labels_of({}, stimuli, timeline, time)
    return on_cortex(bold, labels, complete({"source": "SurfaceImage", **said}, "the image"))
