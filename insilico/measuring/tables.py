"""What was measured and counted, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from insilico.decoders import sound_needs
from insilico.decoders.mindeye2.sizes import published
from insilico.decoders.mindeye2.skeleton import built
from insilico.measuring import Measured
from insilico.measuring.stages import needs, sound_need
from insilico.weights.counting import parameters_of
from insilico.weights.memory import aligned
from insilico.weights.writing import written

IMAGE_TOWER = 1_909_889_025
"""Parameters of bigG's image side in the unCLIP file: loaded by the authors, called by nobody."""
IMAGE = ("brain", "prior", "blurry", "unclip", "captioner", "refiner")
"""Stages that an image goes through."""
REPORTED = (
    ("Ridge + Backbone + Prior", "8.91", "2.16B", ("brain", "prior")),
    ("SDXL unCLIP decoder", "18.09", "3.5B", ("unclip", "tower")),
    ("CLIP converter + GIT captioner", "1.59", "0.4B", ("converter", "captioner")),
    ("AudioLDM2-large; here AudioLDM2", "3.50", "1.5B", ("sound",)),
)
"""The table of video memory that is reported for the whole chain on a card of 40 GB."""


def counted() -> dict[str, int]:
    """Return the parameters of every network at its published size, counted without memory."""
    found = {name: parameters_of(built(name, about)) for name, about in published().items()}
    sound = parameters_of(sound_needs.built(sound_needs.published()))
    return {**found, "tower": IMAGE_TOWER, "sound": sound}


def budget() -> str:
    """Return the reported table of memory beside what is counted at full size."""
    known, sums, rows = counted(), [0, 0], list[tuple[str, ...]]()
    ours = {need.name: need.weights for need in (*needs("full", "fp16"), sound_need("full"))}
    for name, size, told, parts in REPORTED:
        count = sum(known[part] for part in parts)
        held = sum(ours.get(part, 0) for part in parts)
        rows.append((name, size, told, *_sizes(count, held)))
        sums[0], sums[1] = sums[0] + count, sums[1] + held
    rows.append(("sum", "32.1", "7.6B", *_sizes(*sums)))
    columns = ("component", "reported GB", "reported", "counted", "in fp32", "insilico, fp16")
    return aligned(columns, rows)


def _sizes(count: int, held: int) -> tuple[str, str, str]:
    return f"{count / 1e9:.3f}B", written(4 * count), written(held)


def timed(rows: Sequence[Measured]) -> str:
    """Return what stages took in both settings, the difference of their results first."""
    settings = ("stage", "parameters", "difference", "authors", "ours", "times faster")
    columns: tuple[str, ...] = (*settings, "authors' peak", "our peak", "batch")
    lines = [_line(row) for row in rows]
    image = [row for row in rows if row.name in IMAGE]
    if len(image) == len(IMAGE):
        pairs = ((row.authors.seconds, row.ours.seconds) for row in image)
        theirs, ours = (sum(each) for each in zip(*pairs, strict=True))
        peaks = [max(p) for p in zip(*((r.authors.peak, r.ours.peak) for r in image), strict=True)]
        lines.append(("an image", "", "", *_speeds(theirs, ours), *map(written, peaks), ""))
    return aligned(columns, lines)


def _line(row: Measured) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.parameters:,}",
        f"{row.difference:.1e}",
        *_speeds(row.authors.seconds, row.ours.seconds),
        written(row.authors.peak),
        written(row.ours.peak),
        str(row.batch),
    )


def _speeds(theirs: float, ours: float) -> tuple[str, str, str]:
    return f"{theirs:.4f} s", f"{ours:.4f} s", f"{theirs / ours:.1f}"
