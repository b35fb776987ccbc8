"""Responses of other stimuli: put in a region's place, or approached step by step."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.errors import ParameterError, not_one_of
from insilico.perturbations.fills import derangement, require_another
from insilico.perturbations.perturbation import CHANGE, Perturbation
from insilico.spaces import regions
from insilico.step import generator

Rule = Literal["pairs", "derangement"]


class Swap(Perturbation):
    """Give a region its response to another stimulus.

    Parameters
    ----------
    rule : {"pairs", "derangement"}
        Stimuli exchange two by two (an even number is needed; done twice it is undone), or each
        takes from another one such that none takes from itself.
    partner : str or dict, optional
        In the place of a rule: the id of the one stimulus that all take from, or for each id the
        one it takes from; ids that are not named keep their own response.

    The other parameters are those of every perturbation, see `Perturbation`. The result's
    coordinate `partner` names the stimulus that each one took from.
    """

    kind: ClassVar[str] = "swap"
    says: ClassVar[str] = CHANGE
    rule: Rule = "pairs"
    partner: str | dict[str, str] | None = None

    def changed(
        self, response: xr.Dataset, mask: np.ndarray, training: xr.Dataset | None
    ) -> np.ndarray:
        """Return new bold, float32 (..., stimulus, place)."""
        bold = response["bold"].values.copy()
        bold[..., mask] = response["bold"].values[..., self.partners(response), :][..., mask]
        return bold

    def labels(self, response: xr.Dataset) -> dict[str, Any]:
        """Return the partners' names."""
        names = response["stimulus"].values.astype(str)
        return {"partner": ("stimulus", names[self.partners(response)])}

    def require(self, *given: xr.Dataset) -> None:
        """Raise if a partner is not shown, or the rule has none for each of so many stimuli."""
        shown = given[0]
        n = shown.sizes.get("stimulus")
        if self.partner is not None:
            self._require_partners(shown)
        elif n is not None and self.rule == "derangement":
            require_another(n)
        elif n is not None and (n % 2 or not n):
            raise ParameterError(
                f"{n} stimuli cannot be exchanged two by two; show an even number, or use "
                "rule: derangement"
            )

    def _require_partners(self, shown: xr.Dataset) -> None:
        """Raise unless every partner that is named is shown, as far as that is known."""
        given = self.partner or {}
        asked = [given] if isinstance(given, str) else [*given, *given.values()]
        names = shown["stimulus"].values.astype(str) if "stimulus" in shown.coords else asked
        for name in asked:
            if name not in names:
                raise ParameterError(f"{self.kind}: {not_one_of('stimulus', name, names)}")

    def partners(self, response: xr.Dataset) -> np.ndarray:
        """Return for each stimulus the position of the one that it takes from."""
        names = [str(name) for name in response["stimulus"].values]
        self.require(response)
        if self.partner is None:
            rng = generator(self.seed, self.rule, *names)
            return paired(len(names), rng) if self.rule == "pairs" else derangement(len(names), rng)
        given = self.partner
        asked = dict.fromkeys(names, given) if isinstance(given, str) else given
        return np.array([names.index(asked.get(name, name)) for name in names])


def paired(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return random partners, each the other's, of an even number."""
    order, found = rng.permutation(n), np.empty(n, np.int64)
    found[order[0::2]], found[order[1::2]] = order[1::2], order[0::2]
    return found


class Interpolate(Swap):
    """Go from each stimulus's response towards another's: ``(1 - weight) own + weight partner``.

    Parameters
    ----------
    weight : float
        0 is its own, 1 the partner's; a protocol takes a list.
    region, rule
        All cortex, and a derangement, by default. The other parameters are those of `Swap`.
    """

    kind: ClassVar[str] = "interpolate"
    curve: ClassVar[str] = "weight"
    region: str = regions.CORTEX
    rule: Rule = "derangement"
    weight: float = Field(ge=0, le=1)

    def told(self) -> str:
        """Say in a few words what is done."""
        return f"interpolate {self.weight:g}"

    def changed(
        self, response: xr.Dataset, mask: np.ndarray, training: xr.Dataset | None
    ) -> np.ndarray:
        """Return new bold, float32 (..., stimulus, place)."""
        other, weight = super().changed(response, mask, training), np.float32(self.weight)
        return (1 - weight) * response["bold"].values + weight * other
