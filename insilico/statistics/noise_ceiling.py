"""The statistic: noise ceilings of places and regions, with interval and null."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt, field_validator

from insilico.errors import ParameterError, SchemaError, counted
from insilico.schema import check, place_of
from insilico.spaces import regions
from insilico.statistics import jackknife
from insilico.statistics.attainable import of_orders
from insilico.statistics.ceilings import VARIANTS, cautions, ceiling, known, ncsnr, variances
from insilico.statistics.maps import with_maps
from insilico.statistics.permutations import above_null
from insilico.statistics.repeats import PLACES, Repeats, standardised
from insilico.step import Step, generator


class NoiseCeiling(Step):
    """Noise ceiling of each place, and its mean by region.

    Parameters
    ----------
    variant : str
        Which of the recipes of that name, see `insilico.statistics.ceilings.VARIANTS`.
    trials : int, optional
        The ceiling of averages of so many trials; by default of those at hand (of uneven ones by
        the mean of 1 / k).
    min_repeats : int
        Images with fewer trials are left out.
    by : str, optional
        Atlas (or labels of the response's own, such as ``floc-faces``) whose regions are reported;
        otherwise all cortical places together.
    n : int
        Permutations of trials for the null, and the most groups of stimuli that the interval's
        jackknife leaves out one by one.
    seed : int
    """

    kind: ClassVar[str] = "noise_ceiling"
    version: ClassVar[int] = 5
    own_labels: ClassVar[bool] = True
    spaces: ClassVar[tuple[str, ...]] = ("fsaverage5", "voxels")
    variant: str = "anova"
    trials: PositiveInt | None = None
    min_repeats: PositiveInt = 2
    by: str | None = None
    n: PositiveInt = 100
    seed: NonNegativeInt = 0

    @field_validator("variant")
    @classmethod
    def _known(cls, variant: str) -> str:
        try:
            known(variant)
        except ParameterError as error:
            raise ValueError(str(error)) from error
        return variant

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return regions.digests(self.by)

    def __call__(self, measured: xr.Dataset) -> xr.Dataset:
        """Estimate the ceiling.

        Parameters
        ----------
        measured : response, (repeat, stimulus, place)
            A coordinate `n_repeats` (stimulus) says how many of the repeats are real, where they
            differ.

        Returns
        -------
        estimate over contrast (the regions): `effect` is the mean over the region's places of
        the ceiling of R² (the root of a place's ceiling is that of r), `p` that there is signal
        at all. By place: `noise_ceiling`, `ncsnr`, `signal_variance`, `noise_variance`.
        """
        trials, images = self._trials(check(measured, "response"))
        names, masks = regions.each(self.by, measured)
        signal, noise = variances(_repeats(trials, images, np.arange(len(trials))), self.variant)
        counts = np.bincount(images)
        value = ceiling(signal, noise, self.trials or counts)
        effect = _means(value, masks)
        without, null = self._drawn(trials, images, masks)
        low, high = jackknife.interval(effect, without)
        p, corrected = above_null(effect, null)
        rows = {
            "effect": effect,
            "ci_low": low,
            "ci_high": high,
            "p": p,
            "p_corrected": corrected,
            "n": np.full(len(names), len(counts)),
        }
        maps = {"noise_ceiling": value, "ncsnr": ncsnr(signal, noise)}
        maps |= {"signal_variance": signal, "noise_variance": noise}
        return with_maps(rows, maps, names, self.by, measured, **self._about(counts, len(names)))

    # --- inputs ---

    def _trials(self, measured: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Return the trials (trial, place), sorted by image, and the image of each."""
        place = place_of(measured)
        if measured.sizes.get("repeat", 1) < 2:
            raise SchemaError("noise_ceiling: at least two repeats are needed (repeats='keep')")
        bold = measured["bold"].transpose("stimulus", "repeat", place).values
        real = np.full(bold.shape[:2], True)
        if "n_repeats" in measured.coords:
            real = np.arange(bold.shape[1]) < measured["n_repeats"].values[:, None]
        real &= (real.sum(1) >= self.min_repeats)[:, None]
        if len(np.unique(np.flatnonzero(real.any(1)))) < 2:
            raise SchemaError(
                f"noise_ceiling: fewer than two stimuli have {self.min_repeats} repeats or more; "
                f"the most repeats of a stimulus are {bold.shape[1]}"
            )
        images, repeat = np.nonzero(real)
        _, images = np.unique(images, return_inverse=True)
        return self._z_scored(bold[real], repeat, measured), images

    def _z_scored(self, trials: np.ndarray, repeat: np.ndarray, of: xr.Dataset) -> np.ndarray:
        within = VARIANTS[self.variant].z_scored
        if within == "repeat":
            return standardised(trials, repeat)
        if within == "session" and of.attrs["units"] != "session z":
            raise SchemaError(
                f"noise_ceiling: variant '{self.variant}' takes betas as z-scores within each "
                f"session, over all of its trials; these are in '{of.attrs['units']}': read them "
                "with zscore 'session', or take variant 'anova'"
            )
        return trials

    # --- interval and null ---

    def _drawn(
        self, trials: np.ndarray, images: np.ndarray, masks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the regions' means without each group of stimuli, and under the null.

        (group, region) and (permutation, region).
        """
        counts = np.bincount(images)
        of_draw = self.trials or counts
        rng = generator(self.seed, "noise ceiling", "interval")
        group = jackknife.groups(len(counts), self.n, rng)
        without, null = np.zeros((group.max() + 1, len(masks))), np.zeros((self.n, len(masks)))
        for start in range(0, trials.shape[1], PLACES):
            own = masks[:, start : start + PLACES].astype(float)
            block = trials[:, start : start + PLACES]
            for g, rest in enumerate(_without(block, images, group)):
                averaged = self.trials or counts[group != g]
                value = ceiling(*variances(rest, self.variant), averaged)
                without[g] += own @ np.nan_to_num(value)
            for b in range(self.n):
                order = generator(self.seed, "noise ceiling", "null", b).permutation(len(trials))
                chance = ceiling(*variances(_repeats(block, images, order), self.variant), of_draw)
                null[b] += own @ np.nan_to_num(chance)
        return without / masks.sum(1), null / masks.sum(1)

    # --- result ---

    def _about(self, counts: np.ndarray, count: int) -> dict[str, object]:
        about = VARIANTS[self.variant]
        as_measured = f"as measured, mean of 1/k = {np.mean(1 / counts):.4g}"
        return {
            "statistic": "mean over places of the noise ceiling of R²",
            "test": f"signal > 0: {self.n} permutations of trials over images, one-sided",
            "null": "trials exchangeable over images: no signal",
            "correction": f"maximum over {counted(count, 'region')}",
            "interval": "95 %, jackknife over stimuli (t)",
            "smallest_p": of_orders(self.n, counts.sum(), alike=[*counts, *np.bincount(counts)]),
            "variant": f"{self.variant}: {about.source}",
            "total_variance": about.total,
            "noise_ddof": about.noise_ddof,
            "z_scored_within": about.z_scored,
            "trials_averaged": self.trials or as_measured,
            "n_images": len(counts),
            "n_trials": int(counts.sum()),
            **({"caution": caution} if (caution := cautions(self.variant, counts)) else {}),
        }


def _means(value: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return np.array([np.nan_to_num(value[mask]).mean() for mask in masks])


def _without(block: np.ndarray, images: np.ndarray, group: np.ndarray) -> Iterator[Repeats]:
    """Yield the sums of squares without one group of images after the other."""
    counts = np.bincount(images)
    means, squares = _by_image(block, images, counts)
    of_group = np.eye(group.max() + 1)[group].T
    first, second = (counts[:, None] * means for _ in range(2))
    second = second * means
    left_first, left_second = first.sum(0) - of_group @ first, second.sum(0) - of_group @ second
    for g in range(len(of_group)):
        rest = group != g
        classes = np.unique(counts[rest])
        within = np.stack([squares[rest & (counts == c)].sum(0) for c in classes])
        between = left_second[g] - left_first[g] ** 2 / counts[rest].sum()
        yield Repeats(counts[rest], classes, within, between)


def _by_image(
    block: np.ndarray, images: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each image's mean and its squares around it, float64 (image, place) both."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    block = block.astype(np.float64)
    means = np.add.reduceat(block, starts) / counts[:, None]
    return means, np.add.reduceat((block - means[images]) ** 2, starts)


def _repeats(block: np.ndarray, images: np.ndarray, order: np.ndarray) -> Repeats:
    """Return the sums of squares of trials in another order, (trial, place) sorted by image."""
    counts = np.bincount(images)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(block[order], starts, dtype=np.float64)
    explained, classes = sums**2 / counts[:, None], np.unique(counts)
    if len(classes) == 1:
        squares = np.einsum("tv,tv->v", block, block, dtype=np.float64)[None]
    else:
        own = np.add.reduceat(block[order] ** 2, starts, dtype=np.float64)
        squares = np.stack([own[counts == c].sum(0) for c in classes])
    within = squares - np.stack([explained[counts == c].sum(0) for c in classes])
    between = explained.sum(0) - sums.sum(0) ** 2 / counts.sum()
    return Repeats(counts, classes, np.maximum(within, 0), np.maximum(between, 0))
