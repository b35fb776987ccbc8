"""How much of a stimulus' identity survives, stage by stage of the decoder."""

from __future__ import annotations

from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt

from insilico.errors import SchemaError, counted, listed
from insilico.schema import check
from insilico.spaces.tokens import image_tokens
from insilico.statistics.attainable import of_orders
from insilico.statistics.intervals import bca
from insilico.step import Step, generator

STAGES = {
    "ridge": "tokens_ridge",
    "backbone": "tokens_backbone",
    "clip voxels": "tokens_voxels",
    "prior": "tokens_prior",
    "image": "image",
}
"""Stage to the variable of a reconstruction that holds it; a decoder keeps tokens on request."""


class Discriminability(Step):
    """Same-stimulus against different-stimulus similarity at every stage of the decoder.

    Two versions of every stimulus are compared by the cosine of their flattened representations:
    ridge output, backbone tokens, projected tokens, the prior's tokens, and the CLIP tokens of the
    picture. A seed study names the mean over same-stimulus pairs (delta) and leaves open what
    the two versions are. Here they are named: reconstructions of two conditions (two repeats of a
    measurement, or measured and synthetic responses), or two draws of one.

    Parameters
    ----------
    of : list of str
        Conditions whose reconstructions are the versions; all pairs of them are averaged. One
        condition: all pairs of its draws, at the stages that draw (prior and image).
    weights : str
        CLIP of the stage ``image``, see `insilico.spaces.tokens`.
    n : int
        Permutations of stimuli.
    seed : int
    """

    kind: ClassVar[str] = "discriminability"
    version: ClassVar[int] = 3
    of: tuple[str, ...] = Field(min_length=1)
    weights: str = "phantom"
    n: PositiveInt = 1000
    seed: NonNegativeInt = 0

    def digests(self) -> dict[str, str]:
        """Return the digest of the CLIP."""
        from insilico.spaces.tokens import ImageTokens

        return ImageTokens(weights=self.weights).digests()

    def ready(self) -> None:
        """Raise if the memory that `insilico.step.computing` sets is too little for the CLIP."""
        from insilico.spaces.tokens import ImageTokens

        ImageTokens(weights=self.weights).ready()

    def __call__(self, *reconstructions: xr.Dataset) -> xr.Dataset:
        """Estimate the discriminability.

        Parameters
        ----------
        *reconstructions : reconstruction, (stimulus, draw)
            One for each name in `of`, with the same stimuli.

        Returns
        -------
        estimate over contrast (the stages that all reconstructions hold)
            `effect` is `same` minus `different`, the mean cosines of same-stimulus and of
            different-stimulus pairs: 0 by chance. `two_way`: the share of other stimuli that a
            version resembles less than its own, chance one half, ties half. `n` stimuli and
            `pairs` of versions.

        Raises
        ------
        SchemaError
        """
        self._require(reconstructions)
        stages = {name: var for name, var in STAGES.items() if self._held(reconstructions, var)}
        if not stages:
            raise SchemaError("discriminability: no stage is there in two versions of a stimulus")
        shared = len({r.attrs["seed"] for r in reconstructions}) == 1
        rows = [self._row(reconstructions, name, var, shared) for name, var in stages.items()]
        return self._labelled(list(stages), rows, reconstructions, shared)

    # --- versions ---

    def _require(self, reconstructions: tuple[xr.Dataset, ...]) -> None:
        if len(reconstructions) != len(self.of):
            raise SchemaError(
                f"discriminability: {len(self.of)} conditions are named ({listed(self.of)}) and "
                f"{len(reconstructions)} reconstructions given; one each"
            )
        first = check(reconstructions[0], "reconstruction")["stimulus"].values
        if len(first) < 2:
            raise SchemaError("discriminability: at least two stimuli are needed")
        for name, other in zip(self.of, reconstructions, strict=True):
            if not np.array_equal(check(other, "reconstruction")["stimulus"].values, first):
                raise SchemaError(
                    f"discriminability: '{name}' has other stimuli than '{self.of[0]}'"
                )

    def _held(self, reconstructions: tuple[xr.Dataset, ...], variable: str) -> bool:
        if not all(variable in each for each in reconstructions):
            return False
        one = reconstructions[0]
        return len(self.of) > 1 or ("draw" in one[variable].dims and one.sizes["draw"] > 1)

    def _row(
        self, reconstructions: tuple[xr.Dataset, ...], stage: str, variable: str, shared: bool
    ) -> dict[str, float]:
        versions = [self._versions(each[variable]) for each in reconstructions]
        parts = _pairs(versions, shared)
        pairs = [versions[k][a] @ versions[m][b].T for (k, a), (m, b) in parts]
        groups = [((k, a), (m, b)) if len(versions) == 1 else (k, m) for (k, a), (m, b) in parts]
        two_way = np.mean([(_two_way(p) + _two_way(p.T)) / 2 for p in pairs])
        found = self._tested(pairs, groups, stage)
        return {**found, "two_way": float(two_way), "pairs": len(pairs)}

    def _versions(self, values: xr.DataArray) -> np.ndarray:
        """Return unit vectors, float32 (draw, stimulus, feature); one draw where none is drawn."""
        if "draw" not in values.dims:
            values = values.expand_dims("draw")
        values = values.transpose("draw", "stimulus", ...)
        array = values.values
        if values.name == "image":
            array = np.stack([image_tokens(draw, self.weights) for draw in array])
        flat = array.reshape(*array.shape[:2], -1).astype(np.float32)
        length = np.linalg.norm(flat, axis=-1, keepdims=True)
        if not (np.isfinite(length).all() and (length > 0).all()):
            bad = values["stimulus"].values[~((length > 0) & np.isfinite(length)).all((0, 2))]
            raise SchemaError(
                f"discriminability: NaN or nothing but zeros in {values.name} of {listed(bad, 3)}"
            )
        return flat / length

    # --- numbers ---

    def _tested(
        self, pairs: list[np.ndarray], groups: list[tuple[Any, Any]], stage: str
    ) -> dict[str, float]:
        """Return one stage's numbers from the cosines of each pair of versions, (n, n).

        The stimuli of each version are permuted by themselves, all of its pairs alike. `groups`
        names the versions of each pair: conditions, with all their draws, or draws of one.
        """
        similarity = np.mean([(pair + pair.T) / 2 for pair in pairs], axis=0)
        n = len(similarity)
        own = similarity.diagonal().astype(np.float64)
        others = (similarity.sum(1, dtype=np.float64) - own) / (n - 1)
        rng = generator(self.seed, "discriminability", stage)
        versions = dict.fromkeys(one for pair in groups for one in pair)
        orders = {one: rng.permuted(np.tile(np.arange(n), (self.n, 1)), axis=1) for one in versions}
        drawn = [
            pair[orders[a], orders[b]].mean(1, dtype=np.float64)
            for pair, (a, b) in zip(pairs, groups, strict=True)
        ]
        null = np.mean(drawn, axis=0)
        (low,), (high,) = bca((own - others)[:, None], rng)
        return {
            "effect": float((own - others).mean()),
            "ci_low": low,
            "ci_high": high,
            "p": (1 + int((null >= own.mean() - 1e-9).sum())) / (1 + self.n),
            "n": n,
            "same": float(own.mean()),
            "different": float(others.mean()),
        }

    def _labelled(
        self,
        stages: list[str],
        rows: list[dict[str, float]],
        reconstructions: tuple[xr.Dataset, ...],
        shared: bool,
    ) -> xr.Dataset:
        table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        table["p_corrected"] = np.minimum(1.0, table["p"] * len(rows))
        table |= {"chance": np.zeros(len(rows)), "two_way_chance": np.full(len(rows), 0.5)}
        first = reconstructions[0].attrs
        versions = len(self.of) if len(self.of) > 1 else reconstructions[0].sizes["draw"]
        return xr.Dataset(
            {name: ("contrast", values) for name, values in table.items()},
            coords={"contrast": stages},
            attrs={
                "statistic": "mean cosine of same-stimulus minus that of different-stimulus pairs",
                "versions": self._said(reconstructions, shared),
                "test": f"same > different: {self.n} permutations of stimuli, one-sided",
                "null": "versions paired without regard to the stimulus",
                "correction": f"Bonferroni over {counted(len(rows), 'stage')}",
                "interval": "95 % BCa, 9999 resamples of stimuli",
                "unit_of_inference": "stimulus",
                "smallest_p": of_orders(self.n, int(rows[0]["n"]), max(versions - 1, 1)),
                **{name: first[name] for name in ("source", "note") if name in first},
            },
        )

    def _said(self, reconstructions: tuple[xr.Dataset, ...], shared: bool) -> str:
        if len(self.of) == 1:
            return f"draws of {self.of[0]}, each with its own noise"
        draws = min(each.sizes["draw"] for each in reconstructions)
        common = shared and draws == 1
        how = (
            "the same noise: prior and image are alike for that reason too"
            if common
            else ("noise of their own at the prior and after it")
        )
        return f"reconstructions of {listed(self.of)}, with {how}"


Drawn = tuple[int, int]


def _pairs(versions: list[np.ndarray], shared: bool) -> list[tuple[Drawn, Drawn]]:
    """Return pairs of condition and draw; never two of the same noise if possible.

    Parameters
    ----------
    versions : list of (draw, stimulus, feature)
        One a condition. Equal draws of conditions share their noise where `shared`.
    """
    draws = [[(k, a) for a in range(len(one))] for k, one in enumerate(versions)]
    if len(versions) == 1:
        return list(combinations(draws[0], 2))
    found = []
    for one, other in combinations(draws, 2):
        every = [(a, b) for a in one for b in other]
        apart = [(a, b) for a, b in every if a[1] != b[1]] if shared else []
        found += apart or every
    return found


def _two_way(similarity: np.ndarray) -> float:
    """Return the mean share of other rows that a column resembles less than its own."""
    own, n = similarity.diagonal(), len(similarity)
    less = (similarity < own).sum() + 0.5 * ((similarity == own).sum() - n)
    return float(less / (n * (n - 1)))
