"""The table: batches of experiments as they are done, and what all of them say."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from time import process_time

from insilico.errors import ParameterError
from insilico.phantom.validation.check import Check
from insilico.step import generator

FEW = 500
"""Experiments below which a test that is wrong twice too often may pass unseen."""


@dataclass(frozen=True)
class Batch:
    """Experiments of one check, done.

    Attributes
    ----------
    table : str
        ``short`` or ``full``.
    name : str
        Of the check.
    seed, batch : int
        They name the random generator.
    n, found : int
        Experiments, and in how many of them it happened.
    seconds : float
        CPU.
    """

    table: str
    name: str
    seed: int
    batch: int
    n: int
    found: int
    seconds: float


@dataclass(frozen=True)
class Row:
    """What all batches of one check say.

    Attributes
    ----------
    check : Check
    n, found : int
    band, allowed : (int, int)
        The least and most that fit the rate, and what is stated.
    seconds : float
    """

    check: Check
    n: int
    found: int
    band: tuple[int, int]
    allowed: tuple[int, int]
    seconds: float

    @property
    def verdict(self) -> str:
        """``holds``, ``as stated``, or ``OUTSIDE``."""
        if not self.allowed[0] <= self.found <= self.allowed[1]:
            return "OUTSIDE"
        holds = self.check.measured or self.band[0] <= self.found <= self.band[1]
        return "holds" if holds else "as stated"

    @property
    def failed(self) -> bool:
        """Whether the check is outside of what is stated."""
        return self.verdict == "OUTSIDE"


def parts(check: Check, n: int | None = None) -> list[int]:
    """Return how many experiments each batch of a check has."""
    total = check.n if n is None else n
    whole, rest = divmod(total, check.batch)
    return [check.batch] * whole + ([rest] if rest else [])


def remaining(
    checks: Sequence[Check], table: str, seed: int, done: Sequence[Batch], n: int | None = None
) -> list[tuple[Check, int, int]]:
    """Return what is left to do: check, number of the batch, its experiments.

    All rows grow alike, so that a table that is stopped early has something of each.

    Raises
    ------
    ParameterError
        What was done has batches of another size.
    """
    known = {(b.name, b.batch): b.n for b in done if (b.table, b.seed) == (table, seed)}
    left = []
    for check in checks:
        for batch, count in enumerate(parts(check, n)):
            have = known.get((check.name, batch))
            if have is None:
                left.append((check, batch, count))
            elif have < count:
                raise ParameterError(
                    f"{check.name}: batch {batch} was done with {have} experiments, {count} are "
                    "asked for; name another --out, or add --overwrite"
                )
    return sorted(left, key=lambda one: one[1] / len(parts(one[0], n)))


def experiments(check: Check, table: str, seed: int, batch: int, count: int) -> Batch:
    """Do one batch."""
    start = process_time()
    found = check.found(count, generator(seed, "validate", table, check.name, batch))
    spent = round(process_time() - start, 2)
    return Batch(table, check.name, seed, batch, count, found, spent)


def rows(checks: Sequence[Check], table: str, seed: int, done: Sequence[Batch]) -> list[Row]:
    """Return the rows of the checks of a table of which something was done."""
    found = []
    for check in checks:
        own = [b for b in done if (b.table, b.name, b.seed) == (table, check.name, seed)]
        if own:
            n, many = sum(b.n for b in own), sum(1 for c in checks if c.group == check.group)
            both = check.band(n, many), check.allowed(n, many)
            spent = sum(b.seconds for b in own)
            found.append(Row(check, n, sum(b.found for b in own), *both, spent))
    return found


def written(made: Sequence[Row]) -> str:
    """Write rows as Markdown, one table a group."""
    lines = []
    for group in dict.fromkeys(row.check.group for row in made):
        own = [row for row in made if row.check.group == group]
        lines += [f"**{group}**", "", *_GROUPS[group], *(_line(row) for row in own), ""]
    return "\n".join(lines)


def caution(made: Sequence[Row]) -> str:
    """Say how wrong rows may be and still pass, where experiments were few; else nothing."""
    return "\n".join(told for told in (_few_tests(made), _few_truths(made)) if told)


def _few_truths(made: Sequence[Row]) -> str:
    told = []
    for row in made:
        low, high = (_percent(end / row.n) for end in row.allowed)
        if row.check.group == "known truth" and row.n < row.check.n and low != high:
            told.append(f"'{row.check.name}' ({row.n} of {row.check.n}) with {low} to {high} %")
    return f"caution: of so few experiments these pass: {', '.join(told)}" if told else ""


def _few_tests(made: Sequence[Row]) -> str:
    tests = [row for row in made if row.check.group == "false positives" and row.n < FEW]
    if not tests:
        return ""
    row = max(tests, key=lambda row: max(row.band[1], row.allowed[1]) / row.n)
    most = max(row.band[1], row.allowed[1]) / row.n
    return (
        f"caution: only {row.n} experiments of '{row.check.name}': it would pass with up to "
        f"{_percent(most)} % false positives, so 'holds' says little; {FEW} or more say something"
    )


_HEAD = "| {} | simulated | n | found | rate | fits | stated | verdict |"
_GROUPS = {
    group: [_HEAD.format(what), "|---" * 8 + "|"]
    for group, what in (
        ("false positives", "test"),
        ("coverage", "interval"),
        ("known truth", "truth"),
    )
}


def _line(row: Row) -> str:
    check, n = row.check, row.n
    stated = "" if check.stated is None else "{}–{}".format(*map(_percent, check.stated))
    band = "–".join(_percent(k / n) for k in dict.fromkeys(row.band))
    cells = [check.name, check.what, f"{n:,}", f"{row.found:,}", f"{_percent(row.found / n)} %"]
    return f"| {' | '.join([*cells, f'{band} %', f'{stated} %' if stated else '', row.verdict])} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")


def as_csv(done: Sequence[Batch]) -> str:
    """Write batches as CSV."""
    text = io.StringIO()
    out = csv.DictWriter(text, [field.name for field in fields(Batch)], lineterminator="\n")
    out.writeheader()
    out.writerows(asdict(batch) for batch in done)
    return text.getvalue()


def read(text: str, where: str) -> list[Batch]:
    """Return batches from CSV.

    Raises
    ------
    ParameterError
        It is no table of batches.
    """
    table = csv.DictReader(io.StringIO(text))
    names = [field.name for field in fields(Batch)]
    if table.fieldnames != names:
        raise ParameterError(f"{where} is no table of batches: its columns must be {names}")
    into: dict[str, Callable[[str], object]] = dict.fromkeys(names, int)
    into |= {"table": str, "name": str, "seconds": float}
    try:
        return [Batch(**{k: into[k](row[k]) for k in names}) for row in table]  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        line = table.line_num
        raise ParameterError(f"{where}, line {line}: {error}; mend it, or --overwrite") from error
