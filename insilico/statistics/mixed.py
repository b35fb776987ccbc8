"""Effects that hold for other stimuli and other draws: crossed mixed models of conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, counted
from insilico.statistics.contrasts import (
    effects,
    labelled,
    regions_of,
    require_conditions,
    upward,
)
from insilico.statistics.multiplicity import holm
from insilico.statistics.reml import Design, Likelihood, design
from insilico.step import Step

Term = Literal["stimulus", "draw", "stimulus:condition", "draw:condition", "stimulus:draw"]
FACTORS = ("stimulus", "condition", "draw")
FEW = 8
"""Draws from which on false positives were met as often as stated."""


class Mixed(Step):
    """Difference of two conditions with stimuli and draws as crossed random effects.

    Parameters
    ----------
    of, against : str
        Names of the conditions. `of` may stand for one condition per region; each is held against
        `against` in a model of its own, so that no equal variances over regions are assumed.
    random : list of str, optional
        Random terms: ``stimulus``, ``draw``, ``stimulus:condition``, ``draw:condition``,
        ``stimulus:draw``. By default all of them that the table can tell apart.
    df : {"satterthwaite", "stimuli"}
        Degrees of freedom of t: estimated, or the number of stimuli minus one.
    """

    kind: ClassVar[str] = "mixed"
    version: ClassVar[int] = 3
    of: str
    against: str
    random: tuple[Term, ...] | None = None
    df: Literal["satterthwaite", "stimuli"] = "satterthwaite"

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate the effects by restricted maximum likelihood.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)

        Returns
        -------
        estimate, (contrast, metric)
            With `se`, `t`, `df`, and the variances ``var_stimulus``, ``var_residual``, ...
            `p_corrected` is Holm's over contrasts. Where nothing varies there is no p (NaN), and
            where nothing differs it is 1.
        """
        self.require(scores)
        terms = self._terms(scores.sizes["draw"])
        order = regions_of(scores, self.of)
        lesion = effects(scores, self.of, self.against, self.kind)
        base = upward(scores)[scores["name"].values.astype(str) == self.against][0]
        table = _table(base.shape[:2], terms)
        rows: dict[str, np.ndarray] = {"n": np.full(lesion.shape[2:], len(base))}
        for place in np.ndindex(lesion.shape[2:]):
            pair = (base[..., place[1]], lesion[..., place[0], place[1]])
            for name, value in self._fitted(table, *pair).items():
                rows.setdefault(name, np.full(lesion.shape[2:], np.nan))[place] = value
        rows["p_corrected"] = holm(rows["p"])
        return labelled(
            rows,
            [name or self.of for name in order],
            scores,
            statistic=f"{self.of} minus {self.against}, fixed effect; negative is worse",
            test=f"t, df {self.df}; random: {', '.join(terms)}; REML",
            null="no difference for other stimuli" + (" and draws" if len(terms) > 1 else ""),
            correction=f"Holm over {counted(len(order), 'contrast')}, per metric",
            interval="95 % of t",
            **self._caution(terms, scores.sizes["draw"]),
        )

    def _caution(self, terms: tuple[str, ...], draws: int) -> dict[str, str]:
        """Say where too few draws make the test liberal (docs/statistics.md has by how much)."""
        if draws < 2:
            alone = "one draw: nothing tells how much draws differ, and p holds for these alone"
            return {"caution": f"{alone}; let the decoder draw {FEW} or more"}
        if "draw:condition" not in terms or draws >= FEW:
            return {}
        told = f"{draws} draws: how much draws differ is hardly known, and p may be too small"
        return {"caution": f"{told}; let the decoder draw {FEW} or more"}

    def require(self, *given: xr.Dataset) -> None:
        """Raise if terms are asked for that one draw cannot tell apart."""
        (scores,) = given
        require_conditions(scores, (self.of, self.against), self.kind)
        few = scores.sizes["draw"] < 2
        if few and self.random is not None and set(self.random) != {"stimulus"}:
            raise ParameterError(
                f"mixed: random {', '.join(self.random)}: with one draw only 'stimulus' can be "
                "told from the residual; let the decoder draw more, or leave 'random' out"
            )

    def _terms(self, draws: int) -> tuple[str, ...]:
        if self.random is not None:
            return tuple(dict.fromkeys(self.random))
        return ("stimulus",) if draws < 2 else Term.__args__  # type: ignore[attr-defined]

    def _fitted(self, table: Design, base: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
        y = np.stack([base, base + lesion], 1)  # (stimulus, condition, draw)
        constant = np.ptp(lesion) < 1e-12 * (np.abs(y).max() + 1e-300)
        if constant:
            effect = float(lesion.flat[0]) if np.abs(lesion).max() > 1e-15 else 0.0
            p = np.nan if effect else 1.0
            return {"effect": effect, "ci_low": effect, "ci_high": effect, "p": p}
        from scipy.stats import t as student

        scale = y.std()
        model = Likelihood(table, ((y - y.mean()) / scale).ravel())
        fit, contrast = model.fit(), np.array([0.0, 1.0])
        df = float(len(base) - 1)
        if self.df == "satterthwaite":
            df = model.degrees_of(fit, contrast)
        effect, error = fit.beta[1] * scale, np.sqrt(fit.covariance[1, 1]) * scale
        t, reach = effect / error, student.ppf(0.975, df) * error
        found = {"effect": effect, "ci_low": effect - reach, "ci_high": effect + reach}
        found |= {"p": 2 * student.sf(abs(t), df), "se": error, "t": t, "df": df}
        return found | _variances(fit.variance, scale)


def _variances(variance: Mapping[str, float], scale: float) -> dict[str, float]:
    return {f"var_{k.replace(':', '_')}": v * scale**2 for k, v in variance.items()}


def _table(shape: tuple[int, ...], terms: tuple[str, ...]) -> Design:
    """Return the design of a full table (stimulus, condition, draw) of two conditions."""
    stimuli, draws = shape
    whole = (stimuli, 2, draws)
    level = dict(zip(FACTORS, (a.ravel() for a in np.indices(whole)), strict=True))
    sizes = dict(zip(FACTORS, whole, strict=True))
    groups = {}
    for term in terms:
        code = np.zeros(stimuli * 2 * draws, int)
        for factor in term.split(":"):
            code = code * sizes[factor] + level[factor]
        groups[term] = code
    x = np.column_stack([np.ones(len(level["draw"])), level["condition"]])
    return design(x, groups)
