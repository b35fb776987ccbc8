"""Null models of maps: all are called ``null(values, places, n, seed)`` and give (n, place).

They answer: would this map do as well, had it the same spatial autocorrelation and nothing to do
with the other? Which of them is right for what stands in docs/nulls.md.

Where a surrogate has no value it holds NaN: its source lay in the medial wall, or had none. Whoever
uses it leaves those places out of that surrogate. Nothing is ever filled with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from insilico.errors import ParameterError, not_one_of
from insilico.statistics import spins
from insilico.statistics.places import Places

NullName = Literal["spin", "hungarian", "vasa", "baum", "cornblath", "variogram"]


@dataclass(frozen=True)
class Null:
    """Base: a null model holds its parameters and nothing else."""

    fits: ClassVar[tuple[str, ...]] = ("vertex", "parcel")
    """Kinds of places that it can be used on."""

    def __call__(self, values: np.ndarray, places: Places, n: int, seed: int) -> np.ndarray:
        """Return surrogates of a map.

        Parameters
        ----------
        values : (place,)
            NaN where there is no value.
        places : Places
        n : int
        seed : int
            Surrogate k depends on the seed and on k alone, not on n.

        Returns
        -------
        float64 (n, place)
        """
        return np.concatenate(list(self.blocks(values, places, n, seed)))

    def blocks(self, values: np.ndarray, places: Places, n: int, seed: int) -> Iterator[np.ndarray]:
        """Yield the surrogates some at a time: 10,000 of 20,484 places are 1.6 GB."""
        self.require(places)
        if n < 1:
            raise ParameterError(f"{n} surrogates; at least 1 is needed")
        return self._blocks(places.checked(values), places, int(n), int(seed))

    def require(self, places: Places) -> None:
        """Raise unless this null can be had on such places."""
        if places.kind not in self.fits:
            raise ParameterError(
                f"the null '{_name(self)}' is for maps over {' or '.join(self.fits)}; this map is "
                f"over {places.kind} places; use "
                + ("'spin'" if places.kind == "vertex" else "'variogram'")
            )

    def _blocks(
        self, values: np.ndarray, places: Places, n: int, seed: int
    ) -> Iterator[np.ndarray]:
        raise NotImplementedError


@dataclass(frozen=True)
class Spin(Null):
    """Each place takes the value of the nearest place after the sphere was turned.

    Vertices: Alexander-Bloch et al. (2018), https://doi.org/10.1016/j.neuroimage.2018.05.070.
    Parcels, by their middles: Vázquez-Rodríguez et al. (2019),
    https://doi.org/10.1073/pnas.1903403116; some are taken twice and others never.
    """

    def _blocks(
        self, values: np.ndarray, places: Places, n: int, seed: int
    ) -> Iterator[np.ndarray]:
        if places.kind == "vertex":
            yield from (spins.spun(values, table) for table in spins.tables(n, seed))
            return
        lacking = np.append(values, np.nan)  # source -1 is none
        for block in range(-(-n // spins.BLOCK)):
            yield lacking[_index(self, places, block, seed)[: n - block * spins.BLOCK]]

    def index(self, places: Places, block: int, seed: int) -> np.ndarray:
        """Return the parcel that each parcel takes its value from, (100, parcel); -1 for none."""
        found = np.empty((spins.BLOCK, len(places)), np.int64)
        for row, own in enumerate(found):
            turns = spins.turns(block * spins.BLOCK + row, seed)
            for hemi in np.unique(places.hemi):
                here = np.flatnonzero(places.hemi == hemi)
                middles = _middles(places, here)
                far = 2 - 2 * (middles @ turns[str(hemi)]) @ middles.T
                own[here] = here[self.assigned(far)]
        return found

    def assigned(self, far: np.ndarray) -> np.ndarray:
        """Return for each turned parcel the one it takes, from squared distances (turned, one)."""
        return far.argmin(1)


@dataclass(frozen=True)
class Hungarian(Spin):
    """Each parcel is taken once, so that the distances sum up to the least.

    Markello & Misic (2021), https://doi.org/10.1016/j.neuroimage.2021.118052
    """

    fits: ClassVar[tuple[str, ...]] = ("parcel",)

    def assigned(self, far: np.ndarray) -> np.ndarray:
        """Return the assignment of least cost."""
        from scipy.optimize import linear_sum_assignment

        return linear_sum_assignment(np.sqrt(np.maximum(far, 0)))[1]


@dataclass(frozen=True)
class Vasa(Spin):
    """Each parcel is taken once, those first that lie farthest from any; Váša et al. (2018).

    https://doi.org/10.1093/cercor/bhx249
    """

    fits: ClassVar[tuple[str, ...]] = ("parcel",)

    def assigned(self, far: np.ndarray) -> np.ndarray:
        """Return the greedy assignment."""
        free, found = far.copy(), np.empty(len(far), np.int64)
        choice = free.argmin(1)
        open_ = np.ones(len(far), bool)
        for _ in range(len(far)):
            least = np.where(open_, free[np.arange(len(far)), choice], -np.inf)
            row = int(least.argmax())
            taken = found[row] = choice[row]
            open_[row], free[:, taken] = False, np.inf
            again = open_ & (choice == taken)
            choice[again] = free[again].argmin(1)
        return found


@dataclass(frozen=True)
class Baum(Spin):
    """Each parcel takes the value of the parcel most frequent among its vertices once spun.

    Baum et al. (2020), https://doi.org/10.1073/pnas.1912034117. Vertices from the medial wall do
    not count; a parcel that holds nothing else has no value.
    """

    fits: ClassVar[tuple[str, ...]] = ("parcel",)

    def index(self, places: Places, block: int, seed: int) -> np.ndarray:
        """Return the modal parcels."""
        found = np.empty((spins.BLOCK, len(places)), np.int64)
        for row, labels in enumerate(spins.spun(places.labels, spins.table(block, seed))):
            count = np.zeros((len(places) + 1, len(places) + 1), np.int64)
            np.add.at(count, (places.labels, labels), 1)
            inside = count[1:, 1:]
            found[row] = np.where(inside.any(1), inside.argmax(1), -1)
        return found


@dataclass(frozen=True)
class Cornblath(Null):
    """Parcels' values are spread over their vertices, spun, and averaged by parcel.

    Cornblath et al. (2020), https://doi.org/10.1038/s42003-020-0961-x. Averages vary less than the
    map itself: correlations do not mind, means against elsewhere do.
    """

    fits: ClassVar[tuple[str, ...]] = ("parcel",)

    def _blocks(
        self, values: np.ndarray, places: Places, n: int, seed: int
    ) -> Iterator[np.ndarray]:
        spread = np.append(np.nan, values)[places.labels]
        for table in spins.tables(n, seed):
            yield places.averaged(spins.spun(spread, table))


@lru_cache(maxsize=64)
def _index(null: Spin, places: Places, block: int, seed: int) -> np.ndarray:
    return null.index(places, block, seed)


def _middles(places: Places, here: np.ndarray) -> np.ndarray:
    both = np.concatenate([spins.sphere("L"), spins.sphere("R")])
    return both[places.middle[here]]


def named(name: str) -> Null:
    """Return a null model with its usual parameters.

    Parameters
    ----------
    name : {"spin", "hungarian", "vasa", "baum", "cornblath", "variogram"}
    """
    if name == "variogram":
        from insilico.statistics.variogram import Variogram

        return Variogram()
    if name not in SPINS:
        raise ParameterError(not_one_of("null", name, [*SPINS, "variogram"]))
    return SPINS[name]()


SPINS: dict[str, type[Null]] = {
    "spin": Spin,
    "hungarian": Hungarian,
    "vasa": Vasa,
    "baum": Baum,
    "cornblath": Cornblath,
}


def _name(null: Null) -> str:
    return type(null).__name__.casefold()
