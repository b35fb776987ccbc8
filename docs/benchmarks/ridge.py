"""Ridge adapter against himalaya and scikit-learn: CPU seconds, ratios, peak memory.

    python docs/benchmarks/ridge.py                       # small, about a minute
    python docs/benchmarks/ridge.py --pairs 2000 --vertices 20484 --voxels 15724 --rounds 3

Every side runs in a process of its own, one thread, in turn (A B C A B C). It reads the same
arrays from a file, solves, and writes what it predicts for new rows and which penalties it chose.
Predictions are compared with a reference of the same penalties to 1e-4 before any time counts:
sides that choose by other folds may choose another penalty. Seconds are the process's CPU time of
the solution alone, memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

ALPHAS = (1e3, 1e4, 1e5, 1e6, 1e7)
N_NEW = 64
Result = tuple[np.ndarray, np.ndarray]
"""Predictions (new, voxels), and the penalty of each voxel."""


# --- the sides ------------------------------------------------------------------------------------


def insilico_gcv(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """Dual form, penalties by GCV in the eigenbasis; applied without forming weights."""
    return _insilico(x, y, new, "gcv", weights=False)


def insilico_loo(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """Dual form, penalties by exact leave-one-out."""
    return _insilico(x, y, new, "loo", weights=False)


def insilico_gcv_weights(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """By GCV, with weights formed."""
    return _insilico(x, y, new, "gcv", weights=True)


def insilico_loo_weights(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """By exact leave-one-out, with weights formed."""
    return _insilico(x, y, new, "loo", weights=True)


def _insilico(x: np.ndarray, y: np.ndarray, new: np.ndarray, choose: str, weights: bool) -> Result:
    from insilico.adapters.products import formed, predicted
    from insilico.adapters.solve import solve

    found = solve(x, lambda part: np.ascontiguousarray(y[:, part]), y.shape[1], ALPHAS, choose)
    if weights:
        return new @ formed(x, found.dual, None, None), found.alpha
    return predicted(new, x, found.dual, None, None), found.alpha


def himalaya_kernel(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """KernelRidgeCV, linear kernel, five folds, dual coefficients."""
    return _himalaya_kernel(x, y, new, weights=False)


def himalaya_kernel_weights(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """KernelRidgeCV with weights formed."""
    return _himalaya_kernel(x, y, new, weights=True)


def _himalaya_kernel(x: np.ndarray, y: np.ndarray, new: np.ndarray, weights: bool) -> Result:
    import torch
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV

    set_backend("torch")
    model = KernelRidgeCV(alphas=ALPHAS, kernel="linear", cv=5)
    model.fit(torch.from_numpy(x), torch.from_numpy(y))
    alpha = model.best_alphas_.numpy()
    if weights:
        return new @ model.get_primal_coef().numpy(), alpha
    return model.predict(torch.from_numpy(new)).numpy(), alpha


def himalaya_ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """RidgeCV (singular value decompositions), five folds, targets in batches of 2,000."""
    import torch
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV

    set_backend("torch")
    batches = {"n_targets_batch": 2000, "n_targets_batch_refit": 2000, "n_alphas_batch": 1}
    model = RidgeCV(alphas=ALPHAS, cv=5, solver_params=batches)
    model.fit(torch.from_numpy(x), torch.from_numpy(y))
    return model.predict(torch.from_numpy(new)).numpy(), model.best_alphas_.numpy()


def sklearn_ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> Result:
    """RidgeCV with a penalty per target: exact leave-one-out, float64 inside."""
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(ALPHAS, alpha_per_target=True).fit(x, y)
    return model.predict(new), np.asarray(model.alpha_)


SIDES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Result]] = {
    "insilico dual, GCV": insilico_gcv,
    "insilico dual, exact LOO": insilico_loo,
    "insilico weights, GCV": insilico_gcv_weights,
    "insilico weights, exact LOO": insilico_loo_weights,
    "himalaya KernelRidgeCV dual, 5 folds": himalaya_kernel,
    "himalaya KernelRidgeCV weights, 5 folds": himalaya_kernel_weights,
    "himalaya RidgeCV, 5 folds": himalaya_ridge,
    "scikit-learn RidgeCV, exact LOO": sklearn_ridge,
}
DUAL, LOO = "insilico dual, GCV", "insilico dual, exact LOO"
COSTLY = ("himalaya RidgeCV, 5 folds", "scikit-learn RidgeCV, exact LOO")


# --- one side in its process ----------------------------------------------------------------------


def made(n: int, p: int, t: int) -> dict[str, np.ndarray]:
    """Return standardised pairs, and new rows: signal of falling spectrum, noise that differs."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, 501, dtype=np.float32) ** -0.5
    latent = rng.standard_normal((n + N_NEW, 500), np.float32) * spread
    x = latent @ rng.standard_normal((500, p), np.float32)
    x += 0.5 * rng.standard_normal(x.shape, np.float32)
    y = latent @ rng.standard_normal((500, t), np.float32)
    y /= y.std(0)
    y += np.exp(rng.uniform(-1.5, 2, t)).astype(np.float32) * rng.standard_normal(
        y.shape, np.float32
    )
    mean, scale = x[:n].mean(0), x[:n].std(0)
    y_mean, y_scale = y[:n].mean(0), y[:n].std(0)
    x, y = (x - mean) / scale, (y[:n] - y_mean) / y_scale
    x, y = x.astype(np.float32), y.astype(np.float32)
    return {"x": x[:n], "y": y, "new": x[n:]}


