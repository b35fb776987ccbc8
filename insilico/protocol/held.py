"""The third look at a protocol: its jobs, and whether they can be done with what is known ahead.

Files of predicted responses and of recordings hold what is asked for, regions lie in the response,
and there are as many stimuli and draws as a step needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, cast

import numpy as np
import xarray as xr

from insilico.errors import InsilicoError, listed
from insilico.job import Job, walk
from insilico.protocol.branches import Plan
from insilico.protocol.document import Loc
from insilico.protocol.draws import Drawn
from insilico.protocol.expand import NONE, Row, changed
from insilico.protocol.first import First
from insilico.protocol.join import Join
from insilico.protocol.model import Protocol
from insilico.protocol.patterns import SOURCE, Rest
from insilico.protocol.plan import plan
from insilico.protocol.stability import copies
from insilico.protocol.steps import Complaint, build, called
from insilico.schema import canonical

PAIRS = (
    "; an adapter is fitted on the encoder's responses to 'training': add them to the file, or "
    "name who predicts them, such as adapter: {encoder: {kind: mary_nano}}"
)

ENOUGH = 64
"""Stimuli, or draws, where their number is not known ahead: enough for any statistic."""
RECORDED = "recording"
"""The source of conditions of measured responses, which lie in voxels."""


def planned(protocol: Protocol) -> Iterator[Complaint]:
    """Yield complaints of a protocol in which every section is right by itself.

    Ids are compared where stimuli and files tell them without being read whole.
    """
    try:
        work = plan(protocol)
        yield from _places_of(work)
        yield from _draws_of(work)
        yield from _unfit(work)
        yield from copies(work)
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


def _places_of(work: Plan) -> Iterator[Complaint]:
    """Yield regions that a response does not have, and those whose first control does not fit.

    A control that is matched in a fit is known only later.
    """
    known: dict[str, xr.Dataset | None] = {}
    for row in (branch.row for branch in work.branches):
        perturb = row.perturb or {}
        if perturb and row.control in (NONE, 0) and perturb.get("control") != "leverage":
            step: Any = build("perturb", perturb, work.protocol.seed)
            try:
                places = _voxels(row, known) if row.source == RECORDED else None
                if hasattr(step, "mask") and (places is not None or _on_surface(row)):
                    step.mask(places)
            except InsilicoError as error:
                field = "region" if row.control == NONE else "control"
                yield ("conditions", row.base, "perturb", field), f"{row.name}: {error}"


def _on_surface(row: Row) -> bool:
    """Say whether a response is known to lie on fsaverage5: adapters and patterns take no other."""
    return row.source != RECORDED and (row.source == SOURCE or "adapter" in row.chain)


def _voxels(row: Row, known: dict[str, xr.Dataset | None]) -> xr.Dataset | None:
    """Return the voxels of a measured condition, where its recording knows them ahead."""
    recording: Any = build("recording", {**row.chain["recording"], "space": "voxels"})
    name = canonical(recording.identity())
    if name not in known:
        known[name] = recording.places() if hasattr(recording, "places") else None
    return known[name]


def _unfit(work: Plan) -> Iterator[Complaint]:
    """Yield steps that cannot be called with what is known of their inputs."""
    places: dict[str, Loc] = {
        f"statistics {name}": ("statistics", name) for name in work.statistics
    }
    for row in (branch.row for branch in work.branches):
        places[f"perturb {row.name}"] = ("conditions", row.base, "perturb")
    known: dict[str, xr.Dataset] = {}
    if work.score is not None:
        known[work.score.key] = _scores(work)
    for job in walk(work.targets()):
        if job.name in places or job.name.startswith("encode "):
            try:
                job.step.require(*(_known(one, known) for one in job.inputs))
            except InsilicoError as error:
                yield places.get(job.name) or _place(work.protocol, job), str(error)


def _scores(work: Plan) -> xr.Dataset:
    """Return scores with the labels that a run's will have, all of them zero."""
    assert work.score is not None
    branch = next(branch for branch in work.branches if branch.scores)
    metrics = list(dict.fromkeys(called(job.step) for job in branch.scores))
    shown = _known(branch.stimuli, {})
    n, draws = shown.sizes.get("stimulus", ENOUGH), _draws(branch.reconstruction) or ENOUGH
    step = cast(Join, work.score.step)
    sizes = {"condition": len(step.condition), "stimulus": n, "draw": draws, "metric": len(metrics)}
    labels: dict[str, Any] = {"condition": list(step.condition), "metric": metrics, **step.labels()}
    labels |= {dim: np.arange(sizes[dim]).astype(str) for dim in ("stimulus", "draw")}
    told = {"definition": "", "direction": "higher", "chance": 0.0}
    labels |= {name: ("metric", [value] * len(metrics)) for name, value in told.items()}
    return xr.Dataset({"value": (list(sizes), np.zeros(list(sizes.values())))}, labels)


def _draws_of(work: Plan) -> Iterator[Complaint]:
    """Yield conditions with other numbers of draws than the first: scores are joined by draw."""
    scored = [branch for branch in work.branches if branch.scores]
    each = {branch.row.base: _draws(branch.reconstruction) for branch in scored}
    for name, draws in each.items():
        first = next(iter(each))
        if draws and each[first] and draws != each[first]:
            met = f"it has {draws} draws of each stimulus, and '{first}' has {each[first]}"
            fix = "conditions are compared draw by draw: give them the same decoder.draws"
            yield ("conditions", name), f"{met}; {fix}"


def _draws(job: Job) -> int:
    """Return how many pictures of each stimulus are decoded; 0 where that is not known ahead."""
    if hasattr(job.step, "draws"):
        return job.step.draws
    return _draws(job.inputs[0]) if job.inputs else 0


def _known(job: Job, known: dict[str, xr.Dataset]) -> xr.Dataset:
    """Return what is known ahead of a job's result: of how many stimuli, and how presented."""
    if job.key not in known:
        known[job.key] = _stimuli(job, known)
    return known[job.key]


def _stimuli(job: Job, known: dict[str, xr.Dataset]) -> xr.Dataset:
    n = 1 if isinstance(job.step, Rest) else getattr(job.step, "n", None)
    if job.inputs and not isinstance(job.step, Rest | First | Drawn):
        return _known(job.inputs[0], known)
    if hasattr(job.step, "ahead"):
        return job.step.ahead()
    ids = None if job.inputs else job.step.ids()
    n = n if ids is None else len(ids)
    modality = _modality(job)
    attrs = {"modality": modality} if modality else {}
    shown = {} if n is None else {"shown": ("stimulus", np.zeros(n))}
    return xr.Dataset(shown, {} if ids is None else {"stimulus": list(ids)}, attrs)


def _modality(job: Job) -> str | None:
    return getattr(job.step, "modality", None) or (_modality(job.inputs[0]) if job.inputs else None)


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
