"""Noise ceilings from repeats: reliabilities in R² units, never squared, never capped.

Several recipes go by the same name and give different numbers; each has its own name here
(`VARIANTS`), and a result says which it took.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from insilico.errors import ParameterError, SchemaError, not_one_of
from insilico.statistics.repeats import Repeats, summed


@dataclass(frozen=True)
class Variant:
    """One recipe for the variance of signal and of noise.

    Attributes
    ----------
    source : str
        Where it is used.
    total : {"one", "ddof 0", "ddof 1", "components"}
        The total variance: 1 by definition (z-scored betas), the variance over trials, or none:
        both components from mean squares.
    noise_ddof : int
        Of the variance over an image's repeats.
    rectified : bool
        Whether a negative signal variance is set to zero.
    z_scored : {"session", "repeat", "none"}
        Within what the betas are z-scored first.
    uneven : bool
        Whether images may have different numbers of trials.
    of_ratio : bool
        Whether not the signal variance but its ratio to the variance of averages is unbiased.
    """

    source: str
    total: Literal["one", "ddof 0", "ddof 1", "components"]
    noise_ddof: int = 1
    rectified: bool = True
    z_scored: Literal["session", "repeat", "none"] = "none"
    uneven: bool = False
    of_ratio: bool = False


VARIANTS = {
    "anova": Variant(
        "one-way random effects, Shrout and Fleiss (1979); unbiased, uneven repeats",
        "components",
        rectified=False,
        uneven=True,
    ),
    "anova_corrected": Variant(
        "as anova, with 1 / MSB times (images - 3) / (images - 1): the ceiling itself is unbiased",
        "components",
        rectified=False,
        uneven=True,
        of_ratio=True,
    ),
    "nsd": Variant("NSD, Allen et al. (2022): the released ncsnr maps", "one", z_scored="session"),
    "glmsingle_matlab": Variant("GLMsingle, example 9, MATLAB", "ddof 1"),
    "glmsingle_notebook": Variant("GLMsingle, example 9, notebook", "ddof 0"),
    "things": Variant("THINGS-data, kknc", "one", z_scored="repeat"),
    "laion": Variant("brain-score, LAION-fMRI", "one", noise_ddof=0, z_scored="session"),
    "get_ncsnr": Variant(
        "a public function get_ncsnr: noise of as many random trials of every image as the least "
        "shown one has",
        "ddof 0",
        uneven=True,
    ),
}


def variances(
    repeats: Repeats, variant: str = "anova", every: Repeats | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances of signal and of noise, float64 (place,) each.

    Parameters
    ----------
    repeats : Repeats
        Of betas that were z-scored as the variant asks, see `VARIANTS`.
    variant : str
        ``"anova"`` is unbiased and needs neither z-scores nor even repeats.
    every : Repeats, optional
        Where `repeats` are trimmed (``"get_ncsnr"``): those of all trials, for the total variance.

    Raises
    ------
    ParameterError
        Unknown variant.
    SchemaError
        If no image has two trials, or the variant is not defined for uneven repeats.

    Notes
    -----
    Noise is the mean over images of the variance over an image's repeats; under ``"anova"`` sums
    of squares are pooled, ``MSW``, and the signal is ``(MSB - MSW) / k0`` with
    ``k0 = (T - sum(k_i²) / T) / (I - 1)`` for T trials of I images. Of normal betas, with as many
    trials each, ``MSB`` is chi-square with I - 1 degrees of freedom, so that ``1 / MSB`` is too
    large by ``(I - 1) / (I - 3)`` on average and ``1 - MSW / MSB`` too small. Under
    ``"anova_corrected"`` ``MSB`` is multiplied by this: the ceiling of averages of all trials is
    unbiased, and the signal variance too large by ``2 (S + N / k0) / (I - 3)``.
    """
    about = known(variant)
    if not isinstance(repeats, Repeats):
        raise SchemaError(
            f"variances takes what `summed` returned, got {type(repeats).__name__}: "
            "variances(summed([betas], images)) of betas (trial, place) and the image of each trial"
        )
    _require_repeats(repeats, variant)
    if about.total == "components":
        return _components(repeats, about.of_ratio)
    several = repeats.classes >= 2
    classes, within = repeats.classes[several], repeats.within[several]
    noise = (within / (classes - about.noise_ddof)[:, None]).sum(0) / (repeats.counts >= 2).sum()
    total: np.ndarray | float = 1.0
    if about.total != "one":
        whole = every or repeats
        squares = whole.between + whole.within.sum(0)
        total = squares / (whole.trials - int(about.total[-1]))
    signal = total - noise
    return np.maximum(signal, 0) if about.rectified else signal, noise


