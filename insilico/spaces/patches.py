"""Control patches: contiguous pieces of cortex as large as a region, but elsewhere.

For each connected component of the region a patch grows geodesically from a random vertex of the
same hemisphere until it has exactly as many vertices. The pieces keep one vertex's distance from
one another and from the medial wall, so that the patch has as many components as the region, of
the same sizes; its area agrees with the region's within 5 % in sum. It shares no vertex with the
region: one that fills most of cortex has no control.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from insilico.errors import RegionError
from insilico.schema import short_digest
from insilico.spaces import fsaverage5, regions
from insilico.step import generator

AREA_TOLERANCE = 0.05
TRIES = 60
ARRANGEMENTS = 10


def components(mask: np.ndarray) -> list[np.ndarray]:
    """Return the connected components of a mask of vertices, largest first, as vertex indices."""
    kept = np.flatnonzero(mask)
    count, piece = connected_components(fsaverage5.neighbours()[kept][:, kept], directed=False)
    return sorted((kept[piece == k] for k in range(count)), key=lambda part: (-len(part), part[0]))


def matched_patch(region: str, atlas: str | None, index: int, seed: int) -> np.ndarray:
    """Return one control patch for a region.

    The patch depends on the region's vertices, `index` and `seed`: any spelling of a region has
    the same patches.

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
        If no patch of that size fits.
    """
    mask = regions.mask(region, atlas=atlas)
    patch = _matched(mask.tobytes(), int(index), int(seed))
    if patch is None:
        raise RegionError(
            f"no control patch of {mask.sum()} vertices in {len(components(mask))} pieces of the "
            f"same area (within {AREA_TOLERANCE:.0%}) fits beside '{region}'; use a smaller "
            "region, or no control"
        )
    return patch


@lru_cache(maxsize=256)
def _matched(region: bytes, index: int, seed: int) -> np.ndarray | None:
    mask = np.frombuffer(region, bool)
    for arrangement in range(ARRANGEMENTS):
        rng = generator(seed, "control patch", short_digest(region), index, arrangement)
        patch = _arranged(mask, rng)
        if patch is not None:
            patch.setflags(write=False)
            return patch
    return None


def _widened(mask: np.ndarray) -> np.ndarray:
    return mask | (fsaverage5.neighbours() @ mask.astype(float) > 0)


def _arranged(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Place one piece for each component, largest first; None if they do not fit."""
    area, patch = fsaverage5.areas(), np.zeros_like(mask)
    taken = _widened(fsaverage5.medial_wall()) | mask
    total = left = area[mask].sum()
    for component in components(mask):
        share = area[component].sum() / left
        left -= area[component].sum()
        wanted = share * (total - area[patch].sum())  # makes up for earlier pieces
        allowed = max(AREA_TOLERANCE / 2 * wanted, AREA_TOLERANCE / 100 * total)
        grown = _grown(component, (wanted, allowed), ~taken, rng)
        if grown is None:
            return None
        piece = np.zeros_like(mask)
        piece[grown] = True
        patch, taken = patch | piece, taken | _widened(piece)
    return patch if abs(area[patch].sum() / total - 1) <= AREA_TOLERANCE else None


def _grown(
    component: np.ndarray,
    area: tuple[float, float],
    free: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """Return a disc of as many vertices: the first of the area (wanted, error allowed), or near."""
    pool = np.flatnonzero(free & (fsaverage5.hemisphere() == fsaverage5.hemisphere()[component[0]]))
    if len(pool) < len(component):
        return None
    inner, best = fsaverage5.neighbours()[pool][:, pool], None
    piece = connected_components(inner, directed=False)[1]
    roomy = np.flatnonzero(np.bincount(piece)[piece] >= len(component))
    for start in rng.permutation(roomy)[:TRIES]:
        disc = pool[_disc(inner, int(start), len(component))]
        error = abs(fsaverage5.areas()[disc].sum() - area[0])
        if best is None or error < best[0]:
            best = (error, disc)
        if error <= area[1]:
            break
    return None if best is None else best[1]


def _disc(graph: csr_array, start: int, n: int) -> np.ndarray:
    """Return the `n` vertices nearest to `start` along the mesh."""
    limit = 6.0 * np.sqrt(n) + 12.0  # mm: reaches n vertices of a compact patch, and some more
    distance = dijkstra(graph, directed=False, indices=start, limit=limit)
    if np.isfinite(distance).sum() < n:
        distance = dijkstra(graph, directed=False, indices=start)
    near = np.flatnonzero(np.isfinite(distance))
    return near[np.argsort(distance[near], kind="stable")[:n]]
