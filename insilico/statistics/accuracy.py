"""How well an encoder predicts measured responses, region by region, against the noise ceiling."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.errors import SchemaError
from insilico.schema import check
from insilico.spaces import fsaverage5, regions
from insilico.statistics.attainable import of_orders
from insilico.statistics.map_tests import against_elsewhere
from insilico.statistics.measured import Measured, Source, measured_of, require_repeats
from insilico.statistics.nulls import named
from insilico.statistics.permutations import above_null, unit_columns
from insilico.statistics.places import vertices
from insilico.step import Step, generator

CHUNK = 2048
SAID = ("source", "note", "ceiling_from")


def region_products(x: np.ndarray, y: np.ndarray, labels: np.ndarray, regions: int) -> np.ndarray:
    """Return the mean over a region's vertices of ``x_i y_j``, (region, stimulus i, stimulus j).

    With standardised columns the trace of a region's matrix is its mean correlation, and the sum
    over ``(pi(i), i)`` the one after the stimuli of `x` were permuted by pi: exact, without going
    back to the vertices.
    """
    means = [x[:, labels == k] @ y[:, labels == k].T / (labels == k).sum() for k in _range(regions)]
    return np.stack(means).astype(np.float64)


def _range(regions: int) -> range:
    return range(1, regions + 1)


def permutation_test(
    products: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Test each region's mean correlation > 0 by permuting stimuli.

    Returns
    -------
    p, p_corrected : (region,)
        See `above_null`.
    """
    items = np.arange(products.shape[1])
    observed = np.einsum("kii->k", products)
    null = np.array([products[:, rng.permutation(items), items].sum(1) for _ in range(n)])
    return above_null(observed, null)


