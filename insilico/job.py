"""The unit of work: a step, which of its methods, and the jobs whose datasets it takes.

A job's key names everything that its result depends on: all parameters with their defaults, the
step's version, the digests of weights and atlases, and the keys of the inputs. Where and how it is
computed (store, device, number of processes) is not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from insilico.schema import short_digest
from insilico.step import Step

if TYPE_CHECKING:
    import xarray as xr

CARRIED = ("source", "lesion")
"""Attributes that travel along the chain, where a step does not set them itself."""


@dataclass(frozen=True, eq=False)
class Job:
    """One call of a step.

    Attributes
    ----------
    name : str
        For people: ``decode silenced/Vis``. Not part of the key.
    step : Step
    inputs : tuple of Job
        Their datasets are the arguments, in order.
    method : str
        ``__call__``, or ``fit`` for an adapter.
    note : str
        Written into the result's attributes.
    digests : dict, optional
        The step's file digests, where the caller knows them already.
    key : str
        32 hexadecimal digits.
    """

    name: str
    step: Step
    inputs: tuple[Job, ...] = ()
    method: str = "__call__"
    note: str = ""
    digests: dict[str, str] | None = None
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", short_digest(self.identity()))

    def identity(self) -> dict[str, Any]:
        """Return what the result depends on, as plain JSON."""
        digests = self.step.digests() if self.digests is None else self.digests
        return {
            "class": type(self.step).__name__,
            "step": self.step.identity(),
            "method": self.method,
            "note": self.note,
            "digests": digests,
            "inputs": [job.key for job in self.inputs],
        }

    def __call__(self, *datasets: xr.Dataset) -> xr.Dataset:
        """Compute the result from the datasets of the inputs."""
        result = getattr(self.step, self.method)(*datasets)
        return carried(result, datasets[0] if datasets else None, self.note)


def carried(result: xr.Dataset, source: xr.Dataset | None, note: str = "") -> xr.Dataset:
    """Return a result that keeps what must be said of its source, and says the note.

    `CARRIED` attributes that the result lacks are taken from the source; notes add up. A note that
    the result gives to some of its conditions (``seen: ...``) is not said again of all.
    """
    before = {} if source is None else source.attrs
    kept = {key: before[key] for key in CARRIED if key in before and key not in result.attrs}
    result = result.assign_attrs(kept)
    said = notes_of(result.attrs)
    for more in [*notes_of(before), *notes_of({"note": note})]:
        if not any(one == more or one.endswith(f": {more}") for one in said):
            said.append(more)
    return result.assign_attrs(note="; ".join(said)) if said else result


def notes_of(attrs: Mapping[Any, Any]) -> list[str]:
    """Return the notes on a dataset one by one."""
    return [part for part in str(attrs.get("note", "")).split("; ") if part]


def walk(targets: Iterable[Job], done: Iterable[str] = ()) -> Iterator[Job]:
    """Yield the jobs that the targets need, inputs first, each key once.

    Parameters
    ----------
    targets : jobs
    done : container of keys
        Jobs that are done already; neither they nor what only they need are yielded.
    """
    seen: set[str] = set()

    def visit(job: Job) -> Iterator[Job]:
        if job.key in seen or job.key in done:
            return
        seen.add(job.key)
        for needed in job.inputs:
            yield from visit(needed)
        yield job

    for target in targets:
        yield from visit(target)
