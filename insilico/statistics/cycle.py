"""Picture, response, decoded picture, response again: how much of the first comes back."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt

from insilico.errors import SchemaError, listed
from insilico.schema import check, require_varying
from insilico.spaces import atlases, fsaverage5, regions
from insilico.statistics.attainable import of_orders
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.intervals import bca, told
from insilico.statistics.permutations import above_null, unit_columns
from insilico.step import Step, generator

Floats = NDArray[np.float64]


def agreements(first: np.ndarray, second: np.ndarray) -> Floats:
    """Return Pearson's r over places of every first response with every second, (n, n).

    Parameters
    ----------
    first, second : (stimulus, place)
        A response that is the same at all places agrees with nothing: 0.
    """
    one, other = (
        unit_columns(np.ascontiguousarray(part.T, np.float64)) for part in (first, second)
    )
    return (one.T @ other).astype(np.float64)


def others(similarity: Floats) -> Floats:
    """Return each item's mean over pairs with other items, (item,); rows and columns alike."""
    n = len(similarity)
    return (similarity.sum(0) + similarity.sum(1) - 2 * similarity.diagonal()) / (2 * (n - 1))


def matched_test(cross: Floats, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Test matched against mismatched pairs, one-sided.

    Parameters
    ----------
    cross : (region, stimulus, stimulus)
        Agreement of every first response with every second.
    n : int
        Permutations of stimuli; one order serves all regions.

    Returns
    -------
    p, p_corrected : (region,)
        Corrected by the maximum over regions, in units of each region's spread.
    """
    rows = np.arange(cross.shape[1])
    null = [cross[:, rows, rng.permutation(rows)].mean(1) for _ in range(n)]
    own = np.diagonal(cross, axis1=1, axis2=2).mean(1)
    return above_null(np.round(own, 12), np.round(null, 12))


class Cycle(Step):
    """Agreement of the response to a picture with the response to what was decoded from it.

    Every vertex is standardised by the encoder's responses to training stimuli; within a region the
    two patterns are correlated over vertices, stimulus by stimulus.

    Parameters
    ----------
    of : list of str
        Conditions, each one a metric.
    by : str
        Atlas whose regions are reported.
    n : int
        Permutations of stimuli, and ten times as many sign flips.
    seed : int
    """

    kind: ClassVar[str] = "cycle"
    version: ClassVar[int] = 3
    of: tuple[str, ...] = Field(min_length=1)
    by: str = "yeo7"
    n: PositiveInt = 2000
    seed: NonNegativeInt = 0

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the datasets that it is called with."""
        return ("training", "responses", "again")

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return {self.by: atlases.load(self.by).digest}

    def __call__(self, training: xr.Dataset, *responses: xr.Dataset) -> xr.Dataset:
        """Estimate the agreement.

        Parameters
        ----------
        training : response on fsaverage5
            Of the encoder, to training stimuli.
        *responses : response on fsaverage5, (stimulus, vertex)
            The first ones of all conditions, then the second ones.

        Returns
        -------
        estimate, (contrast, metric): regions and conditions
            `effect` is the mean agreement; `chance_level` that of mismatched pairs, a first
            response with the second ones of other stimuli, tested by permuting stimuli. `apart` is
            the agreement of second responses to *other* stimuli among each other, which is high
            where a decoder draws the same whatever it is given; `above_apart`, with `_low`,
            `_high` and `_p`, is effect minus that. `r` (metric, vertex) is the correlation of first
            and second over stimuli.

        Raises
        ------
        SchemaError
        """
        pairs = self._pairs(responses)
        self.require(training, *responses)
        mean, scale = _standard(training)
        names, masks = regions.each(self.by, training)
        tables, maps = [], []
        for label, pair in zip(self.of, pairs, strict=True):
            one, two = ((part["bold"].values - mean) * scale for part in pair)
            tables.append(self._table(label, one, two, masks))
            maps.append((unit_columns(one) * unit_columns(two)).sum(0))
        lesions = [one.attrs["lesion"] for pair in pairs for one in pair if "lesion" in one.attrs]
        about = pairs[0][0].attrs | ({"lesion": lesions[0]} if lesions else {})
        return self._labelled(names, tables, np.stack(maps), about)

    def _pairs(self, responses: tuple[xr.Dataset, ...]) -> list[tuple[xr.Dataset, xr.Dataset]]:
        if len(responses) != 2 * len(self.of):
            raise SchemaError(
                f"cycle: {len(self.of)} conditions ({listed(self.of)}) need as many first and "
                f"second responses, {2 * len(self.of)} in all; {len(responses)} are given"
            )
        half, pairs = len(self.of), []
        for label, first, second in zip(self.of, responses[:half], responses[half:], strict=True):
            pairs.append((_checked(first, label), _checked(second, f"{label}, seen again")))
            ids = [part["stimulus"].values.astype(str) for part in pairs[-1]]
            if len(ids[0]) != len(ids[1]) or not np.char.startswith(ids[1], ids[0]).all():
                raise SchemaError(
                    f"cycle: '{label}' was encoded again for other stimuli, or in another order: "
                    f"{listed(ids[0], 3)} against {listed(ids[1], 3)}"
                )
        return pairs

    def require(self, *given: xr.Dataset) -> None:
        """Raise if there are too few stimuli to mismatch."""
        for one in given[1:]:
            if (n := one.sizes.get("stimulus", 3)) < 3:
                raise SchemaError(
                    f"cycle: mismatched pairs of {n} stimuli tell nothing; show 3 or more"
                )

    def _table(
        self, label: str, first: np.ndarray, second: np.ndarray, masks: np.ndarray
    ) -> dict[str, Floats]:
        """Return the rows of one condition, each over regions."""
        cross = np.stack([agreements(first[:, m], second[:, m]) for m in masks])
        within = np.stack([agreements(second[:, m], second[:, m]) for m in masks])
        own = np.diagonal(cross, axis1=1, axis2=2).T  # (stimulus, region)
        mismatched, apart = (np.stack([others(s) for s in part], 1) for part in (cross, within))
        (low, high), (lower, upper) = (
            bca(values, self._rng("interval")) for values in (own, own - apart)
        )
        p, corrected = matched_test(cross, self.n, self._rng(f"permutation {label}"))
        rows = {"effect": own.mean(0), "ci_low": low, "ci_high": high, "p": p}
        rows |= {"p_corrected": corrected, "n": np.full(len(masks), float(len(own)))}
        rows |= {"chance_level": mismatched.mean(0), "apart": apart.mean(0)}
        rows |= {"above_apart": (own - apart).mean(0), "above_apart_low": lower}
        flips = sign_flip_test(own - apart, 10 * self.n, self._rng("flips"))
        return rows | {"above_apart_high": upper, "above_apart_p": flips[1]}

    def _labelled(
        self,
        names: list[str],
        tables: list[dict[str, Floats]],
        maps: np.ndarray,
        of: dict[str, Any],
    ) -> xr.Dataset:
        loaded = atlases.load(self.by)
        colours = dict(zip(loaded.regions, loaded.colours, strict=True))
        rows: dict[str, Any] = {
            key: (("contrast", "metric"), np.stack([table[key] for table in tables], 1))
            for key in tables[0]
        }
        stimuli = int(tables[0]["n"][0])
        maps = np.where(fsaverage5.medial_wall(), np.nan, maps).astype(np.float32)
        coords = {"contrast": names, "metric": list(self.of), **fsaverage5.coordinates()}
        made = xr.Dataset(
            rows | {"r": (("metric", "vertex"), maps)}, coords, self._about(of, stimuli)
        )
        return check(
            made.assign_coords(colour=("contrast", [colours[n] for n in names])), "estimate"
        )

    def _about(self, of: dict[str, Any], stimuli: int) -> dict[str, Any]:
        return {
            "statistic": "agreement of first and second response: mean r over a region's vertices",
            "test": f"matched > mismatched pairs: {self.n} permutations of stimuli, one-sided",
            "null": "second responses belong to any of the stimuli",
            "correction": "maximum over regions, in units of the null's spread, per condition",
            "interval": told("bca"),
            "unit_of_inference": "stimulus",
            "smallest_p": of_orders(self.n, stimuli),
            "atlas": self.by,
            "caution": "one encoder gives both responses: what it does not see cannot be missed",
            **{k: of[k] for k in ("source", "note", "lesion") if k in of},
        }

    def _rng(self, what: str) -> np.random.Generator:
        return generator(self.seed, "cycle", what)


def _checked(response: xr.Dataset, name: str) -> xr.Dataset:
    fsaverage5.check_order(check(response, "response", space="fsaverage5"))
    require_varying(response, f"cycle: {name}", fsaverage5.cortex())
    return response


def _standard(training: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and 1 / standard deviation of each vertex over training stimuli."""
    bold = check(training, "response", space="fsaverage5")["bold"].values
    spread = bold.std(0, dtype=np.float64)
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    return bold.mean(0, dtype=np.float64), scale
