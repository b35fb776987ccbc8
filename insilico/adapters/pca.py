"""The PCA adapter: the shape of the decoder's voxels without any measured pair."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.adapters.adapter import Adapter
from insilico.adapters.fitted import labelled
from insilico.adapters.pairs import Pairs, averaged, check_source, check_target
from insilico.adapters.projection import dense_projection, principal_axes, structured_projection
from insilico.adapters.scaling import Floats
from insilico.errors import ParameterError, SchemaError
from insilico.schema import check
from insilico.spaces.responses.rows import mean_rows


class PCA(Adapter):
    """Denoise by PCA, project to n voxels by a fixed random rotation, match the spread.

    The steps are: (1) the mean over a stimulus's frames; (2) PCA on frames, with the components
    that hold 99 % of the variance, of the mean to the components and back; (3) a random orthogonal
    projection to the number of voxels, from a fixed seed; (4) for every response,
    ``sigma * (x - mean) / deviation`` over its voxels.

    PCA on a stimulus's own frames, centred on their mean, gives that mean back unchanged however
    many frames there are: the mean lies where all components are zero. So step (2) does nothing as
    it is published; uncentred, or on the frames of other stimuli, it does.

    The adapter learns nothing from the target: it takes its voxel labels alone. What it gives has
    the size of a decoder's input and keeps the likeness between stimuli, but which voxel carries
    what is random. A decoder that knows its voxels cannot read it above chance; it stands here as
    the reference that any learned adapter must beat. The published sigma of 3 is the spread of raw
    betas in percent; a decoder of betas in session z is used to about 1.

    Attributes
    ----------
    frames : {"own", "pairs"}
        Whether PCA is fitted on the frames of each stimulus itself, as published, or on the
        responses to the pairs' stimuli.
    centred : bool
        Whether the frames' mean is subtracted before PCA.
    projection : {"structured", "dense"}
        Random signs and cosine transforms, which need no matrix; or a uniformly random matrix,
        which takes minutes and 1.3 GB at 15,724 x 20,484. The rows of both are orthonormal.
    variance : float
        Share of the variance that the kept components hold.
    sigma : float
        Standard deviation over voxels of every adapted response.
    seed : int
        Seed of the random projection.
    """

    kind: ClassVar[str] = "pca"
    version: ClassVar[int] = 2
    frames: Literal["own", "pairs"] = "own"
    centred: bool = True
    projection: Literal["structured", "dense"] = "structured"
    variance: float = Field(default=0.99, gt=0, le=1)
    sigma: float = Field(default=3.0, gt=0)
    seed: int = Field(0, ge=0)

    @property
    def blind(self) -> bool:
        """Whether nothing of the pairs enters the parameters: on own frames."""
        return self.frames == "own"

    def fit(self, source: xr.Dataset, target: xr.Dataset) -> xr.Dataset:
        """Take the labels of the voxels, and find the components of the pairs' frames, if asked.

        Parameters
        ----------
        source : response on fsaverage5
        target : response in voxels
            Gives the labels of the voxels; its values are not used.

        Returns
        -------
        Dataset
            With frames of the pairs ``mean`` (vertex), ``axes`` (component, vertex), ``share``
            (component); with the dense projection ``projection`` (voxel, vertex).
        """
        check_source(source)
        check_target(target)
        source = averaged(source, "source")
        p, n_voxels = source.sizes["vertex"], target.sizes["voxel"]
        if n_voxels > p:
            raise ParameterError(
                f"pca: {n_voxels} voxels cannot be reached by an orthogonal projection of "
                f"{p} vertices; use adapter 'ridge'"
            )
        of_pairs = slice(None) if self.frames == "pairs" else slice(0)
        x, ids = source["bold"].values[of_pairs], source["stimulus"].values[of_pairs].astype(str)
        found = self._components(x) if len(x) else {}
        if self.projection == "dense":
            found["projection"] = (("voxel", "vertex"), dense_projection(p, n_voxels, self.seed))
        return labelled(
            found,
            Pairs(source, target, x, x[:, :0], ids),
            self,
            vertices=np.ones(p, bool),
            voxels=np.ones(n_voxels, bool),
        )

    def _components(self, frames: Floats) -> dict[str, Any]:
        if not (frames != frames[0]).any():
            raise ParameterError("pca: the source does not vary over the stimuli at any vertex")
        mean = frames.mean(0, dtype=np.float64).astype(np.float32) * self.centred
        axes, share = principal_axes(frames - mean, self.variance)
        parts = {"axes": (("component", "vertex"), axes), "share": ("component", share)}
        return {"mean": ("vertex", mean), **parts}

    def __call__(self, response: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Return the response in the target's voxels.

        Parameters
        ----------
        response : response on fsaverage5
            In rows, the rows of a timeline are its frames. By stimulus, their mean was taken.
        fitted : Dataset
            Of `fit`.

        Raises
        ------
        ParameterError
            If uncentred PCA is asked for on frames of which only the mean is there.
        """
        check(response, "response", rows=True)
        step = self.of(fitted)
        uncentred = step.frames == "own" and not step.centred
        if "row" not in response.dims:
            if uncentred:
                raise ParameterError(
                    "pca: uncentred PCA on a stimulus's own frames needs its frames; this response "
                    "holds their means: encode with rows: keep"
                )
            return super().__call__(response, fitted)
        if response["bold"].ndim != 2:
            raise SchemaError(f"pca: one response at a time; bold has {response['bold'].dims}")
        means = mean_rows(response)
        if uncentred:
            means = means.assign(bold=means["bold"].copy(data=step._denoised_rows(response, means)))
        return super().__call__(means, fitted)

    def _denoised_rows(self, response: xr.Dataset, means: xr.Dataset) -> Floats:
        """Return each timeline's mean on the axes of its own frames, uncentred."""
        bold, timeline = response["bold"].values, response["timeline"].values.astype(str)
        made = np.empty_like(means["bold"].values)
        for k, name in enumerate(means["stimulus"].values.astype(str)):
            axes, _ = principal_axes(bold[timeline == name], self.variance)
            made[k] = (axes @ means["bold"].values[k]) @ axes
        return made

    def adapted(self, bold: np.ndarray, fitted: xr.Dataset) -> np.ndarray:
        """Return voxels, float32 (..., voxel)."""
        if "axes" in fitted:
            mean, axes = fitted["mean"].values, fitted["axes"].values
            bold = mean + ((bold - mean) @ axes.T) @ axes
        if self.projection == "dense":
            turned = bold @ fitted["projection"].values.T
        else:
            turned = structured_projection(bold, fitted.sizes["voxel"], self.seed)
        turned -= turned.mean(-1, keepdims=True)
        deviation = turned.std(-1, keepdims=True)
        if not deviation.all():
            raise ParameterError(
                "pca: a response is constant over all voxels; was it ablated whole?"
            )
        return self.sigma * turned / deviation
