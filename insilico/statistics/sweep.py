"""Every region's silence at the cost of one pass: what each of many lesions changes in a read-out.

Through a linear adapter y = x W + b a lesion changes the read-out by the lost part alone:
``y_without = y - (x_region - fill_region) W_region``. Each row of W is used once in a sweep over a
parcellation, so that all parcels together cost about what one application does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, model_validator

from insilico.errors import SpaceError
from insilico.schema import LESION, check, place_of
from insilico.spaces import atlases, fsaverage5, regions
from insilico.spaces.distances import discs
from insilico.spaces.linear import Linear, linear
from insilico.statistics.maps import with_maps
from insilico.step import Step, batches

Floats = NDArray[np.float32]
Pieces = Sequence[NDArray[np.int64]]
MAPPED = ("effect", "share", "ci_low", "ci_high")
MEMORY = 2**28
"""Bytes of weights that are held at once, if one lesion does not need more."""


def changes(lost: Floats, weights: Floats, pieces: Pieces) -> Iterator[Floats]:
    """Yield what each lesion changes in the read-out: the intact one minus the lesioned.

    Parameters
    ----------
    lost : float32, (stimulus, vertex)
        Response minus fill.
    weights : float32, (vertex, output)
    pieces : list of int array
        Vertices of each lesion. Those of slices, such as ``np.arange(10, 60)``, are not copied.

    Yields
    ------
    float32, (stimulus, output)
        Valid until the next one: it lies in the same place.
    """
    buffer = np.empty((len(lost), weights.shape[1]), np.float32)
    for vertices in pieces:
        some = _as_slice(vertices)
        yield np.matmul(lost[:, some], weights[some], out=buffer)


def _as_slice(vertices: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    whole = len(vertices) > 0 and (np.diff(vertices) == 1).all()
    return slice(int(vertices[0]), int(vertices[-1]) + 1) if whole else vertices


def sorted_by_piece(
    lost: Floats, adapter: Linear, pieces: Pieces
) -> tuple[Floats, Floats, list[NDArray[np.int64]]]:
    """Return responses and weights with the vertices of each piece side by side.

    Parameters
    ----------
    lost : float32, (stimulus, vertex)
    adapter : Linear
    pieces : list of int array
        That share no vertex.
    """
    order = np.concatenate(pieces)
    edges = np.cumsum([0, *map(len, pieces)])
    slices = [np.arange(a, b) for a, b in pairwise(edges)]
    return np.ascontiguousarray(lost[:, order]), adapter.weights(order), slices


def sizes(lost: Floats, adapter: Linear, pieces: Pieces, at_once: int = 1024) -> NDArray:
    """Return how much each lesion changes the read-out of each stimulus, (piece, stimulus).

    The root of the sum of squares over outputs. Weights are formed for `at_once` vertices, or one
    piece, at a time.

    Parameters
    ----------
    lost : float32, (stimulus, vertex)
        Response minus fill.
    adapter : Linear
    pieces : list of int array
        Vertices of each lesion; they may overlap.
    at_once : int
        Vertices whose weights are held.
    """
    found = []
    for group in _groups(pieces, at_once):
        for (part,) in batches([group], 1, "sweep"):
            vertices, place = np.unique(np.concatenate(part), return_inverse=True)
            weights = adapter.weights(vertices)
            edges = np.cumsum([len(one) for one in part])[:-1]
            inner = [np.sort(one) for one in np.split(place, edges)]
            for change in changes(lost[:, vertices], weights, inner):
                found.append(np.einsum("st,st->s", change, change))
    return np.sqrt(np.array(found, np.float64))


def _groups(pieces: Pieces, at_once: int) -> Iterator[list[NDArray[np.int64]]]:
    """Cut pieces into runs of so many vertices in all, at least one piece each."""
    group: list[NDArray[np.int64]] = []
    for piece in pieces:
        if group and sum(map(len, group)) + len(piece) > at_once:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


class Sweep(Step):
    """Silence every region of an atlas, or every disc of cortex, and measure what is lost.

    Parameters
    ----------
    by : str, optional
        Atlas whose regions are silenced one by one.
    radius : float, optional
        In mm along the cortex, in the place of an atlas: a disc around every vertex.
    fill : {"mean", "zero"}
        Of silenced vertices: their mean over the training stimuli, or 0.
    readout : {"voxels", "decoder"}
        Where the change is measured: what the adapter gives, or the decoder's linear entry.
    """

    kind: ClassVar[str] = "sweep"
    by: str | None = None
    radius: Annotated[float, Field(gt=0, le=100)] | None = None
    fill: Literal["mean", "zero"] = "mean"
    readout: Literal["voxels", "decoder"] = "voxels"

    @model_validator(mode="after")
    def _one_of_both(self) -> Sweep:
        if (self.by is None) == (self.radius is None):
            raise ValueError("sweep goes through an atlas (by) or discs (radius, in mm): name one")
        return self

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return {self.by: atlases.load(self.by).digest} if self.by else {}

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the datasets that it is called with."""
        entry = ("entry",) if self.readout == "decoder" else ()
        return ("prediction", "adapter", "training", *entry)

    def __call__(
        self,
        prediction: xr.Dataset,
        adapter: xr.Dataset,
        training: xr.Dataset,
        entry: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """Measure the change by every lesion.

        Parameters
        ----------
        prediction : response on fsaverage5
        adapter : Dataset
            Of a linear adapter's `fit`.
        training : response on fsaverage5
            To training stimuli, whose means fill.
        entry : Dataset, optional
            ``weight`` (hidden, voxel) of the decoder.

        Returns
        -------
        estimate, (contrast)
            Each region, or the mean over all discs. `effect` is the root mean square over outputs
            of the change, mean over stimuli; `share` its square over the variance of the intact
            read-out over stimuli; `effect_map` (vertex) is the effect of each vertex's region or
            disc, with `share_map`, `ci_low_map` and `ci_high_map` for discs.
        """
        check(prediction, "response", space="fsaverage5")
        check(training, "response", space="fsaverage5")
        fsaverage5.check_order(prediction)
        place = place_of(training)
        if training.sizes[place] != prediction.sizes[place]:
            raise SpaceError(f"sweep: the training responses have {dict(training.sizes)}")
        shown, fill = prediction["bold"].values, np.zeros(fsaverage5.N_VERTICES, np.float32)
        if self.fill == "mean":
            fill = training["bold"].values.mean(0, dtype=np.float64).astype(np.float32)
        through = linear(adapter)
        if entry is not None:
            through = through.through(entry["weight"].values)
        names, pieces = self._pieces(prediction)
        small = through.compact()
        at_once = max(1024, MEMORY // (4 * small.outputs))
        found = sizes(shown - fill, small, pieces, at_once) / np.sqrt(through.outputs)
        spread = _spread(shown, small, at_once) / through.outputs
        rows = self._rows(found, spread)
        if self.radius is None:
            maps = {"effect_map": _painted(pieces, rows["effect"])}
        else:
            names = [f"mean of discs of {self.radius:g} mm"]
            centres = list(fsaverage5.cortex()[:, None])
            maps = {f"{name}_map": _painted(centres, rows[name]) for name in MAPPED}
            rows = self._rows(found.mean(0, keepdims=True), spread)
            rows["share"][:] = np.nanmean(maps["share_map"])
        estimate = with_maps(rows, maps, names, self.by, prediction, **self._attrs())
        return check(estimate, "estimate")

    def _pieces(self, prediction: xr.Dataset) -> tuple[list[str], list[NDArray[np.int64]]]:
        if self.radius is not None:
            return [], list(discs(self.radius, fsaverage5.cortex()))
        names, masks = regions.each(self.by, prediction)
        return names, [np.flatnonzero(mask) for mask in masks]

    def _rows(self, found: NDArray, spread: float) -> dict[str, NDArray]:
        """Return effect and interval of changes (lesion, stimulus)."""
        from scipy.stats import t

        n = found.shape[1]
        error = found.std(1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(found), np.nan)
        half, effect = t.ppf(0.975, max(n - 1, 1)) * error, found.mean(1)
        rows = {"effect": effect, "ci_low": effect - half, "ci_high": effect + half}
        rows |= {"share": (found**2).mean(1) / spread, "n": np.full(len(effect), float(n))}
        rows |= {name: np.full(len(effect), np.nan) for name in ("p", "p_corrected")}
        return rows

    def _attrs(self) -> dict[str, str]:
        where = {"voxels": "the adapter's voxels", "decoder": "the decoder's linear entry"}
        return {
            "statistic": f"change of {where[self.readout]} by each lesion, root mean square",
            "test": "none: a change is never negative; hold a region against matched controls",
            "null": "none",
            "correction": "none",
            "interval": "95 % t over stimuli",
            "fill": self.fill,
            "lesion": LESION,
        }


def _spread(shown: Floats, adapter: Linear, at_once: int) -> float:
    """Return the variance of the intact read-out over stimuli, summed over outputs."""
    made = np.zeros((len(shown), adapter.outputs), np.float32)
    for start in range(0, shown.shape[1], at_once):
        some = np.arange(start, min(start + at_once, shown.shape[1]))
        made += shown[:, some] @ adapter.weights(some)
    variance = float(made.var(0, dtype=np.float64).sum())
    return variance if variance > 0 else np.nan


def _painted(pieces: Pieces, values: NDArray) -> NDArray:
    """Return a map in which each piece has its value; NaN elsewhere."""
    made = np.full(fsaverage5.N_VERTICES, np.nan)
    for piece, value in zip(pieces, values, strict=True):
        made[piece] = value
    return made
