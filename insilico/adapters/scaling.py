"""Columns to zero mean and unit deviation, in float32, with the sums in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insilico.errors import ParameterError

Floats = NDArray[np.float32]
CONSTANT = 1e-6
CHUNK = 4096


def mean_and_scale(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (ddof 0) of each column; 0 where it is constant.

    A column counts as constant if its deviation is below 1e-6 of its largest magnitude.

    Parameters
    ----------
    values : float32, (n, columns)
    """
    mean = values.mean(0, dtype=np.float64)
    scale, largest = np.empty_like(mean), np.empty_like(mean)
    for start in range(0, len(mean), CHUNK):
        part = slice(start, start + CHUNK)
        scale[part] = np.sqrt(((values[:, part] - mean[part]) ** 2).mean(0))
        largest[part] = np.abs(values[:, part]).max(0)
    scale[scale <= CONSTANT * largest] = 0
    return mean.astype(np.float32), scale.astype(np.float32)


def standardized(values: Floats, mean: Floats, scale: Floats) -> Floats:
    """Subtract the mean and divide by the scale; a column of scale 0 becomes 0.

    Parameters
    ----------
    values : float32, (..., columns)
    mean, scale : float32, (columns,)
    """
    factor = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    result = np.subtract(values, mean, dtype=np.float32)
    result *= factor
    return result


def refuse_constant(x_scale: Floats, y_scale: Floats, kind: str) -> None:
    """Raise if no vertex, or no voxel, varies over the pairs."""
    for scale, which, place in ((x_scale, "source", "vertex"), (y_scale, "target", "voxel")):
        if not scale.any():
            raise ParameterError(
                f"{kind}: the {which} does not vary over the stimuli at any {place}; "
                "was one response copied for all of them?"
            )


def constant_note(y_scale: Floats) -> str:
    """Say how many voxels do not vary; empty if all do."""
    still = int((y_scale == 0).sum())
    if not still:
        return ""
    return f"{still} of {len(y_scale)} voxels do not vary over the pairs; they keep their constant"
