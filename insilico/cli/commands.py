"""The commands: each calls one function of the package and prints what came of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from insilico.errors import ParameterError, counted, not_one_of


def _changes(pairs: list[str]) -> dict[str, str]:
    changes = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ParameterError(f"--set {pair}: write it as key=value, such as --set seed=8")
        changes[key.strip()] = value
    return changes


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in ("device", "batch", "compile", "memory")}


def run(arguments: argparse.Namespace) -> int:
    """Run a protocol; 2 if a job failed."""
    check_device(arguments.device)
    from insilico.report.experiment import run
    from insilico.run.progress import watcher

    with watcher() as watch:
        results = run(
            arguments.file,
            set=_changes(arguments.set),
            out=arguments.out,
            overwrite=arguments.overwrite,
            store=arguments.store,
            jobs=arguments.jobs,
            **_how(arguments),
            watch=watch,
        )
    print(results.summary)
    many = len(results.computed)
    done = f"{counted(many, 'job')} computed" if many else "nothing to compute"
    print(f"{done}; results in {results.folder}")
    return 2 if _told(results.failures, arguments.debug) else 0


def draw(arguments: argparse.Namespace) -> int:
    """Draw a run's figures again."""
    from insilico.report.redraw import redraw

    for path in redraw(arguments.run, arguments.figure, out=arguments.out):
        print(path)
    return 0


def _told(failures: Sequence[Any], debug: bool) -> bool:
    """Write each cause of failure once, and return whether there was any."""
    for job, message, trace in dict.fromkeys((f.job, f.message, f.trace) for f in failures):
        print(f"error: {job}: {' '.join(message.split())}", file=sys.stderr)
        if debug:
            print(trace, file=sys.stderr)
    return bool(failures)


def check(arguments: argparse.Namespace) -> int:
    """Say whether a protocol is right, and what would run."""
    from insilico.protocol.plan import plan
    from insilico.protocol.read import mistakes, read
    from insilico.report.experiment import missing

    changes = _changes(arguments.set)
    wrong = mistakes(arguments.file, changes)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    if wrong:
        return 2
    work = plan(read(arguments.file, changes).protocol)
    waiting = missing(work, arguments.store)
    print(f"{arguments.file}: right")
    print(f"  {work.protocol.title}")
    conditions, statistics = len(work.branches), len(work.statistics)
    print(f"  {counted(conditions, 'condition')}, {counted(statistics, 'statistic')}")
    print(f"  {counted(len(waiting), 'job')} to compute")
    if work.note:
        print(f"  note: {work.note}")
    return 0


def names(arguments: argparse.Namespace) -> int:
    """List what protocols can name."""
    from insilico.listing import listing

    print(listing(arguments.what))
    return 0


def translate(arguments: argparse.Namespace) -> int:
    """Send one stimulus through the chain."""
    check_device(arguments.device)
    from insilico.translate import translate

    result = translate(
        arguments.what,
        arguments.to,
        arguments.out,
        text=arguments.text,
        overwrite=arguments.overwrite,
        preset=arguments.preset,
        seed=arguments.seed,
        set=_changes(arguments.set),
        store=arguments.store,
        **_how(arguments),
    )
    print(f"{result.summary}results in {result.folder}")
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Download published atlases."""
    from insilico.spaces import atlases

    published = [n for n in atlases.names() if "download" in atlases.describe(n)]
    for name in arguments.names or published:
        print(f"{name}: {atlases.fetch(name)}")
    return 0


def train(arguments: argparse.Namespace) -> int:
    """Train an encoder."""
    check_device(arguments.device)
    if arguments.file == "phantom":
        train = _named("insilico.phantom.training.mary_nano:train")
        cache, out = arguments.cache or _training_cache(), arguments.out / "mary_nano"
        if (out / "model.safetensors").exists() and not arguments.overwrite:
            raise ParameterError(f"{out} holds weights; name another --out, or add --overwrite")
        train(arguments.out, cache=cache, device=arguments.device, log=out / "training.log")
        print(f"weights in {out}")
        return 0
    from insilico.training import train_encoder

    out = train_encoder(
        arguments.file, arguments.out, device=arguments.device, overwrite=arguments.overwrite
    )
    print(f"weights in {out}")
    return 0


def phantom_train(arguments: argparse.Namespace) -> int:
    """Train the phantom's networks."""
    check_device(arguments.device)
    from insilico.phantom.training import NETWORKS

    for name in _known(arguments.networks, NETWORKS):
        print(f"training {name}", file=sys.stderr, flush=True)
        seed = {} if arguments.seed is None else {"seed": arguments.seed}
        folder = arguments.folder or _shipped_weights()
        cache = arguments.cache or _training_cache()
        _named(NETWORKS[name])(folder, cache=cache, device=arguments.device, **seed)
    return 0


def phantom_check(arguments: argparse.Namespace) -> int:
    """Measure the phantom's gates; 1 if one is missed."""
    check_device(arguments.device)
    from insilico.phantom.check import check
    from insilico.phantom.shares import as_csv, written
    from insilico.run.progress import watcher
    from insilico.run.store import write_bytes

    weights = "phantom" if arguments.folder is None else str(arguments.folder)
    with watcher() as watch:
        watch.begin(6)
        rows = check(arguments.n, weights, device=arguments.device, watch=watch)
    print(written(rows))
    if arguments.out is not None:
        write_bytes(as_csv(rows).encode(), arguments.out)
    return int(any(row.failed for row in rows))


def phantom_export(arguments: argparse.Namespace) -> int:
    """Write phantom subjects in NSD's layout."""
    from insilico.phantom.export import export

    sizes = {"n_test": arguments.test, "n_train": arguments.train}
    where = export(arguments.folder, subjects=arguments.subjects, seed=arguments.seed, **sizes)
    print(f"{where}: use it with INSILICO_NSD={where}, or root: {where}")
    return 0


def _known(names: list[str], allowed: dict[str, str]) -> list[str]:
    for name in names:
        if name not in allowed:
            raise ParameterError(not_one_of("network", name, allowed))
    return [name for name in allowed if name in names or not names]


def _named(address: str) -> Callable[..., Any]:
    import importlib

    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


def _shipped_weights() -> Path:
    from importlib.resources import files

    return Path(str(files("insilico.phantom"))) / "weights"


def _training_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("insilico") / "training"


def check_device(name: str) -> None:
    """Raise unless torch knows the device and has it."""
    if name == "cpu":
        return
    import torch

    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if name.partition(":")[0] not in there:
        raise ParameterError(f"device '{name}' is not here; there are: {', '.join(there)}")
