"""Rows of the table of gates: a measured value, its 95 % interval, and what it is held against."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields

import numpy as np

DRAWS = 2000


@dataclass(frozen=True)
class Row:
    """One measured value and its verdict.

    Attributes
    ----------
    what, score : str
        The condition, and what is counted.
    value, low, high : float
        The value and its 95 % interval.
    n : int
        Scenes.
    verdict : {"target", "minimum", "chance", "BELOW", "ABOVE CHANCE", ""}
        Where the value stands; empty where there is nothing to reach.
    """

    what: str
    score: str
    value: float
    low: float
    high: float
    n: int
    verdict: str = ""

    @property
    def failed(self) -> bool:
        """Whether the value lies below its minimum, or above the chance it must fall to."""
        return self.verdict.isupper()


def share(
    what: str,
    score: str,
    hits: np.ndarray,
    gate: tuple[float, float] | None = None,
    chance: float | None = None,
) -> Row:
    """Make the row of a share of hits, with Wilson's interval.

    Parameters
    ----------
    hits : (n,)
        0, 1, or a share of repetitions.
    gate : (minimum, target), optional
    chance : float, optional
        What the share must fall to: the interval must reach down to it.
    """
    from statsmodels.stats.proportion import proportion_confint

    hits = np.asarray(hits, float)
    value, n = float(hits.mean()), len(hits)
    low, high = (float(bound) for bound in proportion_confint(hits.sum(), n, method="wilson"))
    row = Row(what, score, value, low, high, n)
    if chance is not None:
        return Row(what, score, value, low, high, n, "chance" if low <= chance else "ABOVE CHANCE")
    if gate is None:
        return row
    minimum, target = gate
    reached = "target" if value >= target else "minimum" if value >= minimum else "BELOW"
    return Row(what, score, value, low, high, n, reached)


def mean(what: str, score: str, values: np.ndarray) -> Row:
    """Make the row of a mean over scenes, with its bootstrap interval."""
    low, high = _interval(_resampled(values))
    return Row(what, score, float(values.mean()), low, high, len(values))


def gain(what: str, score: str, differences: np.ndarray, *, gated: bool) -> Row:
    """Make the row of a mean difference; where it is a gate, its interval must lie above zero."""
    row = mean(what, score, differences)
    verdict = ("target" if row.low > 0 else "BELOW") if gated else ""
    return Row(what, score, row.value, row.low, row.high, row.n, verdict)


def ratio(what: str, score: str, values: np.ndarray, reference: np.ndarray, target: float) -> Row:
    """Make the row of a ratio of two means over the same scenes."""
    value = float(values.mean() / max(reference.mean(), 1e-9))
    low, high = _interval(_resampled(values) / np.maximum(_resampled(reference), 1e-9))
    reached = "target" if value >= target else "BELOW"
    return Row(what, score, value, low, high, len(values), reached)


def written(rows: list[Row]) -> str:
    """Write the rows as a Markdown table."""
    lines = ["| what | score | value [95 %] | n | gate |", "|---|---|---|---|---|"]
    for row in rows:
        value = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
        lines.append(f"| {row.what} | {row.score} | {value} | {row.n} | {row.verdict} |")
    return "\n".join(lines)


def as_csv(rows: list[Row]) -> str:
    """Write the rows as CSV."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Row)])
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _resampled(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return means over the same resamples of scenes for all values of one length."""
    rows = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
    return np.asarray(values, float)[rows].mean(1)


def _interval(means: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
