"""How the authors store pictures, and mix them for their scores."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def resized(pictures: torch.Tensor, size: int) -> torch.Tensor:
    """Resize (n, 3, height, width) to a square, bilinear without antialiasing (section 6.1)."""
    if pictures.shape[-2:] == (size, size):
        return pictures
    return F.interpolate(pictures, (size, size), mode="bilinear", align_corners=False)


def as_stored(pictures: torch.Tensor, size: int | None) -> torch.Tensor:
    """Bring pictures larger than `size` down to it; smaller ones stay as they are."""
    if size is None or max(pictures.shape[-2:]) <= size:
        return pictures
    return resized(pictures, size)


def mixed(refined: torch.Tensor, blurry: torch.Tensor, share: float) -> torch.Tensor:
    """Return ``(1 - share) * refined + share * blurry``; 0.25 in the authors' evaluation (4.3).

    Parameters
    ----------
    refined : (n, 3, size, size) in [0, 1]
    blurry : (n, 3, height, width) in [0, 1]
        Resized to the others' size first.
    """
    return (1 - share) * refined + share * resized(blurry, refined.shape[-1])


def as_bytes(pictures: torch.Tensor) -> np.ndarray:
    """Round float (n, 3, height, width) in [0, 1] to uint8 (n, height, width, 3)."""
    return pictures.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def together(latent: tuple[int, ...]) -> int:
    """Return how many latents of a shape are decoded together, if nobody says."""
    return max(1, min(32, 2**13 // int(np.prod(latent[-2:]))))
