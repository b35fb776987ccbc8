"""How pictures are brought to a network or a pixel score, exactly as the published scripts do."""

from __future__ import annotations

from typing import Literal

import numpy as np

Setting = Literal["mindeye2", "brain-diffuser"]
"""Published settings: preparation of pictures, rule for ties, variant of SSIM, files."""

STORED = 256
"""Side at which MindEye2 keeps all pictures before any score."""


def stretched(images: np.ndarray, *sides: int) -> np.ndarray:
    """Bring pictures (n, y, x, rgb) to squares, one side after the other; float64 in [0, 1].

    Bilinear without antialiasing, corners not aligned; a picture that has the size stays as it is.
    Integers are divided by 255.
    """
    if images.dtype == np.uint8:
        images = images.astype(np.float64) / 255
    for side in sides:
        images = at_size(images, (side, side))
    return images


def at_size(images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (n, y, x, rgb) bilinearly, without antialiasing."""
    if images.shape[1:3] == shape:
        return images
    import torch

    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(channels_first, shape, mode="bilinear")
    return resized.permute(0, 2, 3, 1).numpy()


def pillow(images: np.ndarray, side: int, how: Literal["bilinear", "bicubic"]) -> np.ndarray:
    """Bring uint8 pictures (n, y, x, rgb) to squares as Pillow does; float64 in [0, 1].

    Pillow smooths where it makes a picture smaller, and rounds to eight bits.
    """
    from PIL import Image

    kernel = Image.Resampling[how.upper()]
    made = [np.asarray(Image.fromarray(one).resize((side, side), kernel)) for one in images]
    return np.stack(made).astype(np.float64) / 255
