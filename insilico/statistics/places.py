"""Where the values of a map lie: vertices of fsaverage5, parcels of it, or voxels in mm."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Literal

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, RegionError, SchemaError, SpaceError
from insilico.schema import place_of
from insilico.spaces import atlases, fsaverage5

CHUNK = 500


@dataclass(frozen=True, eq=False)
class Places:
    """The places of a map; see `vertices`, `parcels` and `of`.

    Attributes
    ----------
    kind : {"vertex", "parcel", "voxel"}
    hemi : str (place,)
        ``L`` or ``R``.
    mm : (place, 3)
        Of a parcel, of the vertex in its middle.
    usable : bool (place,)
        False in the medial wall: what stands there is never looked at.
    labels : int (20484,), optional
        Of parcels: 1 + the place of each vertex, 0 in none and in the medial wall.
    names : tuple of str
        Of parcels.
    middle : int (place,), optional
        Of parcels: the vertex nearest to the mean of its vertices on the sphere.
    """

    kind: Literal["vertex", "parcel", "voxel"]
    hemi: np.ndarray
    mm: np.ndarray
    usable: np.ndarray
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    names: tuple[str, ...] = ()
    middle: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.hemi)

    def checked(self, values: np.ndarray, name: str = "the map") -> np.ndarray:
        """Return a map as float64 with NaN where there is no value: in the wall, always.

        Raises
        ------
        ParameterError
            Another number of places, infinite values, fewer than 10 values, or all the same.
        """
        values = np.array(values, dtype=np.float64)
        if values.shape != (len(self),):
            raise ParameterError(
                f"{name} has shape {values.shape}; one value for each of {len(self)} "
                f"{self.kind} places is needed"
            )
        values[~self.usable] = np.nan
        if np.isinf(values).any():
            raise ParameterError(f"{name} is infinite at {np.isinf(values).sum()} places; use NaN")
        own = values[np.isfinite(values)]
        if len(own) < 10 or np.ptp(own) == 0:
            what = "the same everywhere" if len(own) else "empty"
            raise ParameterError(
                f"{name} has {len(own)} values"
                + (": 10 or more are needed" if 0 < len(own) < 10 else f" and is {what}")
            )
        return values

    def averaged(self, values: np.ndarray) -> np.ndarray:
        """Return each parcel's mean over its vertices, (map, parcel); NaN is left out.

        Parameters
        ----------
        values : (map, 20484)
        """
        from scipy.sparse import csr_array

        own = np.flatnonzero(self.labels)
        shape = (len(own), len(self))
        into = csr_array((np.ones(len(own)), (np.arange(len(own)), self.labels[own] - 1)), shape)
        there = np.isfinite(values[:, own])
        total, count = np.where(there, values[:, own], 0) @ into, there.astype(float) @ into
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def near(self, hemi: str, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the usable places of a hemisphere and the `k` nearest of each, itself first.

        Along the pial surface for vertices and parcels, straight for voxels.

        Returns
        -------
        own : int (m,)
            Among all places.
        index : int32 (m, k)
            Among `own`; fewer than asked for if there are no more.
        distance : float32 (m, k)
            In mm.
        """
        return _near(self, hemi, int(k))


@cache
def vertices() -> Places:
    """Return the 20,484 vertices of fsaverage5."""
    return Places(
        "vertex",
        fsaverage5.hemisphere(),
        fsaverage5.mesh("pial")[0].astype(np.float64),
        np.logical_not(fsaverage5.medial_wall()),
    )


@lru_cache(maxsize=8)
def parcels(atlas: str) -> Places:
    """Return the regions of an atlas, each hemisphere's by itself (``Visual lh``)."""
    loaded = atlases.load(atlas)
    return of_labels(loaded.labels, loaded.regions)


