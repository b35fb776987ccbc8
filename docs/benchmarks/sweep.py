"""Silencing every parcel of an atlas through a linear adapter, against applying it again each time.

    python docs/benchmarks/sweep.py                 # 400 parcels x 100 stimuli, 20,484 -> 15,724
    python docs/benchmarks/sweep.py --parcels 40 --outputs 1000

Parcels are Voronoi cells of random points on the spheres of both hemispheres. The dense way is
measured on a few parcels and multiplied. One thread (set OMP_NUM_THREADS=1), CPU seconds; results
are compared first. The full size needs 5 GB.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from insilico.spaces import fsaverage5
from insilico.spaces.linear import Linear
from insilico.statistics.sweep import changes, sizes, sorted_by_piece

DENSE = 6
"""Parcels for which the whole matrix is applied again."""


def parcels(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the vertices of `n` Voronoi cells of cortex, half of them on each side."""
    sphere, cortex = fsaverage5.mesh("sphere")[0], fsaverage5.cortex()
    found = []
    for hemi in ("L", "R"):
        here = cortex[fsaverage5.hemisphere()[cortex] == hemi]
        centres = sphere[rng.choice(here, n // 2, replace=False)]
        cell = cKDTree(centres).query(sphere[here])[1]
        found += [here[cell == k] for k in range(n // 2)]
    return [cell for cell in found if len(cell)]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and its CPU seconds."""
    start = time.process_time()
    return call(), time.process_time() - start


def again(shown: np.ndarray, fill: np.ndarray, weights: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return the output without a parcel, by the whole matrix."""
    lesioned = shown.copy()
    lesioned[:, cell] = fill[cell]
    return lesioned @ weights


def through(lost: np.ndarray, weights: np.ndarray, cells: list[np.ndarray]) -> np.ndarray:
    """Return each parcel's sum of squares by output, from slices."""
    return np.stack([np.einsum("st,st->t", c, c) for c in changes(lost, weights, cells)])


def main() -> None:
    """Compare, time, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=400)
    parser.add_argument("--stimuli", type=int, default=100)
    parser.add_argument("--outputs", type=int, default=15_724)
    parser.add_argument("--pairs", type=int, default=2000)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    cells, p = parcels(asked.parcels, rng), fsaverage5.N_VERTICES
    shown = rng.standard_normal((asked.stimuli, p), dtype=np.float32)
    fill = rng.standard_normal(p, dtype=np.float32)
    weights = rng.standard_normal((p, asked.outputs), dtype=np.float32)
    weights[fsaverage5.medial_wall()] = 0
    intact, one_pass = timed(partial(np.matmul, shown, weights))
    rest = [timed(partial(again, shown, fill, weights, cell)) for cell in cells[:DENSE]]
    dense = float(np.mean([took for _, took in rest])) * len(cells)

    adapter = Linear(np.ones(p, np.float32), (weights,))
    (lost, ordered, slices), once = timed(partial(sorted_by_piece, shown - fill, adapter, cells))
    error = max(
        np.abs(intact - change - without).max()
        for change, (without, _) in zip(changes(lost, ordered, slices[:DENSE]), rest, strict=False)
    )
    assert error < 1e-4 * np.abs(intact).max(), error
    _, took = timed(partial(through, lost, ordered, slices))
    print(f"{len(cells)} parcels, {asked.stimuli} stimuli, {p} -> {asked.outputs}")
    print(f"largest difference to the dense matrix: {error:.1e} of {np.abs(intact).max():.0f}")
    print(f"dense, once for each parcel (of {DENSE}, multiplied): {dense:.0f} s")
    print(f"one dense pass: {one_pass:.2f} s; preparation, once: {once:.2f} s")
    print(f"sweep, change of every output: {took:.2f} s: {dense / took:.0f} x faster,", end=" ")
    print(f"{took / one_pass:.2f} passes")

    del ordered, weights, adapter
    source = rng.standard_normal((asked.pairs, p), dtype=np.float32)
    dual = rng.standard_normal((asked.pairs, asked.outputs), dtype=np.float32)
    kept = Linear(np.ones(p, np.float32), (dual,), source)
    small, once = timed(kept.compact)
    _, took = timed(lambda: sizes(shown - fill, small, cells, 4096))
    print(f"dual form of {asked.pairs} pairs, size of the change: {took:.2f} s, no matrix formed;")
    print(f"    preparation, once: {once:.2f} s")


if __name__ == "__main__":
    main()
