"""The ridge adapter: each voxel from all cortical vertices, learned from pairs of responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, model_validator

from insilico.adapters.adapter import Adapter
from insilico.adapters.bands import Banded, Bands
from insilico.adapters.fitted import labelled
from insilico.adapters.pairs import Pairs, aligned, averaged
from insilico.adapters.products import formed, predicted
from insilico.adapters.scaling import (
    constant_note,
    mean_and_scale,
    refuse_constant,
    standardized,
)
from insilico.adapters.selection import dealt
from insilico.adapters.solve import Solution, solve
from insilico.adapters.spectrum import Array, fetched, on_device
from insilico.errors import ParameterError
from insilico.step import LEFT_OUT, generator

Penalty = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ROWS = 256


class Ridge(Adapter):
    """Ridge regression from vertices to voxels, standardised in and out.

    Vertices that do not vary over the pairs (the medial wall) are left out; voxels that do not
    vary are given back as their constant.

    Attributes
    ----------
    alpha : float
        Penalty, in scikit-learn's convention (on sums over rows).
    alphas : tuple of float, optional
        Each voxel gets the one of these that suits it best.
    choose : {"loo", "gcv", "folds"}
        By exact leave-one-out, by generalised cross-validation, or by held-out folds.
    folds : int
        Number of folds.
    groups : str
        Coordinate of the target, such as ``session``, whose groups are held out whole.
    repeats : {"mean", "single"}
        Whether the target's repeats are averaged, or each is a row.
    form : {"auto", "dual", "primal"}
        Whether coefficients are kept for pairs or for vertices; auto takes what is applied with
        fewer products: dual for fewer than p t / (p + t) rows.
    bands : Bands, optional
        Penalties of their own for groups of vertices (banded ridge).
    """

    kind: ClassVar[str] = "ridge"
    version: ClassVar[int] = 2
    linear: ClassVar[bool] = True
    alpha: Penalty = 1000.0
    alphas: Annotated[tuple[Penalty, ...], Field(min_length=1)] | None = None
    choose: Literal["loo", "gcv", "folds"] = "loo"
    folds: int = Field(5, ge=2)
    groups: str = "stimulus"
    repeats: Literal["mean", "single"] = "mean"
    form: Literal["auto", "dual", "primal"] = "auto"
    bands: Bands | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Ridge:
        several = len(self.alphas or ()) > 1 or self.bands is not None
        if self.repeats == "single" and several and self.choose != "folds":
            raise ValueError(
                f"choose: {self.choose} leaves one repeat out while others of its stimulus stay; "
                "with repeats: single, choose: folds"
            )
        return self

    def digests(self) -> dict[str, str]:
        """Return the digest of the bands' atlas."""
        return self.bands.digests() if self.bands else {}

    def fit(self, source: xr.Dataset, target: xr.Dataset) -> xr.Dataset:
        """Learn voxels from vertices.

        Parameters
        ----------
        source : response on fsaverage5
        target : response in voxels
            Of (some of) the same stimuli.

        Returns
        -------
        Dataset
            ``source_mean``, ``source_scale`` (vertex; scale 0 where left out), ``target_mean``,
            ``target_scale``, ``alpha`` (voxel); in dual form ``dual`` (pair, voxel) and ``source``
            (pair, vertex; standardised), in primal form ``weights`` (vertex, voxel); with bands
            ``band`` (vertex) and ``band_weight`` (band, voxel), alpha / band_weight being a
            band's penalty.
        """
        pairs = aligned(source, target, single=self.repeats == "single")
        fold = self._fold(pairs) if self.choose == "folds" else None
        x_mean, x_scale = mean_and_scale(pairs.x)
        y_mean, y_scale = mean_and_scale(pairs.y)
        refuse_constant(x_scale, y_scale, self.kind)
        x = standardized(pairs.x, x_mean, x_scale)
        bands = self.bands.of(source, x_scale > 0) if self.bands else None
        solution = solve(
            on_device(x),
            _targets(pairs.y, y_mean, y_scale),
            len(y_mean),
            self.alphas or (self.alpha,),
            self.choose,
            fold,
            bands.gammas if bands else (None,),
        )
        variables: dict[str, Any] = {
            "source_mean": ("vertex", x_mean),
            "source_scale": ("vertex", x_scale),
            "target_mean": ("voxel", y_mean),
            "target_scale": ("voxel", y_scale),
            "alpha": ("voxel", solution.alpha),
            **self._coefficients(x, solution, bands),
        }
        notes = [constant_note(y_scale), self._edge_note(solution.alpha[y_scale > 0])]
        return labelled(
            variables,
            pairs,
            self,
            vertices=x_scale > 0,
            voxels=y_scale > 0,
            note="; ".join(filter(None, notes)),
        )

    def kept(self, result: xr.Dataset) -> xr.Dataset:
        """Return a fit without the source of its dual form, which the source's responses hold."""
        if "dual" not in result:
            return result
        return result.drop_vars("source").assign_attrs({LEFT_OUT: "source"})

    def whole(self, kept: xr.Dataset, *inputs: xr.Dataset) -> xr.Dataset:
        """Return a fit with its source again.

        Parameters
        ----------
        kept : Dataset
        *inputs : response
            The pairs that it was fitted on; the first is the source.
        """
        shown = averaged(inputs[0], "source").sel(stimulus=kept["stimulus"].values)
        mean, scale = kept["source_mean"].values, kept["source_scale"].values
        source = standardized(shown["bold"].values, mean, scale)
        attrs = {name: value for name, value in kept.attrs.items() if name != LEFT_OUT}
        found = kept.assign(source=(("pair", "vertex"), source))
        found.attrs = attrs
        return found

    def _coefficients(
        self, x: np.ndarray, solution: Solution, bands: Banded | None
    ) -> dict[str, Any]:
        n, p, t = (*x.shape, solution.dual.shape[1])
        dual = self.form == "dual" or (self.form == "auto" and n * (p + t) < p * t)
        found: dict[str, Any] = {}
        band = gamma = None
        if bands is not None:
            band, gamma = bands.band, bands.weights[solution.candidate].T
            found |= {"band": ("vertex", band), "band_weight": (("band", "voxel"), gamma)}
            found["band_name"] = ("band", list(bands.names))
        if dual:
            kept = {"dual": (("pair", "voxel"), solution.dual), "source": (("pair", "vertex"), x)}
        else:
            weights = formed(x, solution.dual, band, gamma)
            kept = {"weights": (("vertex", "voxel"), weights)}
        return {**found, **kept}

    def _fold(self, pairs: Pairs) -> np.ndarray:
        """Return which fold holds each row out; groups stay whole."""
        groups = pairs.groups(self.groups)
        if (count := len(np.unique(groups))) < self.folds:
            raise ParameterError(
                f"folds: {self.folds} folds cannot be made of {count} groups of '{self.groups}'; "
                f"allowed: 2 to {count}"
            )
        return dealt(groups, self.folds, generator(0, "folds"))

    def _edge_note(self, alpha: np.ndarray) -> str:
        """Say how many voxels took the first or the last penalty of a grid."""
        grid = np.sort(np.array(self.alphas or (), np.float32))
        if len(grid) < 2:
            return ""
        low, high = (int((alpha == edge).sum()) for edge in (grid[0], grid[-1]))
        if not low + high:
            return ""
        return (
            f"alpha at the edge of its grid in {low + high} of {len(alpha)} voxels ({low} at "
            f"{grid[0]:g}, {high} at {grid[-1]:g}): a wider grid may suit them better"
        )

    def adapted(self, bold: np.ndarray, fitted: xr.Dataset) -> np.ndarray:
        """Return voxels, float32 (..., voxel)."""
        mean, scale = fitted["source_mean"].values, fitted["source_scale"].values
        result = np.empty((*bold.shape[:-1], fitted.sizes["voxel"]), np.float32)
        flat, rows_of = result.reshape(-1, result.shape[-1]), bold.reshape(-1, bold.shape[-1])
        apply = _applied(fitted)
        for start in range(0, len(flat), ROWS):
            rows = slice(start, start + ROWS)
            flat[rows] = apply(standardized(rows_of[rows], mean, scale))
        result *= fitted["target_scale"].values
        result += fitted["target_mean"].values
        return result


def _applied(fitted: xr.Dataset) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes standardised voxels of standardised vertices."""
    if "weights" in fitted:
        weights = on_device(fitted["weights"].values)
        return lambda rows: fetched(on_device(rows) @ weights)
    known, dual = fitted["source"].values, fitted["dual"].values
    if "band" not in fitted:
        known, dual = on_device(known), on_device(dual)
        return lambda rows: fetched(predicted(on_device(rows), known, dual, None, None))
    band, gamma = fitted["band"].values, fitted["band_weight"].values
    return lambda rows: predicted(rows, known, dual, band, gamma)


def _targets(y: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> Callable[[slice], Array]:
    return lambda part: on_device(standardized(y[:, part], mean[part], scale[part]))
