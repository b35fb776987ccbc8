"""A whole set of MindEye2's weights in the published layout: real classes, tiny and untrained."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import (
    AutoTokenizer,
    BertTokenizer,
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    GitConfig,
    GitForCausalLM,
)

from insilico.decoders.mindeye2.converter import ClipConverter
from insilico.decoders.mindeye2.model import MindEye2Config, MindEye2Model
from insilico.decoders.mindeye2.refiner import SDXL, Refiner, RefinerConfig
from insilico.decoders.unclip import UnclipConfig, UnclipDecoder
from insilico.weights.folders import folder

VOXELS, TOKENS, WIDTH, LATENT = [11, 7], 16, 8, 4
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "red", "dog", "sky", "a", "small", "on", "beach"]
EXTRAS = ("converter", "blurry", "refiner")


def vae(scaling: float) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 8),
        layers_per_block=1,
        latent_channels=LATENT,
        norm_num_groups=4,
        scaling_factor=scaling,
    ).eval()


def unet(cross: int, **extra) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=4,
        in_channels=LATENT,
        out_channels=LATENT,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=cross,
        attention_head_dim=4,
        norm_num_groups=4,
        **extra,
    ).eval()


def mindeye2() -> MindEye2Model:
    low = {"channels": 8, "grid": 2, "blocks": (4, 8, 8), "groups": 4, "aux": 8, "latent": LATENT}
    model = MindEye2Model(
        MindEye2Config(
            voxels=VOXELS, hidden=8, n_blocks=2, tokens=TOKENS, width=WIDTH, blurry=low,
            depth=1, heads=2, head_width=8,
        )
    )  # fmt: skip
    return model.eval()


def unclip() -> UnclipDecoder:
    labels = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 1024}
    scheduler = EulerDiscreteScheduler(**SDXL)
    return UnclipDecoder(unet(WIDTH, **labels), vae(0.13025), scheduler, UnclipConfig.published())


def captioner() -> tuple[GitForCausalLM, BertTokenizer, CLIPImageProcessorPil]:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    sizes |= {"num_hidden_layers": 1}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    words = {"vocab_size": len(WORDS), "max_position_embeddings": 32, "initializer_range": 0.8}
    seen = sizes | {"image_size": 16, "patch_size": 8}
    model = GitForCausalLM(GitConfig(vision_config=seen, **sizes, **ends, **words)).eval()
    with torch.no_grad():
        model.output.weight.normal_(0, 1.5)
    side = {"height": 16, "width": 16}
    tokenizer = BertTokenizer(vocab={word: k for k, word in enumerate(WORDS)})
    return model, tokenizer, CLIPImageProcessorPil(size=side, crop_size=side)


def refiner() -> Refiner:
    sizes = {"intermediate_size": 16, "num_attention_heads": 2, "vocab_size": 39}
    sizes |= {"max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 38}
    first = CLIPTextModel(CLIPTextConfig(hidden_size=8, num_hidden_layers=3, **sizes))
    second = CLIPTextModelWithProjection(
        CLIPTextConfig(hidden_size=12, num_hidden_layers=2, projection_dim=10, **sizes)
    )
    tokenizer = AutoTokenizer.from_pretrained(folder("phantom", "clip"))
    network = unet(
        20,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=10 + 6 * 8,
    )
    config = RefinerConfig(size=8, negative="a small red dog")
    return Refiner(network, vae(0.13025), first, second, (tokenizer, tokenizer), config)


def write(where: Path, extras: tuple[str, ...] = EXTRAS) -> Path:
    """Write the folders of a decoder and return their root."""
    torch.manual_seed(11)
    mindeye2().save_pretrained(where / "mindeye2")
    unclip().save_pretrained(where / "unclip")
    for part in captioner():
        part.save_pretrained(where / "captioner")
    if "converter" in extras:
        (where / "converter").mkdir()
        state = ClipConverter(TOKENS, WIDTH, 5, 16).state_dict()
        save_file(state, where / "converter" / "model.safetensors")
    if "blurry" in extras:
        vae(0.18215).save_pretrained(where / "blurry")
    if "refiner" in extras:
        refiner().save_pretrained(where / "refiner")
    return where
