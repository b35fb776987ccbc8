"""Validation on known truth: whether every test holds its rate, and every interval its level.

Experiments are simulated in which the answer is known, handed to the package's own functions, and
counted (`insilico validate`, docs/validation.md). The short table goes over parcels and small
tables, the full one over all vertices and decoded pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from insilico.errors import ParameterError, not_one_of

if TYPE_CHECKING:
    from insilico.phantom.validation.check import Check
    from insilico.phantom.validation.table import Batch, Row

TABLES = ("short", "full")


def checks(table: str = "short") -> tuple[Check, ...]:
    """Return the rows of a table.

    Parameters
    ----------
    table : {"short", "full"}
    """
    from insilico.phantom.validation import (
        coverage,
        curves,
        effects,
        lesions,
        maps,
        readouts,
        responses,
    )

    if table not in TABLES:
        raise ParameterError(not_one_of("table", table, TABLES))
    if table == "full":
        return (*maps.full(), *responses.FULL, *coverage.FULL, *lesions.FULL)
    rooms = (effects, curves, maps, responses, readouts, coverage, lesions)
    return tuple(check for room in rooms for check in room.CHECKS)


def chosen(every: Sequence[Check], names: Sequence[str]) -> list[Check]:
    """Return the checks whose name is given, or begins with it and a comma; all for none.

    Raises
    ------
    ParameterError
        A name that no check has.
    """
    short = [check.name.partition(",")[0] for check in every]
    for name in names:
        if name not in short and name not in [check.name for check in every]:
            raise ParameterError(not_one_of("check", name, dict.fromkeys(short)))
    pairs = zip(every, short, strict=True)
    return [check for check, head in pairs if not names or {check.name, head} & set(names)]


def validate(
    every: Sequence[Check],
    table: str = "short",
    *,
    only: Sequence[str] = (),
    n: int | None = None,
    seed: int = 0,
    done: Sequence[Batch] = (),
    keep: Callable[[list[Batch]], Any] | None = None,
    watch: Any = None,
    jobs: int = 1,
) -> list[Row]:
    """Do the experiments that are left to do, and return the rows.

    Parameters
    ----------
    every : sequence of Check
        All rows of the table: the bands are simultaneous over them.
    table : str
        Its name.
    only : list of str
        Checks to do.
    n : int, optional
        Experiments of each, in the place of its own number.
    seed : int
    done : list of Batch
        Of an earlier call; they are not done again.
    keep : callable, optional
        Called with all batches after each one.
    watch : optional
        Told of progress, as by `insilico.run`.
    jobs : int
        Processes; several find the checks by name among `checks`. No result depends on them.
    """
    from insilico.phantom.validation.table import remaining, rows

    wanted, batches = chosen(every, only), list(done)
    left = remaining(wanted, table, seed, batches, n)
    if watch:
        watch.begin(len(left))
    for batch in _batches(left, table, seed, jobs):
        batches.append(batch)
        if keep:
            keep(batches)
        if watch:
            watch.ended(f"{batch.name}: {batch.found} of {batch.n}", batch.seconds, None)
    names = {check.name for check in wanted}
    return [row for row in rows(every, table, seed, batches) if row.check.name in names]


def _batches(
    left: Sequence[tuple[Check, int, int]], table: str, seed: int, jobs: int
) -> Iterator[Batch]:
    from insilico.phantom.validation.table import experiments

    if min(jobs, len(left)) <= 1:
        for check, number, count in left:
            yield experiments(check, table, seed, number, count)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    with ProcessPoolExecutor(jobs, get_context("spawn"), _settle) as pool:
        tasks = [pool.submit(_batch, check.name, table, seed, *more) for check, *more in left]
        try:
            yield from (task.result() for task in as_completed(tasks))
        finally:
            pool.shutdown(cancel_futures=True)


def _settle() -> None:
    """Give a process one thread, and leave ^C to the one that started it."""
    import os
    import signal

    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _batch(name: str, table: str, seed: int, number: int, count: int) -> Batch:
    from insilico.phantom.validation.table import experiments

    check = next(check for check in checks(table) if check.name == name)
    return experiments(check, table, seed, number, count)
