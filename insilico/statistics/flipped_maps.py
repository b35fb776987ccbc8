"""Maps of paired differences, tested at all places at once by flipping signs of whole items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from insilico.errors import ParameterError, listed
from insilico.statistics.flips import signs

ROWS, COLUMNS = 1024, 2048
CLOSE = 1 - 1e-9
"""Equal up to rounding counts as equal."""


@dataclass(frozen=True)
class FlippedMap:
    """What sign flips say of a map; NaN where nothing was tested.

    Attributes
    ----------
    t : (place,)
    enhanced : (place,), optional
        After threshold-free cluster enhancement.
    p : (place,)
        Of abs(t), place by place.
    p_corrected : (place,)
        By the maximum over places of abs(enhanced), or of abs(t).
    """

    t: np.ndarray
    enhanced: np.ndarray | None
    p: np.ndarray
    p_corrected: np.ndarray


def flipped_map(
    differences: np.ndarray,
    flips: int,
    rng: np.random.Generator,
    enhance: Callable[[np.ndarray], np.ndarray] | None = None,
) -> FlippedMap:
    """Test mean differences against zero at every place, two-sided.

    Parameters
    ----------
    differences : (item, place)
        Items are what is drawn from a population: stimuli, or subjects. Places with NaN are not
        tested; where all items are zero, t is 0.
    flips : int
        Sign flips; all 2^items if they are no more.
    rng : numpy.random.Generator
    enhance : callable, optional
        Maps (map, place) to maps, such as `insilico.statistics.tfce.Enhancement`.

    Raises
    ------
    ParameterError
        Fewer than two items, no place without NaN, or a difference other than 0 that does not
        vary: it has no t.
    """
    differences = np.asarray(differences, np.float64)
    tested = _tested(differences)
    unit, count = _unit(differences[:, tested]), len(differences)
    most: list[np.ndarray] = []
    beyond, total = np.zeros(unit.shape[1]), 0
    observed = np.abs(unit.sum(0))
    for block in _blocks(signs(count, flips, rng)):
        largest = np.zeros(len(block))
        for start in range(0, unit.shape[1], COLUMNS):
            part = slice(start, start + COLUMNS)
            null = np.abs(block @ unit[:, part])
            beyond[part] += (null >= observed[part] * CLOSE).sum(0)
            np.maximum(largest, null.max(1), out=largest)
        total += len(block)
        most.append(largest if enhance is None else _enhanced(block, unit, tested, enhance))
    shown = _spread(_as_t(unit.sum(0), count), tested)
    height = None if enhance is None else enhance(shown[None])[0]
    reached = observed if height is None else np.abs(height[tested])
    ranked = np.sort(np.concatenate(most))
    above = total - np.searchsorted(ranked, reached * CLOSE, side="left")
    p, corrected = _spread(beyond / total, tested), _spread(above / total, tested)
    return FlippedMap(shown, height, p, corrected)


def _tested(differences: np.ndarray) -> np.ndarray:
    if differences.ndim != 2 or len(differences) < 2:
        raise ParameterError(f"differences {differences.shape}: two items or more are needed")
    tested = np.isfinite(differences).all(0)
    if not tested.any():
        raise ParameterError("no place has a difference of every item: all hold NaN")
    own = differences[:, tested]
    size = np.abs(own).max(0)
    same = (np.ptp(own, axis=0) <= 1e-12 * size) & (size > 0)
    if same.any():
        raise ParameterError(
            f"the difference is the same for all {len(own)} items at {same.sum()} places "
            f"({listed(np.flatnonzero(tested)[same], 3)}): it has no t; set them to NaN"
        )
    return tested


def _unit(differences: np.ndarray) -> np.ndarray:
    """Scale each place, so that the sum over items is the cosine with ones, which t grows with."""
    length = np.sqrt((differences**2).sum(0) * len(differences))
    return np.divide(differences, length, out=np.zeros_like(differences), where=length > 0)


def _as_t(cosine: np.ndarray, n: int) -> np.ndarray:
    return np.sqrt(n - 1) * cosine / np.sqrt(np.maximum(1 - cosine**2, 1e-12))


def _blocks(made: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for block in made:
        for start in range(0, len(block), ROWS):
            yield block[start : start + ROWS]


def _enhanced(
    block: np.ndarray,
    unit: np.ndarray,
    tested: np.ndarray,
    enhance: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the largest abs(enhanced) after each flip."""
    found = [
        np.nanmax(np.abs(enhance(_spread(_as_t(flip @ unit, len(unit)), tested)[None])))
        for flip in block
    ]
    return np.array(found)


def _spread(values: np.ndarray, tested: np.ndarray) -> np.ndarray:
    found = np.full(len(tested), np.nan)
    found[tested] = values
    return found
