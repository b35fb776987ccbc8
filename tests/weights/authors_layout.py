"""Writes checkpoints in the authors' layout and names, from networks of any size.

The names are written down here from the specification (section 3.3), apart from the code that
reads them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import OrderedDict
from pathlib import Path

import diffusers
import numpy as np
import torch
from safetensors.torch import load_file

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}


def in_sgm(key: str, layers: int, attentive: set[int]) -> str:
    """Return the sgm name of a diffusers UNet key."""
    for new, old in OUTER.items():
        if key.startswith(f"{new}."):
            return _resnet(f"{old}.{key[len(new) + 1 :]}", "resnets" in new)
    side, block, what, k, rest = re.fullmatch(
        r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)", key
    ).groups()
    block, k = int(block), int(k)
    if what == "downsamplers":
        return f"input_blocks.{(block + 1) * (layers + 1)}.0.op.{rest.removeprefix('conv.')}"
    if what == "upsamplers":
        child = 2 if block in attentive else 1
        return f"output_blocks.{block * (layers + 1) + layers}.{child}.{rest}"
    place = block * (layers + 1) + k + (side == "down")
    child = 0 if what == "resnets" else 1
    name = f"{'input' if side == 'down' else 'output'}_blocks.{place}.{child}.{rest}"
    return _resnet(name, what == "resnets")


def _resnet(name: str, inside: bool) -> str:
    before, last, kind = name.rsplit(".", 2)
    return f"{before}.{RESNET[last]}.{kind}" if inside and last in RESNET else name


def unet_in_sgm(unet) -> dict[str, torch.Tensor]:
    ups = {i for i, block in enumerate(unet.up_blocks) if getattr(block, "attentions", None)}
    layers = unet.config.layers_per_block
    return {
        f"model.diffusion_model.{in_sgm(key, layers, ups)}": value
        for key, value in unet.state_dict().items()
    }


def vae_in_ldm(vae, prefix: str = "first_stage_model.") -> dict[str, torch.Tensor]:
    levels = len(vae.config.block_out_channels)
    state = {}
    for key, value in vae.state_dict().items():
        name = re.sub(r"encoder\.down_blocks\.(\d+)\.resnets", r"encoder.down.\1.block", key)
        name = re.sub(
            r"encoder\.down_blocks\.(\d+)\.downsamplers\.0", r"encoder.down.\1.downsample", name
        )
        for k in range(levels):
            name = name.replace(
                f"decoder.up_blocks.{k}.resnets", f"decoder.up.{levels - 1 - k}.block"
            )
            name = name.replace(
                f"decoder.up_blocks.{k}.upsamplers.0", f"decoder.up.{levels - 1 - k}.upsample"
            )
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1")
            for new, old in {
                "group_norm": "norm",
                "to_q": "q",
                "to_k": "k",
                "to_v": "v",
                "to_out.0": "proj_out",
            }.items():
                name = name.replace(f".{new}.", f".{old}.")
            value = value[:, :, None, None] if value.ndim == 2 else value
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        state[prefix + name] = value
    return state


def blocks_in_open_clip(layers, prefix: str) -> dict[str, torch.Tensor]:
    """Return the names of OpenCLIP for the layers of a transformers CLIP encoder."""
    state = {}
    for k, layer in enumerate(layers):
        old, attention = layer.state_dict(), f"{prefix}transformer.resblocks.{k}.attn."
        for kind in ("weight", "bias"):
            parts = [old.pop(f"self_attn.{letter}_proj.{kind}") for letter in "qkv"]
            state[f"{attention}in_proj_{kind}"] = torch.cat(parts)
        for key, value in old.items():
            for new, name in (
                ("self_attn.out_proj", "attn.out_proj"),
                ("layer_norm1", "ln_1"),
                ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"),
            ):
                key = key.replace(new, name)
            state[f"{prefix}transformer.resblocks.{k}.{key}"] = value
    return state


def vision_in_open_clip(model, prefix: str) -> dict[str, torch.Tensor]:
    """Return the names of OpenCLIP for a CLIPVisionModelWithProjection."""
    tower = model.vision_model
    named = {
        "class_embedding": tower.embeddings.class_embedding,
        "positional_embedding": tower.embeddings.position_embedding.weight,
        "conv1.weight": tower.embeddings.patch_embedding.weight,
        "ln_pre.weight": tower.pre_layrnorm.weight,
        "ln_pre.bias": tower.pre_layrnorm.bias,
        "ln_post.weight": tower.post_layernorm.weight,
        "ln_post.bias": tower.post_layernorm.bias,
        "proj": model.visual_projection.weight.T,
    }
    named = {prefix + key: value.detach() for key, value in named.items()}
    return {**named, **blocks_in_open_clip(tower.encoder.layers, prefix)}


def text_in_open_clip(model, prefix: str) -> dict[str, torch.Tensor]:
    """Return the names of OpenCLIP for a CLIPTextModelWithProjection."""
    tower = model.text_model
    named = {
        "token_embedding.weight": tower.embeddings.token_embedding.weight,
        "positional_embedding": tower.embeddings.position_embedding.weight,
        "ln_final.weight": tower.final_layer_norm.weight,
        "ln_final.bias": tower.final_layer_norm.bias,
        "text_projection": model.text_projection.weight.T,
        "logit_scale": torch.tensor(4.6),
    }
    named = {prefix + key: value.detach() for key, value in named.items()}
    return {**named, **blocks_in_open_clip(tower.encoder.layers, prefix)}


class DeepSpeedLeftover:
    """Stands for a class of a training library that the reader does not have."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale


