"""From dual coefficients to weights and to predictions, of one band or several."""

from __future__ import annotations

import numpy as np

from insilico.adapters.scaling import Floats
from insilico.adapters.spectrum import Array, fetched, on_device


def formed(source: Floats, dual: Floats, band: np.ndarray | None, gamma: Floats | None) -> Floats:
    """Return weights, float32 (vertex, voxel), from dual coefficients.

    Parameters
    ----------
    source : float32, (n, vertex)
        Standardised.
    dual : float32, (n, voxel)
    band : int (vertex,), optional
    gamma : float32 (band, voxel), optional
        Weights of the bands.
    """
    weights = np.zeros((source.shape[1], dual.shape[1]), np.float32)
    if band is None or gamma is None:
        if isinstance(on := on_device(source), np.ndarray):
            return np.matmul(source.T, dual, out=weights)
        return fetched(on.T @ on_device(dual))
    for k, row in enumerate(gamma):
        weights[band == k] = source[:, band == k].T @ (dual * row)
    return weights


def predicted(
    rows: Array, source: Array, dual: Array, band: np.ndarray | None, gamma: Floats | None
) -> Array:
    """Return standardised predictions, float32 (rows, voxel), without forming the weights.

    Parameters
    ----------
    rows : float32, (rows, vertex)
        Standardised; the rest as of `formed`.
    """
    if band is None or gamma is None:
        return (rows @ source.T) @ dual
    made = np.zeros((len(rows), dual.shape[1]), np.float32)
    for k, row in enumerate(gamma):
        made += (rows[:, band == k] @ source[:, band == k].T) @ (dual * row)
    return made
