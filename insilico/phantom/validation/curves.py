"""Null experiments of every test of a curve, and of the read-outs along it."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from insilico.phantom.validation.check import Check
from insilico.phantom.validation.coverage import covers
from insilico.phantom.validation.effects import ALL, LEVEL, N, normal
from insilico.phantom.validation.made import SIMULATED, scores
from insilico.statistics import intervals
from insilico.statistics.crossing import passed, rank_correlations
from insilico.statistics.curves import DoseResponse
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.multilabel import MultilabelAuc, cross_areas

Rng = np.random.Generator
DOSES = (1.0, 2.0, 4.0)
LABELS = 5


def dosed(rng: Rng, names: tuple[str, ...], common: float) -> xr.Dataset:
    """Return scores of two regions at three doses, at all of which each name costs the same."""
    base = normal(rng, N, 1, 1)
    rows, level = {("intact", ""): base}, [np.nan]
    for name in names:
        for region in "AB":
            own = 0.5 * normal(rng, N, 1, 1)
            for dose in DOSES:
                rows[name, f"{region}, dose {dose:g}"] = (
                    base - common - own - 0.5 * normal(rng, N, 1, 1)
                )
                level.append(dose)
    return scores(rows, level=np.array(level))


def dose_response(count: int, rng: Rng, read: str, control: bool = False) -> np.ndarray:
    """Return the least corrected p of doses that do nothing, or no more than at the controls."""
    matched = "matched" if control else None
    names = ("dosed", "matched") if control else ("dosed",)
    step = DoseResponse(of="dosed", against="intact", control=matched, n=ALL)
    tables = (dosed(rng, names, float(control)) for _ in range(count))
    return np.array([float(step(table)[read].min()) for table in tables])


def falling(count: int, rng: Rng, levels: int = 5) -> np.ndarray:
    """Return p that a curve falls (or rises) whose levels are alike."""
    curves = normal(rng, N, 1, count) + normal(rng, N, levels, count)
    return sign_flip_test(rank_correlations(curves), ALL, rng)[0]


def of_crossing(count: int, rng: Rng, n: int = 20, resamples: int = 999) -> np.ndarray:
    """Return whether the interval of a crossing holds .5, where the mean of all curves crosses.

    Stimuli differ in height and in steepness; there is noise at every level.
    """
    levels, found = np.linspace(0, 1, 6), []
    for start in range(0, count, 250):
        many = min(250, count - start)
        slope = 1 + 0.3 * normal(rng, n, 1, many)
        curves = (0.5 - levels[:, None]) * slope + 0.3 * normal(rng, n, 1, many)
        curves = curves + 0.1 * normal(rng, n, 6, many)
        _, low, high = passed(curves, levels, intervals.weights(n, resamples, rng))["crossing"]
        found.append((low <= 0.5) & (high >= 0.5))
    return np.concatenate(found)


def multilabel(count: int, rng: Rng, features: int = 4, learned: int = 40) -> np.ndarray:
    """Return the least corrected p that tokens which know nothing tell one of five objects.

    Those that the read-out learned from did know.
    """
    step, found = MultilabelAuc(of="masked", against="intact", labels=("object",), n=ALL), []
    for _ in range(count):
        training, shown = _objects(rng, learned), _objects(rng, N)
        known = np.unique(training["object"], return_inverse=True)[1]
        tokens = normal(rng, LABELS, features)[known] + normal(rng, learned, features)
        changed = xr.Dataset(
            {"tokens": (("condition", "stimulus", "feature"), normal(rng, 2, N, features))},
            {"level": ("condition", [0.0, 0.5])},
        )
        taught = xr.Dataset({"tokens": (("stimulus", "feature"), tokens)})
        made = step(training, taught, shown, changed)
        found.append(made["p_corrected"].values.min())
    return np.array(found)


def _objects(rng: Rng, n: int) -> xr.Dataset:
    """Return stimuli that show one of five objects."""
    shown = np.array([f"object {k}" for k in rng.integers(LABELS, size=n)])
    coords = {
        "stimulus": [f"s{k}" for k in range(n)],
        "split": ("stimulus", ["test"] * n),
        "object": ("stimulus", shown),
    }
    return xr.Dataset({"caption": ("stimulus", shown)}, coords, SIMULATED)


def of_auc(count: int, rng: Rng, n: int = 20) -> np.ndarray:
    """Return whether the interval of an AUC holds .5, of answers that know nothing of objects."""
    own = np.empty((n, count))
    for k in range(count):
        truth = np.eye(LABELS, dtype=bool)[rng.integers(LABELS, size=n)]
        own[:, k] = np.diag(cross_areas(truth, normal(rng, n, LABELS)))
    low, high = intervals.bca(own, rng)
    return (low <= 0.5) & (high >= 0.5)


CHECKS = (
    Check(
        "dose_response, maximum",
        "2 regions × 3 doses that do nothing",
        partial(dose_response, read="p_corrected"),
        rate=LEVEL,
    ),
    Check(
        "dose_response, trend",
        "the same, 2 slopes",
        partial(dose_response, read="trend_p_corrected"),
        rate=LEVEL,
    ),
    Check(
        "dose_response, controls",
        "2 regions × 3 doses, as costly as their controls",
        partial(dose_response, read="p_corrected_control", control=True),
        rate=LEVEL,
    ),
    Check("crossing, falling", "10 stimuli, 5 levels alike", falling, rate=LEVEL),
    Check("multilabel_auc", "10 stimuli, 2 levels, maximum", multilabel, rate=LEVEL),
    covers("crossing, interval", "20 stimuli, 6 levels", of_crossing, (0.91, 0.95), n=1000),
    covers("multilabel_auc, interval", "AUC = .5, 20 stimuli", of_auc, (0.91, 0.95), n=1000),
)
