"""How scores grow with the pairs of an adapter: each point over stimuli and draws of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.errors import ParameterError, SchemaError, counted, listed
from insilico.schema import check
from insilico.statistics.contrasts import chance_levels
from insilico.statistics.crossed import crossed
from insilico.statistics.multiplicity import holm
from insilico.statistics.paired import require_conditions
from insilico.step import Step

INTERVAL = (
    "95 %, stimuli and draws of pairs both random (two-way, Satterthwaite); over stimuli alone "
    "where all pairs are taken"
)


class Scaling(Step):
    """Mean score of every adapter at every number of pairs, and its share of a reference.

    Parameters
    ----------
    of : list of str
        Conditions that go through several numbers of pairs.
    against : str
        The reference: measured responses to the same stimuli, through the same decoder.
    """

    kind: ClassVar[str] = "scaling"
    of: tuple[str, ...] = Field(min_length=1)
    against: str

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate the points of the curves.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)
            With `pairs` and `pairs_draw` on condition. Draws of the decoder are averaged.

        Returns
        -------
        estimate, (contrast, metric)
            `effect` is the mean score; `p` tests its difference from the reference, `p_corrected`
            by Holm over contrasts. `reference`; `raw_ratio`, effect / reference, and `ratio`,
            the same with both above their chance, with `_low` and `_high`. Coordinates of a
            contrast: `adapter` (the condition), `pairs`, `draws`.
        """
        self.require(scores)
        grid = {(name, pairs): values for name in self.of for pairs, values in _sizes(scores, name)}
        reference, other = _one(scores, self.against)
        chance = {key: _chance(scores, *key) for key in grid}
        points = [_point(values, reference, chance[key], other) for key, values in grid.items()]
        rows = {name: np.stack([point[name] for point in points]) for name in points[0]}
        rows["p_corrected"] = holm(rows["p"])
        coords = {
            "contrast": [f"{name} {pairs}" for name, pairs in grid],
            "adapter": ("contrast", [name for name, _ in grid]),
            "pairs": ("contrast", [pairs for _, pairs in grid]),
            "draws": ("contrast", [values.shape[1] for values in grid.values()]),
            "against": ("contrast", [self.against] * len(grid)),
        }
        about = {
            "statistic": "mean score over stimuli and draws of pairs",
            "test": f"differs from {self.against}: t, two-sided",
            "null": f"as good as {self.against}",
        }
        return _estimate(rows, coords, scores, about)

    def require(self, *given: xr.Dataset) -> None:
        """Raise unless conditions go through numbers of pairs, and the reference is one."""
        _require(given[0], (*self.of, self.against), self.kind)
        _one(given[0], self.against)


