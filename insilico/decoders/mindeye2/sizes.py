"""Sizes of all networks of the chain: the published ones, and small ones for machines without GPU.

Specification sections 1 to 4; of GIT, transformers' configuration of microsoft/git-large-coco; of
SDXL, diffusers' of stabilityai/stable-diffusion-xl-base-1.0.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from insilico.decoders.mindeye2.model import MindEye2Config
from insilico.decoders.unclip import UnclipConfig

Sizes = dict[str, dict[str, Any]]


def _unet(levels: tuple[list[int], list[int], list[int]], **more: Any) -> dict[str, Any]:
    widths, heads, depths = levels
    return {
        "sample_size": 96,
        "block_out_channels": widths,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 2,
        "transformer_layers_per_block": depths,
        "attention_head_dim": heads,
        "use_linear_projection": True,
        **more,
    }


def _vae(widths: list[int], scaling: float, **more: Any) -> dict[str, Any]:
    return {
        "block_out_channels": widths,
        "layers_per_block": 2,
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "scaling_factor": scaling,
        **more,
    }


def _text(width: int, depth: int, heads: int, projection: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": depth}
    return {**sizes, "num_attention_heads": heads, "projection_dim": projection, **more}


VECTOR: dict[str, Any] = {
    "class_embed_type": "projection",
    "projection_class_embeddings_input_dim": 1024,
}
TIMES: dict[str, Any] = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
WIDE = [128, 256, 512, 512]
SDXL_UNET = [320, 640, 1280], [5, 10, 20], [1, 2, 10]
VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
}


def published() -> Sizes:
    """Return the published sizes, of subject 1."""
    brain = dataclasses.asdict(MindEye2Config())
    vectors: dict[str, Any] = {"projection_class_embeddings_input_dim": 1280 + 6 * 256}
    return {
        "brain": brain,
        "prior": brain,
        "blurry": _vae(WIDE, 0.18215),
        "unclip": {
            "unet": _unet(SDXL_UNET, cross_attention_dim=1664, **VECTOR),
            "vae": _vae(WIDE, 0.13025),
            "unclip": dataclasses.asdict(UnclipConfig.published()),
        },
        "converter": {"sizes": [256, 1664, 257, 1024]},
        "captioner": {"vision_config": VISION},
        "refiner": {
            "unet": _unet(SDXL_UNET, cross_attention_dim=2048, **TIMES, **vectors),
            "vae": _vae(WIDE, 0.13025),
            "text_encoder": _text(768, 12, 12, 768),
            "text_encoder_2": _text(1280, 32, 20, 1280, hidden_act="gelu"),
            "refiner": {},
        },
    }


def small() -> Sizes:
    """Return small sizes of the same structure: some million parameters, pictures of 128 pixels."""
    tokens, width = 64, 96
    brain = MindEye2Config(
        voxels=[2000], hidden=256, tokens=tokens, width=width, depth=2, heads=4, head_width=24,
        blurry={"blocks": [32, 64], "grid": 7, "aux": 64},
    )  # fmt: skip
    unet, narrow = ([32, 64, 128], [2, 4, 8], [1, 1, 2]), [32, 32, 64, 64]
    vision = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 4, "image_size": 56, "patch_size": 7}
    words = {"vocab_size": 1000, "hidden_size": 96, "intermediate_size": 192}
    words |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    sizes: dict[str, Any] = {"sample_size": 16}
    return {
        "brain": dataclasses.asdict(brain),
        "prior": dataclasses.asdict(brain),
        "blurry": _vae(narrow, 0.18215),
        "unclip": {
            "unet": _unet(unet, cross_attention_dim=width, **VECTOR) | sizes,
            "vae": _vae(narrow, 0.13025),
            "unclip": dataclasses.asdict(UnclipConfig.published()),
        },
        "converter": {"sizes": [tokens, width, tokens + 1, 96]},
        "captioner": {"vision_config": vision, **words},
        "refiner": {
            "unet": _unet(
                unet, cross_attention_dim=160, **TIMES,
                projection_class_embeddings_input_dim=96 + 6 * 256,
            ) | sizes,
            "vae": _vae(narrow, 0.13025),
            "text_encoder": _text(64, 3, 4, 64),
            "text_encoder_2": _text(96, 3, 4, 96, hidden_act="gelu"),
            "refiner": {"size": 128},
        },
    }  # fmt: skip


SIZES = {"full": published, "small": small}
