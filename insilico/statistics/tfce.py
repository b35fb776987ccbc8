"""Threshold-free cluster enhancement on the mesh, by area in mm².

Smith & Nichols (2009), https://doi.org/10.1016/j.neuroimage.2008.03.061: at each height h a vertex
gains e(h)^E h^H dh, with e the area of the piece of cortex around it that reaches h. The integral
is exact: as h falls, pieces join (a union-find over the sorted vertices), and between two joins e
is constant. With a step `dh` the sum that other packages compute is had in the same way.

Compiled where numba is installed (``pip install 'insilico[fast]'``): 3 ms a map instead of 0.2 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from insilico.errors import ParameterError
from insilico.spaces import fsaverage5


@dataclass(frozen=True)
class Enhancement:
    """Parameters of threshold-free cluster enhancement.

    Attributes
    ----------
    extent, height : float
        The exponents E and H; 0.5 and 2 for maps of t on a volume, E = 1 on a TBSS skeleton.
    step : float, optional
        dh; without it the integral is exact, and does not depend on a step.
    """

    extent: float = 0.5
    height: float = 2.0
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.extent > 0 or not self.height > 0:
            raise ParameterError(f"E = {self.extent} and H = {self.height}: both must be above 0")
        if self.step is not None and not self.step > 0:
            raise ParameterError(f"dh = {self.step}: must be above 0, or left out for the integral")

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        """Enhance maps over fsaverage5, positive and negative values by themselves.

        Parameters
        ----------
        maps : (map, 20484) or (20484,)
            Such as t. NaN is no place: nothing connects through it.

        Returns
        -------
        float64, as the input
            Signed; NaN where the map is.
        """
        return enhanced(maps, fsaverage5.neighbours(), fsaverage5.areas(), self)


def enhanced(
    maps: np.ndarray, graph: Any, areas: np.ndarray, parameters: Enhancement
) -> np.ndarray:
    """Enhance maps over any graph; see `Enhancement`.

    Parameters
    ----------
    maps : (map, place) or (place,)
    graph : csr_array (place, place)
        What is not zero connects.
    areas : (place,)
    parameters : Enhancement
    """
    many = np.atleast_2d(np.asarray(maps, np.float64))
    if many.shape[1] != len(areas):
        raise ParameterError(f"maps over {many.shape[1]} places; {len(areas)} have an area")
    found = np.zeros_like(many)
    for values, out in zip(many, found, strict=True):
        for sign in (1.0, -1.0):
            own = np.where(np.isfinite(values), sign * values, 0)
            order = np.argsort(-own, kind="stable")[: (own > 0).sum()]
            gain = _gain(own, parameters)
            part = np.zeros(len(own))
            _compiled()(order, gain, graph.indptr, graph.indices, areas, parameters.extent, part)
            out += sign * part
    found[~np.isfinite(many)] = np.nan
    return found.reshape(np.shape(maps))


def _gain(values: np.ndarray, parameters: Enhancement) -> np.ndarray:
    """Return what a place of area 1 would gain alone, from 0 up to its value."""
    power, step = parameters.height, parameters.step
    top = np.maximum(values, 0)
    if step is None:
        return top ** (power + 1) / (power + 1)
    steps = np.floor(top / step * (1 + 1e-12)).astype(np.int64)
    summed = np.cumsum((step * np.arange(steps.max() + 1)) ** power * step)
    return summed[steps]


def _join(
    order: Any, gain: Any, starts: Any, beside: Any, areas: Any, extent: float, out: Any
) -> None:
    """Fill `out` with the enhanced values of the places in `order`, highest first."""
    parent = np.full(len(gain), -1)  # in the tree of pieces: the place at which it was joined
    top = np.full(len(gain), -1)  # towards the latest place of a piece; -1 for none yet
    area = areas.copy()
    for v in order:
        top[v] = v
        for k in range(starts[v], starts[v + 1]):
            u = beside[k]
            if top[u] < 0:
                continue
            while top[u] != u:
                top[u] = top[top[u]]
                u = top[u]
            if u != v:
                top[u] = v
                parent[u] = v
                area[v] += area[u]
    for k in range(len(order) - 1, -1, -1):
        v = order[k]
        below = parent[v]
        out[v] = area[v] ** extent * (gain[v] - (gain[below] if below >= 0 else 0.0))
        if below >= 0:
            out[v] += out[below]


@cache
def _compiled() -> Any:
    """Return the loop over places, compiled if numba is installed."""
    try:
        import numba
    except ImportError:
        return _join
    return numba.njit(nogil=True)(_join)
