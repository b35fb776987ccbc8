"""Noise ceiling of all trials of one subject: one pass over the file against NumPy in memory.

    python docs/benchmarks/noise_ceiling.py                 # 30,000 x 15,724 float32, 1.9 GB file
    python docs/benchmarks/noise_ceiling.py --sessions 4 --voxels 2000

Each side runs in its own process, in turn; its results are compared before its time counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from insilico.statistics.ceilings import ceiling, variances
from insilico.statistics.repeats import sessions, summed

TRIALS = 750


def write(path: Path, sessions: int, voxels: int) -> None:
    """Write simulated betas: three trials of every image, in random order."""
    rng = np.random.default_rng(0)
    trials = sessions * TRIALS
    images = rng.permutation(np.repeat(np.arange(trials // 3), 3))
    share = rng.uniform(0, 0.8, voxels).astype(np.float32)
    with h5py.File(path, "w") as file:
        betas = file.create_dataset("betas", (trials, voxels), np.float32)
        for session in range(sessions):
            rows = slice(session * TRIALS, (session + 1) * TRIALS)
            block = rng.standard_normal((TRIALS, voxels), dtype=np.float32)
            for k, image in enumerate(images[rows]):
                signal = np.random.default_rng(image).standard_normal(voxels, dtype=np.float32)
                block[k] += np.sqrt(share / (1 - share)) * signal
            betas[rows] = 3 * block + 10
        file["images"] = images


def in_memory(path: Path) -> np.ndarray:
    """NumPy, everything in memory, the formulas of the NSD paper."""
    with h5py.File(path) as file:
        betas, images = file["betas"][:], file["images"][:]
    z = betas.reshape(-1, TRIALS, betas.shape[1])
    z = ((z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)).reshape(betas.shape)
    repeats = z[np.argsort(images, kind="stable")].reshape(-1, 3, z.shape[1])
    noise = repeats.var(1, ddof=1).mean(0)
    signal = np.maximum(1 - noise, 0)
    return 100 * signal / (signal + noise / 3)


def exact(path: Path, step: int = 64) -> np.ndarray:
    """Return the same in float64, of every 64th voxel."""
    with h5py.File(path) as file:
        betas, images = file["betas"][:, ::step].astype(np.float64), file["images"][:]
    z = betas.reshape(-1, TRIALS, betas.shape[1])
    z = ((z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)).reshape(betas.shape)
    repeats = z[np.argsort(images, kind="stable")].reshape(-1, 3, z.shape[1])
    noise = repeats.var(1, ddof=1).mean(0)
    signal = np.maximum(1 - noise, 0)
    return 100 * signal / (signal + noise / 3)


def one_pass(path: Path) -> np.ndarray:
    """insilico: session by session."""
    with h5py.File(path) as file:
        images = file["images"][:]
        of_trial = np.arange(len(images)) // TRIALS
        repeats = summed(sessions(file["betas"], of_trial), images)
    return 100 * ceiling(*variances(repeats, "nsd"), 3)


SIDES = {"NumPy in memory": in_memory, "insilico, one pass": one_pass}


def side(name: str, path: Path, out: Path) -> None:
    """Run one side and write what it found and took."""
    start, cpu = time.perf_counter(), time.process_time()
    found = SIDES[name](path)
    took = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    took["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    np.save(out.with_suffix(".npy"), found)
    out.write_text(json.dumps(took))


def main() -> None:
    """Run both sides in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--voxels", type=int, default=15_724)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        side(asked.side[0], Path(asked.side[1]), Path(asked.side[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "betas.hdf5"
        write(path, asked.sessions, asked.voxels)
        truth = exact(path)
        times: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
        for turn in range(asked.rounds):
            found = {}
            for k, name in enumerate(SIDES):
                out = Path(folder) / f"{k}-{turn}.json"
                subprocess.run([sys.executable, __file__, "--side", name, path, out], check=True)
                times[name].append(json.loads(out.read_text()))
                found[name] = np.load(out.with_suffix(".npy"))
            apart = {name: np.abs(value[::64] - truth).max() for name, value in found.items()}
            assert apart["insilico, one pass"] < 1e-3, f"{apart} NC points from float64"
            assert apart["NumPy in memory"] < 5e-3, f"{apart} NC points from float64"
        first = np.median([t["wall"] for t in times["NumPy in memory"]])
        for name, took in times.items():
            wall, cpu = (np.median([t[key] for t in took]) for key in ("wall", "cpu"))
            peak = max(t["peak_gb"] for t in took)
            ratio = f"{first / wall:4.1f} x"
            print(
                f"{name:20} wall {wall:6.1f} s ({ratio})  cpu {cpu:6.1f} s  {peak:.2f} GB", end="  "
            )
            print(f"{apart[name]:.0e} NC points from float64")


if __name__ == "__main__":
    main()
