"""What a run tells the person who waits for it, on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from insilico.run.runner import Failure

SILENT_S = 30.0
"""Seconds after which a job that goes on says how far it is."""


class Lines:
    """One plain line a job, and every `SILENT_S` seconds how far it is: for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream, self.done, self.total = stream or sys.stderr, 0, 0
        self.said = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.flush()

    def begin(self, total: int) -> None:
        """So many jobs will be computed, beside those that are done."""
        self.total = self.done + total

    def started(self, name: str) -> None:
        """Say nothing: the line comes at the end."""
        self.said = time.monotonic()

    def news(self, what: str, done: int, total: int) -> None:
        """Say that something long begins, and how far a job is that said nothing for a while."""
        now = time.monotonic()
        if done == 0 or now - self.said >= SILENT_S:
            self.said = now
            print(f"{'':>19}{what}: {done} of {total}", file=self.stream, flush=True)

    def ended(self, name: str, seconds: float, failure: Failure | None) -> None:
        """Write the job's line."""
        self.done += 1
        how = f"{seconds:6.1f} s" if failure is None else "  FAILED"
        print(f"[{self.done:3d}/{self.total}] {how}  {name}", file=self.stream, flush=True)


class Bars:
    """Two live bars, over the jobs and inside the present one: for terminals."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.bars = Progress(
            TextColumn("{task.description:<36}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.all = self.bars.add_task("jobs", total=None)
        self.inside = self.bars.add_task("", total=None, visible=False)

    def __enter__(self) -> Bars:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def begin(self, total: int) -> None:
        """So many jobs will be computed, beside those that are done."""
        self.bars.update(self.all, total=self.bars.tasks[self.all].completed + total)

    def started(self, name: str) -> None:
        """Show the job's name."""
        self.bars.update(self.all, description=name)

    def news(self, what: str, done: int, total: int) -> None:
        """Move the bar inside the job."""
        self.bars.update(
            self.inside, description=f"  {what}", completed=done, total=total, visible=done < total
        )

    def ended(self, name: str, seconds: float, failure: Failure | None) -> None:
        """Move the bar of jobs."""
        self.bars.update(self.inside, visible=False)
        self.bars.advance(self.all)
        if failure is not None:
            self.bars.console.print(f"[red]failed[/red] {name}", highlight=False)


def watcher() -> Lines | Bars:
    """Return bars on a terminal, lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines()
