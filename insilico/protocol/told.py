"""How jobs are called by what they are given, and what a statistic shows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from insilico.job import Job
from insilico.protocol.document import merge
from insilico.protocol.model import Protocol, Spec
from insilico.protocol.steps import kinds

MEASURED_STIMULI = {"split": "test", "n": 300}
"""What a statistic shows beside conditions, if it does not say; own files as they are."""


def told(spec: Mapping[str, Any]) -> str:
    """Return what stimuli are called: their split, or kind, and number."""
    return f"{spec.get('split', spec['kind'])} {spec.get('n', '')}".strip()


def shown(stimuli: Job) -> str:
    """Return what the stimuli of a job are called."""
    return stimuli.name.removeprefix("stimuli ")


def fields(stimuli: Spec) -> Collection[str]:
    """Return the parameters of a kind of stimuli."""
    return kinds("stimuli")[stimuli["kind"]].model_fields


def asked(protocol: Protocol, spec: Spec) -> Spec:
    """Return the stimuli that a statistic shows: the protocol's, as it changes them."""
    known = fields(protocol.stimuli) if protocol.conditions else ()
    changes = spec.get("stimuli") or {k: v for k, v in MEASURED_STIMULI.items() if k in known}
    return merge({"it": protocol.stimuli}, {"it": changes})["it"]
