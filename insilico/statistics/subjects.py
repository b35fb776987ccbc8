"""How far subjects agree, vertex by vertex: leave-one-out and pairwise correlations.

All of it follows from the correlations of pairs: the mean of z-scored responses of several
subjects correlates with a subject as sums over pairs do, without going back to the stimuli.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.errors import SchemaError, counted, listed
from insilico.schema import check, place_of
from insilico.spaces import atlases, regions
from insilico.statistics.attainable import of_orders
from insilico.statistics.maps import with_maps
from insilico.statistics.permutations import above_null, unit_columns
from insilico.step import Step, generator

BLOCK = 512


def pairs(responses: np.ndarray) -> np.ndarray:
    """Return the correlation of every pair of subjects across stimuli, (subject, subject, place).

    Parameters
    ----------
    responses : float32 (subject, stimulus, place)
        Columns of mean zero and length one, see `unit_columns`.
    """
    count, _, places = responses.shape
    found = np.ones((count, count, places), np.float32)
    for s, t in combinations(range(count), 2):
        found[s, t] = found[t, s] = np.einsum("iv,iv->v", responses[s], responses[t])
    return found


def leave_one_out(r: np.ndarray) -> np.ndarray:
    """Return each subject's correlation with the mean of the others, (subject, place).

    Parameters
    ----------
    r : (subject, subject, place)
        Of pairs; the others are z-scored before they are averaged.
    """
    own = np.einsum("ssv->sv", r)
    across = r.sum(1) - own
    others = r.sum((0, 1)) - 2 * r.sum(1) + own
    return across / np.sqrt(np.maximum(others, 1e-12))


def with_oneself(r: np.ndarray) -> np.ndarray:
    """Return each subject's correlation with the mean of all, itself included: an upper bound."""
    return r.sum(1) / np.sqrt(np.maximum(r.sum((0, 1)), 1e-12))


def of_pairs(r: np.ndarray) -> np.ndarray:
    """Return each subject's mean correlation with another one, averaged as Fisher's z."""
    count = len(r)
    z = fisher(np.where(np.eye(count, dtype=bool)[..., None], 0, r))
    return np.tanh(z.sum(1) / (count - 1))


def corrected(r: np.ndarray) -> np.ndarray:
    """Return the leave-one-out correlation with the mean of endlessly many subjects.

    Divided by the root of the reliability of the mean of the others (Spearman and Brown, from the
    mean correlation of pairs): it does not depend on how many subjects there are. NaN where pairs
    do not correlate above zero.
    """
    count = len(r)
    mean = np.tanh(fisher(of_pairs(r)).mean(0))
    reliability = (count - 1) * mean / (1 + (count - 2) * mean)
    with np.errstate(invalid="ignore"):
        return leave_one_out(r) / np.sqrt(np.where(mean > 0, reliability, np.nan))


def fisher(r: np.ndarray) -> np.ndarray:
    """Return Fisher's z."""
    return np.arctanh(np.clip(r, -1 + 1e-6, 1 - 1e-6))


MEASURES = {
    "leave_one_out": leave_one_out,
    "upper_bound": with_oneself,
    "pairwise": of_pairs,
    "corrected": corrected,
}


