"""Spins of fsaverage5, against the packages in use.

    python docs/benchmarks/spins.py                # 1,000 spins of both hemispheres
    python docs/benchmarks/spins.py --spins 100    # shorter

One thread (set OMP_NUM_THREADS=1), CPU seconds. Vertices are compared: ours with a KD-tree's, which
is also what runs without numba, and each package's with ours for the rotations that it drew.
``pip install brainspace neuromaps``; what is missing is left out.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from insilico.statistics import spins


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return a call's result and its CPU seconds."""
    start = time.process_time()
    return call(), time.process_time() - start


def ours(n: int) -> np.ndarray:
    """Return our tables of both hemispheres, vertices counted within each."""
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


def with_brainspace(n: int) -> np.ndarray:
    """Return brainspace's vertices, its defaults."""
    from brainspace.null_models import SpinPermutations

    made = SpinPermutations(n_rep=n, random_state=0).fit(spins.sphere("L"), spins.sphere("R"))
    return np.concatenate([made.spin_lh_, made.spin_rh_], 1)


def with_neuromaps(n: int) -> np.ndarray:
    """Return neuromaps' vertices, its defaults."""
    from neuromaps.nulls.spins import gen_spinsamples

    places = np.concatenate([spins.sphere("L"), spins.sphere("R")])
    hemisphere = np.repeat([0, 1], len(places) // 2)
    found = np.asarray(gen_spinsamples(places, hemisphere, n_rotate=n, seed=0)).T
    return found - hemisphere * (len(places) // 2)


def their_turns(n: int) -> Iterator[np.ndarray]:
    """Yield the rotations that both packages draw: like ours, from NumPy's older generator."""
    rng: Any = np.random.RandomState(0)
    return (spins.rotation(rng) for _ in range(n))


def walked(turn: np.ndarray) -> np.ndarray:
    """Return our vertices of both hemispheres after a rotation of the left one."""
    mirrored = spins.MIRROR @ turn @ spins.MIRROR
    return np.concatenate([spins.nearest("L", turn), spins.nearest("R", mirrored)])


def told(what: str, seconds: float, own: float) -> None:
    """Print one row."""
    print(f"{what:42} {seconds:8.2f} s {seconds / own:6.1f} x   peak {memory():.0f} MB")


def memory() -> float:
    """Return the highest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def used(found: np.ndarray) -> float:
    """Return the share of vertices that the first spin uses."""
    left, right = np.split(found[0], 2)
    return (len(np.unique(left)) + len(np.unique(right))) / found.shape[1]


def compare(name: str, peer: Callable[[int], np.ndarray], n: int, own: float) -> None:
    """Time a package, and hold its vertices against ours for its rotations."""
    try:
        peer(1)  # imported here
    except ImportError:
        print(f"{name} is not installed: left out")
        return
    theirs, took = timed(lambda: peer(n))
    told(f"{name}, its defaults", took, own)
    inverse = name == "neuromaps"  # turns the sphere that is searched
    again = np.array([walked(turn.T if inverse else turn) for turn in their_turns(n)])
    assert (again == theirs).all(), f"{name}: {(again != theirs).mean():.1e} of the vertices differ"
    print(f"    ours are the same vertices for its rotations; {used(theirs):.1%} used by the first")


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spins", type=int, default=1000)
    n = parser.parse_args().spins
    print(f"{n} spins; imports {memory():.0f} MB")
    spins.nearest("L", np.eye(3)), spins.nearest("R", np.eye(3))  # compiled here
    found, own = timed(lambda: ours(n))
    told("insilico, walk (numba)", own, own)
    trees, took = timed(lambda: with_trees(n))
    assert (trees == found).all(), "the vertices differ from a KD-tree's"
    told("insilico without numba: SciPy's KD-tree", took, own)
    print(f"    the same vertices; {used(found):.1%} used by the first spin")
    compare("brainspace", with_brainspace, n, own)
    compare("neuromaps", with_neuromaps, n, own)


if __name__ == "__main__":
    main()
