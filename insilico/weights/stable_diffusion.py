"""UNets and autoencoders of Stable Diffusion in the authors' (sgm, ldm) names -> diffusers.

diffusers' own conversions rename the keys; which model it is, is told by the shapes, since its
automatic detection takes the unCLIP file for another model (specification section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from insilico.errors import WeightsError, listed
from insilico.weights.checkpoint import fit, under

UNET, VAE = "model.diffusion_model.", "first_stage_model."
HEAD_WIDTH = 64
State = dict[str, torch.Tensor]
OLD_ATTENTION = {
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "proj_attn": "to_out.0",
}
"""Names of diffusers 0.13 and before."""


def new_names(state: Mapping[str, torch.Tensor]) -> State:
    """Return a state dict with old attention names renamed (``query`` -> ``to_q``, ...)."""
    renamed = {}
    for key, value in state.items():
        before, _, last = key.rpartition(".")
        holder, _, name = before.rpartition(".")
        if ".attentions." in f".{holder}." and name in OLD_ATTENTION:
            key = f"{holder}.{OLD_ATTENTION[name]}.{last}"
            value = value.flatten(1) if last == "weight" else value  # 1x1 convolutions, once
        renamed[key] = value
    return renamed


def _count(state: Mapping[str, Any], prefix: str) -> int:
    """Return how many numbered children a name has."""
    found = {key[len(prefix) :].partition(".")[0] for key in state if key.startswith(prefix)}
    return len(found)


def unet(
    checkpoint: State, what: str, given: dict[str, Any], *, vector: str = "class"
) -> tuple[str, State]:
    """Return configuration (JSON) and state dict of a UNet2DConditionModel.

    Parameters
    ----------
    checkpoint : dict of str to Tensor
        With names that start with ``model.diffusion_model.``.
    what : str
        For messages.
    given : dict
        Settings of diffusers that shapes cannot tell, where they are not the published ones.
    vector : {"class", "time"}
        How the vector condition enters: as class labels (unCLIP), or as texts and sizes (SDXL).

    Raises
    ------
    WeightsError
        If keys are missing, unexpected or of wrong shapes.
    """
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    part = {key: value for key, value in checkpoint.items() if key.startswith(UNET)}
    embeds = _embedded(part.get(f"{UNET}label_emb.0.0.weight"), vector)
    known = {**embeds, "layers_per_block": _layers(part)}
    state = _renamed(lambda: convert_ldm_unet_checkpoint(part, known), what, UNET, part)
    config = {**_unet_sizes(state, what), **embeds, **given}
    return _checked(UNet2DConditionModel, config, state, part, what)


def _embedded(label: torch.Tensor | None, vector: str) -> dict[str, Any]:
    """Return the settings of the vector condition, none where the file has no such layer."""
    if label is None:
        return {}
    width = {"projection_class_embeddings_input_dim": label.shape[1]}
    if vector == "class":
        return {"class_embed_type": "projection", **width}
    return {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, **width}


def _renamed(rename: Any, what: str, prefix: str, part: State) -> State:
    if not part:
        raise WeightsError(f"{what} holds no tensors under '{prefix}': it is another file")
    try:
        return rename()
    except (KeyError, IndexError, AttributeError) as error:
        raise WeightsError(f"{what}: tensors under '{prefix}' are missing ({error})") from error


def _layers(part: State) -> int:
    blocks = _count(part, f"{UNET}input_blocks.")
    downs = (i for i in range(1, blocks) if f"{UNET}input_blocks.{i}.0.op.weight" in part)
    return next(downs, blocks) - 1


def _unet_sizes(state: State, what: str) -> dict[str, Any]:
    levels = range(_count(state, "down_blocks."))
    widths = [_size(state, f"down_blocks.{i}.resnets.0.conv1.weight", what) for i in levels]
    depths = [_count(state, f"down_blocks.{i}.attentions.0.transformer_blocks.") for i in levels]
    ups = [_count(state, f"up_blocks.{i}.attentions.") for i in levels]
    cross = [key for key in state if key.endswith(".attn2.to_k.weight")]
    projections = [state[key].ndim for key in state if key.endswith(".proj_in.weight")]
    return {
        "sample_size": 96,
        "in_channels": _size(state, "conv_in.weight", what, axis=1),
        "out_channels": _size(state, "conv_out.weight", what),
        "layers_per_block": _count(state, "down_blocks.0.resnets."),
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if n else "UpBlock2D" for n in ups],
        "transformer_layers_per_block": [max(1, depth) for depth in depths],
        "attention_head_dim": [max(1, width // HEAD_WIDTH) for width in widths],
        "cross_attention_dim": state[cross[0]].shape[1] if cross else None,
        "use_linear_projection": 2 in projections,
    }


def _size(state: State, key: str, what: str, axis: int = 0) -> int:
    if key not in state:
        raise WeightsError(f"{what}: missing key {key}: another network, or only part of one")
    return state[key].shape[axis]


def vae(checkpoint: State, what: str, given: dict[str, Any]) -> tuple[str, State]:
    """Return configuration (JSON) and state dict of an AutoencoderKL.

    Parameters
    ----------
    checkpoint : dict of str to Tensor
        In the names of ldm (with or without ``first_stage_model.``) or of any diffusers.
    what : str
        For messages.
    given : dict
        Settings of diffusers that shapes cannot tell, where they are not the published ones.
    """
    from diffusers import AutoencoderKL

    part = under(checkpoint, VAE) or dict(checkpoint)
    levels = _count(part, "encoder.down.")
    names = (lambda: _vae_names(part, levels)) if levels else (lambda: new_names(part))
    state = _renamed(names, what, VAE, part)
    return _checked(AutoencoderKL, {**_vae_sizes(state, what), **given}, state, part, what)


def _vae_names(part: State, levels: int) -> State:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    blocks = [""] * levels
    return convert_ldm_vae_checkpoint(part, {"down_block_types": blocks, "up_block_types": blocks})


def _vae_sizes(state: State, what: str) -> dict[str, Any]:
    levels = range(_count(state, "encoder.down_blocks."))
    first = (f"encoder.down_blocks.{i}.resnets.0.conv1.weight" for i in levels)
    return {
        "block_out_channels": [_size(state, key, what) for key in first],
        "layers_per_block": _count(state, "encoder.down_blocks.0.resnets."),
        "down_block_types": ["DownEncoderBlock2D" for _ in levels],
        "up_block_types": ["UpDecoderBlock2D" for _ in levels],
        "latent_channels": _size(state, "decoder.conv_in.weight", what, axis=1),
        "mid_block_add_attention": any(".mid_block.attentions." in key for key in state),
        "use_quant_conv": "quant_conv.weight" in state,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
    }


def _checked(
    made_by: Any, config: dict[str, Any], state: State, came: State, what: str
) -> tuple[str, State]:
    """Build the network without memory, hold names and shapes against it."""
    try:
        with torch.device("meta"):
            model = made_by(**config)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{what}: no {made_by.__name__} has such sizes: {error}") from error
    fit(state, model.state_dict(), f"{what} ({made_by.__name__})")
    taken = {value.data_ptr() for value in state.values()}
    lost = [key for key, value in came.items() if value.data_ptr() not in taken]
    if lost:
        raise WeightsError(f"{what}: unexpected keys {listed(lost, 3)} beside {made_by.__name__}")
    return model.to_json_string(), state