def side(name: str, folder: Path) -> None:
    """Solve in this process and write predictions, penalties, seconds and memory."""
    x, y, new = (np.load(folder / f"{key}.npy") for key in ("x", "y", "new"))
    one_thread()
    SIDES[name](x[:20, :30], y[:20, :10], new[:, :30])  # imports are not timed
    start = time.process_time()
    predictions, alpha = SIDES[name](x, y, new)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    np.savez(folder / "result.npz", predictions=predictions, alpha=alpha)
    print(json.dumps({"seconds": seconds, "gigabytes": peak}))


def one_thread() -> None:
    """Tell torch what the environment tells the others."""
    import torch

    torch.set_num_threads(1)


def product_bound(folder: Path) -> None:
    """Time a product of the shapes at hand, in FLOP/s of this process."""
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    y = np.ascontiguousarray(y[:, :4096])
    out = np.empty((x.shape[1], y.shape[1]), np.float32)
    start = time.process_time()
    np.matmul(x.T, y, out=out)
    print(json.dumps({"flops": 2 * x.size * y.shape[1] / (time.process_time() - start)}))


def started(folder: Path, *arguments: str) -> dict[str, float]:
    """Run this file in a process of its own, one thread, and return what it prints."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    command = [sys.executable, __file__, "--folder", str(folder), *arguments]
    done = subprocess.run(
        command, env={**os.environ, **threads}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


# --- comparison -----------------------------------------------------------------------------------


class Reference:
    """Predictions at each penalty, in float64 on some voxels, without any side's code."""

    def __init__(self, folder: Path) -> None:
        x, y, new = (np.load(folder / f"{key}.npy") for key in ("x", "y", "new"))
        self.some = np.linspace(0, y.shape[1] - 1, min(200, y.shape[1])).astype(int)
        wide = x.astype(np.float64)
        wide -= wide.mean(0)
        gram, cross = wide @ wide.T, new.astype(np.float64) @ wide.T
        some = y[:, self.some].astype(np.float64)
        self.mean = some.mean(0)
        self.at = np.stack(
            [
                cross @ np.linalg.solve(gram + a * np.eye(len(x)), some - self.mean) + self.mean
                for a in ALPHAS
            ]
        )

    def error(self, predictions: np.ndarray, alpha: np.ndarray) -> float:
        """Return the size of the difference at the penalties chosen, of that of the predictions."""
        chosen = np.abs(np.log(alpha[self.some, None] / np.array(ALPHAS))).argmin(1)
        expected = self.at[chosen, :, np.arange(len(chosen))].T
        difference = predictions[:, self.some] - expected
        return float(np.linalg.norm(difference) / np.linalg.norm(expected))


def measured(names: list[str], rounds: int, folder: Path) -> dict[str, dict[str, object]]:
    """Return times, memory and penalties of every side, in turn."""
    reference, found = Reference(folder), {name: {"seconds": [], "gigabytes": []} for name in names}
    for _ in range(rounds):
        for name in names:
            said = started(folder, "--side", name)
            with np.load(folder / "result.npz") as result:
                predictions, alpha = result["predictions"], result["alpha"]
            error = reference.error(predictions, alpha)
            if not error < 1e-4:
                raise SystemExit(f"{name}: predictions differ by {error:.2g}; no time counts")
            for key, value in said.items():
                found[name][key].append(value)
            found[name]["alpha"] = alpha
            print(f"  {name}: {said['seconds']:.1f} s, error {error:.1g}", flush=True)
    return found


def table(found: dict[str, dict[str, object]]) -> str:
    """Return the table in Markdown."""
    base = median(found[DUAL]["seconds"]) if DUAL in found else 1.0
    exact = found.get("scikit-learn RidgeCV, exact LOO", found.get(LOO, {})).get("alpha")
    lines = ["| side | CPU s | ratio | peak GB | penalties as exact LOO |", "|---|---|---|---|---|"]
    for name, one in found.items():
        seconds = median(one["seconds"])
        alike = "" if exact is None else f"{np.isclose(one['alpha'], exact, rtol=1e-3).mean():.1%}"
        memory = max(one["gigabytes"])
        lines.append(f"| {name} | {seconds:.2f} | {seconds / base:.2f} | {memory:.1f} | {alike} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("pairs", 500), ("vertices", 5000), ("voxels", 4000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--costly", action="store_true", help="the two RidgeCV at large sizes too")
    parser.add_argument("--only", help="sides whose names hold this")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--bound", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        return side(given.side, given.folder)
    if given.bound:
        return product_bound(given.folder)
    n, p, t = given.pairs, given.vertices, given.voxels
    names = [name for name in SIDES if not given.only or given.only in name]
    if n * p > 5e6 and not given.costly:
        names = [name for name in names if name not in COSTLY]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key, array in made(n, p, t).items():
            np.save(folder / f"{key}.npy", array)
        print(f"{n} x {p} -> {t}, {len(ALPHAS)} penalties, one thread")
        flops = started(folder, "--bound")["flops"]
        found = measured(names, given.rounds, folder)
    print(f"\nproducts alone: {flops / 1e9:.0f} GFLOP/s\n\n{table(found)}")
    return None


if __name__ == "__main__":
    main()