def bootstrap_correlations(
    x: np.ndarray, y: np.ndarray, labels: np.ndarray, regions: int, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return each region's mean correlation for `n` resamples of the stimuli, (n, region)."""
    items = len(x)
    weights = rng.multinomial(items, np.full(items, 1 / items), size=n).astype(np.float32) / items
    total, count = np.zeros((n, regions)), np.bincount(labels, minlength=regions + 1)[1:]
    for start in range(0, x.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        a, b, own = x[:, part], y[:, part], labels[part]
        mean_a, mean_b = weights @ a, weights @ b
        spread = (weights @ (a * a) - mean_a**2) * (weights @ (b * b) - mean_b**2)
        product = weights @ (a * b) - mean_a * mean_b
        r = np.divide(
            product,
            np.sqrt(np.maximum(spread, 0)),
            out=np.zeros_like(product),
            where=spread > 1e-12,
        )
        for k in _range(regions):
            total[:, k - 1] += r[:, own == k].sum(1)
    return total / count


class EncodingAccuracy(Step):
    """Correlation of predicted with measured responses across stimuli, by region.

    Parameters
    ----------
    by : str
        Atlas (or labels of the measurement's own, such as ``floc-faces``) whose regions are
        reported.
    ceiling : {"noise", "ncsnr"}
        Noise ceiling of the mean over repeats, from these (anova), or from NSD's ncsnr maps.
    null : {"spin", "variogram"}
        Null of "better or worse than elsewhere": surrogates of the map of r - sqrt(noise
        ceiling) against the regions. That r > 0 is tested by permuting stimuli.
    n : int
        Permutations, surrogates and resamples.
    seed : int
    """

    kind: ClassVar[str] = "encoding_accuracy"
    version: ClassVar[int] = 4
    own_labels: ClassVar[bool] = True
    by: str = "yeo7"
    ceiling: Source = "noise"
    null: Literal["spin", "variogram"] = "spin"
    n: PositiveInt = 1000
    seed: NonNegativeInt = 0

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return regions.digests(self.by)

    def __call__(self, prediction: xr.Dataset, measured: xr.Dataset) -> xr.Dataset:
        """Estimate the accuracy.

        Parameters
        ----------
        prediction : response@fsaverage5, (stimulus, vertex)
        measured : response@fsaverage5, (repeat, stimulus, vertex)

        Returns
        -------
        estimate over contrast (the regions). By vertex: `r`, the `noise_ceiling` in R² units, not
        clipped, and `gap_map`, r minus the root of the ceiling (of 0 where it is negative). By
        region: `ceiling` and `gap`, the means of that root and of the map.
        """
        predicted, repeats = aligned(prediction, measured, self.kind, self.ceiling)
        named_regions = regions.numbered(self.by, measured)
        x, y = unit_columns(predicted), unit_columns(repeats.mean())
        r = (x * y).sum(0, dtype=np.float64)
        noise_ceiling, wall = repeats.ceiling(), fsaverage5.medial_wall()
        r[wall], noise_ceiling[wall] = np.nan, np.nan
        attrs = {**prediction.attrs, **measured.attrs, **repeats.about()}
        return self._estimate(x, y, r, noise_ceiling, named_regions, attrs)

    def _estimate(
        self,
        x: np.ndarray,
        y: np.ndarray,
        r: np.ndarray,
        noise_ceiling: np.ndarray,
        named_regions: tuple[list[str], np.ndarray],
        attrs: dict[str, object],
    ) -> xr.Dataset:
        names, labels = named_regions
        ceiling = np.sqrt(np.clip(noise_ceiling, 0, None))  # of r; what is stored is not clipped
        k, gap = len(names), r - ceiling
        p, corrected = permutation_test(region_products(x, y, labels, k), self.n, self._rng("r"))
        draws = bootstrap_correlations(x, y, labels, k, self.n, self._rng("interval"))
        elsewhere, p_spin, spin_corrected = against_elsewhere(
            gap, labels, k, vertices(), named(self.null), self.n, self.seed
        )
        low, high = np.percentile(draws, [2.5, 97.5], axis=0)
        rows = {
            "effect": _means(r, labels, k),
            "ci_low": low,
            "ci_high": high,
            "p": p,
            "p_corrected": corrected,
            "n": np.full(k, len(x)),
            "ceiling": _means(ceiling, labels, k),
            "gap": _means(gap, labels, k),
            "gap_against_elsewhere": elsewhere,
            "p_spin": p_spin,
            "p_spin_corrected": spin_corrected,
        }
        maps = {"r": r, "noise_ceiling": noise_ceiling, "gap_map": gap}
        return xr.Dataset(
            {name: ("contrast", values) for name, values in rows.items()}
            | {name: ("vertex", values.astype(np.float32)) for name, values in maps.items()},
            coords={
                "contrast": names,
                "colour": ("contrast", regions.colours(self.by, names)),
                "region_label": ("vertex", labels.astype(np.int16)),
                **fsaverage5.coordinates(),
            },
            attrs={
                "statistic": "mean over vertices of Pearson r across stimuli",
                "test": f"r > 0: {self.n} permutations of stimuli, one-sided",
                "null": f"better or worse than elsewhere: {self.n} surrogates ({self.null}) "
                "of r - sqrt(noise ceiling), two-sided",
                "correction": f"maximum over the {k} regions",
                "interval": f"95 % percentile, {self.n} resamples of stimuli",
                "unit_of_inference": "stimulus",
                "smallest_p": of_orders(self.n, len(x)),
                "atlas": self.by,
                **{name: attrs[name] for name in SAID if name in attrs},
            },
        )

    def _rng(self, what: str) -> np.random.Generator:
        return generator(self.seed, "encoding accuracy", what)


def _means(values: np.ndarray, labels: np.ndarray, regions: int) -> np.ndarray:
    return np.array([np.nanmean(values[labels == k]) for k in _range(regions)])


def aligned(
    prediction: xr.Dataset, measured: xr.Dataset, who: str, ceiling: Source
) -> tuple[np.ndarray, Measured]:
    """Return the prediction (stimulus, vertex) and the repeats, both on fsaverage5."""
    check(prediction, "response", space="fsaverage5")
    check(measured, "response", space="fsaverage5")
    fsaverage5.check_order(prediction)
    fsaverage5.check_order(measured)
    require_repeats(measured, who, ceiling)
    repeats = measured_of(measured, prediction["stimulus"].values, who, ceiling)
    predicted, cortex = prediction["bold"].values, fsaverage5.cortex()
    for name, values in (("prediction", predicted), ("measurement", repeats.mean())):
        constant = int((values[:, cortex].std(0) < 1e-9).sum())
        if constant > len(cortex) // 2:
            raise SchemaError(
                f"{who}: the {name} is constant across stimuli in {constant} of "
                f"{len(cortex)} cortical vertices; correlation is not defined there"
            )
    return predicted, repeats
