"""How many stimuli a paired effect needs, from a pilot's differences."""

from __future__ import annotations

import numpy as np
from scipy import special

from insilico.errors import ParameterError
from insilico.statistics.effects import d_z, d_z_interval
from insilico.statistics.flips import signs

LARGEST = 1_000_000
SIZES = 12


def power_of_t(d: float | np.ndarray, n: int, alpha: float = 0.05) -> np.ndarray:
    """Return the power of a two-sided paired t test, from the noncentral t.

    Parameters
    ----------
    d : (...)
        Mean over standard deviation of the differences (d_z).
    n : int
        Stimuli.
    alpha : float
    """
    edge, reach = special.stdtrit(n - 1, 1 - alpha / 2), np.abs(d) * np.sqrt(n)
    inside = np.where(np.isfinite(reach), reach, 0.0)
    tails = (special.nctdtr(n - 1, inside, end) for end in (edge, -edge))
    above, below = (np.nan_to_num(tail) for tail in tails)  # NaN is met only below 1e-15
    return np.where(np.isfinite(reach), 1 - above + below, np.where(np.isinf(reach), 1.0, np.nan))


def needed(d: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Return the least number of stimuli that gives the power; None if more than a million.

    Parameters
    ----------
    d : float
        d_z.
    """
    if np.isnan(d) or power_of_t(d, LARGEST, alpha) < power:
        return None
    low, high = 1, LARGEST  # low has too little power, high enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of_t(d, middle, alpha) >= power else (middle, high)
    return high


def cautious(differences: np.ndarray, effect: float | None) -> np.ndarray:
    """Return the d_z that a pilot does not rule out: the end of an interval nearer zero.

    Parameters
    ----------
    differences : (stimulus, contrast)
    effect : float, optional
        Where it is given only the spread is uncertain: its 95 % upper end is taken. Else the 95 %
        interval of the pilot's own d_z; NaN where that holds zero.
    """
    n = len(differences)
    if effect is not None:
        largest = np.sqrt((n - 1) / special.chdtri(n - 1, 0.975)) * differences.std(0, ddof=1)
        return np.divide(effect, largest, out=np.full(len(largest), np.inf), where=largest > 0)
    low, high = d_z_interval(d_z(differences), n)
    return np.where(low * high > 0, np.minimum(np.abs(low), np.abs(high)), np.nan)


def simulated(
    differences: np.ndarray,
    n: int,
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
    studies: int = 400,
    flips: int = 399,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the power of sign flips in studies of n stimuli drawn from a pilot's.

    Parameters
    ----------
    differences : (stimulus, contrast)
        With the effects that are looked for; stimuli are drawn with all their contrasts.
    n : int
        Stimuli of each study.
    rng : Generator
    alpha : float
    studies, flips : int

    Returns
    -------
    alone, corrected : (contrast,)
        Share of studies with p, and with p corrected by the maximum over contrasts, at most alpha.
    """
    mean, many = differences.mean(0), len(differences)
    pilot = mean + (differences - mean) * np.sqrt(
        many / (many - 1)
    )  # resamples vary by so much less
    turned = np.concatenate(list(signs(n, flips, rng)))
    found = np.zeros((2, differences.shape[1]))
    for _ in range(studies):
        drawn = pilot[rng.integers(many, size=n)]
        mean, square = turned @ drawn / n, (drawn**2).mean(0)
        error = np.sqrt(np.maximum(square - mean**2, 1e-300) / (n - 1))
        t = np.where(np.abs(mean) < 1e-15, 0.0, np.abs(mean) / error)
        edge = t[0] * (1 - 1e-9)
        alone, together = (t >= edge).mean(0), (t.max(1)[:, None] >= edge).mean(0)
        found += np.stack([alone, together]) <= alpha
    return found[0] / studies, found[1] / studies


def flips_for(alpha: float, most: int) -> int:
    """Return how many sign flips to simulate: twenty times what alpha needs, 400 at .05.

    Parameters
    ----------
    alpha : float
    most : int
        Flips of the statistic itself.

    Raises
    ------
    ParameterError
        An alpha that so many flips cannot reach.
    """
    if alpha < 1 / (most + 1):
        raise ParameterError(
            f"--alpha {alpha:g}: the least p of {most} sign flips is {1 / (most + 1):.3g}; "
            f"allowed: that or more, or give the statistic n: {int(np.ceil(1 / alpha))}"
        )
    return min(most, max(399, int(np.ceil(20 / alpha)) - 1))


def sizes(most: int) -> np.ndarray:
    """Return the numbers of stimuli to try, from 5 on."""
    return np.unique(np.geomspace(5, max(most, 10), SIZES).round().astype(int))


def enough(tried: np.ndarray, power: np.ndarray, wanted: float) -> int | None:
    """Return the least number that reaches the wanted power, between those tried; None if none.

    Parameters
    ----------
    tried : int (size,)
        Rising.
    power : (size,)
    """
    reached = np.flatnonzero(np.maximum.accumulate(power) >= wanted)
    if not len(reached):
        return None
    last = reached[0]
    if last == 0:
        return int(tried[0])
    below, above = power[last - 1 : last + 1]
    share = (wanted - below) / (above - below)
    return int(np.ceil(tried[last - 1] + share * (tried[last] - tried[last - 1])))


def looked_for(differences: np.ndarray, effect: float | None) -> np.ndarray:
    """Return a pilot's differences with the mean that is looked for.

    Parameters
    ----------
    differences : (stimulus, contrast)
    effect : float, optional
        In the score's units; the pilot's own by default.

    Raises
    ------
    ParameterError
        An effect of zero.
    """
    if effect is None:
        return differences
    if effect == 0 or not np.isfinite(effect):
        raise ParameterError(f"--effect {effect:g}: the smallest effect worth finding is not zero")
    return differences - differences.mean(0) + effect
