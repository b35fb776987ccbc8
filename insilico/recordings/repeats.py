"""Which trial goes where in a response: repeats kept side by side, or averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from insilico.errors import RecordingError, listed

Uneven = Literal["refuse", "pad"]
PADDED = {1: (0, 0, 0), 2: (0, 1, 0)}
"""One repeat is taken three times, of two the first twice, as in MindEye2's inference (a, a, b). It
averages over repeats, so that order does not matter there; here the real ones come first, since
ceilings take the first `n_repeats` of a stimulus."""


@dataclass(frozen=True)
class Presentations:
    """Trials, and the rows of a response that they make.

    Attributes
    ----------
    trial, row : int (n,)
        Ascending by trial.
    weight : float32 (n,)
        A row is the sum of its trials, weighted.
    shape : tuple of int
        Of the rows: (stimulus,), or (repeat, stimulus).
    counts : int (stimulus,)
        How often each stimulus was shown; padding does not count.
    """

    trial: np.ndarray
    row: np.ndarray
    weight: np.ndarray
    shape: tuple[int, ...]
    counts: np.ndarray

    def rows(self, places: int) -> np.ndarray:
        """Return zeros for the response, float32 (row, place)."""
        return np.zeros((int(np.prod(self.shape)), places), np.float32)

    def add(self, into: np.ndarray, betas: np.ndarray, first: int) -> None:
        """Add trials to their rows.

        Parameters
        ----------
        into : float32 (row, place)
        betas : float32 (trial, place)
            Of consecutive trials.
        first : int
            Number of the first of them.
        """
        start, stop = np.searchsorted(self.trial, [first, first + len(betas)])
        for k in range(start, stop):
            into[self.row[k]] += self.weight[k] * betas[self.trial[k] - first]


def presentations(
    found: dict[str, list[int]], repeats: str, n: int, uneven: Uneven, who: str
) -> Presentations:
    """Return which trials make a response.

    Parameters
    ----------
    found : dict
        Stimulus id to its trials, ascending.
    repeats : {"mean", "keep"}
        ``mean`` averages all trials of a stimulus, be they 1, 2 or 3; ``keep`` takes the first `n`.
    n : int
    uneven : {"refuse", "pad"}
        What ``keep`` does with stimuli of fewer trials. Padding fills up to three as MindEye2's
        inference does: a, a, a and a, b, a.
    who : str
        Whose trials, for errors.

    Raises
    ------
    RecordingError
        A stimulus without any trial, or with fewer than asked for.
    """
    counts = np.array([len(trials) for trials in found.values()], int)
    ids = np.array(list(found))
    if (counts == 0).any():
        raise RecordingError(
            f"{who} never saw {int((counts == 0).sum())} of these {len(ids)} stimuli in the "
            f"sessions asked for ({listed(ids[counts == 0], 3)}): were they chosen for another "
            "subject, or from other sessions?"
        )
    if repeats == "mean":
        rows = np.repeat(np.arange(len(ids)), counts)
        trials = np.concatenate([np.asarray(t) for t in found.values()])
        weight = (1 / np.repeat(counts, counts)).astype(np.float32)
        return _sorted(trials, rows, weight, (len(ids),), counts)
    _refuse_fewer(ids, counts, n, uneven, who)
    taken = np.array([_first(trials, n) for trials in found.values()])  # (stimulus, repeat)
    rows = np.arange(taken.size)
    one = np.ones(taken.size, np.float32)
    return _sorted(taken.T.ravel(), rows, one, (n, len(ids)), counts)


def _sorted(
    trial: np.ndarray,
    row: np.ndarray,
    weight: np.ndarray,
    shape: tuple[int, ...],
    counts: np.ndarray,
) -> Presentations:
    order = np.argsort(trial, kind="stable")
    return Presentations(trial[order], row[order], weight[order], shape, counts)


def _first(trials: list[int], n: int) -> list[int]:
    if len(trials) >= n:
        return trials[:n]
    return [trials[k] for k in PADDED[len(trials)]]


def _refuse_fewer(ids: np.ndarray, counts: np.ndarray, n: int, uneven: Uneven, who: str) -> None:
    fewer = counts < n
    if not fewer.any() or (uneven == "pad" and n == 3):
        return
    how = f"set at_least: {n} in the stimuli, ask for n_repeats: {counts.min()}, "
    how += "set uneven: pad (MindEye2's way)" if n == 3 else "which padding cannot make up"
    often = [f"{i}: {c}" for i, c in zip(ids[fewer], counts[fewer], strict=True)]
    raise RecordingError(
        f"{who} saw {len(often)} of these {len(ids)} stimuli fewer than {n} times "
        f"({listed(often, 3)}): {how}, or average with repeats: mean"
    )
