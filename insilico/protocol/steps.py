"""Steps from what a file says, with complaints that know the place."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from insilico.errors import InsilicoError, listed, not_one_of
from insilico.protocol.document import Loc
from insilico.scores.settings import SETTINGS
from insilico.step import Registry, Step, in_words

ROOMS = {
    "stimuli": "stimuli",
    "training": "stimuli",
    "recording": "recordings",
    "encoder": "encoders",
    "perturb": "perturbations",
    "adapter": "adapters",
    "decoder": "decoders",
    "captioner": "decoders:CAPTIONERS",
    "sound": "decoders:SOUNDS",
    "scores": "scores",
    "statistics": "statistics",
}
"""Section of a protocol to the room that knows its kinds, and the table there."""

TAKEN = {
    "adapter": ("pairs", "draw", "encoder", "half"),
    "perturb": ("n", "refit", "combine"),
    "statistics": ("stimuli", "subjects", "encoder", "space"),
}
"""Keys that the protocol itself uses and no step sees."""

MEMBER = re.compile(r"(\[key\]|constrained-\w+|(dict|list|tuple)\[.*)$")
"""What pydantic puts into a place that is no key of the file: which of several types it tried."""

Complaint = tuple[Loc, str]


def kinds(section: str) -> Registry:
    """Return the registry of the room behind a section."""
    room, _, table = ROOMS[section].partition(":")
    return getattr(importlib.import_module(f"insilico.{room}"), table or "KINDS")


def kind_has(section: str, spec: Mapping[str, Any], name: str) -> Any:
    """Return what the class of a spec's kind says by a name; None where it or the kind does not."""
    registry, kind = kinds(section), spec.get("kind")
    if not isinstance(kind, str) or kind not in registry.addresses():
        return None
    return getattr(registry[kind], name, None)


def not_linear(adapter: Mapping[str, Any]) -> str:
    """Say that an adapter is known to be no matrix; empty where it is one, or does not say."""
    if kind_has("adapter", adapter, "linear") is not False:
        return ""
    known = [name for name in kinds("adapter") if kind_has("adapter", {"kind": name}, "linear")]
    return f"a linear adapter is needed, met '{adapter['kind']}'; allowed: {listed(known)}"


def parameters(section: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec without the keys that the protocol itself uses."""
    return {key: value for key, value in spec.items() if key not in TAKEN.get(section, ())}


def complaints(
    section: str, spec: Mapping[str, Any], loc: Loc, *, files: bool = True
) -> Iterator[Complaint]:
    """Yield what is wrong with a spec: its kind, its parameters, the files that it needs."""
    registry = kinds(section)
    if "kind" not in spec:
        yield loc, f"'kind' is missing; one of: {', '.join(registry)}"
        return
    if not isinstance(spec["kind"], str) or spec["kind"] not in registry.addresses():
        what = f"kind of {section}" if section != "scores" else "score"
        table = section == "scores" and str(spec["kind"]) in SETTINGS
        hint = f"; a whole table is written {{protocol: {spec['kind']}}}" if table else ""
        yield (*loc, "kind"), not_one_of(what, spec["kind"], registry) + hint
        return
    step = registry[spec["kind"]]
    own = {k: v for k, v in parameters(section, spec).items() if k != "kind"}
    try:
        made = checked(step, own)
        if files:
            made.digests()
        if files and section == "scores":
            made.ready()  # a package that is missing is told before anything is decoded
    except ValidationError as error:
        known = [*step.model_fields, *TAKEN.get(section, ())]
        yield from told(error, loc, known)
    except InsilicoError as error:
        for one in getattr(error, "each", [error]):
            yield loc, str(one)


def checked(step: type[Step], own: Mapping[str, Any]) -> Step:
    """Make a step from a file's values: "7" is no number there, and true is no 1."""
    return step.model_validate_json(json.dumps(own, default=str), strict=True)


def told(error: ValidationError, loc: Loc, known: list[str]) -> Iterator[Complaint]:
    """Yield pydantic's complaints in our words: what was met, what is allowed.

    Misspelled keys come before missing ones: the one is often the other.
    """
    found: dict[Loc, list[str]] = {}
    for item in sorted(error.errors(), key=lambda item: item["type"] == "missing"):
        inside = tuple(part for part in item["loc"] if not MEMBER.match(str(part)))
        if item["type"] == "extra_forbidden":
            yield (*loc, *inside), not_one_of("key", inside[-1], known)
        elif item["type"] == "missing":
            yield loc, f"'{'.'.join(map(str, inside))}' {in_words(item)}"
        else:
            found.setdefault((*loc, *inside), []).append(in_words(item))
    for place, messages in found.items():
        deeper = [other for other in found if other != place and other[: len(place)] == place]
        if not deeper:  # of several kinds of value, the one that was meant is the one gone into
            _, *others = (message.rpartition("allowed: ")[2] for message in messages)
            yield place, ", or ".join([messages[0], *others])


def build(section: str, spec: Mapping[str, Any], seed: int | None = None) -> Step:
    """Make the step of a spec; `seed` goes to a field of that name, if nothing else is said."""
    spec = parameters(section, spec)
    if seed is not None and "seed" in kinds(section)[spec["kind"]].model_fields:
        spec = {"seed": seed, **spec}
    return kinds(section).build(spec)


def takes(step: Step) -> tuple[str, ...]:
    """Return the names of the datasets that a step is called with.

    Those of its parameters, unless it says what it `takes`.
    """
    return getattr(step, "takes", None) or tuple(inspect.signature(step).parameters)


def called(step: Step) -> str:
    """Return the name of a score's metric; scores of other packages are called as their kind."""
    return str(getattr(step, "label", step.kind))
