"""`insilico validate`: every test and interval of the package on simulated data of known truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from insilico.phantom.validation.table import Batch

MARKS = "<!-- insilico validate: {} -->", "<!-- end: {} -->"


def validate(arguments: argparse.Namespace) -> int:
    """Do the experiments and write the table; 1 if a row is outside of what is stated."""
    from insilico.phantom import validation
    from insilico.phantom.validation.table import caution, written
    from insilico.phantom.validation.table import rows as all_rows
    from insilico.run.progress import watcher
    from insilico.run.store import write_bytes

    table = "full" if arguments.full else "short"
    every, log = validation.checks(table), _log(arguments.out)
    kept = _Kept(log, _done(log, arguments.overwrite))
    _around(arguments.out, table)  # a page without a place for it is named before the work
    with watcher() as watch:
        rows = validation.validate(
            every,
            table,
            only=arguments.only,
            n=arguments.n,
            seed=arguments.seed,
            done=list(kept.batches),
            keep=kept,
            watch=watch,
            jobs=arguments.jobs,
        )
    text = written(rows)
    print(text)
    if warning := caution(rows):
        print(warning)
    spent = sum(row.seconds for row in rows)
    outside = [row.check.name for row in rows if row.failed]
    print(f"{len(rows)} rows, {spent:.0f} s of CPU; outside of what is stated: {len(outside)}")
    if arguments.out is not None and arguments.out.suffix == ".md":
        before, after = _around(arguments.out, table)
        whole = written(all_rows(every, table, arguments.seed, kept.batches))  # also without --only
        write_bytes(f"{before}\n\n{whole}\n{after}".encode(), arguments.out)
    return int(bool(outside))


def _log(out: Path | None) -> Path | None:
    """Return the file of the batches, beside the page."""
    from insilico.errors import ParameterError

    if out is None:
        return None
    if out.suffix not in (".md", ".csv"):
        raise ParameterError(f"--out {out}: name a file .md (a page) or .csv (the batches)")
    return out.with_suffix(".csv")


def _done(log: Path | None, overwrite: bool) -> list[Batch]:
    from insilico.phantom.validation.table import read

    if log is None or overwrite or not log.exists():
        return []
    return read(log.read_text(encoding="utf-8", errors="replace"), str(log))


class _Kept:
    """Writes all batches after each one, whole or not at all."""

    def __init__(self, log: Path | None, batches: list[Batch]) -> None:
        self.log, self.batches = log, batches

    def __call__(self, batches: list[Batch]) -> None:
        from insilico.phantom.validation.table import as_csv
        from insilico.run.store import write_bytes

        self.batches = batches
        if self.log is not None:
            write_bytes(as_csv(batches).encode(), self.log)


def _around(page: Path | None, table: str) -> tuple[str, str]:
    """Return what stands before and after a table's place on a page, its marks included."""
    from insilico.errors import ParameterError

    first, last = (mark.format(table) for mark in MARKS)
    if page is None or page.suffix != ".md" or not page.exists():
        return first, f"{last}\n"
    text = page.read_text(encoding="utf-8")
    before, begun, rest = text.partition(first)
    _, ended, after = rest.partition(last)
    if not begun or not ended:
        raise ParameterError(f"{page} has no place for the table: write {first} and {last}")
    return before + first, last + after
