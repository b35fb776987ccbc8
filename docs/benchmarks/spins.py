"""Spins of fsaverage5 and sign-flip maps, against the packages in use.

    python docs/benchmarks/spins.py                # 1,000 spins, 10,000 flips
    python docs/benchmarks/spins.py --spins 100    # shorter; peers' times are scaled up

One thread (set OMP_NUM_THREADS=1), CPU seconds. Results are compared first: every vertex of every
spin with a KD-tree's. neuromaps (``pip install neuromaps``; left out where it is missing) draws
rotations of its own: of its spins the share of vertices used is compared.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from insilico.statistics import spins
from insilico.statistics.flipped_maps import flipped_map
from insilico.statistics.tfce import Enhancement


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and its CPU seconds."""
    start = time.process_time()
    return call(), time.process_time() - start


def ours(n: int) -> np.ndarray:
    """Return our tables of both hemispheres."""
    return np.concatenate(list(spins.tables(n, 0)))


def with_trees(n: int) -> np.ndarray:
    """Return the same vertices from SciPy's KD-tree."""
    trees = {hemi: cKDTree(spins.sphere(hemi)) for hemi in "LR"}
    rows = []
    for k in range(n):
        turns = spins.turns(k, 0)
        found = [trees[h].query(spins.sphere(h) @ turns[h])[1] for h in "LR"]
        rows.append(np.concatenate(found))
    return np.array(rows)


def with_neuromaps(n: int) -> np.ndarray:
    """Return neuromaps' resampling of both hemispheres, its defaults."""
    from neuromaps.nulls.spins import gen_spinsamples

    places = np.concatenate([spins.sphere("L"), spins.sphere("R")]) * 100
    hemisphere = np.repeat([0, 1], len(places) // 2)
    return np.asarray(gen_spinsamples(places, hemisphere, n_rotate=n, seed=0))


def told(what: str, seconds: float, own: float) -> None:
    """Print one row."""
    print(f"{what:44} {seconds:8.2f} s  {seconds / own:6.1f} x")


def memory() -> float:
    """Return the highest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def compare_spins(n: int) -> None:
    """Time the tables of `n` spins."""
    spins.nearest("L", np.eye(3)), spins.nearest("R", np.eye(3))  # compiled here
    found, took = timed(lambda: ours(n))
    print(f"peak memory after insilico's {n} spins: {memory():.0f} MB (imports {BEFORE:.0f} MB)")
    right = np.where(np.arange(found.shape[1]) < found.shape[1] // 2, 0, found.shape[1] // 2)
    trees, tree = timed(lambda: with_trees(n))
    assert (trees == found).all(), "the vertices differ from a KD-tree's"
    told(f"insilico, {n} spins, int16", took, took)
    told("SciPy's KD-tree, one thread, same vertices", tree, took)
    try:
        theirs, peer = timed(lambda: with_neuromaps(n))
    except ImportError:
        print("neuromaps is not installed: left out")
        return
    told("neuromaps.gen_spinsamples, its defaults", peer, took)
    share = [len(np.unique(row)) / len(row) for row in (theirs[:, 0], found[0].astype(int) + right)]
    print(f"vertices used by a spin: neuromaps {share[0]:.1%}, insilico {share[1]:.1%}")
    print(f"memory at the end: {memory():.0f} MB")


def compare_flips(n: int) -> None:
    """Time sign flips over a map."""
    rng = np.random.default_rng(0)
    differences = rng.standard_normal((20, 20_484))
    _, took = timed(lambda: flipped_map(differences, n, np.random.default_rng(1)))
    print(f"{n} sign flips, 20 x 20,484, maximum and each vertex: {took:.2f} s")
    enhance, few = Enhancement(), max(n // 100, 1)
    enhance(differences[0])  # compiled here
    _, took = timed(lambda: flipped_map(differences, few, np.random.default_rng(1), enhance))
    print(f"{few} sign flips with TFCE by area: {took:.2f} s, {1000 * took / few:.1f} ms each")


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spins", type=int, default=1000)
    parser.add_argument("--flips", type=int, default=10_000)
    asked = parser.parse_args()
    compare_spins(asked.spins)
    compare_flips(asked.flips)


BEFORE = memory()

if __name__ == "__main__":
    main()
