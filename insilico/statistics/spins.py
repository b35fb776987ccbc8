"""Spins: rotations of the sphere, and the exact nearest vertex after each.

Rotations are uniform over SO(3) and mirrored for the right hemisphere, as in Alexander-Bloch et
al. (2018), https://doi.org/10.1016/j.neuroimage.2018.05.070. The nearest vertex is found by
walking: among the neighbours on a Delaunay graph of the sphere there is always one nearer, until
none is. Where numba is installed (``pip install 'insilico[fast]'``) the walk starts beside the
answer of a neighbour and is compiled; where not, a KD-tree gives the same vertices.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import numpy as np

from insilico.spaces import fsaverage5
from insilico.spaces.spun import rotations
from insilico.step import generator

BLOCK = 100
"""Spins of one table that is kept, 4 MB."""


def turns(k: int, seed: int) -> dict[str, np.ndarray]:
    """Return rotation `k` of a seed for each hemisphere; the right one's is the left one's mirror.

    It does not depend on how many are drawn.
    """
    return rotations(generator(seed, "spin", k))


def tables(n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield, block by block, the vertex that each vertex takes its value from.

    Tables are kept within a process, so that all tests of one seed share them.

    Yields
    ------
    int16 (up to 100 spins, 20484)
        Counted within the hemisphere: add 10,242 on the right.
    """
    for block in range(-(-n // BLOCK)):
        yield table(block, seed)[: n - block * BLOCK]


@lru_cache(maxsize=24)
def table(block: int, seed: int) -> np.ndarray:
    """Return spins ``100 * block`` and onward, int16 (100, 20484); see `tables`."""
    half = fsaverage5.N_HEMISPHERE
    found = np.empty((BLOCK, fsaverage5.N_VERTICES), np.int16)
    for row, own in enumerate(found):
        both = turns(block * BLOCK + row, seed)
        for hemi, side in (("L", slice(0, half)), ("R", slice(half, None))):
            own[side] = nearest(hemi, both[hemi])
    found.setflags(write=False)
    return found


def spun(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return a map after the spins of a table, (spin, 20484)."""
    half = fsaverage5.N_HEMISPHERE
    made = np.empty(table.shape, values.dtype)
    np.take(values[:half], table[:, :half], out=made[:, :half])
    np.take(values[half:], table[:, half:], out=made[:, half:])
    return made


@cache
def sphere(hemi: str) -> np.ndarray:
    """Return a hemisphere's vertices on the unit sphere, float64 (10242, 3)."""
    half = fsaverage5.N_HEMISPHERE
    places = fsaverage5.mesh("sphere")[0].astype(float)
    places = places[:half] if hemi == "L" else places[half:]
    return places / np.linalg.norm(places, axis=1, keepdims=True)


def nearest(hemi: str, turn: np.ndarray) -> np.ndarray:
    """Return the vertex of a hemisphere nearest to each of its vertices once turned."""
    places = sphere(hemi)
    walk = _compiled()
    if walk is None:
        return _tree(hemi).query(places @ turn)[1]
    found = np.empty(len(places), np.int64)
    walk(places, places @ turn, *_paths(hemi), found)
    return found


@cache
def _tree(hemi: str) -> Any:
    from scipy.spatial import cKDTree

    return cKDTree(sphere(hemi))


@cache
def _paths(hemi: str) -> tuple[np.ndarray, ...]:
    """Return an order of the vertices, the one before each on its way there, and its neighbours.

    The neighbours, (vertex, up to as many as any has; itself where it has fewer), are those of
    the convex hull, which on a sphere is a Delaunay triangulation.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order
    from scipy.spatial import ConvexHull

    places = sphere(hemi)
    faces = ConvexHull(places).simplices
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    rows, columns = edges.T
    degree = np.bincount(rows, minlength=len(places))
    beside = np.repeat(np.arange(len(places))[:, None], degree.max(), axis=1)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(degree) - degree, degree)
    beside[rows, rank] = columns
    graph = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(places),) * 2)
    order, before = breadth_first_order(graph, 0)
    return order.astype(np.int64), before.astype(np.int64), beside


@cache
def _compiled() -> Any:
    """Return the walk, or None without numba."""
    try:
        import numba
    except ImportError:
        return None

    def walk(places: Any, wanted: Any, order: Any, before: Any, beside: Any, found: Any) -> None:
        for v in order:
            x, y, z = wanted[v]
            at = found[before[v]] if before[v] >= 0 else 0
            near = (places[at, 0] - x) ** 2 + (places[at, 1] - y) ** 2 + (places[at, 2] - z) ** 2
            moved = True
            while moved:
                moved = False
                for u in beside[at]:
                    far = (places[u, 0] - x) ** 2
                    far += (places[u, 1] - y) ** 2 + (places[u, 2] - z) ** 2
                    if far < near:
                        near, at, moved = far, u, True
            found[v] = at

    return numba.njit(nogil=True)(walk)
