"""Responses whose values are hard on file formats, and what every response must say."""

from __future__ import annotations

import numpy as np

from insilico.spaces import fsaverage5
from insilico.spaces.responses import volumes

SAID = {"units": "session z", "subject": "sub-01", "hemodynamic_offset_s": 0.0}
HARD = np.array([-0.0, 1e-45, -1e-38, 3.4e38, np.pi, 1 / 3, -7, 1e-3], np.float32)


def table(n: int = 3, places: int = fsaverage5.N_VERTICES, seed: int = 0) -> np.ndarray:
    """Random float32 (n, places) with values at the limits of float32."""
    bold = np.random.default_rng(seed).standard_normal((n, places)).astype(np.float32)
    bold[:, : len(HARD)] = HARD
    return bold


def on_cortex(n: int = 3, seed: int = 0):
    """A response on fsaverage5 with more labels than ids."""
    ids = [f"coco73k-{k:05d}" for k in range(n)]
    response = fsaverage5.response(table(n, seed=seed), ids, source="test", **SAID)
    return response.assign_coords(split=("stimulus", ["test"] * n), shown=("stimulus", range(n)))


def mask(shape=(5, 6, 4)) -> np.ndarray:
    """A mask of about half of a volume."""
    return np.random.default_rng(1).random(shape) < 0.5


AFFINE = np.array([[1.8, 0, 0, -4.1], [0, 1.8, 0, -90.3], [0, 0, 1.8, -45.7], [0, 0, 0, 1]])


def in_voxels(n: int = 3):
    """A response in voxels of a volume."""
    inside = mask()
    bold, ids = table(n, int(inside.sum())), [f"s{k}" for k in range(n)]
    return volumes.response(bold, ids, inside, AFFINE, space="sub-01-func", source="test", **SAID)
