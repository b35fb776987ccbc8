"""Distances along the cortex, in mm, over the edges of the pial mesh; the medial wall is a gap."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from insilico.errors import RegionError
from insilico.spaces import fsaverage5


@cache
def _cortical() -> csr_array:
    """Return the edges of the mesh among vertices of cortex."""
    cortex = fsaverage5.cortex()
    return fsaverage5.neighbours()[cortex][:, cortex]


def distance_from(mask: np.ndarray, limit: float = np.inf) -> np.ndarray:
    """Return each vertex's distance in mm from the nearest vertex of a mask.

    Parameters
    ----------
    mask : bool (20484,)
    limit : float
        In mm; farther is infinite, as are the other hemisphere and the medial wall.

    Notes
    -----
    Paths follow edges, so distances are up to a tenth longer than along a smooth surface.
    """
    cortex, found = fsaverage5.cortex(), np.full(fsaverage5.N_VERTICES, np.inf)
    starts = np.flatnonzero(mask[cortex])
    if not len(starts):
        raise RegionError("distances along the cortex start from a region on it; this one is empty")
    found[cortex] = dijkstra(_cortical(), False, starts, min_only=True, limit=limit)
    return found


def discs(radius: float, starts: np.ndarray, block: int = 256) -> Iterator[np.ndarray]:
    """Yield for each start the vertices of cortex within a radius, itself among them.

    Parameters
    ----------
    radius : float
        In mm.
    starts : int array
        Vertices of cortex.
    block : int
        Starts whose distances are found at once: 150 kB each.
    """
    cortex = fsaverage5.cortex()
    for first in range(0, len(starts), block):
        some = np.searchsorted(cortex, starts[first : first + block])
        near = np.isfinite(dijkstra(_cortical(), False, some, limit=radius))
        yield from (cortex[row] for row in near)
