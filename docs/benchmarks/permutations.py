"""Permutation tests over vertices with the maximum statistic, against nilearn and a NumPy loop.

    python docs/benchmarks/permutations.py                  # 1,000 x 20,484, 1,000 permutations
    python docs/benchmarks/permutations.py --vertices 2000 --permutations 200

Sides in turn, one thread (set OMP_NUM_THREADS=1), CPU seconds; results are compared first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from insilico.statistics.permutations import of_one_regressor, of_vertices, orders, unit_columns


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and its CPU seconds."""
    start = time.process_time()
    return call(), time.process_time() - start


def numpy_loop(x: np.ndarray, y: np.ndarray, permuted: np.ndarray) -> np.ndarray:
    """Return the largest |r| of each permutation, by the obvious loop."""
    a, b = unit_columns(x), unit_columns(y)
    return np.array([np.abs(np.einsum("iv,iv->v", a[order], b)).max() for order in permuted])


def with_nilearn(regressor: np.ndarray, maps: np.ndarray, permutations: int) -> np.ndarray:
    """Return nilearn's t of every vertex; it draws its own permutations."""
    from nilearn.mass_univariate import permuted_ols

    found = permuted_ols(
        regressor[:, None], maps, n_perm=permutations, random_state=0, n_jobs=1, output_type="dict"
    )
    return np.asarray(found["t"]).ravel()


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stimuli", type=int, default=1000)
    parser.add_argument("--vertices", type=int, default=20_484)
    parser.add_argument("--permutations", type=int, default=1000)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, asked.stimuli, asked.vertices), dtype=np.float32)
    permuted = orders(asked.stimuli, asked.permutations, rng)
    of_vertices(x[:, :64], y[:, :64], permuted[:1])  # compiled here, about 1 s

    (_, ours), took = timed(lambda: of_vertices(x, y, permuted))
    theirs, loop = timed(lambda: numpy_loop(x, y, permuted))
    assert np.abs(ours - theirs).max() < 1e-4
    print(f"two responses: NumPy loop {loop:.1f} s, insilico {took:.1f} s: {loop / took:.1f} x")

    (r, _), took = timed(lambda: of_one_regressor(x[:, 0], y, permuted))
    t, nilearn = timed(lambda: with_nilearn(x[:, 0], y, asked.permutations))
    as_t = r * np.sqrt((asked.stimuli - 2) / (1 - r.astype(np.float64) ** 2))
    assert np.abs(as_t - t).max() < 1e-3, np.abs(as_t - t).max()
    print(f"one regressor: nilearn {nilearn:.1f} s, insilico {took:.2f} s: {nilearn / took:.0f} x")


if __name__ == "__main__":
    main()
