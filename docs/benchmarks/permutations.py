"""Tests at all vertices by the maximum statistic, against nilearn, mne and a NumPy loop.

    python docs/benchmarks/permutations.py
    python docs/benchmarks/permutations.py --vertices 2000 --permutations 200 --flips 1000

Sides in turn, one thread (set OMP_NUM_THREADS=1), CPU seconds; results are compared first. TFCE is
compared with mne's, whose extent is a number of vertices, in steps of height: here ours is, too.
``pip install mne``; left out where it is missing.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from insilico.spaces import fsaverage5
from insilico.statistics.flipped_maps import FlippedMap, flipped_map
from insilico.statistics.permutations import of_one_regressor, of_vertices, orders, unit_columns
from insilico.statistics.tfce import Enhancement, enhanced

SUBJECTS, STEP, FEW = 20, 0.1, 20
SMIRNOV = 1.95
"""Two samples of a and b numbers of one distribution differ by more than this times
sqrt(1 / a + 1 / b) anywhere in their distribution functions in one of 1,000 cases."""


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and its CPU seconds."""
    start = time.process_time()
    return call(), time.process_time() - start


def told(what: str, peer: str, theirs: float, own: float) -> None:
    """Print one row."""
    print(f"{what}: {peer} {theirs:.2f} s, insilico {own:.2f} s: {theirs / own:.1f} x", flush=True)


def memory() -> float:
    """Return the highest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def numpy_loop(x: np.ndarray, y: np.ndarray, permuted: np.ndarray) -> np.ndarray:
    """Return the largest |r| of each permutation, by the obvious loop."""
    a, b = unit_columns(x), unit_columns(y)
    return np.array([np.abs(np.einsum("iv,iv->v", a[order], b)).max() for order in permuted])


def with_nilearn(regressor: np.ndarray, maps: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Return nilearn's t and more; it draws its own permutations, sign flips for a constant."""
    from nilearn.mass_univariate import permuted_ols

    found: dict[str, np.ndarray] = permuted_ols(
        regressor[:, None], maps, n_perm=n, random_state=0, n_jobs=1, output_type="dict"
    )
    return {name: values.ravel() for name, values in found.items()}


def flips_of_nilearn(maps: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nilearn's t and corrected p."""
    found = with_nilearn(np.ones(len(maps)), maps, n)
    return found["t"], 10 ** -found["logp_max_t"]


def flips_of_mne(maps: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mne's t and corrected p."""
    from mne.stats import permutation_t_test

    return permutation_t_test(maps, n_permutations=n, rng=0, verbose=False)[:2]


def tfce_of_mne(maps: np.ndarray, n: int) -> np.ndarray:
    """Return mne's enhanced t, tested with `n` flips."""
    from mne.stats import permutation_cluster_1samp_test as test

    threshold, graph = {"start": 0, "step": STEP}, fsaverage5.neighbours().tocoo()
    return test(maps, threshold, n, adjacency=graph, rng=0, verbose=False, buffer_size=None)[0]


def compare_permutations(stimuli: int, vertices: int, n: int) -> None:
    """Permute stimuli of two responses, and of one regressor."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, stimuli, vertices), dtype=np.float32)
    permuted = orders(stimuli, n, rng)
    of_vertices(x[:, :64], y[:, :64], permuted[:1])  # compiled here, about 1 s
    (_, ours), took = timed(lambda: of_vertices(x, y, permuted))
    theirs, loop = timed(lambda: numpy_loop(x, y, permuted))
    assert np.abs(ours - theirs).max() < 1e-4
    told(f"{n} permutations, two responses", "NumPy loop", loop, took)

    (r, _), took = timed(lambda: of_one_regressor(x[:, 0], y, permuted))
    t, nilearn = timed(lambda: with_nilearn(x[:, 0], y, n)["t"])
    as_t = r * np.sqrt((stimuli - 2) / (1 - r.astype(np.float64) ** 2))
    assert np.abs(as_t - t).max() < 1e-3, np.abs(as_t - t).max()
    told(f"{n} permutations, one regressor", "nilearn", nilearn, took)


def compare_flips(vertices: int, n: int) -> None:
    """Flip the signs of subjects, whose effect grows over the vertices."""
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((SUBJECTS, vertices)) + np.linspace(0, 3, vertices)
    before = memory()
    own, took = timed(lambda: flipped_map(maps, n, np.random.default_rng(1)))
    print(f"peak memory of {n} sign flips: {memory():.0f} MB, before them {before:.0f} MB")
    peers = {"nilearn": flips_of_nilearn} | ({"mne": flips_of_mne} if find_spec("mne") else {})
    for name, peer in peers.items():
        peer(maps[:, :9], 9)  # imported here
        found, seconds = timed(partial(peer, maps, n))
        told(f"{n} sign flips of {SUBJECTS} maps", name, seconds, took)
        print(f"    {agreeing(own, *found, n)}")


def agreeing(own: FlippedMap, t: np.ndarray, p: np.ndarray, n: int) -> str:
    """Say how far both sides' t and corrected p differ; refuse if that is not chance."""
    difference, bound = np.abs(own.p_corrected - p).max(), SMIRNOV * np.sqrt(2 / n)
    assert np.allclose(own.t, t, rtol=1e-6), np.abs(own.t - t).max()
    assert difference < bound, (difference, bound)
    return f"t equal; corrected p differ by {difference:.4f} at most (chance: up to {bound:.4f})"


def compare_tfce() -> None:
    """Enhance maps over the mesh, with the extent in vertices and by steps as mne does."""
    rng, graph = np.random.default_rng(0), fsaverage5.neighbours()
    maps = rng.standard_normal((SUBJECTS, fsaverage5.N_VERTICES))
    exact, ones = Enhancement(), np.ones(fsaverage5.N_VERTICES)
    exact(maps[0])  # compiled here
    _, took = timed(lambda: flipped_map(maps, FEW, np.random.default_rng(1), exact))
    print(f"{FEW} flips with TFCE by area: {took:.2f} s, {1000 * took / FEW:.1f} ms each")
    if find_spec("mne"):
        as_mne = partial(enhanced, graph=graph, areas=ones, parameters=Enhancement(step=STEP))
        own, took = timed(lambda: flipped_map(maps, FEW, np.random.default_rng(1), as_mne))
        theirs, mne = timed(lambda: tfce_of_mne(maps, FEW))
        assert np.allclose(own.enhanced, theirs, rtol=1e-6), np.abs(own.enhanced - theirs).max()
        told(f"{FEW} flips with TFCE by vertices, steps of {STEP}", "mne", mne, took)


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stimuli", type=int, default=1000)
    parser.add_argument("--vertices", type=int, default=20_484)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--flips", type=int, default=10_000)
    asked = parser.parse_args()
    compare_flips(asked.vertices, asked.flips)
    compare_tfce()
    compare_permutations(asked.stimuli, asked.vertices, asked.permutations)


if __name__ == "__main__":
    main()
