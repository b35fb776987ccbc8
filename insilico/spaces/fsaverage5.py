"""The fsaverage5 surface: 20,484 vertices, left hemisphere first, from nilearn's shipped files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from insilico.errors import SpaceError
from insilico.spaces.shipped import shipped

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_HEMISPHERE = 10_242
N_VERTICES = 2 * N_HEMISPHERE
KINDS = ("white", "pial", "infl", "sphere", "flat")


def _read(name: str) -> list[np.ndarray]:
    import nibabel

    path = files("nilearn") / "datasets" / "data" / "fsaverage5" / f"{name}.gii.gz"
    image: Any = nibabel.load(str(path))
    return [np.asarray(part.data) for part in image.darrays]


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


@cache
def mesh(kind: str = "pial") -> tuple[np.ndarray, np.ndarray]:
    """Return one mesh of both hemispheres.

    Parameters
    ----------
    kind : {"white", "pial", "infl", "sphere", "flat"}

    Returns
    -------
    coordinates : float32 (20484, 3)
        In mm. Both spheres are centred on the origin, with radius 100.
    faces : int64 (40960, 3)
        Vertex indices of the triangles (fewer for ``flat``).
    """
    (left, left_faces), (right, right_faces) = (_read(f"{kind}_{h}")[:2] for h in ("left", "right"))
    faces = np.concatenate([left_faces, right_faces.astype(np.int64) + N_HEMISPHERE])
    return _frozen(np.concatenate([left, right]).astype(np.float32)), _frozen(faces)


@cache
def sulcal_depth() -> np.ndarray:
    """Return FreeSurfer's sulcal depth, float32 (20484,): positive in sulci."""
    return _frozen(np.concatenate([_read(f"sulc_{h}")[0] for h in ("left", "right")]))


@cache
def hemisphere() -> np.ndarray:
    """Return ``'L'`` or ``'R'`` for each vertex."""
    return _frozen(np.repeat(np.array(["L", "R"]), N_HEMISPHERE))


@cache
def medial_wall() -> np.ndarray:
    """Return which vertices are no cortex, bool (20484,); see ``atlases/medial_wall.yaml``."""
    with np.load(shipped("atlases") / "medial_wall.npz", allow_pickle=False) as file:
        return _frozen(file["wall"].astype(bool))


@cache
def cortex() -> np.ndarray:
    """Return the indices of the vertices that are cortex."""
    return _frozen(np.flatnonzero(~medial_wall()))


@cache
def areas() -> np.ndarray:
    """Return the area of each vertex in mm², float64 (20484,).

    A third of its triangles' area on the surface midway between white and pial, where gyri and
    sulci weigh alike.
    """
    (white, faces), (pial, _) = mesh("white"), mesh("pial")
    middle = (white.astype(float) + pial) / 2
    a, b, c = (middle[faces[:, k]] for k in range(3))
    triangles = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return _frozen(np.bincount(faces.ravel(), np.repeat(triangles / 3, 3), N_VERTICES))


@cache
def neighbours() -> csr_array:
    """Return the edges of the mesh, weighted by their length on the pial surface in mm."""
    coordinates, faces = mesh("pial")
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return edges(pairs, coordinates)


def edges(pairs: np.ndarray, coordinates: np.ndarray) -> csr_array:
    """Return a graph of pairs (edge, 2) of places, in any order, weighted by their distance."""
    from scipy.sparse import coo_array

    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    length = np.linalg.norm(coordinates[pairs[:, 0]] - coordinates[pairs[:, 1]], axis=1)
    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    shape = (len(coordinates), len(coordinates))
    return coo_array((np.tile(length.astype(float), 2), (rows, columns)), shape=shape).tocsr()


def coordinates() -> dict[str, Any]:
    """Return the coordinates of the vertex dimension: index, hemisphere, and pial x, y, z in mm."""
    places = mesh("pial")[0]
    axes = {axis: ("vertex", places[:, k]) for k, axis in enumerate("xyz")}
    return {"vertex": np.arange(N_VERTICES), "hemi": ("vertex", hemisphere()), **axes}


def response(bold: np.ndarray, stimuli: list[str] | np.ndarray, **attrs: Any) -> xr.Dataset:
    """Make a response on fsaverage5; its medial wall holds zero.

    Parameters
    ----------
    bold : array (stimulus, 20484)
    stimuli : sequence of str
        Stimulus ids.
    **attrs
        Attributes of a response, such as units, subject, source.
    """
    if bold.ndim != 2 or bold.shape != (len(stimuli), N_VERTICES):
        raise SpaceError(
            f"fsaverage5 needs bold of shape ({len(stimuli)}, {N_VERTICES}), got {bold.shape}; "
            f"fsaverage data of 163,842 vertices a hemisphere keep their first {N_HEMISPHERE:,}"
        )
    bold = np.array(bold, dtype=np.float32)
    bold[:, medial_wall()] = 0
    return xr.Dataset(
        {"bold": (("stimulus", "vertex"), bold)},
        coords={"stimulus": list(stimuli), **coordinates()},
        attrs={"space": "fsaverage5", **attrs},
    )


def check_order(dataset: xr.Dataset) -> None:
    """Raise if a response does not hold all vertices, left hemisphere first.

    Raises
    ------
    SpaceError
        Wrong number of vertices, or hemispheres in the wrong order.
    """
    count = dataset.sizes.get("vertex", 0)
    if count != N_VERTICES:
        raise SpaceError(f"fsaverage5 has {N_VERTICES} vertices; this response has {count}")
    if not (dataset["hemi"].values.astype(str) == hemisphere()).all():
        raise SpaceError(
            "wrong hemisphere order: vertices 0-10241 must be left ('L'), 10242-20483 right ('R')"
        )
    if not np.allclose(dataset["x"].values, mesh("pial")[0][:, 0], atol=1e-2):
        raise SpaceError(
            "the x coordinates are not those of fsaverage5 in its order (left hemisphere first); "
            "take coordinates from insilico.spaces.fsaverage5.coordinates()"
        )