def write_last(path: Path, state: dict[str, torch.Tensor], leftover: object = None, **how) -> None:
    """Write ``last.pth`` as training does: losses with numpy scalars, optimizer state."""
    weights = list(state.values())[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "epoch": 149,
            "model_state_dict": OrderedDict(state),
            "optimizer_state_dict": {
                "state": {k: {"exp_avg": torch.zeros_like(w)} for k, w in enumerate(weights)},
                "param_groups": [{"lr": 3e-4, "params": [0, 1]}],
                "leftover": leftover,
            },
            "lr_scheduler": {"last_epoch": 3, "_last_lr": [np.float64(1e-5)]},
            "train_losses": [np.float32(0.5), np.float64(0.25)],
            "test_losses": [1.5, np.float64(0.75)],
            "lrs": np.array([3e-4, 1e-4]),
        },
        path,
        **how,
    )


def write_unclip(path: Path, unet, vae, vision=None, settings: dict | None = None) -> None:
    """Write a Lightning checkpoint as the unCLIP's, with settings beside it."""
    tower = {} if vision is None else vision_in_open_clip(vision, f"{BIGG}visual.")
    state = {**unet_in_sgm(unet), **vae_in_ldm(vae), **tower, "denoiser.sigmas": sigmas()}
    torch.save({"state_dict": state, "global_step": 110000, "pytorch-lightning_version": "2"}, path)
    if settings:
        path.with_suffix(".json").write_text(json.dumps(settings))


BIGG = "conditioner.embedders.0.model."


def sigmas() -> torch.Tensor:
    left = torch.from_numpy(np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2))
    return ((1 - left) / left).sqrt().flip(0).float()


def write_hub(ours: Path, hub: Path, model: str) -> None:
    """Write networks that lie in our layout as the authors' hub keeps theirs."""
    _write_mindeye2(ours / "mindeye2", hub / "train_logs" / model / "last.pth")
    _write_unclip(ours / "unclip", hub / "unclip6_epoch0_step110000.ckpt")
    git = hub / "git-large-coco"
    shutil.copytree(ours / "captioner", git)
    torch.save(load_file(git / "model.safetensors"), git / "pytorch_model.bin")
    (git / "model.safetensors").unlink()
    if (ours / "converter").is_dir():
        state = load_file(ours / "converter" / "model.safetensors")
        torch.save({"model_state_dict": state}, hub / "bigG_to_L_epoch8.pth")
        (hub / "bigG_to_L_epoch8.json").write_text("{}")  # of another size than the published
    if (ours / "blurry").is_dir():
        vae = diffusers.AutoencoderKL.from_pretrained(ours / "blurry")
        torch.save(vae.state_dict(), hub / "sd_image_var_autoenc.pth")
        groups = {"vae": {"norm_num_groups": vae.config.norm_num_groups}}
        (hub / "sd_image_var_autoenc.json").write_text(json.dumps(groups))


def _write_mindeye2(ours: Path, path: Path) -> None:
    write_last(path, load_file(ours / "model.safetensors"))
    sizes = json.loads((ours / "config.json").read_text())
    groups = {"blurry": {"groups": sizes["blurry"]["groups"]}}
    path.with_suffix(".json").write_text(json.dumps(groups))


def _write_unclip(ours: Path, path: Path) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(ours / "unet")
    vae = diffusers.AutoencoderKL.from_pretrained(ours / "vae")
    untold = ("attention_head_dim", "norm_num_groups", "sample_size")
    scaling = vae.config.scaling_factor
    settings = {
        "unet": {name: unet.config[name] for name in untold},
        "vae": {"norm_num_groups": vae.config.norm_num_groups, "scaling_factor": scaling},
        "scheduler": json.loads((ours / "scheduler" / "scheduler_config.json").read_text()),
        "unclip": json.loads((ours / "unclip.json").read_text()),
    }
    write_unclip(path, unet, vae, settings=settings)
