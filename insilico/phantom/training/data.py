"""The rendered training set: drawn once, kept in a cache folder, read as memory maps."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from insilico.phantom.drawing import SIDE
from insilico.phantom.scenes import (
    COMBINATIONS,
    POSITIONS,
    TRAINED,
    Scene,
    draw_scene,
    object_mask,
    render,
)

WORLD = 0
TURNS = 8


@dataclass(frozen=True)
class Pictures:
    """Rendered scenes.

    Attributes
    ----------
    images : uint8, (n, 64, 64, 3)
    masks : uint8, (n, 64, 8)
        Object masks, eight pixels to a byte.
    combinations : int64, (n,)
    centres : float32, (n, 2)
        Centre of the object (x, y), in pixels.
    """

    images: np.ndarray
    masks: np.ndarray
    combinations: np.ndarray
    centres: np.ndarray

    def __len__(self) -> int:
        return len(self.combinations)

    def pixels(self, rows: np.ndarray | slice) -> torch.Tensor:
        """Return pictures as float32 (n, 3, 64, 64) in [-1, 1]."""
        return scaled(self.images[rows])

    def objects(self, rows: np.ndarray | slice) -> torch.Tensor:
        """Return object masks as float32 (n, 1, 64, 64)."""
        return torch.from_numpy(np.unpackbits(self.masks[rows], axis=-1)).float()[:, None]

    @cached_property
    def rows_of(self) -> np.ndarray:
        """Rows of every combination, int64 (3456, draws of each), -1 where it was not drawn."""
        turns = max(1, len(self) // len(np.unique(self.combinations)))
        table = np.full((len(COMBINATIONS), turns), -1)
        order = np.argsort(self.combinations, kind="stable")
        table[np.unique(self.combinations)] = order.reshape(-1, turns)
        return table


def scaled(images: np.ndarray) -> torch.Tensor:
    """Turn uint8 (n, height, width, 3) into float32 (n, 3, height, width) in [-1, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def _centre(scene: Scene) -> tuple[float, float]:
    return SIDE * (POSITIONS[scene.attributes["position"]] + scene.shift), SIDE * scene.height


def _draw(job: tuple[str, int, int]) -> tuple[np.ndarray, ...]:
    split, start, stop = job
    scenes = [draw_scene(WORLD, split, k) for k in range(start, stop)]
    return (
        np.stack([render(scene) for scene in scenes]),
        np.packbits(np.stack([object_mask(scene) for scene in scenes]), axis=-1),
        np.array([scene.combination for scene in scenes]),
        np.array([_centre(scene) for scene in scenes], np.float32),
    )


def _drawn(split: str, n: int, processes: int) -> Sequence[np.ndarray]:
    jobs = [(split, start, min(start + 500, n)) for start in range(0, n, 500)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_draw, jobs))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def pictures(cache: str | Path, split: str = "train", n: int | None = None) -> Pictures:
    """Return the first `n` pictures of a split, rendered on first use.

    Parameters
    ----------
    cache : path
        Folder for the rendered files (12 kB a picture).
    split : str
        One of the splits of `insilico.phantom.scenes`.
    n : int, optional
        Number of pictures; by default eight draws of every trained combination.
    """
    n = TURNS * len(TRAINED) if n is None else n
    names = ("images", "masks", "combinations", "centres")
    files = [Path(cache) / "pictures" / f"{split}-{n}-{name}.npy" for name in names]
    if not all(file.exists() for file in files):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file, values in zip(files, _drawn(split, n, processes=2), strict=True):
            np.save(file.with_suffix(".part.npy"), values)
            file.with_suffix(".part.npy").rename(file)
    return Pictures(*(np.load(file, mmap_mode="r") for file in files))
