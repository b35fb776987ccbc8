"""Stimuli that an adapter is fitted on and then shown: refused before anything is computed.

Where a stimuli step cannot tell its ids without being called, the adapter itself refuses later.
"""

from __future__ import annotations

from collections.abc import Iterator

from insilico.errors import InsilicoError, listed
from insilico.protocol.expand import ALL, changed
from insilico.protocol.model import Protocol, Spec
from insilico.protocol.regions import bound
from insilico.protocol.steps import Complaint, build, kinds
from insilico.step import Step


def leaks(protocol: Protocol) -> Iterator[Complaint]:
    """Yield conditions whose stimuli are among those that their adapter is fitted on.

    Parameters
    ----------
    protocol : Protocol
        Whose sections are known to be right.
    """
    for name, condition in protocol.conditions.items():
        adapter = changed(protocol, condition, "adapter")
        if condition.source != "encoder" or not adapter:
            continue
        known = set(_fitted_on(protocol, adapter))
        shown = _ids(build("stimuli", changed(protocol, condition, "stimuli"))) if known else []
        seen = [one for one in shown if one in known]
        if seen:
            yield (
                ("conditions", name),
                f"the adapter is fitted on {len(seen)} of the stimuli shown ({listed(seen, 3)}); "
                "its result for them would flatter: show others, or say that it is meant: "
                "adapter: {seen: allow}",
            )


def _fitted_on(protocol: Protocol, adapter: Spec) -> list[str]:
    """Return ids of the stimuli of an adapter's pairs, as far as they are known."""
    step = build("adapter", bound(adapter, protocol.bindings)[0])
    if getattr(step, "seen", "refuse") == "allow" or getattr(step, "blind", False):
        return []
    if not getattr(step, "learns", True):
        return list(step.fitted_on()) if hasattr(step, "fitted_on") else []
    training = protocol.training or {}
    sizes = adapter["pairs"] if isinstance(adapter["pairs"], list) else [adapter["pairs"]]
    if "draw" in adapter or ALL in sizes:
        return _ids(build("stimuli", training))
    if "n" in kinds("stimuli")[training["kind"]].model_fields:
        training = {**training, "n": max(sizes)}
    return _ids(build("stimuli", training))[: max(sizes)]


def _ids(step: Step) -> list[str]:
    try:
        return list(step.ids() or [])
    except InsilicoError:
        return []  # what is wrong with its files is said elsewhere
