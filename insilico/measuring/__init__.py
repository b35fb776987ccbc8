"""Time and memory of every network of the chain, with random weights: the authors' way and ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from insilico.decoders.mindeye2.stages import LOADERS, prepared
from insilico.decoders.precision import Precision
from insilico.errors import ParameterError, not_one_of
from insilico.measuring.random_weights import filled
from insilico.measuring.stages import Items, Stage, needs, sound_need, stages
from insilico.step import computing, in_bytes, progress
from insilico.weights.counting import LiveBytes, bytes_of, parameters_of
from insilico.weights.memory import Plan, plan
from insilico.weights.shelf import let_go

DEFAULTS: dict[bool, Precision] = {True: "fp16", False: "fp32"}
"""Precision of both settings, with a GPU and without."""


@dataclass(frozen=True)
class Setting:
    """One way to compute a stage, and what it took.

    Attributes
    ----------
    weights : int
        Bytes.
    peak : int
        Largest number of bytes of weights and of what is computed.
    seconds : float
        For an item.
    """

    weights: int
    peak: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What one stage took.

    Attributes
    ----------
    name : str
    parameters : int
    batch : int
        Of our setting.
    difference : float
        Largest difference of our results from the authors', over their largest value.
    authors, ours : Setting
    """

    name: str
    parameters: int
    batch: int
    difference: float
    authors: Setting
    ours: Setting


def measure(
    size: str = "small",
    device: str = "cpu",
    *,
    precision: Precision | None = None,
    memory: int | str = "40GB",
    n: int = 8,
    compile: bool | None = None,
    only: tuple[str, ...] = (),
) -> tuple[list[Measured], Plan]:
    """Measure every stage of the chain, one after the other.

    The authors' setting is one item at a time, eager, weights in fp32 and products in fp16; ours
    is in batches, with the weights of products in half precision, compiled on a GPU. A CPU has no
    fast half precision: there both are fp32.

    Parameters
    ----------
    size : {"small", "full"}
    device : str
        Torch device.
    precision : {"fp32", "fp16", "bf16"}, optional
        Of our setting; encoder, autoencoders, captions and sound are fp32 in ours, as in a run.
    memory : int or str
        What the batches of our setting are planned for.
    n : int
        Items.
    compile : bool, optional
        Whether ours is compiled; by default on a GPU.
    only : tuple of str
        Names of stages, all of them if empty.

    Returns
    -------
    list of Measured, and the plan whose batches were taken

    Raises
    ------
    ParameterError
        If a size or stage is unknown, or the memory is too little.
    """
    if size not in ("small", "full"):
        raise ParameterError(not_one_of("size", size, ("small", "full")))
    known = stages(size)
    for name in only:
        if name not in (names := [stage.name for stage in known]):
            raise ParameterError(not_one_of("stage", name, names))
    on_gpu = device.startswith("cuda")
    compile, precision = on_gpu if compile is None else compile, precision or DEFAULTS[on_gpu]
    with computing(device=device, memory=memory, compile=compile):
        planned = _planned(size, precision, memory, device)
        let_go()
        chosen = [stage for stage in known if not only or stage.name in only]
        made = []
        for done, stage in enumerate(chosen):
            progress(stage.name, done, len(chosen))
            made.append(_measured(stage, planned, precision, n, device))
    return made, planned


def _planned(size: str, precision: Precision, memory: int | str, device: str) -> Plan:
    every = (*needs(size, precision), sound_need(size))
    return plan(every, in_bytes(memory), device)


@torch.inference_mode()
def _measured(stage: Stage, planned: Plan, precision: Precision, n: int, device: str) -> Measured:
    network = filled(stage.build(), device)
    counted = parameters_of(network)
    items = {k: values.to(device) for k, values in stage.items(network, n).items()}
    theirs = DEFAULTS[device.startswith("cuda")]
    found, authors = _took(stage, network, items, 1, theirs, device)
    half: Precision = precision if stage.halved else "fp32"
    batch = n if stage.name == "encoder" else min(n, planned[stage.name].batch)
    if stage.name in LOADERS:
        network = prepared(stage.name, network, half, sliced=True)
    results, ours = _took(stage, network, items, batch, half, device)
    apart = float((results - found).abs().max() / found.abs().max().clamp_min(1e-12))
    return Measured(stage.name, counted, batch, apart, authors, ours)


def _took(
    stage: Stage, network: Any, items: Items, batch: int, precision: Precision, device: str
) -> tuple[torch.Tensor, Setting]:
    """Compute all items for results and memory, then two batches again for time."""
    weights, on_gpu = bytes_of(network), device.startswith("cuda")
    live = LiveBytes((*network.parameters(), *network.buffers(), *items.values()))
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        made = _results(stage, network, items, batch, precision)
        peak = torch.cuda.max_memory_allocated()
    else:
        with live:
            made = _results(stage, network, items, batch, precision)
        peak = weights + live.peak
    again = {k: values[: 2 * batch] for k, values in items.items()}
    start = _now(on_gpu)
    count = len(_results(stage, network, again, batch, precision))
    seconds = _now(on_gpu) - start
    return made, Setting(weights, peak, seconds / count)


def _results(
    stage: Stage, network: Any, items: Items, batch: int, precision: Precision
) -> torch.Tensor:
    parts = [stage.run(network, part, precision).cpu() for part in _parts(items, batch)]
    return torch.cat(parts)


def _parts(items: Items, batch: int) -> Iterator[Items]:
    n = len(next(iter(items.values())))
    for start in range(0, n, batch):
        yield {k: values[start : start + batch] for k, values in items.items()}


def _now(on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()
