"""Plans: which stages of a chain stay in memory, which come and go, and how many items together.

Weights are counted, what a stage computes is a straight line in the number of items (see
`insilico.weights.counting`). Plans differ in time and memory, never in results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

from insilico.errors import ParameterError
from insilico.weights.writing import written

MARGIN = 1.25
"""On what a stage computes: workspaces of the kernels, and gaps between tensors."""
RESERVE = {"cuda": 1_000_000_000}
"""Taken by a device's own context before any network is there, by kind of device."""
OFFLOADS = ("cuda",)
"""Kinds of devices with a memory of their own, out of which weights can be moved."""
ENOUGH = 4
"""Items in a batch that are worth more than a stage that stays."""


@dataclass(frozen=True)
class Need:
    """What one stage takes.

    Attributes
    ----------
    name : str
    weights : int
        Bytes, in the precision that they are kept in.
    fixed, item : int
        Bytes of what it computes, whatever the batch and for each item.
    batch : int
        Items that go together where there is room.
    least : int
        Bytes of the weights that must be there at once.
    """

    name: str
    weights: int
    fixed: int
    item: int
    batch: int
    least: int

    def computed(self, items: int) -> int:
        """Return the bytes of what so many items make, with the margin."""
        return ceil(MARGIN * (self.fixed + items * self.item))


@dataclass(frozen=True)
class Share:
    """What a plan grants one stage.

    Attributes
    ----------
    need : Need
    batch : int
    resident : bool
        Whether it stays loaded while others compute.
    weights : int
        Bytes of its weights on the device at once; fewer than it has where blocks come and go.
    peak : int
        Bytes on the device while it computes, those of resident stages with it.
    """

    need: Need
    batch: int
    resident: bool
    weights: int
    peak: int

    @property
    def offloaded(self) -> bool:
        """Whether its blocks come and go."""
        return self.weights < self.need.weights

    @property
    def row(self) -> tuple[str, ...]:
        """Its line in a table."""
        sizes = (self.need.weights, MARGIN * self.need.item, self.peak)
        weights, item, peak = (written(size) for size in sizes)
        return self.need.name, weights, item, str(self.batch), self.how, peak

    @property
    def how(self) -> str:
        """Say in words how it is held."""
        if self.offloaded:
            return "block by block"
        return "stays" if self.resident else "in turn"


@dataclass(frozen=True)
class Plan:
    """How a chain is computed within a memory."""

    memory: int
    reserve: int
    shares: tuple[Share, ...]

    def __getitem__(self, name: str) -> Share:
        return next(share for share in self.shares if share.need.name == name)

    @property
    def resident(self) -> frozenset[str]:
        """Names of the stages that stay."""
        return frozenset(share.need.name for share in self.shares if share.resident)

    @property
    def peak(self) -> int:
        """Largest number of bytes taken at any time."""
        return max(share.peak for share in self.shares)

    def table(self) -> str:
        """Return the plan as a table for people."""
        columns = ("stage", "weights", "an item", "batch", "held", "peak")
        rows = [share.row for share in self.shares]
        about = (
            f"memory {written(self.memory)}, peak {written(self.peak)}, "
            f"of which {written(self.reserve)} for the device itself"
        )
        return aligned(columns, rows) + f"\n{about}"


def aligned(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows under their columns, the first to the left and all others to the right."""
    lines = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def plan(
    needs: Sequence[Need], memory: int, device: str = "cuda", batch: int | None = None
) -> Plan:
    """Plan a chain.

    As many weights stay as leave room for a few items together; then batches grow.

    Parameters
    ----------
    needs : sequence of Need
        Of the stages, which compute one after the other.
    memory : int
        Bytes.
    device : str
        Of torch. Out of a memory that the device shares with the computer nothing can be moved.
    batch : int, optional
        Items to go together, in place of each stage's own choice.

    Returns
    -------
    Plan

    Raises
    ------
    ParameterError
        If there is no plan; it says the least memory that has one.
    """
    reserve = RESERVE.get(_kind(device), 0)
    free = memory - reserve
    largest = max(needs, key=lambda need: lowest(need, device))
    if lowest(largest, device) > memory:
        raise ParameterError(
            f"memory {written(memory)} is too little: stage '{largest.name}' takes "
            f"{written(lowest(largest, device))} with one item at a time; the least that works is "
            f"{up(lowest(largest, device))}"
        )
    targets = {need.name: batch or need.batch for need in needs}
    staying = _staying(needs, free, targets)
    return Plan(memory, reserve, tuple(_share(n, staying, free, reserve, targets) for n in needs))


def lowest(need: Need, device: str) -> int:
    """Return the least memory of a device in which a stage computes, one item at a time."""
    kind = _kind(device)
    weights = min(need.least, need.weights) if kind in OFFLOADS else need.weights
    return RESERVE.get(kind, 0) + weights + need.computed(1)


def _kind(device: str) -> str:
    return device.partition(":")[0]


def up(size: int) -> str:
    """Write a size rounded up, so that it works when it is typed in."""
    return f"{ceil(size / 1e8) / 10:.1f}GB" if size >= 1e8 else f"{ceil(size / 1e3)}kB"


def _staying(needs: Sequence[Need], free: int, targets: dict[str, int]) -> tuple[Need, ...]:
    """Return the stages that stay: most bytes, with a few items together in every stage."""
    for items in (ENOUGH, 1):
        fitting = [
            chosen
            for count in range(len(needs), -1, -1)
            for chosen in combinations(needs, count)
            if all(_fits(n, chosen, free, min(items, targets[n.name])) for n in needs)
        ]
        if fitting:
            return max(fitting, key=lambda chosen: sum(n.weights for n in chosen))
    return ()


def _fits(need: Need, staying: Sequence[Need], free: int, items: int) -> bool:
    held = sum(other.weights for other in staying if other is not need)
    return held + need.weights + need.computed(items) <= free


def _share(
    need: Need, staying: Sequence[Need], free: int, reserve: int, targets: dict[str, int]
) -> Share:
    others = sum(other.weights for other in staying if other is not need)
    room, batch = free - others, targets[need.name]
    whole = need.weights + need.computed(1) <= room
    weights = need.weights if whole else max(need.least, (room - need.computed(1)) // 2)
    left = room - weights
    while batch > 1 and need.computed(batch) > left:
        batch -= 1
    peak = reserve + others + weights + need.computed(batch)
    return Share(need, batch, need in staying, weights, peak)
