"""The least p that a test can give, whatever the effect: `smallest_p` of every estimate."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import gammaln

from insilico.statistics.flips import ZERO, enumerated


def of_flips(stimuli: int, flips: int) -> float:
    """Return the least two-sided p that so many stimuli and sign flips allow."""
    return 2.0 ** (1 - stimuli) if enumerated(stimuli, flips) else 1 / (flips + 1)


def of_differences(differences: np.ndarray, flips: int) -> np.ndarray:
    """Return the least p of sign flips of these differences, (stimulus, ...).

    A difference of zero has no sign: it counts for a mean, but not for how small p can be.
    """
    signed = (np.abs(differences) > ZERO).sum(0)
    return np.maximum(2.0 ** (1 - np.maximum(signed, 1)), of_flips(len(differences), flips))


def of_draws(draws: int, arrangements: float = np.inf) -> float:
    """Return the least p of random draws, with what was observed among them.

    Parameters
    ----------
    draws : int
    arrangements : float
        How many different draws there are. Where they are fewer than were drawn, the observed one
        comes again and again: the least p is about one over their number.
    """
    return 1 / min(draws + 1, arrangements)


def of_orders(draws: int, items: int, times: int = 1, alike: Iterable[int] = ()) -> float:
    """Return the least p of random orders.

    Parameters
    ----------
    draws : int
    items : int
        How many are put in order.
    times : int
        How many sets of so many items, each in an order of its own.
    alike : int, several
        Sizes of groups whose order among themselves changes nothing.
    """
    many = times * gammaln(items + 1) - sum(gammaln(size + 1) for size in alike)
    return of_draws(draws, float(np.exp(min(many, 700.0))))
