"""Full-size structures on the meta device: every name, shape and count of the specification."""

from __future__ import annotations

import json
import math

import pytest
import torch
from authors_layout import BIGG, unet_in_sgm, vae_in_ldm, vision_in_open_clip

from insilico.decoders.mindeye2.model import MindEye2Config, MindEye2Model
from insilico.decoders.mindeye2.published import config_of, position
from insilico.decoders.mindeye2.sizes import published
from insilico.decoders.mindeye2.skeleton import built
from insilico.errors import SpaceError
from insilico.weights import open_clip, stable_diffusion
from insilico.weights.catalogue import PUBLISHED, VOXELS
from insilico.weights.checkpoint import under
from insilico.weights.counting import parameters_of

RIDGES = (64409600, 58486784, 62369792, 53878784, 53411840, 73351168, 51949568, 58929152)
CAPTIONER = published()["captioner"]
BACKBONE, PRIOR = 1_903_020_028, 259_865_216


def on_meta(made_by, *given, **named):
    with torch.device("meta"):
        return made_by(*given, **named)


def parameters(state) -> int:
    return sum(value.numel() for value in state.values())


def mindeye2(**sizes) -> dict[str, torch.Tensor]:
    return on_meta(MindEye2Model, MindEye2Config(**sizes)).state_dict()


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Return every name and shape of subject 1's file, from sections 1.2 and 2.1."""
    found: dict[str, tuple[int, ...]] = {}

    def both(name: str, *shape: int, bias: int | None = None) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, (bias or shape[0],)

    both("ridge.linears.0", 4096, 15724)
    for k in range(4):
        for mixer, width in (("mixer_blocks1", 4096), ("mixer_blocks2", 1)):
            both(f"backbone.{mixer}.{k}.0", width)
            both(f"backbone.{mixer}.{k}.1.0", width, width)
            both(f"backbone.{mixer}.{k}.1.3", width, width)
    both("backbone.backbone_linear", 425984, 4096)
    for k in (0, 3, 6):
        both(f"backbone.clip_proj.{k}", 1664)
        both(f"backbone.clip_proj.{k + 2}", 1664, 1664)
    both("backbone.blin1", 3136, 4096)
    both("backbone.bnorm", 64)
    found["backbone.b_maps_projector.0.weight"] = (512, 64, 1, 1)
    found["backbone.b_maps_projector.3.weight"] = (512, 512, 1, 1)
    both("backbone.b_maps_projector.1", 512)
    both("backbone.b_maps_projector.4", 512)
    both("backbone.b_maps_projector.6", 512, 512, 1, 1)
    _upsampler(both)
    _prior(both, found)
    return found


def _upsampler(both) -> None:
    up = "backbone.bupsampler."

    def resnet(name: str, came: int, goes: int) -> None:
        both(f"{up}{name}.norm1", came)
        both(f"{up}{name}.conv1", goes, came, 3, 3)
        both(f"{up}{name}.norm2", goes)
        both(f"{up}{name}.conv2", goes, goes, 3, 3)
        if came != goes:
            both(f"{up}{name}.conv_shortcut", goes, came, 1, 1)

    both(f"{up}conv_in", 128, 64, 3, 3)
    for k in (0, 1):
        resnet(f"mid_block.resnets.{k}", 128, 128)
    both(f"{up}mid_block.attentions.0.group_norm", 128)
    for name in ("to_q", "to_k", "to_v", "to_out.0"):
        both(f"{up}mid_block.attentions.0.{name}", 128, 128)
    for block, (came, goes) in enumerate([(128, 128), (128, 64), (64, 32)]):
        resnet(f"up_blocks.{block}.resnets.0", came, goes)
        resnet(f"up_blocks.{block}.resnets.1", goes, goes)
        if block < 2:
            both(f"{up}up_blocks.{block}.upsamplers.0.conv", goes, goes, 3, 3)
    both(f"{up}conv_norm_out", 32)
    both(f"{up}conv_out", 4, 32, 3, 3)


