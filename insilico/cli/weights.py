"""The commands of ``insilico weights``."""

from __future__ import annotations

import argparse
from pathlib import Path


def names(arguments: argparse.Namespace) -> int:
    """List the published files, and which of them are here."""
    from insilico.weights.inventory import inventory, table

    root = _root(arguments.folder)
    print(f"published weights in {root}")
    print(table(inventory(root)))
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Read every file and hold it against its record; 1 if one is damaged or was changed."""
    from insilico.weights.inventory import examined, table, told

    root = _root(arguments.folder)
    there = examined(root, tuple(arguments.accept))
    print(f"published weights in {root}")
    print(table([found for found in there if found.present]))
    print(told(there))
    return int(any(found.damage for found in there))


def where(arguments: argparse.Namespace) -> int:
    """Say where weights are looked for."""
    from insilico.weights.inventory import where

    print(where())
    return 0


def _root(folder: Path | None) -> Path:
    from insilico.errors import WeightsError
    from insilico.weights.folders import published_root

    if folder is None:
        return published_root()
    if not folder.expanduser().is_dir():
        raise WeightsError(f"no folder {folder}")
    return folder.expanduser()
