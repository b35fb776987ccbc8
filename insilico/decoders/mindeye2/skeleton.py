"""The chain's networks without their values, on the meta device: for counting and for filling.

What a network is made from (`about`) is what its folder's configuration files hold, so that the
published sizes can be had without any file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from insilico.decoders.mindeye2.blurry import BlurryDecoder
from insilico.decoders.mindeye2.converter import WEIGHTS, ClipConverter
from insilico.decoders.mindeye2.model import BRAIN, CONFIG, MindEye2Config, MindEye2Model
from insilico.decoders.mindeye2.refiner import PARTS, SDXL, Refiner, RefinerConfig
from insilico.decoders.unclip import UnclipConfig, UnclipDecoder
from insilico.errors import WeightsError
from insilico.weights.folders import UNREADABLE

About = Mapping[str, Any]


def about(name: str, path: Path) -> dict[str, Any]:
    """Return what a stage's networks are made from, as its folder says.

    Raises
    ------
    WeightsError
    """
    try:
        if name == "converter":
            return {"sizes": _converter_sizes(path / WEIGHTS)}
        if name == "unclip":
            told = {part: _json(path / part / CONFIG) for part in ("unet", "vae")}
            return {**told, "unclip": _json(path / "unclip.json")}
        if name == "refiner":
            given = path / "refiner.json"
            told = {part: _json(path / part / CONFIG) for part in PARTS}
            return {**told, "refiner": _json(given) if given.exists() else {}}
        return _json(path / CONFIG)
    except UNREADABLE as error:
        raise WeightsError(f"{path}: no configuration of {name} can be read: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def _converter_sizes(file: Path) -> list[int]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        shapes = [opened.get_slice(f"linear{k}.weight").get_shape() for k in (1, 2)]
    (out_tokens, tokens), (out_width, width) = shapes
    return [tokens, width, out_tokens, out_width]


def built(name: str, about: About) -> Any:
    """Return a stage's networks on the meta device.

    Parameters
    ----------
    name : str
        One of `BUILDERS`.
    about : dict
        See `about`.
    """
    return BUILDERS[name](about).eval()


def _on_meta(kind: Any, *given: Any, **named: Any) -> Any:
    with torch.device("meta"):
        return kind(*given, **named)


def _diffusers(name: str, config: About) -> Any:
    import diffusers

    return _on_meta(getattr(diffusers, name).from_config, dict(config)).eval()


def _transformers(name: str, config: About) -> Any:
    import transformers

    kind = getattr(transformers, name)
    return _on_meta(kind, kind.config_class(**config)).eval()


def _mindeye2(about: About) -> MindEye2Model:
    return _on_meta(MindEye2Model, MindEye2Config(**about))


def _brain(about: About) -> MindEye2Model:
    model = _mindeye2(about)
    for name in set(dict(model.named_children())) - set(BRAIN):
        delattr(model, name)
    return model


def _unclip(about: About) -> UnclipDecoder:
    from diffusers import EulerDiscreteScheduler

    unet, vae = _diffusers("UNet2DConditionModel", about["unet"]), _vae(about["vae"])
    config = UnclipConfig.from_json(json.dumps(about["unclip"]))
    return UnclipDecoder(unet, vae, EulerDiscreteScheduler(**SDXL), config)


def _vae(about: About) -> Any:
    return _diffusers("AutoencoderKL", about)


def _refiner(about: About) -> Refiner:
    makers = {"diffusers": _diffusers, "transformers": _transformers}
    parts: dict[str, Any] = {}
    for name, address in PARTS.items():
        library, _, kind = address.partition(":")
        parts[name] = makers[library](kind, about[name])
    return Refiner(**parts, tokenizers=(), config=RefinerConfig(**about["refiner"]))


BUILDERS: dict[str, Callable[[About], nn.Module]] = {
    "brain": _brain,
    "prior": lambda about: _mindeye2(about).diffusion_prior,
    "unclip": _unclip,
    "converter": lambda about: _on_meta(ClipConverter, *about["sizes"]),
    "captioner": lambda about: _transformers("GitForCausalLM", about),
    "blurry": lambda about: BlurryDecoder(_vae(about)),
    "refiner": _refiner,
}
