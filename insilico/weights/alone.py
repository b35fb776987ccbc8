"""Networks that compute alone: how many items go together within the memory that is set.

Encoders, image tokens and the networks of scores are no stages of the decoder's plan. When one of
them computes within a memory, all others are let go, and it is loaded whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from insilico.step import asked_batch, device, memory
from insilico.weights.memory import Need, plan
from insilico.weights.shelf import let_go


def need(name: str, network: Any, call: Callable[[int], object], batch: int, more: int = 0) -> Need:
    """Return what a network needs, counted without computing.

    Parameters
    ----------
    name : str
        Under which it is held, see `insilico.weights.shelf`.
    network : Module
        On the meta device.
    call : function
        Of a number of items; makes its own inputs.
    batch : int
        Items that go together where there is room.
    more : int
        Bytes that are loaded beside the network.
    """
    from insilico.weights.counting import activations, bytes_of

    fixed, item = activations(network, call)
    size = bytes_of(network) + more
    return Need(name, size, fixed, item, batch, size)


def granted(counted: Callable[[], Need]) -> int | None:
    """Return how many items go together; None where no memory is set, and nothing is counted then.

    Raises
    ------
    ParameterError
        If the memory that `insilico.step.computing` sets is too little for one.
    """
    budget = memory()
    if budget is None:
        return None
    found = counted()
    return plan([found], budget, device(), asked_batch())[found.name].batch


def taken(name: str, counted: Callable[[], Need]) -> int | None:
    """Return what `granted` does, and let go of all networks held under other names."""
    most = granted(counted)
    if most is not None:
        let_go(but={name})
    return most
