"""Conditions one by one: `each` region, every control patch, every change laid over the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insilico.protocol.document import merge
from insilico.protocol.model import CHAIN, Condition, Protocol, Spec
from insilico.protocol.regions import bound, expanded

NONE = -1
CHANGEABLE = tuple(section for section in CHAIN if section != "training")


@dataclass(frozen=True)
class Row:
    """One condition, ready to be built.

    Attributes
    ----------
    name : str
        ``silenced/Vis``, ``matched/Vis/0``, or the condition's own name.
    base : str
        The name in the file.
    region : str
        Of the perturbation; empty for none.
    control : int
        Number of the control patch; -1 where there is none.
    source : str
        ``encoder`` or ``recording``.
    chain : dict
        Section to spec.
    perturb : dict, optional
    notes : tuple of str
        Which atlas stands for which.
    """

    name: str
    base: str
    region: str
    control: int
    source: str
    chain: dict[str, Spec]
    perturb: Spec | None
    notes: tuple[str, ...] = ()


def rows(protocol: Protocol) -> list[Row]:
    """Return the conditions of a protocol, `each` expanded, in the order of the file."""
    return [row for base in protocol.conditions for row in rows_of(protocol, base)]


def rows_of(protocol: Protocol, base: str) -> list[Row]:
    """Return the conditions that one name in the file stands for."""
    condition = protocol.conditions[base]
    chain = {key: spec for key in CHANGEABLE if (spec := changed(protocol, condition, key))}
    if condition.perturb is None:
        return [Row(base, base, "", NONE, condition.source, chain, None)]
    perturb, notes = bound(condition.perturb, protocol.bindings)
    many = isinstance(condition.perturb.get("region"), list) or perturb.get("region") == "each"
    found = []
    for region in expanded(perturb):
        name = f"{base}/{region}" if many else base
        for suffix, spec in _controls({**perturb, "region": region}):
            control = spec.get("control_index", 0) if spec.get("control") else NONE
            labels = (name + suffix, base, region, control, condition.source)
            found.append(Row(*labels, chain, spec, tuple(notes)))
    return found


def changed(protocol: Protocol, condition: Condition, section: str) -> Spec:
    """Return a section of the chain as a condition changes it."""
    below, above = getattr(protocol, section), getattr(condition, section)
    return merge({"it": below or {}}, {"it": above or {}})["it"]


def _controls(perturb: Mapping[str, Any]) -> list[tuple[str, Spec]]:
    count = perturb.get("n")
    one = {key: value for key, value in perturb.items() if key != "n"}
    if count is None:
        return [("", one)]
    return [(f"/{index}", {**one, "control_index": index}) for index in range(count)]
