"""Fit and apply one adapter at full size, on made-up pairs: CPU seconds, and memory at its peak.

    OMP_NUM_THREADS=1 python docs/benchmarks/adapters.py '{kind: mlp, epochs: 1}'
    OMP_NUM_THREADS=1 python docs/benchmarks/adapters.py '{kind: pca, projection: dense}' --pairs 20

The pairs are noise: it is the size that is measured, not what is learned.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np
import xarray as xr

VERTICES, VOXELS, NEW = 20484, 15724, 20


def response(n: int, place: str, first: int) -> xr.Dataset:
    """Return a response of noise; zero on the medial wall."""
    from insilico.spaces import fsaverage5

    size = VERTICES if place == "vertex" else VOXELS
    bold = np.random.default_rng(first).standard_normal((n, size), dtype=np.float32)
    labels = {
        "voxel": np.arange(size),
        "hemi": ("voxel", np.repeat(["L", "R"], size // 2)),
        **{axis: ("voxel", np.arange(size) + 0.5) for axis in "xyz"},
    }
    if place == "vertex":
        bold[:, fsaverage5.medial_wall()] = 0
        labels = fsaverage5.coordinates()
    attrs = {"units": "session z", "subject": "made up", "source": "noise"}
    attrs |= {"space": "fsaverage5" if place == "vertex" else "made up"}
    ids = [f"made-{k}" for k in range(first, first + n)]
    return xr.Dataset(
        {"bold": (("stimulus", place), bold)},
        coords={"stimulus": ids, **labels},
        attrs={**attrs, "hemodynamic_offset_s": 0.0},
    )


def peak() -> float:
    """Return the most memory that this process had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("adapter", help="a spec, as in a protocol")
    parser.add_argument("--pairs", type=int, default=2000)
    given = parser.parse_args()
    from ruamel.yaml import YAML

    from insilico.adapters import KINDS

    step = KINDS.build(YAML(typ="safe", pure=True).load(given.adapter))
    source, target = (response(given.pairs, place, 0) for place in ("vertex", "voxel"))
    new, before, start = response(NEW, "vertex", given.pairs), peak(), time.process_time()
    fitted = step.fit(source, target)
    fit, start = time.process_time() - start, time.process_time()
    step(new, fitted)
    used = time.process_time() - start
    print(f"{given.adapter}, {given.pairs} pairs: {VERTICES} -> {VOXELS}", file=sys.stderr)
    size = fitted.nbytes / 1e9
    print(f"fit {fit:.1f} CPU s, {NEW} responses {used:.2f} CPU s, fitted {size:.2f} GB")
    print(f"memory at the peak {peak():.2f} GB, of which {before:.2f} before the fit")


if __name__ == "__main__":
    main()
