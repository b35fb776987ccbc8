"""AudioLDM2's networks without their values, and how much memory they need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from insilico.errors import WeightsError
from insilico.step import asked_batch, device, memory
from insilico.weights.counting import activations, bytes_of
from insilico.weights.folders import UNREADABLE
from insilico.weights.memory import Need, Plan, plan
from insilico.weights.shelf import let_go

PARTS = {
    "unet": "diffusers:AudioLDM2UNet2DConditionModel",
    "projection_model": "diffusers:AudioLDM2ProjectionModel",
    "vae": "diffusers:AutoencoderKL",
    "text_encoder": "transformers:ClapModel",
    "text_encoder_2": "transformers:T5EncoderModel",
    "language_model": "transformers:GPT2LMHeadModel",
    "vocoder": "transformers:SpeechT5HifiGan",
}
BATCH, WORDS = 16, 64
HOP_S = 0.01
"""Seconds of a spectrogram's frame, as published."""
About = Mapping[str, Mapping[str, Any]]


def about(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a pipeline's networks are made from, as its folder says.

    Raises
    ------
    WeightsError
    """
    try:
        return {
            part: json.loads((path / part / "config.json").read_text("utf-8")) for part in PARTS
        }
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as AudioLDM2: {error}") from error


def published() -> dict[str, dict[str, Any]]:
    """Return the sizes of cvssp/audioldm2 (1.1 billion parameters)."""
    levels = ["CrossAttnDownBlock2D"] * 3, ["CrossAttnUpBlock2D"] * 3
    return {
        "unet": {
            "in_channels": 8,
            "out_channels": 8,
            "block_out_channels": [128, 256, 384, 640],
            "down_block_types": ["DownBlock2D", *levels[0]],
            "up_block_types": [*levels[1], "UpBlock2D"],
            "cross_attention_dim": [[None, 768, 1024]] * 4,
            "attention_head_dim": 32,
        },
        "projection_model": {
            "text_encoder_dim": 512,
            "text_encoder_1_dim": 1024,
            "langauge_model_dim": 768,  # diffusers' own spelling
        },
        "vae": {
            "in_channels": 1,
            "out_channels": 1,
            "latent_channels": 8,
            "block_out_channels": [128, 256, 512],
            "layers_per_block": 2,
            "down_block_types": ["DownEncoderBlock2D"] * 3,
            "up_block_types": ["UpDecoderBlock2D"] * 3,
        },
        "text_encoder": {
            "audio_config": {
                "patch_embeds_hidden_size": 128,
                "hidden_size": 1024,
                "depths": [2, 2, 12, 2],
            }
        },
        "text_encoder_2": {
            "d_model": 1024,
            "d_ff": 2816,
            "num_layers": 24,
            "num_heads": 16,
            "feed_forward_proj": "gated-gelu",
        },
        "language_model": {},
        "vocoder": {
            "model_in_dim": 64,
            "upsample_initial_channel": 1024,
            "upsample_rates": [5, 4, 2, 2, 2],
            "upsample_kernel_sizes": [16, 16, 8, 4, 4],
        },
    }


def small() -> dict[str, dict[str, Any]]:
    """Return small sizes of the same structure."""
    whole = published()
    text = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1}
    ends = {"bos_token_id": 0, "eos_token_id": 1}
    audio = {"hidden_size": 64, "depths": [1, 1], "num_attention_heads": [2, 2]}
    return {
        "unet": {
            **whole["unet"],
            "block_out_channels": [32, 32, 64, 64],
            "cross_attention_dim": [[None, 64, 64]] * 4,
            "attention_head_dim": 8,
        },
        "projection_model": dict.fromkeys(whole["projection_model"], 64),
        "vae": {**whole["vae"], "block_out_channels": [32, 32, 32]},
        "text_encoder": {
            "text_config": {**text, "vocab_size": 500, "num_attention_heads": 2},
            "audio_config": {**audio, "patch_embeds_hidden_size": 32},
            "projection_dim": 64,
        },
        "text_encoder_2": {"vocab_size": 500, "d_model": 64, "d_ff": 128, "num_layers": 2},
        "language_model": {**ends, "vocab_size": 500, "n_embd": 64, "n_layer": 2, "n_head": 2},
        "vocoder": {**whole["vocoder"], "upsample_initial_channel": 64},
    }


def built(about: About) -> nn.ModuleDict:
    """Return a pipeline's networks on the meta device."""
    import diffusers
    import transformers

    made: dict[str, Any] = {}
    for part, address in PARTS.items():
        library, _, name = address.partition(":")
        with torch.device("meta"):
            if library == "diffusers":
                made[part] = getattr(diffusers, name).from_config(dict(about[part]))
            elif about[part].get("_class_name") != "GriffinLim":  # which has no weights
                kind = getattr(transformers, name)
                made[part] = kind(kind.config_class(**about[part]))
    return nn.ModuleDict(made).eval()


def need(about: About, seconds: float) -> Need:
    """Return what a pipeline needs for sounds of a length; all its networks are fp32."""
    return _need(json.dumps(about, sort_keys=True), seconds)


@lru_cache(maxsize=8)
def _need(told: str, seconds: float) -> Need:
    networks = built(json.loads(told))
    fixed, item = activations(networks, partial(denoise, networks, seconds))
    weights = bytes_of(networks)
    return Need("sound", weights, fixed, item, BATCH, weights)


def denoise(networks: Any, seconds: float, n: int) -> torch.Tensor:
    """Call the UNet once, with both halves of the guidance."""
    unet = networks["unet"]
    cross = [width for width in _first(unet.config.cross_attention_dim) if width is not None]
    where = {"device": unet.conv_in.weight.device}
    frames, bands = round(seconds / HOP_S) // 4, 64 // 4
    latents = torch.ones(2 * n, unet.config.in_channels, frames, bands, **where)
    generated = torch.ones(2 * n, 8, cross[0], **where)
    words = torch.ones(2 * n, WORDS, cross[-1], **where)
    mask = torch.ones(2 * n, WORDS, dtype=torch.bool, **where)
    made = unet(
        latents,
        torch.zeros((), **where),
        encoder_hidden_states=generated,
        encoder_hidden_states_1=words,
        encoder_attention_mask_1=mask,
    )
    return made.sample


def _first(cross: Any) -> Any:
    return cross[0] if isinstance(cross[0], list | tuple) else cross


def planned(path: Path, seconds: float) -> Plan | None:
    """Return the plan of a pipeline, None where no memory is set; lets other networks go.

    Raises
    ------
    ParameterError
        If the memory that `insilico.step.computing` sets is too little.
    """
    budget = memory()
    if budget is None:
        return None
    let_go(but={"sound"})
    return plan([need(about(path), seconds)], budget, device(), asked_batch())