def _prior(both, found) -> None:
    net = "diffusion_prior.net."
    for name in ("learned_query", "null_brain_embeds", "null_image_embed"):
        found[net + name] = (256, 1664)
    for name, shape in (("0.0", (3328, 1664)), ("1.0", (3328, 3328)), ("2", (1664, 3328))):
        both(f"{net}to_time_embeds.0.1.net.{name}", *shape)
    layers = f"{net}causal_transformer."
    found[f"{layers}rel_pos_bias.relative_attention_bias.weight"] = (32, 32)
    for k in range(6):
        for name, shape in {
            "0.null_kv": (2, 52),
            "0.norm.g": (1664,),
            "0.to_q.weight": (1664, 1664),
            "0.to_kv.weight": (104, 1664),
            "0.rotary_emb.freqs": (16,),
            "0.to_out.0.weight": (1664, 1664),
            "0.to_out.1.g": (1664,),
            "1.0.g": (1664,),
            "1.1.weight": (13312, 1664),
            "1.5.weight": (1664, 6656),
        }.items():
            found[f"{layers}layers.{k}.{name}"] = shape
    found[f"{layers}norm.g"] = (1664,)
    found[f"{layers}project_out.weight"] = (1664, 1664)
    tables = "betas alphas_cumprod alphas_cumprod_prev sqrt_alphas_cumprod p2_loss_weight"
    tables += " sqrt_one_minus_alphas_cumprod log_one_minus_alphas_cumprod posterior_mean_coef1"
    tables += " sqrt_recip_alphas_cumprod sqrt_recipm1_alphas_cumprod posterior_variance"
    tables += " posterior_log_variance_clipped posterior_mean_coef2"
    for name in tables.split():
        found[f"diffusion_prior.noise_scheduler.{name}"] = (100,)


def test_every_name_and_shape_is_the_published_one():
    expected = published_shapes()
    assert {key: tuple(value.shape) for key, value in mindeye2().items()} == expected
    assert len(expected) == 249
    counted = sum(
        math.prod(shape)
        for key, shape in expected.items()
        if "noise_scheduler" not in key and not ("freqs" in key and ".layers.0." not in key)
    )
    assert counted == 2_227_294_844


PARTS = {
    "ridge.": 64_409_600,
    "backbone.": BACKBONE,
    "backbone.mixer_blocks1.": 134_283_264,
    "backbone.mixer_blocks2.": 24,
    "backbone.backbone_linear.": 1_745_256_448,
    "backbone.clip_proj.": 8_321_664,
    "backbone.blin1.": 12_848_192,
    "backbone.bnorm.": 128,
    "backbone.bupsampler.": 1_750_692,
    "backbone.b_maps_projector.": 559_616,
    "diffusion_prior.net.": PRIOR + 5 * 16,  # the rotary frequencies stand in all six layers
    "diffusion_prior.net.to_time_embeds.": 22_159_488,
    "diffusion_prior.net.causal_transformer.": 236_427_776 + 5 * 16,
    "diffusion_prior.net.learned_query": 425_984,
    "diffusion_prior.net.null_brain_embeds": 425_984,
    "diffusion_prior.net.null_image_embed": 425_984,
}
"""Sections 1.4 and 2.1."""


def test_every_part_has_the_published_number_of_parameters():
    state = mindeye2()
    assert {prefix: parameters(under(state, prefix)) for prefix in PARTS} == PARTS
    several = under(mindeye2(voxels=[VOXELS[s] for s in range(2, 9)]), "ridge.")
    assert parameters(several) == 412_377_088
    light = mindeye2(hidden=1024, blurry=None)
    assert parameters(under(light, "ridge.")) == 16_102_400
    assert parameters(under(light, "backbone.")) == 453_360_280


@pytest.mark.parametrize("subject", VOXELS)
def test_sizes_are_told_by_shapes_for_every_subject(subject):
    state = mindeye2(voxels=[VOXELS[subject]])
    assert parameters(under(state, "ridge.")) == RIDGES[subject - 1]
    found = config_of(state, "last.pth")
    head = {
        "channels": 64,
        "grid": 7,
        "blocks": [32, 64, 128],
        "groups": 32,
        "aux": 512,
        "latent": 4,
    }
    assert found == MindEye2Config(voxels=[VOXELS[subject]], blurry=head)
    again = on_meta(MindEye2Model, found)
    assert sum(p.numel() for p in again.parameters()) == RIDGES[subject - 1] + BACKBONE + PRIOR


def test_the_multi_subject_file():
    voxels = [VOXELS[s] for s in range(2, 9)]
    state = mindeye2(voxels=voxels)
    assert len(state) == 261
    found = config_of(state, "last.pth")
    assert sum(p.numel() for p in on_meta(MindEye2Model, found).parameters()) == 2_575_262_332
    assert [position(found, VOXELS[s]) for s in range(2, 9)] == list(range(7))
    with pytest.raises(
        SpaceError, match=r"14278 \(NSD subject 2\).*has 15724 voxels \(NSD sub.* 1\)"
    ):
        position(found, 15724)


