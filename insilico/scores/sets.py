"""Scores of sets: how far the reconstructions, all together, lie from the stimuli.

They say nothing of any one picture: a decoder that ignores the brain and paints good pictures does
well. Too small a sample makes them large and changes rankings; that is refused.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt

from insilico.errors import SchemaError
from insilico.schema import check
from insilico.scores.embeddings import FeatureScore, embedded
from insilico.scores.score import drawn
from insilico.step import generator


class SetScore(FeatureScore):
    """Base of scores of sets; the result has no stimulus dimension.

    Parameters
    ----------
    features, weights, protocol
        See `FeatureScore`.
    allow_small : bool
        Compute it on too few pictures; the metric then carries a `warning`.
    """

    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    allow_small: bool = False

    def least(self, width: int) -> tuple[int, str]:
        """Return the fewest pictures at which it means something, and why."""
        raise NotImplementedError(self.kind)

    def between(self, shown: np.ndarray, made: np.ndarray, draw: int) -> tuple[float, float]:
        """Return the score of features (n, p) and (n, p), and its standard error."""
        raise NotImplementedError(self.kind)

    def __call__(self, reconstruction: xr.Dataset, stimuli: xr.Dataset) -> xr.Dataset:
        """Score each draw's set.

        Parameters
        ----------
        reconstruction : reconstruction, (stimulus, draw)
        stimuli : stimuli
            What was shown, with the same ids.

        Returns
        -------
        score, (draw, metric) with one metric
            `error` is the standard error over subsets, where there are some; `warning` says
            what was allowed. There is no chance level: no item is matched with another.

        Raises
        ------
        SchemaError
            If there are too few pictures.
        """
        check(reconstruction, "reconstruction")
        shown = self._shown(check(stimuli, "stimuli"), reconstruction)
        most, read = self.room(), self.reader()
        truth = embedded(shown["image"].values, read, most).astype(np.float64)
        warning = self._warned(*truth.shape)
        found = [
            self.between(truth, embedded(draw, read, most).astype(np.float64), k)
            for k, draw in enumerate(drawn(reconstruction))
        ]
        value, error = np.array(found).T
        score = self.labelled(value, float("nan"), reconstruction)
        return score.assign(error=(("draw", "metric"), error[:, None])).assign_coords(
            warning=("metric", [warning])
        )

    def _warned(self, n: int, width: int) -> str:
        least, why = self.least(width)
        if n >= least:
            return ""
        said = f"{n} pictures are too few, {least} are needed: {why}"
        if not self.allow_small or n < 3:
            raise SchemaError(
                f"{self.label}: {said}; show more, use features of fewer dimensions, or write "
                "'allow_small: true' and do not compare the number with any other"
            )
        return said


class Fid(SetScore):
    """Fréchet distance of the features of two sets, each taken for normally distributed.

    Parameters
    ----------
    features, weights, protocol, allow_small
        See `SetScore`. With ``inception`` these are torchvision's weights; published FIDs use
        TensorFlow's and differ.
    infinity : bool
        Extrapolate to endless samples (Chong and Forsyth 2020): the intercept of the distance at
        sizes from half of the pictures to all, against one over the size.
    seed : int
        Of the choice of pictures at each size.
    """

    kind: ClassVar[str] = "fid"
    definition: ClassVar[str] = (
        "Frechet distance of features: means, and covariances of n - 1 degrees of freedom"
    )
    infinity: bool = False
    seed: NonNegativeInt = 0

    def called(self) -> str:
        """Return the features, the kind, and whether it is extrapolated."""
        return super().called().replace("_fid", "_fid_infinity" if self.infinity else "_fid")

    def least(self, width: int) -> tuple[int, str]:
        """Return one picture more than there are features."""
        return width + 1, f"covariances of {width} features are singular below"

    def between(self, shown: np.ndarray, made: np.ndarray, draw: int) -> tuple[float, float]:
        """Return the distance; it has no standard error."""
        if not self.infinity:
            return frechet(shown, made), float("nan")
        n, rng = len(shown), generator(self.seed, "fid", draw)
        sizes = np.unique(np.linspace(max(2, n // 2), n, 8).astype(int))
        found = [frechet(*(rng.permutation(x)[:size] for x in (shown, made))) for size in sizes]
        return float(np.polyfit(1 / sizes, found, 1)[1]), float("nan")


SUBSET = 50
"""Pictures of a subset below which a kernel distance carries a warning."""


class Kid(SetScore):
    """Kernel distance of the features of two sets, unbiased: it may fall below zero.

    Parameters
    ----------
    features, weights, protocol, allow_small
        See `SetScore`.
    subset, subsets : int
        Pictures in a subset, and their number; the mean over them is the score. Below 50 pictures
        it carries a `warning`.
    seed : int
        Of the subsets.
    """

    kind: ClassVar[str] = "kid"
    definition: ClassVar[str] = (
        "unbiased squared maximum mean discrepancy, kernel (x.y / p + 1)^3, mean over subsets"
    )
    subset: Annotated[int, Field(ge=2)] = SUBSET
    subsets: Annotated[int, Field(ge=2)] = 100
    seed: NonNegativeInt = 0

    def least(self, width: int) -> tuple[int, str]:
        """Return twice the size of a subset."""
        return 2 * self.subset, f"subsets of {self.subset} are nearly the same below"

    def _warned(self, n: int, width: int) -> str:
        said = super()._warned(n, width)
        few = (
            f"subsets of {self.subset} pictures, fewer than {SUBSET}: the number is of these few "
            f"pictures, and its error, over subsets of the same ones, does not tell how far other "
            f"pictures' would lie; compare it with no other"
        )
        return "; ".join(filter(None, [said, few if self.subset < SUBSET else ""]))

    def between(self, shown: np.ndarray, made: np.ndarray, draw: int) -> tuple[float, float]:
        """Return the mean over subsets and its standard error over them."""
        rng, size = generator(self.seed, "kid", draw), min(self.subset, max(2, len(shown) // 2))
        found = [
            kernel_distance(*(x[rng.choice(len(x), size, replace=False)] for x in (shown, made)))
            for _ in range(self.subsets)
        ]
        return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(self.subsets))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared Fréchet distance of two normal distributions fitted to (n, p), (m, p).

    ``|mean a - mean b|² + tr(A + B - 2 (A^½ B A^½)^½)``. The last trace is the sum of the
    singular values of ``A^½ B^½``; with centred data X = A^½ up to a rotation it is that of
    ``Xa Xbᵀ``, so nothing of size p × p is formed where p exceeds n.
    """
    x, y = ((v - v.mean(0)) / np.sqrt(len(v) - 1) for v in (a, b))
    if a.shape[1] < min(len(a), len(b)):
        values, vectors = np.linalg.eigh(x.T @ x)
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        inner = np.linalg.eigvalsh(root @ (y.T @ y) @ root)
        shared = np.sqrt(np.maximum(inner, 0)).sum()
    else:
        shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(apart + (x**2).sum() + (y**2).sum() - 2 * shared)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the unbiased squared maximum mean discrepancy of (n, p) and (m, p)."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        alike = kernel(x, x)
        return (alike.sum() - np.trace(alike)) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())
