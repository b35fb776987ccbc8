"""What a statistic is called with, and what is wrong where a protocol does not have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from insilico.errors import InsilicoError, listed, not_one_of
from insilico.protocol import again, patterns, readout
from insilico.protocol.document import Loc, merge
from insilico.protocol.model import CHAIN, ONWARD, Protocol, Spec
from insilico.protocol.steps import Complaint, build, complaints, kinds, not_linear, takes
from insilico.spaces.regions import own_labels
from insilico.step import Step

NO_RECORDING = "it needs measured responses: add 'recording', or a preset"
NO_ENCODER = "it needs predicted responses: add 'encoder', or a preset"
DECODED = ("stimuli", "recording", "decoder", *ONWARD)
"""Sections that a condition of measured responses goes through."""
BEHIND = {
    "prediction": ("encoder",),
    "calibrated": ("encoder", "training", "recording"),
    "adapted": ("encoder", "training", "recording", "adapter"),
    "voxels": ("recording",),
    "measured": ("recording",),
    "subjects": ("recording",),
    **again.BEHIND,
    **patterns.BEHIND,
    **readout.BEHIND,
}
"""Name of a statistic's input to the sections behind it."""
IN_VOXELS = {"prediction": "adapted", "measured": "voxels"}
"""What stands for a statistic's input with ``space: voxels``."""


def meant(needed: str, spec: Spec) -> str:
    """Return the input that a statistic is given for one that it is called with."""
    return IN_VOXELS.get(needed, needed) if spec.get("space") == "voxels" else needed


def used(protocol: Protocol) -> set[str]:
    """Return the sections of the chain whose files some condition or statistic needs."""
    found = {"stimuli"}
    for condition in protocol.conditions.values():
        measured = condition.source == "recording" and condition.perturb is None
        found |= {*(DECODED if measured else CHAIN)}
    for spec in protocol.statistics.values():
        known = spec.get("kind") in list(kinds("statistics"))
        for needed in needs("statistics", spec["kind"]) if known else ():
            found |= {*BEHIND.get(meant(needed, spec), ())}
    return found


def inputs(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    """Yield what is missing for a statistic whose own parameters are right."""
    above = list(protocol.statistics)[: list(protocol.statistics).index(str(loc[1]))]
    for needed in (meant(name, spec) for name in takes(build("statistics", spec))):
        if needed in INPUTS:
            yield from INPUTS[needed](protocol, spec, loc)
        elif needed not in above:
            yield loc, not_one_of("source", needed, [*INPUTS, *above])
    yield from _own_labels(protocol, spec, loc)
    if "stimuli" in spec:
        stimuli = {**protocol.stimuli, **spec["stimuli"]} if "kind" not in spec["stimuli"] else {}
        yield from complaints("stimuli", stimuli or spec["stimuli"], (*loc, "stimuli"))


def _own_labels(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    """Yield that a recording does not carry the labels whose regions are asked for."""
    by, recording = spec.get("by"), protocol.recording
    if not by or not own_labels(by) or recording is None:
        return
    space = spec.get("space", "fsaverage5")
    try:
        step: Any = build("recording", {**recording, "space": space})
        here = step.labels() if hasattr(step, "labels") else (by,)
    except InsilicoError:
        return  # what is wrong with the recording is said of it
    if by not in here:
        found = listed(here) or "none"
        yield (*loc, "by"), f"no files of {by} for {space} in this recording; there are: {found}"


def needs(section: str, kind: str) -> tuple[str, ...]:
    """Return the names of the datasets that a kind of step is called with."""
    step: type[Step] = kinds(section)[kind]
    return takes(step.model_construct())


def _scores(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if not protocol.scores:
        yield loc, "it needs scores, and none are asked for: add scores: [pixcorr]"
    elif protocol.stimuli.get("n") == 1:
        several = "set stimuli.n to 2 or more"
        yield loc, f"it compares conditions over stimuli, and there is one: {several}"


def _prediction(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if protocol.encoder is None and "encoder" not in spec:
        yield loc, NO_ENCODER
    elif "encoder" in spec:
        encoder = merge({"it": protocol.encoder or {}}, {"it": spec["encoder"]})["it"]
        yield from complaints("encoder", encoder, (*loc, "encoder"))


def _adapted(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    yield from _prediction(protocol, spec, loc)
    if protocol.adapter is None:
        yield loc, "it measures an adapter, and there is none: add 'adapter', or a preset"


def _calibrated(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    """Yield what a subject model lacks; its encoder and recording have complaints of their own."""
    adapter = protocol.adapter or {}
    if not adapter or not getattr(kinds("adapter")[adapter["kind"]], "learns", True):
        met = repr(adapter["kind"]) if adapter else "none"
        yield loc, f"it fits the chain's adapter to the subject's own vertices; met {met}: add one"
    elif protocol.training is None or not isinstance(adapter.get("pairs"), int):
        yield loc, "it is fitted on measured pairs: add 'training' and adapter.pairs, or a preset"


def _adapter(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    adapter = protocol.adapter or {}
    if "pairs" not in adapter:
        yield loc, "it goes through an adapter that is fitted here: add 'adapter', or a preset"
    elif told := not_linear(adapter):
        yield loc, f"a sweep goes through a matrix: {told}"


def _entry(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if protocol.decoder is None:
        yield loc, "it reads out a decoder's entry: add 'decoder', or a preset"
        return
    kind = protocol.decoder["kind"]
    if not hasattr(kinds("decoder")[kind], "entry_of"):
        yield (*loc, "readout"), f"decoder '{kind}' has no linear entry; mindeye2 has"


def _voxels(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if protocol.recording is None:
        yield loc, NO_RECORDING


def _measured(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if protocol.recording is None:
        yield loc, NO_RECORDING
        return
    on_surface = {**protocol.recording, "space": "fsaverage5", "repeats": "keep"}
    yield from ((loc, message) for _, message in complaints("recording", on_surface, loc))


def _subjects(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if protocol.recording is None:
        yield loc, NO_RECORDING
        return
    named = spec.get("subjects")
    if not isinstance(named, list) or len(named) < 3 or len(set(map(str, named))) < len(named):
        met = f"met {named!r}; allowed: a list of 3 subjects or more, such as [1, 2, 5, 7]"
        yield (*loc, "subjects"), met
        return
    for position, subject in enumerate(named):
        recording = {**protocol.recording, "subject": subject}
        yield from complaints("recording", recording, (*loc, "subjects", position))


INPUTS: dict[str, Callable[[Protocol, dict[str, Any], Loc], Iterator[Complaint]]] = {
    "scores": _scores,
    "prediction": _prediction,
    "adapted": _adapted,
    "calibrated": _calibrated,
    "training": _adapted,
    "adapter": _adapter,
    "entry": _entry,
    "voxels": _voxels,
    "measured": _measured,
    "subjects": _subjects,
    **again.COMPLAINTS,
    **patterns.COMPLAINTS,
    **readout.COMPLAINTS,
}
"""Name of an input to what may be wrong with it."""
JOBS = {**again.JOBS, **patterns.JOBS, **readout.JOBS}
"""Name of an input to the function that returns its jobs: of planner, statistic and conditions."""
