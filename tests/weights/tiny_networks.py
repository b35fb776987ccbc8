"""Tiny networks of the real classes, and files of them in the authors' layout."""

from __future__ import annotations

from pathlib import Path

import torch
from authors_layout import write_last, write_unclip
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from insilico.decoders.mindeye2.model import MindEye2Config, MindEye2Model

RUN = "final_subj01_pretrained_40sess_24bs"
SIZES = {"norm_num_groups": 4}
HEAD = {"channels": 8, "grid": 2, "blocks": [4, 8], "groups": 4, "aux": 6, "latent": 3}


def tiny_unet(**more) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=4,
        in_channels=4,
        out_channels=4,
        layers_per_block=2,
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[1, 1, 2],
        cross_attention_dim=12,
        attention_head_dim=2,
        use_linear_projection=True,
        **SIZES,
        **more,
    )


def tiny_vae() -> AutoencoderKL:
    torch.manual_seed(1)
    return AutoencoderKL(
        block_out_channels=(4, 8),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **SIZES,
    ).eval()


def tiny_vision() -> CLIPVisionModelWithProjection:
    torch.manual_seed(2)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "hidden_act": "gelu",
    }
    config = CLIPVisionConfig(
        num_attention_heads=2, patch_size=4, image_size=16, projection_dim=6, **sizes
    )
    return CLIPVisionModelWithProjection(config).eval()


def tiny_mindeye2(voxels=(11,), blurry: dict | None = HEAD) -> MindEye2Model:
    torch.manual_seed(3)
    config = MindEye2Config(
        voxels=list(voxels), hidden=8, n_blocks=3, tokens=4, width=12, blurry=blurry, depth=2,
        heads=3, head_width=6,
    )  # fmt: skip
    return MindEye2Model(config).eval()


LABELS = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 10}
UNCLIP = {
    "unet": {"attention_head_dim": 2, "sample_size": 4, **SIZES},
    "vae": SIZES,
    "clip": {"num_attention_heads": 2},
    "unclip": {"num_steps": 2, "guidance": 1.0},
}


def tiny_texts() -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    torch.manual_seed(8)
    how = {"num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 40, **ENDS}
    one = CLIPTextConfig(hidden_size=8, intermediate_size=12, projection_dim=8, **how)
    two = CLIPTextConfig(
        hidden_size=16, intermediate_size=20, projection_dim=6, hidden_act="gelu", **how
    )
    return CLIPTextModel(one).eval(), CLIPTextModelWithProjection(two).eval()


ENDS = {"bos_token_id": 38, "eos_token_id": 39, "pad_token_id": 1, "max_position_embeddings": 9}


def with_last(root: Path, model: MindEye2Model | dict, run: str = RUN) -> Path:
    path = root / "train_logs" / run / "last.pth"
    write_last(path, model if isinstance(model, dict) else model.state_dict())
    path.with_suffix(".json").write_text('{"blurry": {"groups": 4}}')
    return path


def with_unclip(root: Path) -> Path:
    path = root / "unclip6_epoch0_step110000.ckpt"
    write_unclip(path, tiny_unet(**LABELS), tiny_vae(), tiny_vision(), UNCLIP)
    return path


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
