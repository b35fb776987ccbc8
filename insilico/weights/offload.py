"""Networks larger than the memory: their blocks come to the device when they are called, and go.

The weights stay in the memory of the computer; numbers are the same bits as without.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SMALL_BYTES = 2**20
"""Blocks below are not worth coming and going."""


def own_bytes(module: nn.Module) -> int:
    """Return the bytes of all parameters of a module."""
    return sum(p.nbytes for p in module.parameters())


def blocks(network: nn.Module, most: int, small: int = SMALL_BYTES) -> list[nn.Module]:
    """Return the modules that come and go, each at most so many bytes if it has parts.

    Parameters
    ----------
    network : Module
    most : int
        Bytes of a block; a layer that is larger cannot be cut and stands for itself.
    small : int
        Smaller ones stay.
    """
    size, parts = own_bytes(network), list(network.children())
    if _called(network) and (size <= most or not parts):
        return [network] if size > small else []
    return [block for part in parts for block in blocks(part, most, small)]


def _called(module: nn.Module) -> bool:
    """Return whether a module computes when it is called, and not by methods of its own."""
    # mypy takes forward for an attribute, which it is.
    return type(module).forward is not nn.Module.forward and not hasattr(module, "decode")


def least(network: nn.Module, small: int = SMALL_BYTES) -> int:
    """Return the bytes of the device that a network takes at least: what stays, and a block."""
    return taken(network, blocks(network, 0, small))


def taken(network: nn.Module, coming: list[nn.Module]) -> int:
    """Return the bytes of the device that a network takes when these blocks come and go."""
    sizes = [own_bytes(block) for block in coming]
    buffers = sum(value.nbytes for value in network.buffers())
    return own_bytes(network) - sum(sizes) + buffers + max(sizes, default=0)


def fitting(network: nn.Module, room: int, small: int = SMALL_BYTES) -> list[nn.Module]:
    """Return the largest blocks with which a network takes no more than `room`."""
    most, coming = room, blocks(network, room, small)
    while taken(network, coming) > room and most > small:
        most = most * 3 // 4
        coming = blocks(network, most, small)
    return coming


def offloaded(network: Any, room: int, where: str, small: int = SMALL_BYTES) -> Any:
    """Bring a network to a device but for its blocks, which come when they are called.

    Parameters
    ----------
    network : Module
        In the memory of the computer.
    room : int
        Bytes that it may take on the device, what stays and the largest block together.
    where : str
        Torch device.
    small : int
        Smaller blocks stay.
    """
    coming = fitting(network, room, small)
    apart = {id(p) for block in coming for p in block.parameters()}
    for parameter in network.parameters():
        if id(parameter) not in apart:
            parameter.data = parameter.data.to(where)
    for module in network.modules():
        for name, value in module._buffers.items():
            module._buffers[name] = None if value is None else value.to(where)
    for block in coming:
        _Traveller(block, torch.device(where))
    return network


class _Traveller:
    """Brings a module's parameters before it computes, and lets them go after."""

    def __init__(self, module: nn.Module, where: torch.device) -> None:
        self.where = where
        self.home = {p: _pinned(p.data, where) for p in module.parameters()}
        module.register_forward_pre_hook(self.come)
        module.register_forward_hook(self.go, always_call=True)

    def come(self, *_: Any) -> None:
        for parameter, kept in self.home.items():
            parameter.data = kept.to(self.where, copy=True, non_blocking=True)

    def go(self, *_: Any) -> None:
        for parameter, kept in self.home.items():
            parameter.data = kept


def _pinned(values: torch.Tensor, where: torch.device) -> torch.Tensor:
    return values.pin_memory() if where.type == "cuda" else values
