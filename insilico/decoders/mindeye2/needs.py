"""How much memory each stage of the chain needs, counted on networks without values."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from insilico.decoders.mindeye2.skeleton import about, built
from insilico.decoders.mindeye2.stages import HALVED
from insilico.decoders.precision import Precision, stored_in
from insilico.step import asked_batch, device, memory
from insilico.weights.counting import activations, bytes_of
from insilico.weights.memory import Need, Plan, plan
from insilico.weights.offload import least

BATCH, PICTURES = 32, 8
"""Items that go together where there is room: of tokens and captions, of pictures."""
PASSES = 3
"""Repeats that enter ridge and backbone for one item."""
WORDS = 20
PAINTING = ("unclip", "blurry", "refiner")
WHOLE = ("captioner", "converter")
"""Stages that are never cut into blocks."""


def needs_of(
    stages: dict[str, Path], precision: Precision, tiled: bool = False, beams: int = 1
) -> tuple[Need, ...]:
    """Return the needs of stages whose folders are these.

    Raises
    ------
    WeightsError
        If a configuration cannot be read.
    """
    told = {name: about(name, path) for name, path in stages.items()}
    return needs_at(told, precision, tiled, beams)


def needs_at(
    told: dict[str, dict[str, Any]], precision: Precision, tiled: bool = False, beams: int = 1
) -> tuple[Need, ...]:
    """Return the needs of stages of these sizes; converter and captioner are one stage."""
    found = {
        name: _need(name, json.dumps(how, sort_keys=True), precision, tiled)
        for name, how in told.items()
    }
    if "captioner" in found:  # every beam of an item is a row of its own
        found["captioner"] = replace(found["captioner"], item=beams * found["captioner"].item)
    if "converter" in found and "captioner" in found:
        found["captioner"] = _together(found.pop("converter"), found["captioner"])
    return tuple(found.values())


def _together(first: Need, second: Need) -> Need:
    return Need(
        second.name,
        first.weights + second.weights,
        first.fixed + second.fixed,
        first.item + second.item,
        min(first.batch, second.batch),
        first.least + second.least,
    )


def planned(
    networks: dict[str, Path], precision: Precision, tiled: bool = False, beams: int = 1
) -> Plan | None:
    """Return the plan of networks whose folders are these, None where no memory is set.

    Parameters
    ----------
    networks : dict of str to path
    precision : {"fp32", "fp16", "bf16"}
    tiled : bool
        Whether autoencoders decode tile by tile.
    beams : int
        Width of the captioner's search.

    Raises
    ------
    ParameterError
        If the memory that `insilico.step.computing` sets is too little.
    """
    budget, stages = memory(), dict(networks)
    if "mindeye2" in stages:
        brain = stages.pop("mindeye2")
        stages = {"brain": brain, "prior": brain, **stages}
    if budget is None or not stages:
        return None
    return plan(needs_of(stages, precision, tiled, beams), budget, device(), asked_batch())


def _need(name: str, told: str, precision: Precision, tiled: bool) -> Need:
    fixed, item, *weights = _counted(name, told, tiled)
    whole, least = weights[precision != "fp32"]
    return Need(name, whole, fixed, item, PICTURES if name in PAINTING else BATCH, least)


@lru_cache(maxsize=64)
def _counted(
    name: str, told: str, tiled: bool
) -> tuple[int, int, tuple[int, int], tuple[int, int]]:
    """Return what it computes, fixed and an item, and its weights in full and in half."""
    network = built(name, json.loads(told))
    if tiled and hasattr(network, "vae"):
        network.vae.enable_tiling()
    calls = [activations(network, partial(call, network)) for call in CALLS[name]]
    fixed, item = (max(each) for each in zip(*calls, strict=True))
    full = _weights(name, network)
    for part in HALVED.get(name, ()):
        stored_in(network.get_submodule(part), "fp16")
    return fixed, item, full, _weights(name, network)


def _weights(name: str, network: Any) -> tuple[int, int]:
    size = bytes_of(network)
    return size, size if name in WHOLE else least(network)


def _brain(model: Any, n: int) -> Any:
    enter = max(model.ridge.linears, key=lambda linear: linear.in_features)
    return model.outputs(torch.empty(PASSES * n, enter.in_features), enter)


def _prior(prior: Any, n: int) -> Any:
    tokens, width = prior.net.learned_query.shape
    noise = torch.empty(prior.draws(20), n, tokens, width)
    times = torch.zeros(n, dtype=torch.long)
    return noise, prior.net(noise[0], times, torch.empty(n, tokens, width))


def _unclip(decoder: Any, n: int) -> Any:
    config = decoder.unet.config
    tokens = torch.empty(2 * n, _tokens(decoder), config.cross_attention_dim)
    return decoder._network(tokens, torch.empty(n, *decoder.latent_shape), torch.zeros(()))


def _tokens(decoder: Any) -> int:
    """Return how many tokens a decoder reads: one a place of the grid, else the published 256."""
    _, height, width = decoder.latent_shape
    return height * width if decoder.config.token_grid else 256


def _decoded(decoder: Any, n: int) -> Any:
    """Decode as under a plan: one latent after the other, pictures kept."""
    channels, height, width = decoder.latent_shape
    return _one_by_one(decoder.vae, n, channels, height, width)


def _blurry(decoder: Any, n: int) -> Any:
    vae = decoder.vae.config
    side = 224 // 2 ** (len(vae.block_out_channels) - 1)
    return _one_by_one(decoder.vae, n, vae.latent_channels, side, side)


def _one_by_one(vae: Any, n: int, channels: int, height: int, width: int) -> Any:
    larger = 2 ** (len(vae.config.block_out_channels) - 1)
    made = torch.empty(2 * n, 3, height * larger, width * larger)  # in parts, then side by side
    return made, vae.decode(torch.empty(1, channels, height, width)).sample


def _captioner(model: Any, n: int) -> Any:
    side = model.config.vision_config.image_size
    words = torch.zeros(n, min(WORDS, model.config.max_position_embeddings), dtype=torch.long)
    return model(input_ids=words, pixel_values=torch.empty(n, 3, side, side))


def _converter(converter: Any, n: int) -> Any:
    tokens, width = converter.linear1.in_features, converter.linear2.in_features
    return converter(torch.empty(n, tokens, width))


def _refiner(refiner: Any, n: int) -> Any:
    one, two = refiner.text_encoder.config, refiner.text_encoder_2.config
    length = one.max_position_embeddings
    words = torch.empty(2 * n, length, one.hidden_size + two.hidden_size)
    pooled = torch.empty(2 * n, two.projection_dim)
    latents = torch.empty(n, *refiner.latent_shape)
    return refiner._network(words, pooled, latents, torch.zeros(()))


def _read(refiner: Any, n: int) -> Any:
    words = torch.zeros(n + 1, refiner.text_encoder_2.config.max_position_embeddings).long()
    return refiner.text_encoder_2(words, output_hidden_states=True)


def _encoded(refiner: Any, n: int) -> Any:
    side = refiner.config.size
    return torch.empty(n, 3, side, side), refiner.vae.encode(torch.empty(1, 3, side, side))


CALLS: dict[str, tuple[Any, ...]] = {
    "brain": (_brain,),
    "prior": (_prior,),
    "unclip": (_unclip, _decoded),
    "converter": (_converter,),
    "captioner": (_captioner,),
    "blurry": (_blurry,),
    "refiner": (_refiner, _read, _encoded, _decoded),
}
"""The calls of each stage that may make the most; its need is the largest of them."""
