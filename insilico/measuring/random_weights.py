"""Random weights for networks that were built without values."""

from __future__ import annotations

from typing import Any

import torch

from insilico.decoders.mindeye2.diffusion import NoiseSchedule

ONES = (".weight", ".g", ".scale", ".running_var")
"""Ends of the names of one-dimensional tensors that scale; the others shift."""


@torch.no_grad()
def filled(network: Any, where: str, seed: int = 0) -> Any:
    """Give a network on the meta device random weights on another device.

    Matrices keep the size of what goes through them; norms scale by one and shift by zero.

    Parameters
    ----------
    network : Module
    where : str
        Torch device.
    seed : int
    """
    network = network.to_empty(device=where)
    rng = torch.Generator(where).manual_seed(seed)
    for name, values in network.named_parameters():
        _fill(f".{name}", values, rng)
    for name, values in network.named_buffers():
        _fill_buffer(f".{name}", values)
    for module in network.modules():
        if hasattr(module, "noise_scheduler"):
            module.noise_scheduler = NoiseSchedule(module.timesteps).to(where)
    return network.requires_grad_(False)


def _fill(name: str, values: torch.Tensor, rng: torch.Generator) -> None:
    if values.ndim < 2:
        values.fill_(float(name.endswith(ONES)))
    else:
        values.normal_(0, (values.numel() / len(values)) ** -0.5, generator=rng)


def _fill_buffer(name: str, values: torch.Tensor) -> None:
    if name.endswith("position_ids"):
        values.copy_(torch.arange(values.shape[-1]).expand_as(values))
    else:
        values.fill_(values.dtype == torch.bool or name.endswith(ONES))
