"""Control masks by rotation of the sphere: a region's shape at another place of the cortex.

A rotation takes each vertex its value from the nearest one, which changes the count; the mask is
trimmed at its rim, or regrown beside it, until each hemisphere has exactly the region's number of
vertices. Rotations depend on seed and number alone: they are the same for all regions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse.csgraph import dijkstra

from insilico.spaces import fsaverage5
from insilico.step import generator

MIRROR = np.diag([-1.0, 1.0, 1.0])
TURNS = 200
LOST = 0.05
"""Largest share of the mask that may land on the medial wall, to be regrown elsewhere."""


def spun(
    mask: np.ndarray, avoid: np.ndarray, budget: int, turns: tuple[int, int]
) -> tuple[np.ndarray | None, float]:
    """Return a rotated mask of exact size, and the least overlap with the region that was met.

    Parameters
    ----------
    mask : bool (20484,)
        The region.
    avoid : bool (20484,)
        Vertices of other controls, which it must not hold.
    budget : int
        Vertices of the region that it may hold.
    turns : (seed, index)
        Name the rotations that are tried in turn.

    Returns
    -------
    found : bool (20484,), or None if no rotation will do
    least : float
        Least share of the region that a rotation covered, of those near enough to cortex.
    """
    wall, least, size = fsaverage5.medial_wall(), np.inf, mask.sum()
    if (~(wall | mask | avoid)).sum() + budget < size:
        return None, least
    for attempt in range(TURNS):
        turned = mask[rotated(*turns, attempt)]
        if (turned & wall).sum() > LOST * turned.sum() or not turned.any():
            continue
        overlap = int((turned & mask).sum())
        least = min(least, overlap / size)
        if overlap > budget or (turned & avoid).any():
            continue
        made = _sized(turned, mask, ~(wall | avoid | (mask & ~turned)))
        if made is not None and (made & mask).sum() <= budget:
            return made, least
    return None, least


@lru_cache(maxsize=1000)
def rotated(seed: int, index: int, attempt: int) -> np.ndarray:
    """Return the vertex that each vertex takes its value from, int16 (20484,)."""
    both = rotations(generator(seed, "spin control", index, attempt)).values()
    left, right = (
        tree.query(points @ turn, workers=1)[1]
        for (tree, points), turn in zip(_spheres(), both, strict=True)
    )
    return np.concatenate([left, right + fsaverage5.N_HEMISPHERE]).astype(np.int16)


def rotations(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a rotation for each hemisphere, the right one's the mirror of the left one's."""
    turn = rotation(rng)
    return {"L": turn, "R": MIRROR @ turn @ MIRROR}


def rotation(rng: np.random.Generator) -> np.ndarray:
    """Return a rotation drawn uniformly from SO(3), float64 (3, 3)."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


@lru_cache(maxsize=1)
def _spheres() -> list[tuple[Any, np.ndarray]]:
    """Return a tree of each hemisphere's vertices, and these; their radii differ a little."""
    from scipy.spatial import cKDTree

    sphere = fsaverage5.mesh("sphere")[0].astype(float)
    halves = (sphere[: fsaverage5.N_HEMISPHERE], sphere[fsaverage5.N_HEMISPHERE :])
    return [(cKDTree(points), points) for points in halves]


def _sized(turned: np.ndarray, mask: np.ndarray, allowed: np.ndarray) -> np.ndarray | None:
    """Trim or regrow a mask to the number of vertices that the region has in each hemisphere."""
    made = turned & allowed
    for hemi in ("L", "R"):
        here = fsaverage5.hemisphere() == hemi
        missing = int((mask & here).sum() - (made & here).sum())
        if missing > 0:
            grown = _nearest(made & here, allowed & here & ~made, missing)
            if grown is None:
                return None
            made[grown] = True
        elif missing < 0:
            made[_rim(made & here, -missing)] = False
    return made


def _nearest(start: np.ndarray, pool: np.ndarray, n: int) -> np.ndarray | None:
    """Return the `n` vertices of a pool that are nearest to a mask, reached through the pool."""
    kept = np.flatnonzero(start | pool)
    if not start.any() or pool.sum() < n:
        return None
    graph = fsaverage5.neighbours()[kept][:, kept]
    distance = dijkstra(graph, False, np.flatnonzero(start[kept]), min_only=True)
    distance[start[kept]] = np.inf
    order = np.argsort(distance, kind="stable")[:n]
    return kept[order] if np.isfinite(distance[order]).all() else None


def _rim(mask: np.ndarray, n: int) -> np.ndarray:
    """Return the `n` vertices of a mask that are nearest to what is outside of it."""
    outside = np.flatnonzero(~mask)
    distance = dijkstra(fsaverage5.neighbours(), False, outside, min_only=True)
    inside = np.flatnonzero(mask)
    return inside[np.argsort(distance[inside], kind="stable")[:n]]
