"""Control patches: contiguous pieces of cortex as large as a region, but elsewhere.

For each connected component of the region a patch grows geodesically from a random vertex of the
same hemisphere until it has exactly as many vertices. The patches' area agrees with the region's
within 5 % in sum. They avoid the medial wall, the region and one another.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse.csgraph import connected_components, dijkstra

from insilico.errors import RegionError
from insilico.spaces import fsaverage5, regions
from insilico.step import generator

AREA_TOLERANCE = 0.05
TRIES = 120
ARRANGEMENTS = 20


def components(mask: np.ndarray) -> list[np.ndarray]:
    """Return the connected components of a mask of vertices, largest first, as vertex indices."""
    kept = np.flatnonzero(mask)
    count, piece = connected_components(fsaverage5.neighbours()[kept][:, kept], directed=False)
    return sorted((kept[piece == k] for k in range(count)), key=lambda part: (-len(part), part[0]))


@lru_cache(maxsize=256)
def matched_patch(region: str, atlas: str | None, index: int, seed: int) -> np.ndarray:
    """Return one control patch for a region.

    Parameters
    ----------
    region, atlas : str
        As in `insilico.spaces.regions.mask`.
    index : int
        Number of the control: other numbers are other patches.
    seed : int
        Seed of the growing points.

    Returns
    -------
    bool (20484,)

    Raises
    ------
    RegionError
        If no patch of that size fits beside the region.
    """
    mask = regions.mask(region, atlas=atlas)
    for arrangement in range(ARRANGEMENTS):
        rng = generator(seed, "control patch", atlas, region, index, arrangement)
        patch = _arranged(mask, rng)
        if patch is not None:
            patch.setflags(write=False)
            return patch
    raise RegionError(
        f"no control patch of {mask.sum()} vertices in {len(components(mask))} pieces of the same "
        f"area (within {AREA_TOLERANCE:.0%}) fits beside '{region}'; use a smaller region"
    )


def _arranged(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Place one patch for each component, largest first; None if they do not fit."""
    area, patch = fsaverage5.areas(), np.zeros_like(mask)
    free = ~mask & ~fsaverage5.medial_wall()
    left = area[mask].sum()
    for component in components(mask):
        wanted = area[component].sum()
        wanted *= (area[mask].sum() - area[patch].sum()) / left  # make up for earlier pieces
        left -= area[component].sum()
        grown = _grown(component, wanted, free, rng)
        if grown is None:
            return None
        patch[grown], free[grown] = True, False
    return patch if abs(area[patch].sum() / area[mask].sum() - 1) <= AREA_TOLERANCE else None


def _grown(
    component: np.ndarray, wanted: float, free: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Return a disc of as many vertices: the first of the area wanted, else the nearest to it."""
    hemisphere, best = fsaverage5.hemisphere(), None
    pool = np.flatnonzero(free & (hemisphere == hemisphere[component[0]]))
    if len(pool) < len(component):
        return None
    graph = fsaverage5.neighbours()[pool][:, pool]
    for start in rng.permutation(len(pool))[:TRIES]:
        disc = _disc(graph, int(start), len(component))
        if disc is None:
            continue
        error = abs(fsaverage5.areas()[pool[disc]].sum() / wanted - 1)
        if best is None or error < best[0]:
            best = (error, pool[disc])
        if error <= AREA_TOLERANCE / 2:
            break
    return None if best is None else best[1]


def _disc(graph: object, start: int, n: int) -> np.ndarray | None:
    """Return the `n` vertices nearest to `start` along the mesh, or None if fewer hang together."""
    limit = 6.0 * np.sqrt(n) + 12.0  # mm: reaches n vertices of a compact patch, and some more
    distance = dijkstra(graph, directed=False, indices=start, limit=limit)
    if np.isfinite(distance).sum() < n:
        distance = dijkstra(graph, directed=False, indices=start)
    nearest = np.argsort(distance, kind="stable")[:n]
    return nearest if np.isfinite(distance[nearest[-1]]) else None
