"""Contiguous control patches: pieces of a ground as large as a region's components, but elsewhere.

For each connected component of the region a patch grows geodesically from a random place of the
same hemisphere until it has exactly as many places. The pieces keep one place's distance from
one another and from the medial wall, so that the patch has as many components as the region, of
the same sizes. In sum it agrees with the region in a measure: area within 5 %, or leverage in the
adapter within 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from insilico.spaces.ground import Ground


@dataclass(frozen=True)
class Match:
    """What a patch agrees with its region in.

    Attributes
    ----------
    measure : float64, (place,)
        Summed over places: area in mm², or leverage.
    tolerance : float
        Share of the region's sum.
    tries, arrangements : int
        Discs that are grown for each component; how often all of them are placed anew.
    """

    measure: np.ndarray
    tolerance: float
    tries: int = 60
    arrangements: int = 10


def patch(
    ground: Ground,
    mask: np.ndarray,
    avoid: np.ndarray,
    budget: int,
    match: Match,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """Place one piece for each component, largest first; None if they do not fit.

    Parameters
    ----------
    ground : Ground
    mask : bool (place,)
        The region.
    avoid : bool (place,)
        Other places that the patch must not hold.
    budget : int
        Places of the region that it may hold.
    match : Match
    rng : numpy.random.Generator
    """
    measure, made = match.measure, np.zeros_like(mask)
    taken = ground.widened(ground.barred) | avoid
    total = left = measure[mask].sum()
    for component in ground.components(mask):
        share = measure[component].sum() / left if left > 0 else 0.0
        left -= measure[component].sum()
        wanted = share * (total - measure[made].sum())  # makes up for earlier pieces
        allowed = max(match.tolerance / 2 * wanted, match.tolerance / 100 * total)
        free = ~(taken | mask) if budget <= made[mask].sum() else ~taken
        grown = _grown(ground, component, (wanted, allowed), free, match, rng)
        if grown is None:
            return None
        piece = np.zeros_like(mask)
        piece[grown] = True
        made, taken = made | piece, taken | ground.widened(piece)
    if made[mask].sum() > budget:
        return None
    return made if abs(measure[made].sum() - total) <= match.tolerance * total else None


def _grown(
    ground: Ground,
    component: np.ndarray,
    wanted: tuple[float, float],
    free: np.ndarray,
    match: Match,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """Return a disc of as many vertices: the first of the sum (wanted, error allowed), or near."""
    pool = np.flatnonzero(free & (ground.hemi == ground.hemi[component[0]]))
    if len(pool) < len(component):
        return None
    inner, best = ground.neighbours[pool][:, pool], None
    piece = connected_components(inner, directed=False)[1]
    roomy = np.flatnonzero(np.bincount(piece)[piece] >= len(component))
    for start in rng.permutation(roomy)[: match.tries]:
        disc = pool[_disc(inner, int(start), len(component))]
        error = abs(match.measure[disc].sum() - wanted[0])
        if best is None or error < best[0]:
            best = (error, disc)
        if error <= wanted[1]:
            break
    return None if best is None else best[1]


def _disc(graph: csr_array, start: int, n: int) -> np.ndarray:
    """Return the `n` places nearest to `start` along the graph."""
    limit = 6.0 * np.sqrt(n) + 12.0  # mm: reaches n places of a compact patch, and some more
    distance = dijkstra(graph, directed=False, indices=start, limit=limit)
    if np.isfinite(distance).sum() < n:
        distance = dijkstra(graph, directed=False, indices=start)
    near = np.flatnonzero(np.isfinite(distance))
    return near[np.argsort(distance[near], kind="stable")[:n]]
