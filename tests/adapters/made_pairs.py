"""Small pairs of responses whose truth is known."""

from __future__ import annotations

import numpy as np
import xarray as xr

N_VERTICES, N_VOXELS = 60, 12
WALL = slice(50, 60)


def response(bold: np.ndarray, place: str, first: int = 0, **attrs: object) -> xr.Dataset:
    n = bold.shape[-1]
    dims = ("repeat", "stimulus", place)[-bold.ndim :]
    coords = {axis: (place, np.arange(n) + 0.5) for axis in "xyz"}
    hemi = ["L"] * (n // 2) + ["R"] * (n - n // 2)
    if place == "voxel":
        coords["roi"] = (place, ["V1"] * n)
    given = {
        "space": "fsaverage5" if place == "vertex" else "phantom-subj01",
        "units": "session z",
        "subject": "average" if place == "vertex" else "phantom-subj01",
        "hemodynamic_offset_s": 0.0,
        "source": "test",
    }
    ids = [f"test-{k:03d}" for k in range(first, first + bold.shape[-2])]
    return xr.Dataset(
        {"bold": (dims, bold.astype(np.float32))},
        coords={"stimulus": ids, place: np.arange(n), "hemi": (place, hemi), **coords},
        attrs=given | attrs,
    )


def pair() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset, np.ndarray]:
    """Return source, target, new source and what the voxels would truly answer to it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((90, N_VERTICES))
    x[:, WALL] = 0
    weights = rng.standard_normal((N_VERTICES, N_VOXELS))
    y = x @ weights
    source, new = response(x[:70], "vertex"), response(x[70:], "vertex", 70)
    noisy = y[:70] + 0.1 * rng.standard_normal((3, 70, N_VOXELS))
    return source, response(noisy, "voxel"), new, y[70:]
