"""What a plan is: the jobs of every condition, and of all of them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from insilico.job import Job
from insilico.protocol.expand import Row
from insilico.protocol.model import Protocol
from insilico.schema import short_digest


@dataclass(frozen=True)
class Branch:
    """The jobs of one condition.

    Attributes
    ----------
    row : Row
    stimuli, reconstruction : Job
    response : Job, optional
        On fsaverage5, after the perturbation; none for a perturbed recording, or one that has no
        responses there.
    scores : tuple of Job
        One a metric.
    """

    row: Row
    stimuli: Job
    response: Job | None
    reconstruction: Job
    scores: tuple[Job, ...]


@dataclass(frozen=True)
class Plan:
    """All jobs of a protocol.

    Attributes
    ----------
    protocol : Protocol
    stimuli : Job
    branches : tuple of Branch
    score : Job, optional
        All conditions and metrics.
    statistics : dict
        Name to job.
    note : str
        Which atlas stands for which; empty if none does.
    resolved : dict
        The protocol with every default written out; it can be run again.
    """

    protocol: Protocol
    stimuli: Job
    branches: tuple[Branch, ...]
    score: Job | None
    statistics: dict[str, Job]
    note: str
    resolved: dict[str, Any] = field(default_factory=dict)

    def targets(self) -> list[Job]:
        """Return the jobs whose datasets are written out, condition by condition."""
        found = [self.stimuli]
        for branch in self.branches:
            found += [branch.reconstruction, *branch.scores]
            found += [branch.response] if branch.response else []
        found += [self.score] if self.score else []
        return found + list(self.statistics.values())

    @property
    def key(self) -> str:
        """Name everything that the outputs depend on, figures included."""
        figures = list(self.protocol.figures)
        return short_digest(self.protocol.title, [job.key for job in self.targets()], figures)
