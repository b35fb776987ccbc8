"""The ridge adapter: each voxel from all cortical vertices, learned from pairs of responses."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.adapters.pairs import aligned, check_fitted, check_vertices, keep_places, voxels
from insilico.adapters.solvers import DualRidge, mean_and_scale, standardized
from insilico.errors import ParameterError, listed
from insilico.step import Step

Penalty = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ROWS = 256


class Ridge(Step):
    """Ridge regression from vertices to voxels, standardised in and out.

    Vertices that do not vary over the fit's stimuli (the medial wall) are left out. The
    coefficients are kept in dual form, ``(n pairs) x (vertices + voxels)`` numbers.

    Attributes
    ----------
    alpha : float or tuple of float
        Penalty, in scikit-learn's convention (on sums over stimuli). Of several, each voxel gets
        the one with the least exact leave-one-out error.
    """

    kind: ClassVar[str] = "ridge"
    alpha: Penalty | Annotated[tuple[Penalty, ...], Field(min_length=1)] = 1000.0

    def fit(self, source: xr.Dataset, target: xr.Dataset) -> xr.Dataset:
        """Learn voxels from vertices.

        Parameters
        ----------
        source : response on fsaverage5
        target : response in voxels
            Of (some of) the same stimuli; repeats are averaged.

        Returns
        -------
        Dataset
            ``dual`` (stimulus, voxel), ``source`` (stimulus, vertex; standardised),
            ``source_mean``, ``source_scale`` (vertex; scale 0 where left out), ``target_mean``,
            ``target_scale``, ``alpha`` (voxel).
        """
        source, target = aligned(source, target)
        x, y = source["bold"].values, target["bold"].values
        x_mean, x_scale = mean_and_scale(x)
        y_mean, y_scale = mean_and_scale(y)
        _refuse_constant(x_scale, y_scale, target)
        x = standardized(x, x_mean, x_scale)
        penalties = self.alpha if isinstance(self.alpha, tuple) else (self.alpha,)
        dual, alpha = DualRidge(x, standardized(y, y_mean, y_scale)).best(penalties)
        fitted = xr.Dataset(
            {
                "dual": (("stimulus", "voxel"), dual),
                "source": (("stimulus", "vertex"), x),
                "source_mean": ("vertex", x_mean),
                "source_scale": ("vertex", x_scale),
                "target_mean": ("voxel", y_mean),
                "target_scale": ("voxel", y_scale),
                "alpha": ("voxel", alpha),
            },
            coords={"stimulus": source["stimulus"].values},
            attrs={"n_vertices": x.shape[1], "pairs": len(x)},
        )
        return keep_places(fitted, source, target, self.kind)

    def __call__(self, response: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Return the response in the voxels that `fit` saw; none of its stimuli may come again."""
        check_fitted(fitted, self.kind)
        refuse_leakage(fitted, response)
        return voxels(_applied(check_vertices(response, fitted), fitted), response, fitted)


def _applied(bold: np.ndarray, fitted: xr.Dataset) -> np.ndarray:
    mean, scale = fitted["source_mean"].values, fitted["source_scale"].values
    known, dual = fitted["source"].values, fitted["dual"].values
    result = np.empty((*bold.shape[:-1], dual.shape[1]), np.float32)
    flat, rows_of = result.reshape(-1, dual.shape[1]), bold.reshape(-1, bold.shape[-1])
    for start in range(0, len(flat), ROWS):
        rows = slice(start, start + ROWS)
        likeness = standardized(rows_of[rows], mean, scale) @ known.T
        np.matmul(likeness, dual, out=flat[rows])
    result *= fitted["target_scale"].values
    result += fitted["target_mean"].values
    return result


def _refuse_constant(x_scale: np.ndarray, y_scale: np.ndarray, target: xr.Dataset) -> None:
    if not x_scale.any():
        raise ParameterError(
            "ridge: the source does not vary over the stimuli at any vertex; "
            "was one response copied for all of them?"
        )
    if not y_scale.all():
        still = target["voxel"].values[y_scale == 0]
        raise ParameterError(
            f"ridge: the target does not vary over the stimuli in {len(still)} of {len(y_scale)} "
            f"voxels ({listed(still, 3)}); leave them out: target.isel(voxel=...)"
        )


def refuse_leakage(fitted: xr.Dataset, response: xr.Dataset) -> None:
    """Raise if a stimulus of the response was used to fit the adapter."""
    seen = np.intersect1d(fitted["stimulus"].values, response["stimulus"].values)
    if len(seen):
        raise ParameterError(
            f"the adapter was fitted on {len(seen)} of these stimuli ({listed(seen, 3)}); its "
            "result for them would flatter: fit on other stimuli, or leave these out"
        )
