"""Scores on pixels: pixel correlation and structural similarity."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from insilico.scores.score import Score

GREY = np.array([0.2125, 0.7154, 0.0721])


def pictures(dataset: xr.Dataset) -> np.ndarray:
    """Return images as float64 in [0, 1]; a reconstruction's as (draw, stimulus, y, x, rgb)."""
    image = dataset["image"]
    if "draw" in image.dims:
        image = image.transpose("draw", "stimulus", ...)
    return image.values.astype(np.float64) / 255


def at_size(images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (n, y, x, rgb) bilinearly, without antialiasing, as the published scores do."""
    if images.shape[1:3] == shape:
        return images
    import torch

    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(channels_first, shape, mode="bilinear")
    return resized.permute(0, 2, 3, 1).numpy()


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's r of every row of `a` (n, p) with every row of `b` (m, p): (n, m).

    A constant row has r = 0 with everything.
    """
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    return np.divide(a @ b.T, norms, out=np.zeros_like(norms), where=norms > 1e-12)


class PixCorr(Score):
    """Pearson correlation over all pixel values of a picture and its reconstruction."""

    kind: ClassVar[str] = "pixcorr"
    definition: ClassVar[str] = "Pearson r over height x width x rgb, at the stimulus's size"

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return r of every pair, (draw, stimulus, reconstruction)."""
        shown = pictures(stimuli)
        flat = shown.reshape(len(shown), -1)
        return np.stack(
            [
                correlations(flat, at_size(made, shown.shape[1:3]).reshape(len(made), -1))
                for made in pictures(reconstruction)
            ]
        )


class Ssim(Score):
    """Structural similarity of grey pictures (two-dimensional, Gaussian window of sigma 1.5)."""

    kind: ClassVar[str] = "ssim"
    definition: ClassVar[str] = (
        "2-D SSIM on grey, Gaussian sigma 1.5 radius 5, population covariance, K .01 .03"
    )

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return the SSIM of every pair, (draw, stimulus, reconstruction)."""
        shown = pictures(stimuli)
        truth = shown @ GREY
        return np.stack(
            [
                ssim_pairs(truth, at_size(made, shown.shape[1:3]) @ GREY)
                for made in pictures(reconstruction)
            ]
        )


def ssim_pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the SSIM of every pair of grey pictures (n, y, x) and (m, y, x): (n, m).

    As scikit-image 0.20 and later with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1``; a border of 5 pixels is cut.
    """
    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    rows = []
    for k in range(len(a)):
        covariance = smooth(a[k] * b) - mean_a[k] * mean_b
        above = (2 * mean_a[k] * mean_b + 1e-4) * (2 * covariance + 9e-4)
        below = (mean_a[k] ** 2 + mean_b**2 + 1e-4) * (var_a[k] + var_b + 9e-4)
        rows.append((above / below)[:, 5:-5, 5:-5].mean((1, 2)))
    return np.array(rows)


def smooth(images: np.ndarray) -> np.ndarray:
    """Smooth the last two axes with a Gaussian of sigma 1.5, radius 5, reflecting borders."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(images, 1.5, radius=5, mode="reflect", axes=(-2, -1))
