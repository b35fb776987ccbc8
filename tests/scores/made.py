"""Pictures and weights by formula: the same wherever golden numbers are made and read."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr


def pictures(n: int, side: int, shift: float = 0.0) -> np.ndarray:
    """Return smooth pictures with an edge, uint8 (n, side, side, 3)."""
    y, x = np.mgrid[0:side, 0:side] / side
    made = []
    for k in range(n):
        planes = []
        for c in range(3):
            wave = np.sin(2 * np.pi * ((k + 1) * x + (c + 1) * y + shift))
            edge = (x > 0.3 + 0.1 * k) * 0.4 - (y > 0.5 + 0.1 * c) * 0.3
            fine = 0.15 * np.sin(2 * np.pi * (17 + 3 * k) * (x - 0.5 * y + shift))
            planes.append(0.5 + 0.25 * wave + edge * 0.5 + fine)
        made.append(np.stack(planes, -1))
    return np.clip(np.stack(made) * 255, 0, 255).astype(np.uint8)


def weight(key: str, value: torch.Tensor) -> torch.Tensor:
    """Return a tensor by formula, of a size that keeps a deep network alive."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    seed = sum((k + 1) * ord(c) for k, c in enumerate(key)) % 9973
    period = ((torch.arange(1009) * 7919 + seed) % 1009).double() / 1009 - 0.5
    if key.endswith("running_var"):
        wave = 1 + 0.5 * period
    elif value.ndim == 1 and key.endswith("weight"):
        wave = 1 + 0.2 * period
    else:
        wave = period * (3.4 * (2 / value[0].numel()) ** 0.5 if value.ndim > 1 else 0.1)
    whole = wave.float().repeat(value.numel() // 1009 + 1)
    return whole[: value.numel()].reshape(value.shape)


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a whole state by formula."""
    return {key: weight(key, value) for key, value in module.state_dict().items()}


def pixels(side: int) -> torch.Tensor:
    """Return two inputs of a network, float32 (2, 3, side, side)."""
    wave = (torch.arange(6 * side * side) * 104729 % 2003).double() / 2003
    return (wave.reshape(2, 3, side, side) * 4 - 2).float()


def pair(shown: np.ndarray, made: np.ndarray) -> tuple[xr.Dataset, xr.Dataset]:
    """Return stimuli (n, y, x, rgb) and a reconstruction (draw, n, y, x, rgb)."""
    ids, dims = [f"made-{k:03d}" for k in range(len(shown))], ("y_pixel", "x_pixel", "rgb")
    stimuli = xr.Dataset(
        {"image": (("stimulus", *dims), shown)},
        coords={"stimulus": ids, "split": ("stimulus", ["test"] * len(ids))},
        attrs={"source": "made"},
    )
    reconstruction = xr.Dataset(
        {"image": (("stimulus", "draw", *(f"made_{d}" for d in dims)), made.swapaxes(0, 1))},
        coords={"stimulus": ids, "draw": range(len(made))},
        attrs={"decoder": "none", "seed": 0},
    )
    return stimuli, reconstruction