class TwoByTwo(Step):
    """Effects of the number of pairs, of the adapter, and of both together.

    Parameters
    ----------
    of : list of str
        Two conditions that go through several numbers of pairs: other minus first.
    pairs : list of int
        Two of these numbers: larger minus smaller.
    """

    kind: ClassVar[str] = "two_by_two"
    of: tuple[str, str]
    pairs: tuple[int, int]

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate the effects.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)
            With `pairs` and `pairs_draw` on condition; draws of the same number are of the same
            pairs in both conditions.

        Returns
        -------
        estimate, (contrast, metric)
            The three effects on the mean score; the interaction is by how much more the other
            adapter gains from pairs.
        """
        self.require(scores)
        cells = {(name, pairs): v for name in self.of for pairs, v in _sizes(scores, name)}
        (first, other), (few, many) = self.of, sorted(self.pairs)
        a, b, c, d = (cells[k] for k in ((first, few), (first, many), (other, few), (other, many)))
        effects = {
            f"{many} minus {few} pairs": (b - a + d - c) / 2,
            f"{other} minus {first}": (c - a + d - b) / 2,
            "interaction": (d - c) - (b - a),
        }
        found = [crossed(values) for values in effects.values()]
        rows = _tested(found, len(a))
        rows["p_corrected"] = holm(rows["p"])
        about = {
            "statistic": "difference of mean scores over stimuli and draws of pairs",
            "test": "t, two-sided",
            "null": "no difference",
        }
        return _estimate(rows, {"contrast": list(effects)}, scores, about)

    def require(self, *given: xr.Dataset) -> None:
        """Raise unless both conditions go through both numbers of pairs."""
        (scores,) = given
        _require(scores, self.of, self.kind)
        cells = {(name, pairs) for name in self.of for pairs, _ in _sizes(scores, name)}
        missing = [pairs for pairs in self.pairs for name in self.of if (name, pairs) not in cells]
        if missing:
            known = sorted({pairs for _, pairs in cells})
            raise ParameterError(
                f"two_by_two: no scores at {missing[0]} pairs; there are {listed(known)}"
            )


# --- values ---


def _require(scores: xr.Dataset, names: tuple[str, ...], kind: str) -> None:
    require_conditions(check(scores, "score"), names, kind)
    if "pairs" not in scores.coords:
        raise SchemaError(
            f"{kind}: no condition goes through several numbers of pairs; write "
            "adapter: {pairs: [500, 2000], draw: [1, 2, 3]}"
        )


def _sizes(scores: xr.Dataset, name: str) -> list[tuple[int, np.ndarray]]:
    """Return each number of pairs and its values (stimulus, draw of pairs, metric)."""
    values = scores["value"].mean("draw").transpose("condition", "stimulus", "metric").values
    own, pairs = scores["name"].values.astype(str) == name, scores["pairs"].values
    found = []
    for size in sorted(set(pairs[own].tolist())):
        rows = np.flatnonzero(own & (pairs == size))
        rows = rows[np.argsort(scores["pairs_draw"].values[rows])]
        found.append((int(size), values[rows].swapaxes(0, 1)))
    return found


def _one(scores: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference's values (stimulus, metric) and its chance (metric,)."""
    own = scores["name"].values.astype(str) == name
    if own.sum() != 1:
        raise SchemaError(f"scaling: {own.sum()} conditions are named '{name}', not one")
    values = scores["value"].mean("draw").transpose("condition", "stimulus", "metric").values
    return values[own][0], _chance(scores, name)


def _chance(scores: xr.Dataset, name: str, pairs: int = 0) -> np.ndarray:
    own = (scores["name"].values.astype(str) == name) & (scores["pairs"].values == pairs)
    return chance_levels(scores)[own].mean(0)


# --- estimates ---


def _point(
    values: np.ndarray, reference: np.ndarray, chance: np.ndarray, other: np.ndarray
) -> dict[str, np.ndarray]:
    """Return one point: values (stimulus, draw, metric), its chance and the reference's."""
    apart = crossed(values - reference[:, None])
    rows = _tested([crossed(values)], len(values))
    found = {name: row[0] for name, row in rows.items()} | {"p": apart.p()}
    found |= {"chance_level": chance, "reference": reference.mean(0), "reference_chance": other}
    found |= _ratio(values, reference, "raw_ratio")
    return found | _ratio(values - chance, reference - other, "ratio")


def _ratio(values: np.ndarray, reference: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Return the ratio of means with its interval, by linearisation about the estimate."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = values.mean((0, 1)) / reference.mean(0)
        rest = crossed((values - ratio * reference[:, None]) / np.abs(reference.mean(0)))
    low, high = rest.interval()
    return {name: ratio, f"{name}_low": ratio + low, f"{name}_high": ratio + high}


def _tested(found: list[Any], stimuli: int) -> dict[str, np.ndarray]:
    rows = {"effect": np.stack([one.mean for one in found])}
    low, high = zip(*(one.interval() for one in found), strict=True)
    rows |= {"ci_low": np.stack(low), "ci_high": np.stack(high)}
    rows["p"] = np.stack([one.p() for one in found])
    return rows | {"n": np.full(rows["effect"].shape, stimuli)}


def _estimate(
    rows: Mapping[str, np.ndarray],
    coords: Mapping[str, Any],
    scores: xr.Dataset,
    about: Mapping[str, str],
) -> xr.Dataset:
    metric = {key: ("metric", scores[key].values) for key in ("direction", "definition")}
    return xr.Dataset(
        {name: (("contrast", "metric"), values) for name, values in rows.items()},
        coords={**coords, "metric": scores["metric"].values, **metric},
        attrs={
            **about,
            "correction": f"Holm over {counted(len(rows['p']), 'contrast')}, per metric",
            "interval": INTERVAL,
            "unit_of_inference": "stimulus",
            **{k: scores.attrs[k] for k in ("source", "note") if k in scores.attrs},
        },
    )
