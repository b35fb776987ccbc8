"""The PCA adapter: the shape of the decoder's voxels without any measured pair."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.adapters.pairs import (
    averaged,
    check_fitted,
    check_source,
    check_target,
    check_vertices,
    keep_places,
    voxels,
)
from insilico.adapters.solvers import principal_axes, random_projection
from insilico.errors import ParameterError
from insilico.step import Step


class PCA(Step):
    """Denoise by PCA, project to n voxels by a fixed random rotation, match the spread.

    The steps are: (1) the mean over a stimulus's rows (which the encoder has taken); (2) PCA on
    frames, with the components that hold 99 % of the variance, to the components and back; (3) a
    random orthogonal projection to the number of voxels, from a fixed seed; (4) for every response,
    ``sigma * (x - mean) / deviation`` over its voxels. The frames of (2) are the source responses
    given to `fit`.

    The adapter learns nothing from the target: it takes its voxel labels alone. What it gives has
    the size and spread of a decoder's input and keeps the likeness between stimuli, but which
    voxel carries what is random. A decoder that knows its voxels cannot read it above chance; it
    stands here as the reference that any learned adapter must beat.

    Attributes
    ----------
    variance : float
        Share of the variance that the kept components hold.
    sigma : float
        Standard deviation over voxels of every adapted response.
    seed : int
        Seed of the random projection.
    """

    kind: ClassVar[str] = "pca"
    variance: float = Field(default=0.99, gt=0, le=1)
    sigma: float = Field(default=3.0, gt=0)
    seed: int = 0

    def fit(self, source: xr.Dataset, target: xr.Dataset) -> xr.Dataset:
        """Find the components of the source responses.

        Parameters
        ----------
        source : response on fsaverage5
        target : response in voxels
            Gives the labels of the voxels; neither its values nor its stimuli are used.

        Returns
        -------
        Dataset
            ``mean`` (vertex), ``axes`` (component, vertex), ``share`` (component).
        """
        check_target(target)
        check_source(source)
        source = averaged(source, "source")
        frames, n_voxels = source["bold"].values, target.sizes["voxel"]
        if n_voxels > frames.shape[1]:
            raise ParameterError(
                f"pca: {n_voxels} voxels cannot be reached by an orthogonal projection of "
                f"{frames.shape[1]} vertices; use adapter 'ridge'"
            )
        mean = frames.mean(0, dtype=np.float64).astype(np.float32)
        if not (frames != mean).any():
            raise ParameterError("pca: the source does not vary over the stimuli at any vertex")
        axes, share = principal_axes(frames - mean, self.variance)
        fitted = xr.Dataset(
            {
                "mean": ("vertex", mean),
                "axes": (("component", "vertex"), axes),
                "share": ("component", share),
            },
            attrs={"n_vertices": frames.shape[1]},
        )
        return keep_places(fitted, source, target, self.kind)

    def __call__(self, response: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Return the response in the target's voxels."""
        check_fitted(fitted, self.kind)
        bold = check_vertices(response, fitted)
        mean, axes = fitted["mean"].values, fitted["axes"].values
        denoised = mean + ((bold - mean) @ axes.T) @ axes
        turned = random_projection(denoised, fitted.sizes["voxel"], self.seed)
        turned -= turned.mean(-1, keepdims=True)
        deviation = turned.std(-1, keepdims=True)
        if not deviation.all():
            raise ParameterError(
                "pca: a response is constant over all voxels; was it ablated whole?"
            )
        return voxels(self.sigma * turned / deviation, response, fitted)
