"""The command `insilico index`: embed a gallery ahead of its use."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOLD_S = 10
"""Seconds between two lines of progress."""


def add(parser: argparse.ArgumentParser) -> None:
    """Let a parser take the command's arguments."""
    parser.add_argument("gallery", help="a folder of pictures, or a table with a column image")
    parser.add_argument("--weights", default="phantom", help="folder with clip/ (phantom)")
    parser.add_argument("--index", type=Path, help="folder of the index (user cache)")
    parser.add_argument("--size", type=int, help="side of the pictures (what the CLIP sees)")
    about = "how all tokens are kept; none: only pooled ones (float16)"
    kept = ("float16", "float32", "none")
    parser.add_argument("--keep", choices=kept, default="float16", help=about)
    parser.add_argument("--skip-broken", action="store_true", help="leave broken pictures out")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")


def index(arguments: argparse.Namespace) -> int:
    """Embed what is new in a gallery."""
    from insilico.cli.commands import check_device

    check_device(arguments.device)
    from insilico.decoders import KINDS
    from insilico.decoders.nearest.gallery import named
    from insilico.errors import listed
    from insilico.step import computing

    spec = named(arguments.gallery) | {"broken": "skip" if arguments.skip_broken else "stop"}
    spec |= {"size": arguments.size} if arguments.size is not None else {}
    step: Any = KINDS.build(
        {
            "kind": "nearest",
            "gallery": spec,
            "weights": arguments.weights,
            "index": arguments.index,
            "keep": arguments.keep,
        }
    )
    with computing(arguments.device, _told()):
        made, found, new = step.indexed()
    print(f"{len(found.names)} pictures, {new} of them embedded now; index in {made.folder}")
    if found.broken:
        print(f"left out, because the file is broken: {listed(found.broken)}", file=sys.stderr)
    return 0


def _told() -> Callable[[str, int, int], None]:
    """Return what writes how far the embedding is, every few seconds."""
    begun = last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if what == "index" and now - last > TOLD_S:
            last, left = now, (now - begun) / done * (total - done)
            about = f"{done} of {total} pictures; about {left / 60:.0f} min left"
            print(about, file=sys.stderr, flush=True)

    return tell