def known(variant: str) -> Variant:
    """Return a variant by name, or raise `ParameterError`."""
    if variant not in VARIANTS:
        raise ParameterError(not_one_of("variant of the noise ceiling", variant, VARIANTS))
    return VARIANTS[variant]


FEW = 60
"""Images below which the bias of a recipe's ratio is about as large as the intervals of regions."""


def cautions(variant: str, counts: np.ndarray) -> str:
    """Return what is known to be wrong with a ceiling of these trials; nothing where nothing is.

    Parameters
    ----------
    variant : str
    counts : int (image,)
        Trials of each image.
    """
    about, images, found = known(variant), len(counts), list[str]()
    if about.noise_ddof == 0:
        short = np.mean((counts - 1) / counts)
        found.append(
            f"'{variant}' divides squares by the number of trials, so noise is {short:.2f} of what "
            "it is and the ceiling too high: to compare with that recipe's own numbers alone"
        )
    if images < FEW and variant == "anova":
        found.append(
            f"with {images} images the ceilings are too low, by about 2 (1 - ceiling) / {images}, "
            "and the intervals around them too; variant: anova_corrected is not"
        )
    elif images < FEW and not about.of_ratio:
        found.append(
            f"with {images} images total minus noise takes the signal's variance too small; "
            "variant: anova_corrected does not"
        )
    return "; ".join(found)


def _require_repeats(repeats: Repeats, variant: str) -> None:
    if repeats.counts.max() < 2:
        raise SchemaError("noise ceiling: every image was shown once; some need two trials or more")
    if len(repeats.counts) < 2:
        raise SchemaError("noise ceiling: one image; at least two are needed")
    if len(repeats.classes) > 1 and not VARIANTS[variant].uneven:
        raise SchemaError(
            f"noise ceiling: variant '{variant}' is defined for images with as many trials each; "
            f"these have {', '.join(map(str, repeats.classes))}: keep those with "
            f"{repeats.classes[-1]} (min_repeats), or take variant 'anova'"
        )


def _components(repeats: Repeats, of_ratio: bool) -> tuple[np.ndarray, np.ndarray]:
    counts, trials = repeats.counts, repeats.trials
    if of_ratio and len(counts) < 4:
        raise SchemaError(
            f"noise ceiling: variant 'anova_corrected' needs 4 images, there are {len(counts)}: "
            "the mean of 1 / MSB does not exist; take variant 'anova'"
        )
    within = repeats.within.sum(0) / (trials - len(counts))
    between = repeats.between / (len(counts) - (3 if of_ratio else 1))
    share = (trials - (counts**2).sum() / trials) / (len(counts) - 1)
    return (between - within) / share, within


def ceiling(signal: np.ndarray, noise: np.ndarray, counts: np.ndarray | int) -> np.ndarray:
    """Return the noise ceiling of averages over repeats, as a fraction of variance.

    ``S / (S + N * mean(1 / k_i))``; NaN where a place has no variance.

    Parameters
    ----------
    signal, noise : (place,)
    counts : int or int (image,)
        Trials averaged for each image of the test set: one number, or one an image where they
        differ.
    """
    noise = noise * np.mean(1 / np.asarray(counts, float))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(signal + noise > 1e-30, signal / (signal + noise), np.nan)


def ncsnr(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the noise-ceiling signal-to-noise ratio, ``sqrt(S / N)``; of negative S it is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.maximum(signal, 0)) / np.sqrt(noise)


def at_trials(value: np.ndarray, trials: float, other: float) -> np.ndarray:
    """Return the ceiling of averages of `other` trials from that of `trials` trials.

    Spearman and Brown's formula: with ``m = other / trials``, ``m r / (1 + (m - 1) r)``.
    """
    m = other / trials
    return m * value / (1 + (m - 1) * value)


def reliability(bold: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Return the noise ceiling of the mean over repeats, (place,), from (repeat, stimulus, place).

    Variant ``"anova"``: of even repeats ``1 - MSW / MSB``, which is ICC(1, k).

    Parameters
    ----------
    bold : (repeat, stimulus, place)
    counts : int (stimulus,), optional
        How many of each stimulus's repeats are real, the first ones; all of them if left out.
    """
    repeats, stimuli, _ = bold.shape
    images = np.tile(np.arange(stimuli), (repeats, 1))
    if counts is not None:
        images[np.arange(repeats)[:, None] >= counts] = -1
    signal, noise = variances(summed(bold, images.ravel()))
    return ceiling(signal, noise, repeats if counts is None else counts)
