"""Validation on known truth: whether every test holds its rate, and every interval its level.

Experiments are simulated in which the answer is known, handed to the package's own functions, and
counted (`insilico validate`, docs/validation.md). The short table goes over parcels and small
tables, the full one over all vertices and decoded pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    from insilico.phantom.validation import coverage, effects, lesions, maps, responses

    if table not in TABLES:
        raise ParameterError(not_one_of("table", table, TABLES))
    if table == "full":
        return (*maps.full(), *responses.FULL, *coverage.FULL, *lesions.FULL)
    rooms = (effects, maps, responses, coverage, lesions)
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
    """
    from insilico.phantom.validation.table import experiments, remaining, rows

    wanted, batches = chosen(every, only), list(done)
    left = remaining(wanted, table, seed, batches, n)
    if watch:
        watch.begin(len(left))
    for check, number, count in left:
        batch = experiments(check, table, seed, number, count)
        batches.append(batch)
        if keep:
            keep(batches)
        if watch:
            watch.ended(f"{check.name}: {batch.found} of {count}", batch.seconds, None)
    names = {check.name for check in wanted}
    return [row for row in rows(every, table, seed, batches) if row.check.name in names]
