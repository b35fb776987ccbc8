"""What a failed condition spares: the scores of the others, and the statistics of them alone."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from insilico.errors import listed
from insilico.job import Job
from insilico.protocol.branches import Branch, Plan
from insilico.protocol.model import Spec
from insilico.protocol.plan import Planner

CONDITION_FIELDS = ("of", "against", "control", "reference")
"""Keys by which a statistic names conditions."""


def spared(work: Plan, failed: Container[str]) -> dict[str, Job]:
    """Return jobs that take the place of failed ones, by the failed one's key.

    Parameters
    ----------
    work : Plan
    failed : keys
        Of jobs that gave no result.

    Returns
    -------
    dict
        The scores of the conditions that worked are joined by themselves: another job, whose key
        and note say what it holds. Statistics are made of it if they name their conditions, and
        all that these names stand for worked; the others stay failed.
    """
    parts: tuple[list[Branch], list[Branch]] = [], []
    for branch in work.branches:
        parts[any(score.key in failed for score in branch.scores)].append(branch)
    kept, lost = tuple(parts[0]), parts[1]
    if work.score is None or work.score.key not in failed or not lost or not kept:
        return {}
    planner = Planner(work.protocol)
    score = planner.joined(kept, "; ".join(_notes(kept, lost)), "join the other scores")
    assert score is not None  # of conditions that have some
    found, gone = {work.score.key: score}, {branch.row.base for branch in lost}
    for name, job in work.statistics.items():
        named = conditions_of(work.protocol.statistics[name])
        if job.key in failed and named and not named & gone:
            found[job.key], _ = planner.statistic(name, score, work.branches)
    return {key: job for key, job in found.items() if job.key not in failed}


def conditions_of(spec: Spec) -> set[str]:
    """Return the conditions that a statistic names."""
    given: list[Any] = [spec.get(field) or [] for field in CONDITION_FIELDS]
    return {str(name) for one in given for name in (one if isinstance(one, list) else [one])}


def _notes(kept: tuple[Branch, ...], lost: list[Branch]) -> list[str]:
    notes = [note for branch in kept for note in branch.row.notes]
    return list(dict.fromkeys([*notes, f"without {listed(b.row.name for b in lost)}: no scores"]))