def of_labels(labels: np.ndarray, names: tuple[str, ...]) -> Places:
    """Return parcels from the labels of vertices.

    Parameters
    ----------
    labels : int (20484,)
        0 is no parcel; k is ``names[k - 1]``. One that lies in both hemispheres becomes two.
    names : tuple of str
    """
    if np.shape(labels) != (fsaverage5.N_VERTICES,):
        raise SpaceError(f"labels of shape {np.shape(labels)}; {fsaverage5.N_VERTICES} are needed")
    right = fsaverage5.hemisphere() == "R"
    split = np.where(fsaverage5.medial_wall(), 0, labels) * 2 - ~right  # odd on the left
    split[(labels == 0) | fsaverage5.medial_wall()] = 0
    kept = np.unique(split[split > 0])
    if len(kept) == 0:
        raise RegionError("these labels hold no region outside the medial wall: all are 0")
    own = np.searchsorted(kept, split) + 1
    own[split == 0] = 0
    hemi = np.where(kept % 2, "L", "R")
    named = tuple(
        f"{names[(k - 1) // 2]} {'lh' if h == 'L' else 'rh'}"
        for k, h in zip(kept, hemi, strict=True)
    )
    middle = np.array([_middle(own == k + 1) for k in range(len(kept))])
    mm = fsaverage5.mesh("pial")[0].astype(np.float64)[middle]
    return Places("parcel", hemi, mm, np.ones(len(kept), bool), own, named, middle)


def of(dataset: xr.Dataset) -> Places:
    """Return the places of a response, or of an estimate with maps.

    Raises
    ------
    SpaceError, SchemaError
        Vertices of another surface than fsaverage5, or voxels without hemi, x, y, z.
    """
    if place_of(dataset) == "vertex":
        fsaverage5.check_order(dataset)
        return vertices()
    missing = {"hemi", "x", "y", "z"} - set(map(str, dataset.coords))
    if missing:
        raise SchemaError(f"voxels need hemi and x, y, z in mm; missing: {sorted(missing)}")
    mm = np.stack([dataset[axis].values for axis in "xyz"], axis=1).astype(np.float64)
    return Places(
        "voxel", dataset["hemi"].values.astype(str), mm, np.atleast_1d(np.isfinite(mm).all(axis=1))
    )


def _middle(mask: np.ndarray) -> int:
    places = fsaverage5.mesh("sphere")[0].astype(np.float64)[mask]
    mean = places.mean(0)
    return int(np.flatnonzero(mask)[((places - mean) ** 2).sum(1).argmin()])


@lru_cache(maxsize=4)
def _near(places: Places, hemi: str, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    own = np.flatnonzero((places.hemi == hemi) & places.usable)
    if places.kind == "voxel":
        from scipy.spatial import cKDTree

        k = min(k, len(own))
        distance, index = cKDTree(places.mm[own]).query(places.mm[own], k)
    else:
        index, distance = _along(places, own, k)
    return own, index.reshape(len(own), -1).astype(np.int32), distance.astype(np.float32)


def _along(places: Places, own: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest places along the surface, between their middles."""
    hemi = places.hemi[own[0]] if len(own) else "L"
    cortex = np.flatnonzero(~fsaverage5.medial_wall() & (fsaverage5.hemisphere() == hemi))
    at = np.searchsorted(cortex, own if places.kind == "vertex" else places.middle[own])
    graph = fsaverage5.neighbours()[cortex][:, cortex]
    k = min(k, len(own))
    limit = np.inf if len(own) < CHUNK else 15.0 + 1.5 * np.sqrt(k)
    parts = [_rows(graph, at[s : s + CHUNK], at, k, limit) for s in range(0, len(at), CHUNK)]
    index, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return index, distance


def _rows(
    graph: object, sources: np.ndarray, at: np.ndarray, k: int, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.csgraph import dijkstra

    distance = dijkstra(graph, directed=False, indices=sources, limit=limit)[:, at]
    short = np.isfinite(distance).sum(1) < k
    if short.any():
        distance[short] = dijkstra(graph, directed=False, indices=sources[short])[:, at]
    index = np.argpartition(distance, k - 1, axis=1)[:, :k] if k < len(at) else None
    index = np.tile(np.arange(len(at)), (len(sources), 1)) if index is None else index
    near = np.take_along_axis(distance, index, 1)
    order = np.argsort(near, axis=1, kind="stable")
    return np.take_along_axis(index, order, 1), np.take_along_axis(near, order, 1)
