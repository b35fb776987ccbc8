"""A protocol with every default written out, so that it can be run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from insilico.protocol.model import CHAIN, ONWARD, Protocol
from insilico.step import Step

SEEDED = ("decoder", *ONWARD)


def resolved(protocol: Protocol, step: Callable[..., Step]) -> dict[str, Any]:
    """Return the protocol with every default of every step of the chain.

    Parameters
    ----------
    protocol : Protocol
    step : function
        Makes the step of a section and its spec, `seeded` or not.
    """
    data = protocol.model_dump(mode="json", exclude_unset=False, exclude_none=True)
    data.pop("preset", None)
    for section in CHAIN:
        if section in data:
            spec = data[section]
            made = step(section, spec, seeded=section in SEEDED)
            data[section] = {"kind": made.kind, **spec, **made.model_dump(mode="json")}
    _without_what_the_plan_sets(data, protocol)
    data["scores"] = [{"kind": s} if isinstance(s, str) else s for s in data["scores"]]
    return data


def _without_what_the_plan_sets(data: dict[str, Any], protocol: Protocol) -> None:
    own = () if "n" in (protocol.training or {}) else ("n",)
    for section, keys in {"training": own, "recording": ("space", "repeats")}.items():
        for key in keys:
            data.get(section, {}).pop(key, None)
