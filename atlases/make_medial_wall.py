"""Make ``medial_wall.npz``: a rule on nilearn's fsaverage5 geometry, run once.

A vertex is wall where the cortex has almost no thickness, or inside one of two ellipsoids around
the callosum and the medial temporal base; then closed by two mesh steps, largest piece kept.
"""

from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import connected_components

from insilico.spaces import fsaverage5

ELLIPSOIDS = (  # |x| radius, y centre and radius, z centre and radius, in mm (white surface)
    (36, 2, 12, -13, 23),
    (41, -9, 20, -20, 15),
)
THIN_MM = 0.9


def inside(x, y, z):
    rules = [
        (x / rx) ** 2 + ((y - y0) / ry) ** 2 + ((z - z0) / rz) ** 2 < 1
        for rx, y0, ry, z0, rz in ELLIPSOIDS
    ]
    return np.logical_or.reduce(rules)


def grown(mask, steps):
    edges = fsaverage5.neighbours() > 0
    for _ in range(steps):
        mask = mask | (edges @ mask)
    return mask


def wall():
    x, y, z = fsaverage5.mesh("white")[0].T
    x = np.abs(x)
    thickness = np.concatenate([fsaverage5._read(f"thick_{h}")[0] for h in ("left", "right")])
    central = (x < 40) & (np.abs(y) < 46) & (np.abs(z) < 34)
    rough = inside(x, y, z) | (central & (thickness < THIN_MM))
    closed = ~grown(~grown(rough, 2), 2)
    opened = grown(~grown(~closed, 1), 1)
    return np.concatenate([largest(opened, h) for h in ("L", "R")])


def largest(mask, hemi):
    own = np.flatnonzero(fsaverage5.hemisphere() == hemi)
    kept = own[mask[own]]
    pieces = connected_components(fsaverage5.neighbours()[kept][:, kept])[1]
    result = np.zeros(fsaverage5.N_VERTICES, bool)
    result[kept[pieces == np.bincount(pieces).argmax()]] = True
    return result[own]


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("medial_wall.npz"), wall=wall())
