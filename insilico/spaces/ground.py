"""What matched controls lie on: the cortex of fsaverage5, or the voxels of one response.

Voxels of a hemisphere are neighbours if they are no farther apart than 1.75 steps, the step being
the distance to the nearest other voxel that 95 % of them do not exceed. On a grid these are the 26
that share a side, an edge or a corner; voxels that lie unevenly, such as the phantom's, hang
together as the cortex does. As in any volume, a few neighbours lie across a sulcus.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import xarray as xr
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from insilico.errors import SpaceError, listed
from insilico.schema import place_of
from insilico.spaces import fsaverage5, regions

STEPS, WITHIN, NEAREST = 1.75, 95, 26
"""Steps to a neighbour; the percentage of voxels that set the step; neighbours sought of each."""


@dataclass(frozen=True, eq=False)
class Ground:
    """Places, and how they hang together; made once, and the same object thereafter.

    Attributes
    ----------
    noun : str
        What its places are called, in the plural.
    hemi : str (place,)
        ``L`` or ``R``.
    neighbours : sparse (place, place)
        Distances of neighbours in mm; none across hemispheres.
    area : float64 (place,)
        In mm², or 1 for each voxel.
    barred : bool (place,)
        Medial wall.
    """

    noun: str
    hemi: np.ndarray
    neighbours: csr_array
    area: np.ndarray
    barred: np.ndarray

    def components(self, mask: np.ndarray) -> list[np.ndarray]:
        """Return the connected components of a mask, largest first, as indices of places."""
        kept = np.flatnonzero(mask)
        count, piece = connected_components(self.neighbours[kept][:, kept], directed=False)
        parts = (kept[piece == k] for k in range(count))
        return sorted(parts, key=lambda part: (-len(part), part[0]))

    def widened(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask with the places next to it."""
        return mask | (self.neighbours @ mask.astype(float) > 0)

    def largest_piece(self, mask: np.ndarray, hemi: str) -> int:
        """Return how many places the largest connected piece of a mask has in a hemisphere."""
        parts = self.components(mask & (self.hemi == hemi))
        return len(parts[0]) if parts else 0


@cache
def surface() -> Ground:
    """Return the ground of fsaverage5."""
    return Ground(
        "vertices",
        fsaverage5.hemisphere(),
        fsaverage5.neighbours(),
        fsaverage5.areas(),
        fsaverage5.medial_wall(),
    )


def ground_of(response: xr.Dataset | None) -> Ground:
    """Return the ground of a response; without one, that of fsaverage5.

    Raises
    ------
    SpaceError
        If it lies on another surface, or if the place or hemisphere of a voxel is not known.
    """
    if response is None or response.attrs["space"] == "fsaverage5":
        return surface()
    if place_of(response) != "voxel":
        raise SpaceError(
            f"controls lie on fsaverage5 or in voxels; this response lies on the vertices of "
            f"{response.attrs['space']}: resample it, or set no control"
        )
    hemi = response["hemi"].values.astype("U1")
    places = np.stack([response[axis].values for axis in "xyz"], 1).astype(np.float64)
    _require_known(places, hemi, response["voxel"].values)
    barred = ~regions.mask(regions.CORTEX, of=response)
    return _voxels(places.tobytes(), hemi.tobytes(), barred.tobytes())


def _require_known(places: np.ndarray, hemi: np.ndarray, names: np.ndarray) -> None:
    """Raise unless every voxel has a side and a place of its own."""
    unknown = ~(np.isfinite(places).all(1) & np.isin(hemi, ("L", "R")))
    if unknown.any():
        raise SpaceError(
            f"controls need x, y, z in mm and hemi of every voxel; {int(unknown.sum())} of "
            f"{len(places)} lack them ({listed(names[unknown], 3)}): give the response its mask "
            "and affine, set those coordinates, or set no control"
        )
    _, first, times = np.unique(places, axis=0, return_index=True, return_counts=True)
    if (times > 1).any():
        raise SpaceError(
            f"controls need voxels that lie apart; {len(places) - len(times)} of {len(places)} "
            f"lie at the place of another (as {listed(names[first[times > 1]], 3)} does): mend "
            "their x, y, z, or set no control"
        )


@lru_cache(maxsize=8)
def _voxels(places: bytes, hemi: bytes, barred: bytes) -> Ground:
    sides = np.frombuffer(hemi, "U1")
    near = _neighbours(np.frombuffer(places).reshape(-1, 3), sides)
    return Ground("voxels", sides, near, np.ones(len(sides)), np.frombuffer(barred, bool))


def _neighbours(places: np.ndarray, hemi: np.ndarray) -> csr_array:
    """Return distances of voxels that are neighbours, sparse (voxel, voxel)."""
    from scipy.spatial import cKDTree

    ways, pairs = [], []
    for own in (np.flatnonzero(hemi == side) for side in "LR"):
        if len(own) > 1:
            near = range(2, min(NEAREST + 1, len(own)) + 1)  # the first is the voxel itself
            way, other = cKDTree(places[own]).query(places[own], k=near)
            ways.append(way)
            pairs.append(np.stack([np.broadcast_to(own[:, None], way.shape), own[other]], -1))
    if not ways:
        return csr_array((len(hemi), len(hemi)))
    step = np.percentile(np.concatenate([way[:, 0] for way in ways]), WITHIN)
    kept = [pair[way <= STEPS * step] for way, pair in zip(ways, pairs, strict=True)]
    return fsaverage5.edges(np.concatenate(kept), places)
