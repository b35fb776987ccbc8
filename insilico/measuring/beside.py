"""The networks beside the decoder's at their published sizes: each computes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch

from insilico.decoders import sound_needs
from insilico.encoders import mary_nano
from insilico.encoders.config import MaryNanoConfig
from insilico.errors import ParameterError
from insilico.scores import gnet, readers
from insilico.scores.features import FEATURES
from insilico.spaces.tokens import tower_need
from insilico.weights.memory import MARGIN, Need, aligned, lowest, plan, up
from insilico.weights.writing import written

BIGG = {
    "hidden_size": 1664, "intermediate_size": 8192, "num_hidden_layers": 48,
    "num_attention_heads": 16, "patch_size": 14, "image_size": 224,
}  # fmt: skip
CLIP_L14 = {
    "projection_dim": 768,
    "vision_config": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "patch_size": 14, "projection_dim": 768,
    },
    "text_config": {
        "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
        "projection_dim": 768,
    },
}  # fmt: skip
SECONDS = 10.0
"""Of a sound."""


def _tokens() -> Need:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    with torch.device("meta"):
        model = CLIPVisionModel(CLIPVisionConfig(**BIGG)).eval()
    return tower_need(getattr(model, "vision_model", model))


def _clip() -> Need:
    from transformers import CLIPConfig

    return readers.clip_need(CLIPConfig(**CLIP_L14))


def _judge(name: str) -> Callable[[], Need]:
    return partial(readers.module_need, FEATURES[name])


NETWORKS: dict[str, Callable[[], Need]] = {
    "encoder: MARY-Nano, a picture": lambda: mary_nano.picture_need(MaryNanoConfig()),
    "image tokens: bigG": _tokens,
    "sound: AudioLDM2, 10 s": lambda: sound_needs.need(sound_needs.published(), SECONDS),
    "score: clip_l14": _clip,
    "score: alexnet": _judge("alexnet5"),
    "score: inception": _judge("inception"),
    "score: efficientnet_b1": _judge("efficientnet_b1"),
    "score: swav": _judge("swav"),
    "score: GNet, largest subject": gnet.needed,
}


def table(memory: int, device: str, batch: int | None = None) -> str:
    """Return how each network computes alone within a memory, as a table for people."""
    columns = ("network", "weights", "an item", "batch", "peak")
    return aligned(columns, [_row(need, memory, device, batch) for need in needs()])


@cache
def needs() -> tuple[Need, ...]:
    """Return what each network needs, counted once."""
    return tuple(replace(made(), name=name) for name, made in NETWORKS.items())


def _row(need: Need, memory: int, device: str, batch: int | None) -> tuple[str, ...]:
    sizes = need.name, written(need.weights), written(MARGIN * need.item)
    try:
        (share,) = plan([need], memory, device, batch).shares
    except ParameterError:
        return *sizes, "none", f"from {up(lowest(need, device))}"
    return *sizes, str(share.batch), written(share.peak)
