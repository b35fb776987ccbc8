"""How much each vertex can move what is read out, by the fitted adapter."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from insilico.spaces.linear import linear
from insilico.step import Step


class Leverage(Step):
    """Sum over voxels of squared weight times variance, of each vertex of a linear adapter."""

    kind: ClassVar[str] = "leverage"

    def __call__(self, fitted: xr.Dataset) -> xr.Dataset:
        """Return ``leverage`` (vertex), in squared units of the voxels.

        Parameters
        ----------
        fitted : Dataset
            Of a linear adapter's `fit`; the variance is that over its pairs.
        """
        return xr.Dataset({"leverage": ("vertex", linear(fitted).energy())})