class CrossSubject(Step):
    """Correlation between subjects across stimuli, by vertex and by region.

    Parameters
    ----------
    by : str, optional
        Atlas whose regions are reported; otherwise all cortical places together.
    n : int
        Permutations of stimuli, each subject's own; resamples of subjects are ten times as many.
    seed : int
    """

    kind: ClassVar[str] = "cross_subject"
    version: ClassVar[int] = 3
    by: str | None = None
    n: PositiveInt = 100
    seed: NonNegativeInt = 0

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return {self.by: atlases.load(self.by).digest} if self.by else {}

    def __call__(self, subjects: xr.Dataset, prediction: xr.Dataset | None = None) -> xr.Dataset:
        """Estimate the correlations.

        Parameters
        ----------
        subjects : response, (subject, stimulus, place)
            At least 3, of one kind: subjects of one model share its weights and are not
            exchangeable with measured ones. Repeats are averaged.
        prediction : response, (stimulus, place), optional
            Such as that of an average subject's model: its correlation with each subject becomes
            the metric ``prediction``.

        Returns
        -------
        estimate, (contrast, metric): region by region the mean over subjects (as Fisher's z) of
        the mean over places; `of_subject` (subject, contrast, metric) is behind it. By place: a
        map of each metric.

        Notes
        -----
        The metrics: ``leave_one_out``, a lower bound of what a model of the group could reach in
        a subject; ``upper_bound``, the mean includes the subject; ``pairwise``; ``corrected``,
        leave-one-out without the dependence on the number of subjects.
        """
        units, names = _units(check(subjects, "response"))
        r = pairs(units)
        found = {name: measure(r) for name, measure in MEASURES.items()}
        if prediction is not None:
            found["prediction"] = _predicted(units, subjects, prediction)
        regions_named, masks = regions.each(self.by, subjects)
        each = np.stack([_by_region(values, masks) for values in found.values()], axis=-1)
        low, high = self._resampled(each)
        p, corrected_p = self._tested(units, masks, each, list(found))
        rows = {"effect": _centre(each), "ci_low": low, "ci_high": high}
        rows |= {"p": p, "p_corrected": corrected_p, "n": np.full(p.shape, len(units))}
        maps = {name: np.tanh(fisher(values).mean(0)) for name, values in found.items()}
        made = with_maps({}, maps, regions_named, self.by, subjects, **self._about(len(masks)))
        made = made.assign({name: (("contrast", "metric"), v) for name, v in rows.items()})
        made["of_subject"] = (("subject", "contrast", "metric"), each)
        made = made.assign_coords(subject=names, metric=list(found))
        stimuli = subjects.sizes["stimulus"]
        return made.assign_attrs(
            unit_of_inference="subject",
            n_stimuli=stimuli,
            smallest_p=of_orders(self.n, stimuli, len(units) - 1),
        )

    def _resampled(self, each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Resample subjects, each with its own value."""
        rng = generator(self.seed, "cross subject", "interval")
        rows = rng.integers(len(each), size=(10 * self.n, len(each)))
        drawn = np.tanh(fisher(each)[rows].mean(1))
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        return low, high

    def _tested(
        self, units: np.ndarray, masks: np.ndarray, each: np.ndarray, names: list[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return p and p corrected, (region, metric); of bounds and predictions there is none."""
        p = np.full((len(masks), len(names)), np.nan)
        adjusted = p.copy()
        null = np.stack(list(self._null(units, masks)))
        for position, name in enumerate(("leave_one_out", "pairwise")):
            column = names.index(name)
            found = above_null(_centre(each)[:, column], null[..., position])
            p[:, column], adjusted[:, column] = found
        return p, adjusted

    def _null(self, units: np.ndarray, masks: np.ndarray) -> Iterator[np.ndarray]:
        """Yield regions' values (region, metric) after each subject's stimuli were permuted."""
        count, stimuli, places = units.shape
        for b in range(self.n):
            rng = generator(self.seed, "cross subject", "null", b)
            order = [rng.permutation(stimuli) for _ in range(count)]
            total = np.zeros((count, len(masks), 2))
            for start in range(0, places, BLOCK):
                part = slice(start, start + BLOCK)
                own = masks[:, part].any(0)
                if not own.any():
                    continue
                block = units[..., part][..., own]
                r = pairs(np.stack([one[rows] for one, rows in zip(block, order, strict=True)]))
                inside = masks[:, part][:, own].astype(np.float64)
                for position, measure in enumerate((leave_one_out, of_pairs)):
                    total[..., position] += measure(r) @ inside.T
            yield _centre(total / masks.sum(1)[None, :, None])

    def _about(self, count: int) -> dict[str, object]:
        return {
            "statistic": "mean over places of Pearson r across stimuli, mean over subjects (z)",
            "test": f"leave_one_out, pairwise > 0: {self.n} permutations of each subject's "
            "stimuli, one-sided",
            "null": "subjects share nothing about the stimuli",
            "correction": f"maximum over {counted(count, 'region')}",
            "interval": f"95 % percentile, {10 * self.n} resamples of subjects",
        }


def _units(subjects: xr.Dataset) -> tuple[np.ndarray, list[str]]:
    if subjects.sizes.get("subject", 1) < 3:
        raise SchemaError(
            f"cross_subject: {subjects.sizes.get('subject', 1)} subject(s); at least 3 are needed: "
            "with two, leaving one out leaves no group"
        )
    averaged = subjects.mean("repeat") if "repeat" in subjects.dims else subjects
    bold = averaged["bold"].transpose("subject", "stimulus", place_of(subjects)).values
    return np.stack([unit_columns(one) for one in bold]), [
        str(s) for s in subjects["subject"].values
    ]


def _predicted(units: np.ndarray, subjects: xr.Dataset, prediction: xr.Dataset) -> np.ndarray:
    check(prediction, "response", space=subjects.attrs["space"])
    missing = set(subjects["stimulus"].values) - set(prediction["stimulus"].values)
    if missing:
        raise SchemaError(f"cross_subject: no prediction for {listed(sorted(missing), 3)}")
    ordered = prediction.sel(stimulus=subjects["stimulus"].values)
    own = unit_columns(ordered["bold"].transpose("stimulus", place_of(subjects)).values)
    return np.einsum("siv,iv->sv", units, own)


def _by_region(values: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return each subject's mean over a region's places that have a value, (subject, region)."""
    found = np.full((len(values), len(masks)), np.nan)
    for k, mask in enumerate(masks):
        known = np.isfinite(values[:, mask]).any(1)
        found[known, k] = np.nanmean(values[known][:, mask], axis=1)
    return found


def _centre(each: np.ndarray) -> np.ndarray:
    return np.tanh(fisher(each).mean(0))
