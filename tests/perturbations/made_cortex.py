"""Responses of random numbers on fsaverage5 and in voxels."""

from __future__ import annotations

import numpy as np
import xarray as xr

from insilico.spaces import fsaverage5

ABOUT = {"units": "session z", "subject": "average", "source": "test", "hemodynamic_offset_s": 0.0}


def respond(n, seed):
    bold = np.random.default_rng(seed).standard_normal((n, fsaverage5.N_VERTICES))
    return fsaverage5.response(bold, [f"{seed}-{k}" for k in range(n)], **ABOUT)


def voxels(n, seed, repeats=0):
    """Return 12 voxels, of which 4 are V1; their vertices are on the left."""
    shape = (repeats, n, 12) if repeats else (n, 12)
    bold = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    dims = ("repeat", "stimulus", "voxel")[-len(shape) :]
    vertex = fsaverage5.cortex()[:12]
    places = fsaverage5.mesh()[0][vertex]
    return xr.Dataset(
        {"bold": (dims, bold)},
        coords={
            "stimulus": [f"{seed}-{k}" for k in range(n)],
            "voxel": np.arange(12),
            "vertex": ("voxel", vertex),
            "hemi": ("voxel", ["L"] * 12),
            "roi": ("voxel", ["V1"] * 4 + ["V2"] * 8),
            **{axis: ("voxel", places[:, k]) for k, axis in enumerate("xyz")},
        },
        attrs={"space": "sample", **ABOUT},
    )
