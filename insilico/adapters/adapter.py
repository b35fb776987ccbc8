"""What every adapter shares: the door, the refusal of stimuli seen before, the labels."""

from __future__ import annotations

import json
from typing import ClassVar, Literal, Self

import numpy as np
import xarray as xr

from insilico.adapters.fitted import check_fitted, in_voxels, refuse_leakage, vertices_of
from insilico.errors import ParameterError
from insilico.step import Step


class Adapter(Step):
    """Base of adapters. A subclass fills `fit` and `adapted`.

    Attributes
    ----------
    seen : {"refuse", "allow"}
        Whether a response to a stimulus that the adapter was fitted on raises, or is meant.
    """

    learns: ClassVar[bool] = True
    """Whether it is fitted on pairs; a saved one is not."""
    linear: ClassVar[bool] = False
    """Whether what it fits is one matrix, as `insilico.spaces.linear` reads it."""
    seen: Literal["refuse", "allow"] = "refuse"

    @property
    def blind(self) -> bool:
        """Whether nothing of the pairs enters the parameters."""
        return False

    def fit(self, source: xr.Dataset, target: xr.Dataset) -> xr.Dataset:
        """Return fitted parameters, from responses on fsaverage5 and in voxels."""
        raise NotImplementedError(self.kind)

    def adapted(self, bold: np.ndarray, fitted: xr.Dataset) -> np.ndarray:
        """Return voxels, float32 (..., voxel), from vertices, (..., vertex)."""
        raise NotImplementedError(self.kind)

    def __call__(self, response: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Return the response in the voxels that `fit` saw.

        Parameters
        ----------
        response : response on fsaverage5
        fitted : Dataset
            Of `fit`.

        Raises
        ------
        ParameterError
            If the parameters are another adapter's, or a stimulus was among the pairs of the fit.
        """
        step = self.of(fitted)
        if self.seen == "refuse":
            refuse_leakage(fitted, response)
        return in_voxels(step.adapted(vertices_of(response, fitted), fitted), response, fitted)

    @classmethod
    def of(cls, fitted: xr.Dataset) -> Self:
        """Return the step that a dataset was fitted by: what it was fitted with counts."""
        check_fitted(fitted, cls.kind)
        said = json.loads(fitted.attrs["step"])
        if said.pop("version") != cls.version:
            raise ParameterError(
                f"these parameters were fitted by another version of '{cls.kind}'; fit it again"
            )
        return cls(**{name: value for name, value in said.items() if name in cls.model_fields})
