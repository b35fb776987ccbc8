"""What each region is worth beside the others: Shapley values of combined lesions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.errors import ParameterError, SchemaError, counted, listed
from insilico.spaces.regions import union
from insilico.statistics import intervals
from insilico.statistics.contrasts import (
    effects,
    labelled,
    regions_of,
    require_conditions,
    tested,
)
from insilico.statistics.flips import told
from insilico.step import Step

Worth = Mapping[frozenset[int], np.ndarray]


def shapley_values(worth: Worth, players: int) -> np.ndarray:
    """Return Shapley values from the worth of every combination.

    Parameters
    ----------
    worth : dict
        Set of players to its worth, (...); all 2^players sets, the empty one included.
    players : int

    Returns
    -------
    (player, ...)
        They add up to the worth of all minus that of none.

    Notes
    -----
    ``sum_S |S|! (k - |S| - 1)! / k! (v(S + i) - v(S))`` (Shapley, 1953).
    """
    found = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        total = np.zeros_like(worth[frozenset()])
        for size in range(players):
            weight = 1 / (players * comb(players - 1, size))
            for rest in combinations(others, size):
                without = frozenset(rest)
                total = total + weight * (worth[without | {player}] - worth[without])
        found.append(total)
    return np.stack(found)


class Shapley(Step):
    """Shares of the regions in the effect of all of them together.

    Parameters
    ----------
    of : str
        Conditions of all combinations: ``perturb: {..., region: [A, B, C], combine: subsets}``.
    against : str
        The condition in which none of the regions is changed.
    regions : list of str
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "shapley"
    version: ClassVar[int] = 2
    of: str
    against: str
    regions: tuple[str, ...]
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Share out the effects.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)

        Returns
        -------
        estimate, (contrast, metric)
            `effect` is the Shapley value, negative for loss; `alone` the effect of the region by
            itself, `last` what it adds to all the others, `whole` the effect of all regions, to
            which the values add up. Redundant regions have values beyond `last`; regions that only
            work together have values beyond `alone`.
        """
        self.require(scores)
        worth = self._worth(scores)
        players, everyone = len(self.regions), frozenset(range(len(self.regions)))
        values = shapley_values(worth, players)
        each_stimulus = values.transpose(1, 0, 2)[:, None]
        rows = tested(each_stimulus, self.n, "bca", self.seed, "shapley", self.of)
        each = [frozenset({player}) for player in range(players)]
        rows["alone"] = np.stack([worth[one].mean(0) for one in each])
        rows["last"] = np.stack([(worth[everyone] - worth[everyone - one]).mean(0) for one in each])
        rows["whole"] = worth[everyone].mean(0)
        stimuli = scores.sizes["stimulus"]
        return labelled(
            rows,
            list(self.regions),
            scores,
            statistic=f"Shapley value of each region in {self.of} minus {self.against}",
            test=told(stimuli, self.n),
            null="values symmetric about zero",
            correction=f"maximum of |t| over {counted(players, 'region')}, per metric",
            interval=intervals.told("bca"),
            smallest_p=float(rows["smallest_p"].min()),
        )

    def _worth(self, scores: xr.Dataset) -> dict[frozenset[int], np.ndarray]:
        """Return the effect of every combination, (stimulus, metric)."""
        names = self._sets()
        found = effects(scores, self.of, self.against, self.kind, list(names.values())).mean(1)
        worth = {one: found[:, k] for k, one in enumerate(names)}
        return {frozenset(): np.zeros_like(found[:, 0]), **worth}

    def require(self, *given: xr.Dataset) -> None:
        """Raise unless there is a condition for every combination."""
        (scores,) = given
        require_conditions(scores, (self.of, self.against), self.kind)
        if len(self.regions) < 2 or len(set(self.regions)) < len(self.regions):
            raise ParameterError(f"shapley: regions {listed(self.regions)}: name two or more, once")
        known = regions_of(scores, self.of)
        lacking = [name for name in self._sets().values() if name not in known]
        if lacking:
            raise SchemaError(
                f"shapley: '{self.of}' has no condition for {listed(lacking, 4)}; "
                f"perturb with region: [{', '.join(self.regions)}], combine: subsets"
            )

    def _sets(self) -> dict[frozenset[int], str]:
        """Return every combination of regions, and its name."""
        players = range(len(self.regions))
        sets = [
            frozenset(s)
            for size in range(1, len(self.regions) + 1)
            for s in combinations(players, size)
        ]
        return {one: union([self.regions[player] for player in sorted(one)]) for one in sets}