@pytest.mark.parametrize(("ridges", "count"), [((1,), 729_327_896), (range(2, 9), 816_319_768)])
def test_the_light_file(ridges, count):
    voxels = [VOXELS[s] for s in ridges]
    state = mindeye2(voxels=voxels, hidden=1024, blurry=None)
    found = config_of(state, "last.pth")
    assert (found.hidden, found.blurry, found.voxels) == (1024, None, voxels)
    assert len(state) == 147 + 2 * len(voxels)
    assert sum(p.numel() for p in on_meta(MindEye2Model, found).parameters()) == count


UNET = {
    "down_blocks": [5_432_000, 58_139_520, 737_743_360],
    "up_blocks": [1_177_077_760, 103_394_560, 11_171_840],
}
UNET_ENDS = {
    "conv_in.": 11_840,
    "time_embedding.": 2_050_560,
    "class_embedding.": 2_951_680,
    "down_blocks.": 801_314_880,
    "mid_block.": 403_287_040,
    "up_blocks.": 1_291_644_160,
    "conv_norm_out.": 640,
    "conv_out.": 12_164 - 640,
}


def test_the_published_unet():
    from diffusers import UNet2DConditionModel

    sizes = {
        "sample_size": 96,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "block_out_channels": [320, 640, 1280],
        "layers_per_block": 2,
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "cross_attention_dim": 1664,
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": 1024,
    }
    network = on_meta(UNet2DConditionModel, **sizes)
    how, state = stable_diffusion.unet(unet_in_sgm(network), "unclip6", {})
    assert len(state) == 1680
    assert parameters(state) == 2_501_272_324
    parts = {part: [parameters(under(state, f"{part}.{k}.")) for k in range(3)] for part in UNET}
    assert parts == UNET
    assert {part: parameters(under(state, part)) for part in UNET_ENDS} == UNET_ENDS
    assert sizes.items() <= json.loads(how).items()
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert {key: value.shape for key, value in state.items()} == shapes


def test_the_published_autoencoder():
    from diffusers import AutoencoderKL

    network = on_meta(
        AutoencoderKL,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    how, state = stable_diffusion.vae(vae_in_ldm(network), "unclip6", {"scaling_factor": 0.13025})
    assert len(state) == 248
    assert parameters(state) == 83_653_863
    made = json.loads(how)
    assert (made["block_out_channels"], made["layers_per_block"]) == ([128, 256, 512, 512], 2)


def test_the_published_image_tower():
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = {
        "hidden_size": 1664,
        "intermediate_size": 8192,
        "num_hidden_layers": 48,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 224,
        "projection_dim": 1280,
        "hidden_act": "gelu",
    }
    tower = on_meta(CLIPVisionModelWithProjection, CLIPVisionConfig(**sizes))
    kept = vision_in_open_clip(tower, f"{BIGG}visual.")
    how, state = open_clip.vision(under(kept, f"{BIGG}visual."), "unclip6", {})
    assert sizes.items() <= json.loads(how).items()
    assert parameters(state) == 1_844_907_264  # with the projection, as the specification counts
    assert parameters(under(state, "vision_model.")) == 1_842_777_344  # CLIPVisionModel itself


def test_the_catalogue_counts_as_the_specification():
    rows = {row.path: row for row in PUBLISHED}
    assert len(rows) == len(PUBLISHED)
    first = rows["train_logs/final_subj01_pretrained_40sess_24bs/last.pth"]
    several = rows["train_logs/final_multisubject_subj01/last.pth"]
    assert (first.parameters, several.parameters) == (2_227_294_844, 2_575_262_332)
    assert round(first.size / 1e9, 1) == 8.9
    assert round(several.size / 1e9, 1) == 10.3
    unclip = rows["unclip6_epoch0_step110000.ckpt"]
    assert unclip.parameters == 2_501_272_324 + 83_653_863 + 1_909_889_025
    assert round(unclip.size / 2**30, 1) == 16.7
    assert rows["bigG_to_L_epoch8.pth"].parameters == 1_771_009
    assert rows["git-large-coco/"].parameters == parameters_of(built("captioner", CAPTIONER))
    betas = [round(rows[f"betas_all_subj0{s}_fp32_renorm.hdf5"].size / 2**30, 1) for s in (1, 4)]
    assert betas == [1.8, 1.1]
    assert round(rows["coco_images_224_float16.hdf5"].size / 2**30, 1) == 20.5
    assert round(rows["evals/all_images.pt"].size / 2**20) == 574
    assert 1_771_009 == 256 * 257 + 257 + 1664 * 1024 + 1024


def test_the_page_names_every_network_and_file():
    from pathlib import Path

    from insilico.weights.authors import CONVERSIONS

    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text("utf-8")
    for network, conversion in CONVERSIONS.items():
        assert f"| `{network}` |" in page
        assert conversion.path.partition("/")[0] in page
