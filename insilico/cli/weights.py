"""The commands of ``insilico weights``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def names(arguments: argparse.Namespace) -> int:
    """List the published files, and which of them are here."""
    from insilico.weights.inventory import inventory, table, totals

    root = folder_of(arguments.folder)
    there = inventory(root, arguments.subject)
    print(f"published weights in {root}")
    print(table(there))
    if arguments.subject is not None:
        print(totals(there))
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Read every file and hold it against its record; 1 if one is damaged or was changed."""
    from insilico.run.progress import watcher
    from insilico.step import computing
    from insilico.weights.inventory import examined, table, told

    root = folder_of(arguments.folder)
    with watcher() as watch, computing(progress=watch.news):
        there = examined(root, tuple(arguments.accept))
    print(f"published weights in {root}")
    print(table([found for found in there if found.present]))
    print(told(there))
    return int(any(found.damage for found in there))


def plan(arguments: argparse.Namespace) -> int:
    """Say how the chain is computed within a memory, at the published sizes."""
    from insilico.measuring.beside import table
    from insilico.measuring.stages import needs
    from insilico.step import in_bytes
    from insilico.weights.memory import plan

    _quiet()
    memory, how = in_bytes(arguments.memory), (arguments.device, arguments.batch)
    decoder = needs("full", arguments.precision, arguments.tiled, arguments.beams)
    print(f"published sizes, {arguments.precision}, {arguments.device}; counted, nothing is loaded")
    print(plan(decoder, memory, *how).table())
    print("\nbeside the decoder, each alone while it computes (fp32)")
    print(table(memory, *how))
    return 0


def measure(arguments: argparse.Namespace) -> int:
    """Measure every network with random weights: the authors' setting and ours."""
    from insilico.cli.commands import check_device
    from insilico.measuring import DEFAULTS, measure
    from insilico.measuring.tables import budget, timed
    from insilico.run.progress import watcher
    from insilico.step import computing

    check_device(arguments.device)
    on_gpu = arguments.device.startswith("cuda")
    size = arguments.size or ("full" if on_gpu else "small")
    _quiet()
    with watcher() as watch, computing(progress=watch.news):
        rows, _ = measure(
            size,
            arguments.device,
            precision=arguments.precision,
            memory=arguments.memory,
            n=arguments.n,
            compile=arguments.compile or None,
            only=tuple(arguments.only),
        )
    ours = arguments.precision or DEFAULTS[on_gpu]
    print(f"size: {size}{'' if size == 'full' else ' (REDUCED, not the published networks)'}")
    print(f"device: {arguments.device}{'' if on_gpu else ' (no GPU: no speed of a GPU is shown)'}")
    print(f"weights: random; authors: one item at a time, eager, {DEFAULTS[on_gpu]}; ours: {ours}")
    print(
        f"difference: of our results from the authors', over their largest value\n\n{timed(rows)}"
    )
    print(f"\nMemory reported for the whole chain, and counted at full size\n\n{budget()}")
    return 0


def _quiet() -> None:
    """Keep transformers from telling every configuration that it makes."""
    from transformers.utils import logging

    logging.set_verbosity_error()


def where(arguments: argparse.Namespace) -> int:
    """Say where weights are looked for."""
    from insilico.weights.inventory import where

    print(where())
    return 0


def folder_of(given: Path | None) -> Path:
    """Return the weights folder given, that of the environment, or the user's cache.

    Raises
    ------
    WeightsError
        If one is named that is not there.
    """
    from insilico.errors import WeightsError
    from insilico.weights.folders import ROOT, published_root

    folder = published_root() if given is None else given.expanduser()
    named = given is not None or os.environ.get(ROOT)
    if named and not folder.is_dir():
        how = f" ({ROOT})" if given is None else ""
        raise WeightsError(
            f"no folder {folder}{how}; name the one with unclip6_epoch0_step110000.ckpt and "
            f"train_logs/, or make it for them"
        )
    return folder
