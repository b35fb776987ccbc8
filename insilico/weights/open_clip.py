"""OpenCLIP's transformers (bigG) -> transformers' CLIP classes, under their published names."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import Any

import torch

from insilico.errors import WeightsError
from insilico.weights.checkpoint import fit, under

State = dict[str, torch.Tensor]
BLOCKS = "transformer.resblocks."
IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
VISION = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
TEXT = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
UNNAMED = ("proj", "text_projection", "logit_scale", "attn_mask")
"""Turned round, or of no use to a single tower."""
BIGG_HEAD_WIDTH, TEXT_HEAD_WIDTH = 104, 64


def vision(state: State, what: str, given: dict[str, Any]) -> tuple[str, State]:
    """Return configuration (JSON) and state dict of a CLIPVisionModelWithProjection.

    Parameters
    ----------
    state : dict of str to Tensor
        OpenCLIP's image tower (what stands under ``visual.``).
    what : str
        For messages.
    given : dict
        Settings of transformers that shapes cannot tell, where they are not bigG's.
    """
    from transformers import CLIPVisionModelWithProjection

    _there(state, ("conv1.weight", "positional_embedding", "proj"), what)
    renamed = _renamed(state, "vision_model.", VISION)
    renamed["visual_projection.weight"] = state["proj"].mT
    patch = state["conv1.weight"].shape[-1]
    sizes = {
        **_sizes(renamed, "vision_model.", BIGG_HEAD_WIDTH, what),
        "patch_size": patch,
        "image_size": patch * isqrt(len(state["positional_embedding"]) - 1),
        "projection_dim": state["proj"].shape[1],
        **given,
    }
    return _checked(CLIPVisionModelWithProjection, sizes, renamed, what)


def text(state: State, what: str, given: dict[str, Any]) -> tuple[str, State]:
    """Return configuration (JSON) and state dict of a CLIPTextModelWithProjection."""
    from transformers import CLIPTextModelWithProjection

    _there(state, ("text_projection",), what)
    renamed = _renamed(state, "text_model.", TEXT)
    renamed["text_projection.weight"] = state["text_projection"].mT
    width = state["text_projection"].shape[1]
    sizes = {**_text_sizes(renamed, what), "projection_dim": width, **given}
    return _checked(CLIPTextModelWithProjection, sizes, renamed, what)


def hub_text(state: State, what: str, given: dict[str, Any]) -> tuple[str, State]:
    """Return configuration (JSON) and state dict of a CLIPTextModel in transformers' names.

    Parameters
    ----------
    state : dict of str to Tensor
        Names start with ``text_model.``, as SDXL's files keep CLIP-L.
    """
    from transformers import CLIPTextModelWithProjection

    state = {key: value for key, value in state.items() if not key.endswith(".position_ids")}
    sizes = {**_text_sizes(state, what), "hidden_act": "quick_gelu"}
    width = sizes["projection_dim"] = sizes["hidden_size"]
    sizes |= given
    with_projection = {**state, "text_projection.weight": torch.empty(width, width, device="meta")}
    settings, _ = _checked(CLIPTextModelWithProjection, sizes, with_projection, what)
    return settings.replace("CLIPTextModelWithProjection", "CLIPTextModel"), state


def _there(state: State, keys: tuple[str, ...], what: str) -> None:
    missing = [key for key in keys if key not in state]
    if missing:
        raise WeightsError(f"{what}: missing keys {', '.join(missing)}")


def _sizes(state: State, prefix: str, head_width: int, what: str) -> dict[str, Any]:
    """Return what both towers have in common, told by shapes under transformers' names."""
    layers = f"{prefix}encoder.layers."
    inner, positions = f"{layers}0.mlp.fc1.weight", f"{prefix}embeddings.position_embedding.weight"
    _there(state, (inner, positions), what)
    width = state[positions].shape[1]
    return {
        "hidden_size": width,
        "intermediate_size": state[inner].shape[0],
        "num_hidden_layers": len(
            {k[len(layers) :].partition(".")[0] for k in state if layers in k}
        ),
        "num_attention_heads": max(1, width // head_width),
        "hidden_act": "gelu",
    }


def _text_sizes(state: State, what: str) -> dict[str, Any]:
    """Return a text tower's; start and end are CLIP's last two words."""
    sizes = _sizes(state, "text_model.", TEXT_HEAD_WIDTH, what)
    embeddings = "text_model.embeddings."
    _there(state, (f"{embeddings}token_embedding.weight",), what)
    words = len(state[f"{embeddings}token_embedding.weight"])
    return {
        **sizes,
        "vocab_size": words,
        "max_position_embeddings": len(state[f"{embeddings}position_embedding.weight"]),
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": 1,
    }


def _renamed(state: State, prefix: str, names: dict[str, str]) -> State:
    alone = {key: value for key, value in state.items() if not key.startswith(BLOCKS)}
    renamed = {
        prefix + names[key] if key in names else key: value  # an unknown one is told as unexpected
        for key, value in alone.items()
        if key not in UNNAMED
    }
    for key, value in under(state, BLOCKS).items():
        layer, _, rest = key.partition(".")
        for name, part in _in_block(rest, value):
            renamed[f"{prefix}encoder.layers.{layer}.{name}"] = part
    return renamed


def _in_block(name: str, value: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    if name.startswith("attn.in_proj_"):
        kind = name.removeprefix("attn.in_proj_")
        for letter, part in zip("qkv", value.chunk(3), strict=True):
            yield f"self_attn.{letter}_proj.{kind}", part
        return
    before, _, kind = name.rpartition(".")
    yield f"{IN_BLOCK.get(before, before)}.{kind}", value


def _checked(made_by: Any, sizes: dict[str, Any], state: State, what: str) -> tuple[str, State]:
    """Build the network without memory, hold names and shapes against it."""
    try:
        config = made_by.config_class(**sizes)
        with torch.device("meta"):
            model = made_by(config)
    except Exception as error:  # transformers' own kinds, of several bases
        raise WeightsError(f"{what}: no {made_by.__name__} has such sizes: {error}") from error
    expected = {k: v for k, v in model.state_dict().items() if not k.endswith(".position_ids")}
    fit(state, expected, f"{what} ({made_by.__name__})")
    config.architectures = [made_by.__name__]
    return config.to_json_string(use_diff=False), state
