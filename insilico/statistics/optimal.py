"""What pictures that were made for a region do to it, as a second encoder says.

Its unit is the restart: a search, or a draw of the decoder. No brain has seen the pictures.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from scipy import special

from insilico.errors import SchemaError, counted, listed
from insilico.schema import check
from insilico.spaces import atlases, regions
from insilico.statistics.attainable import of_draws
from insilico.statistics.multiplicity import holm
from insilico.statistics.picks import pick_test
from insilico.step import Step, generator

METRICS = {
    "natural": "response to the region's own pictures, in standard deviations from the mean of "
    "natural scenes",
    "others": "the same, less the response to pictures made for the other regions",
    "control": "the same, less the response to pictures made for random patches",
}


class Optimal(Step):
    """Response of each region to pictures made for it, against three that it should exceed.

    Natural scenes (the share below it; p by rank), pictures that were made for other regions, and
    pictures that were made for patches of the regions' sizes elsewhere (p by picking any of them in
    its place, restart by restart).

    Attributes
    ----------
    of : tuple of str
        Conditions, one a way of making pictures.
    control : tuple of str
        Conditions with controls, in the order of `of`.
    n : int
        Permutations, where not all are gone through.
    seed : int
    """

    kind: ClassVar[str] = "optimal"
    version: ClassVar[int] = 2
    of: tuple[str, ...] = Field(min_length=1)
    control: tuple[str, ...] = Field(min_length=1)
    n: PositiveInt = 9999
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _one_each(self) -> Optimal:
        if len(self.of) != len(self.control):
            raise ValueError(
                f"control: one condition for each of 'of', in its order; met {len(self.control)} "
                f"for {len(self.of)}"
            )
        return self

    def __call__(
        self, pictures: xr.Dataset, answers: xr.Dataset, natural: xr.Dataset, measured: xr.Dataset
    ) -> xr.Dataset:
        """Estimate what pictures do.

        Parameters
        ----------
        pictures : stimuli
            With `way`, `region`, `control` and `draw` as coordinates.
        answers : response on fsaverage5
            Of the second encoder, to the pictures.
        natural : response on fsaverage5
            Of the second encoder, to natural scenes that it was not fitted on.
        measured : response on fsaverage5
            To the same scenes: `accuracy` says how well the second encoder knows each region.

        Returns
        -------
        estimate over contrast (way), metric and region
            Metrics are `METRICS`. Beside them, over way and region: the mean standardised responses
            `own`, `others`, `patches` and `matched` (the patch of the region's own size); the mean
            `percentile` among natural scenes, and `above_best`, the share of restarts above the
            best of them. Over region: `best_natural`, its id `best_scene`, `accuracy`, `vertices`.

        Raises
        ------
        SchemaError
            If a way lacks pictures, or there is one region or one restart.
        """
        names = list(dict.fromkeys(pictures["region"].values.astype(str)))
        masks = np.stack([regions.mask(name) for name in names])
        scenes = _means(natural, masks)
        level, spread = scenes.mean(0), scenes.std(0)
        usual = (scenes - level) / spread
        made = (_means(answers, masks) - level) / spread
        pairs = zip(self.of, self.control, strict=True)
        ways = [self._way(made, pictures, names, way, control) for way, control in pairs]
        found = [self._tested(own, patches, usual) for own, patches in ways]
        rows = {key: np.stack([one[key] for one in found]) for key in found[0]}
        coords = {"contrast": list(self.of), "metric": list(METRICS)}
        coords["region"] = [name.rpartition(":")[2] for name in names]
        dims = ("contrast", "metric", "region")
        over: dict[str, Any] = {
            key: (dims if x.ndim == 3 else (dims[0], dims[2]), x) for key, x in rows.items()
        }
        best = natural["stimulus"].values.astype(str)[usual.argmax(0)]
        over |= {
            "best_natural": ("region", usual.max(0)),
            "best_scene": ("region", best),
            "accuracy": ("region", _correlations(scenes, _means(measured, masks))),
            "vertices": ("region", masks.sum(1)),
        }
        coords["definition"] = ("metric", list(METRICS.values()))  # type: ignore[assignment]
        coords["colour"] = ("region", [_colour(name) for name in names])  # type: ignore[assignment]
        draws = len(ways[0][0])
        attrs = self._about(draws, len(names), len(usual)) | _said(pictures, answers)
        return check(xr.Dataset(over, coords, attrs), "estimate")

    def _way(
        self, made: np.ndarray, pictures: xr.Dataset, names: list[str], way: str, control: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return responses to pictures for regions and for patches, (draw, picture, region)."""
        both = []
        for condition in (way, control):
            mine = pictures["way"].values == condition
            each = [made[mine & (pictures["region"].values == name)] for name in names]
            if len(names) < 2 or len({len(one) for one in each}) > 1 or len(each[0]) < 2:
                told = listed(f"{len(one)} of {n}" for n, one in zip(names, each, strict=True))
                raise SchemaError(
                    f"optimal: '{condition}' has pictures: {told}; needed are two regions or more, "
                    "and as many restarts of each, two at least (decoder.draws)"
                )
            both.append(np.stack(each, axis=1))
        return both[0], both[1]

    def _tested(
        self, own: np.ndarray, patches: np.ndarray, usual: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the rows of one way, (metric, region), and what is told beside them, (region,)."""
        count = own.shape[1]
        mine = np.stack([own[:, k, k] for k in range(count)], axis=1)
        others = (own.sum(1) - mine) / (count - 1)
        each = np.stack([mine, mine - others, mine - patches.mean(1)])  # (metric, draw, region)
        low, high = _interval(each)
        above = (usual[None] >= mine.mean(0)).sum((0, 1))
        p = [(1 + above) / (1 + len(usual))]
        p.append([self._p(own[:, :, k], k, "others") for k in range(count)])
        pools = [np.concatenate([mine[:, [k]], patches[:, :, k]], 1) for k in range(count)]
        p.append([self._p(pool, 0, "control") for pool in pools])
        rows = {"effect": each.mean(1), "ci_low": low, "ci_high": high, "p": np.array(p)}
        rows["p_corrected"] = holm(rows["p"].T).T
        rows["n"] = np.full(rows["p"].shape, len(mine))
        below = (usual[None] < mine[:, None]).mean(1)
        return rows | {
            "own": mine.mean(0),
            "others": others.mean(0),
            "patches": patches.mean((0, 1)),
            "matched": np.array([patches[:, k, k].mean() for k in range(count)]),
            "percentile": 100 * below.mean(0),
            "above_best": (mine > usual.max(0)).mean(0),
        }

    def _p(self, values: np.ndarray, own: int, what: str) -> float:
        return pick_test(values, own, self.n, generator(self.seed, "optimal", what))

    def _about(self, draws: int, count: int, scenes: int) -> dict[str, Any]:
        picks = min(self.n, count**draws)
        return {
            "statistic": "mean response of the region, second encoder, in deviations among "
            f"{scenes} scenes",
            "test": "natural: rank among the scenes; others, control: any picture of the restart "
            f"in the place of the region's own, {picks} picks or all; one-sided",
            "null": "a picture made for the region is as any scene; as one made for another "
            "region; as one made for a patch",
            "correction": f"Holm over {counted(count, 'region')}, for each way and comparison",
            "interval": f"95 %, Student's t over {draws} restarts",
            "unit_of_inference": "restart",
            "smallest_p": min(of_draws(scenes), of_draws(self.n, (count + 1.0) ** draws)),
            "scenes": scenes,
        }


def _interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of Student's interval of the mean over restarts, (metric, region)."""
    draws = values.shape[1]
    reach = special.stdtrit(draws - 1, 0.975) * values.std(1, ddof=1) / np.sqrt(draws)
    return values.mean(1) - reach, values.mean(1) + reach


def _means(response: xr.Dataset, masks: np.ndarray) -> np.ndarray:
    """Return the mean over each region's vertices, float64 (stimulus, region)."""
    bold = check(response, "response", space="fsaverage5")["bold"]
    bold = bold.mean("repeat") if "repeat" in bold.dims else bold
    values = bold.transpose("stimulus", "vertex").values
    return np.stack([values[:, mask].mean(1, dtype=np.float64) for mask in masks], axis=1)


def _correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    a, b = one - one.mean(0), other - other.mean(0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


def _colour(name: str) -> str:
    atlas, _, region = name.rpartition(":")
    known = atlases.describe(atlas)["regions"] if atlas in atlases.names() else {}
    return str(known.get(region, {"colour": "#777777"})["colour"])


def _said(pictures: xr.Dataset, answers: xr.Dataset) -> dict[str, Any]:
    """Return what must be said of the pictures, and who judged them."""
    found = {key: pictures.attrs[key] for key in ("source", "lesion") if key in pictures.attrs}
    judge = f"{answers.attrs['encoder']}, fitted on {answers.attrs['subject']}"
    return {**found, "second_encoder": judge}
