"""The third look at a protocol: its jobs, and whether files of responses hold what they ask for.

Files of predicted responses, and of recordings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

import xarray as xr

from insilico.errors import InsilicoError, listed
from insilico.job import Job, walk
from insilico.protocol.branches import Plan
from insilico.protocol.document import Loc
from insilico.protocol.expand import Row, changed
from insilico.protocol.first import First
from insilico.protocol.model import Protocol
from insilico.protocol.plan import plan
from insilico.protocol.steps import Complaint, build
from insilico.schema import canonical

PAIRS = (
    "; an adapter is fitted on the encoder's responses to 'training': add them to the file, or "
    "name who predicts them, such as adapter: {encoder: {kind: mary_nano}}"
)

RECORDED = "recording"
"""The source of conditions of measured responses, which lie in voxels."""


def planned(protocol: Protocol) -> Iterator[Complaint]:
    """Yield complaints of a protocol in which every section is right by itself.

    Ids are compared where stimuli and files tell them without being read whole.
    """
    try:
        work = plan(protocol)
        yield from _controls(work)
        jobs = list(walk(work.targets()))
        fitted_on = {job.inputs[0].key for job in jobs if job.method == "fit"}
        for job in jobs:
            if isinstance(job.step, First):
                yield from _too_few(job)
            elif job.inputs and (message := _lacking(job)):
                yield _place(protocol, job), message + (PAIRS if job.key in fitted_on else "")
            elif job.inputs and hasattr(job.step, "measures"):
                yield from _unmeasured(job)
    except InsilicoError as error:
        yield (), str(error)


def _controls(work: Plan) -> Iterator[Complaint]:
    """Yield regions whose first control does not fit; one matched in a fit is known only later."""
    known: dict[str, xr.Dataset | None] = {}
    for row in (branch.row for branch in work.branches):
        perturb = row.perturb or {}
        if row.control == 0 and perturb["control"] != "leverage":
            step: Any = build("perturb", perturb, work.protocol.seed)
            try:
                places = _places(row, known)
                if hasattr(step, "mask") and (places is not None or row.source != RECORDED):
                    step.mask(places)
            except InsilicoError as error:
                yield ("conditions", row.base, "perturb", "control"), f"{row.name}: {error}"


def _places(row: Row, known: dict[str, xr.Dataset | None]) -> xr.Dataset | None:
    """Return the voxels of a measured condition, where its recording knows them ahead."""
    if row.source != RECORDED:
        return None
    recording: Any = build("recording", {**row.chain["recording"], "space": "voxels"})
    name = canonical(recording.identity())
    if name not in known:
        known[name] = recording.places() if hasattr(recording, "places") else None
    return known[name]


def _shown(job: Job) -> Collection[str] | None:
    """Return the ids of stimuli, as far as they are known."""
    if isinstance(job.step, First):
        ids = _shown(job.inputs[0])
        return ids and list(ids)[job.step.after :][: job.step.n]
    return None if job.inputs else job.step.ids()


def _too_few(job: Job) -> Iterator[Complaint]:
    assert isinstance(job.step, First)
    ids = _shown(job.inputs[0])
    if ids is not None and len(ids) < job.step.after + job.step.n:
        yield ("adapter", "pairs"), job.step.too_few(len(ids))


def _lacking(job: Job) -> str:
    """Return which stimuli a file of responses lacks; nothing where it has all."""
    held, shown = job.step.ids(), _shown(job.inputs[0])
    missing = [] if held is None or shown is None else [name for name in shown if name not in held]
    if held is None or shown is None or not missing:
        return ""
    return (
        f"{job.name}: there is no response to {len(missing)} of {len(shown)} stimuli: "
        f"{listed(missing, 3)}; the file has {listed(held, 3)}"
    )


def _unmeasured(job: Job) -> Iterator[Complaint]:
    """Yield why a recording cannot give what is asked of it, as far as heads of files tell."""
    shown, recording = _shown(job.inputs[0]), cast(Any, job.step)
    try:
        if shown:
            recording.measures(shown)
    except InsilicoError as error:
        yield ("recording",), str(error)


def _place(protocol: Protocol, job: Job) -> Loc:
    """Return where the encoder of a job is named."""
    other = (protocol.adapter or {}).get("encoder")
    if other and build("encoder", other) == job.step:
        return ("adapter", "encoder")
    for name, condition in protocol.conditions.items():
        mine = changed(protocol, condition, "encoder")
        if condition.encoder and build("encoder", mine) == job.step:
            return ("conditions", name, "encoder")
    return ("encoder",)
