"""Scores on pixels: pixel correlation and structural similarity."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr

from insilico.scores.preparation import STORED, Setting, at_size, pillow, stretched
from insilico.scores.score import Score, drawn
from insilico.scores.similarity import matched

GREY = np.array([0.2125, 0.7154, 0.0721])
SIDE = 425
"""Side at which the published scripts compare pixels."""
ROWS = 16
MOST_PAIRS = 2000
"""Mismatched pairs that tell the chance level of structural similarity."""


class PixelScore(Score):
    """Base of scores on pixels.

    Parameters
    ----------
    protocol : {"mindeye2", "brain-diffuser"}, optional
        Whose setting. Without it a reconstruction is brought to the stimulus's size; MindEye2
        brings all pictures to 256 and then to 425 pixels, bilinearly without antialiasing,
        Brain-Diffuser to 425 with Pillow's bicubic kernel.
    """

    protocol: Setting | None = None

    @property
    def whose(self) -> str:
        """The end of the name: the setting."""
        return f"@{self.protocol}" if self.protocol else ""

    @property
    def size(self) -> str:
        """The size of the pictures, for definitions."""
        return f"425 x 425 as {self.protocol}" if self.protocol else "the stimulus's size"

    def pixels(self, images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return pictures (n, y, x, rgb) as they are compared: float64 in [0, 1]."""
        if self.protocol == "mindeye2":
            return stretched(images, STORED, SIDE)
        if self.protocol == "brain-diffuser":
            kept = images.shape[1:3] == (SIDE, SIDE)
            return stretched(images) if kept else pillow(images, SIDE, "bicubic")
        return at_size(stretched(images), shape)


class PixCorr(PixelScore):
    """Pearson correlation over all pixel values of a picture and its reconstruction."""

    kind: ClassVar[str] = "pixcorr"
    definition: ClassVar[str] = "Pearson r over height x width x rgb"

    def described(self) -> tuple[str, str]:
        """Return name and definition, with the size."""
        return self.kind + self.whose, f"{self.definition}, at {self.size}"

    def scored(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> tuple[np.ndarray, float]:
        """Return r of each item, and the mean over all mismatched pairs."""
        shown, made = stimuli["image"].values, drawn(reconstruction)

        def flat(images: np.ndarray) -> np.ndarray:
            return self.pixels(images, shown.shape[1:3]).reshape(len(images), -1)

        return matched(shown, made, flat, ROWS, centred=True)


class Ssim(PixelScore):
    """Structural similarity of grey pictures (Gaussian window of sigma 1.5).

    Parameters
    ----------
    protocol
        See `PixelScore`; Brain-Diffuser's comes with the variant ``columns``.
    variant : {"2d", "columns"}, optional
        ``2d`` is the usual one. ``columns`` is the mean over columns of one-dimensional SSIMs: what
        ``multichannel=True`` makes of a grey picture in scikit-image up to 0.19, in which
        Brain-Diffuser's and others' published tables were computed.
    """

    kind: ClassVar[str] = "ssim"
    definition: ClassVar[str] = (
        "SSIM on grey, Gaussian sigma 1.5 radius 5, population covariance, K .01 .03"
    )
    variant: Literal["2d", "columns"] | None = None

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes of the window: both, or along each column."""
        published = "columns" if self.protocol == "brain-diffuser" else "2d"
        return (-2,) if (self.variant or published) == "columns" else (-2, -1)

    def described(self) -> tuple[str, str]:
        """Return name and definition, with the variant, the size and how chance was found."""
        chosen = f"_{self.variant}" if self.variant else ""
        what = "2-D" if len(self.axes) == 2 else "column-wise (scikit-image up to 0.19)"
        chance = f"chance: up to {MOST_PAIRS} mismatched pairs"
        told = f"{what} {self.definition}, at {self.size}; {chance}"
        return self.kind + chosen + self.whose, told

    def scored(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> tuple[np.ndarray, float]:
        """Return the SSIM of each item, and the mean over mismatched pairs."""
        shown, made = stimuli["image"].values, drawn(reconstruction)
        own = np.stack([self._pairs(shown, draw) for draw in made], 1)
        n = len(shown)
        turns = np.unique(np.linspace(1, n - 1, min(n - 1, max(1, MOST_PAIRS // n))).astype(int))
        apart = [self._pairs(np.roll(shown, k, 0), draw) for k in turns for draw in made]
        return own, float(np.mean(apart)) if apart else float("nan")

    def _pairs(self, shown: np.ndarray, made: np.ndarray) -> np.ndarray:
        """Return the SSIM of pictures (n, y, x, rgb) and as many reconstructions: (n,)."""
        parts = []
        for start in range(0, len(shown), ROWS):
            rows, shape = slice(start, start + ROWS), shown.shape[1:3]
            a, b = (self.pixels(images[rows], shape) @ GREY for images in (shown, made))
            parts.append(ssim(a, b, self.axes))
        return np.concatenate(parts)


def ssim(a: np.ndarray, b: np.ndarray, axes: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Return the SSIM of grey pictures (n, y, x) and as many others: (n,).

    As scikit-image 0.20 and later with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1``; along `axes` a border of 5 pixels is cut.
    """

    def smooth(images: np.ndarray) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        return gaussian_filter(images, 1.5, radius=5, mode="reflect", axes=axes)

    mean_a, mean_b = smooth(a), smooth(b)
    variances = smooth(a * a) - mean_a**2 + smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    below = (mean_a**2 + mean_b**2 + 1e-4) * (variances + 9e-4)
    inside = [slice(5, -5) if axis in axes else slice(None) for axis in (-2, -1)]
    return (above / below)[:, inside[0], inside[1]].mean((1, 2))
