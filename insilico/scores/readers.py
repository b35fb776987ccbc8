"""Networks of scores from their files: what turns pictures into features, and what it takes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import WeightsError
from insilico.scores.features import NETWORKS, SIDE_OF_ALL, Features, Network
from insilico.scores.preparation import Setting
from insilico.step import device
from insilico.weights.alone import need
from insilico.weights.folders import UNREADABLE
from insilico.weights.memory import Need
from insilico.weights.shelf import kept

Reader = Callable[[np.ndarray], np.ndarray]
"""Takes uint8 pictures (n, y, x, rgb), returns features (n, p), float32."""
ROWS = 32
"""Pictures that go together where there is room."""
HELD = "judge"
VIT_L14 = (14, 1024, 24)
"""Patch, width and layers of CLIP ViT-L/14."""


def reader(one: Features, path: Path, setting: Setting | None, grid: int | None = None) -> Reader:
    """Return what turns pictures into features, on the device of the moment.

    Maps are averaged to `grid` × `grid` places, if it is given.
    """
    return _reader(one, path, setting, one.digest(path), device(), grid)


def needed(one: Features, path: Path, setting: Setting | None) -> Need:
    """Return what the network at a path needs, counted without computing."""
    return _needed(one, path, setting, one.digest(path))


@kept(HELD, 2)
def _reader(
    one: Features, path: Path, setting: Setting | None, stamp: str, where: str, grid: int | None
) -> Reader:
    """Return a reader; `stamp` makes changed weights be read again."""
    if not one.network:
        return _own_clip(path, where)
    network = NETWORKS[one.network]
    if not network.module:
        return _openai_clip(network, path, setting, where)
    import torch

    module = loaded(network, path).to(where)

    def layer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found = module(network.prepared(images, setting).to(where), one.layer)
            if grid is not None and found.ndim == 4:
                found = torch.nn.functional.adaptive_avg_pool2d(found, grid)
        return found.flatten(1).cpu().numpy()

    return layer


@lru_cache(maxsize=16)
def _needed(one: Features, path: Path, setting: Setting | None, stamp: str) -> Need:
    network = NETWORKS.get(one.network)
    if network is not None and network.module:
        return module_need(one, setting)
    from transformers import CLIPConfig

    try:
        return clip_need(CLIPConfig.from_pretrained(path))
    except UNREADABLE as error:
        raise WeightsError(f"{path} holds no CLIP that can be read: {error}") from error


def module_need(one: Features, setting: Setting | None = None) -> Need:
    """Return what a network that is no CLIP needs, whatever its weights."""
    import torch

    network = NETWORKS[one.network]
    with torch.device("meta"):
        module = _named(network.module)().eval()
    side = SIDE_OF_ALL if setting == "brain-diffuser" else network.side
    return need(HELD, module, lambda n: module(torch.empty(n, 3, side, side), one.layer), ROWS)


def clip_need(config: Any) -> Need:
    """Return what a CLIP of transformers needs; its text side is loaded with it."""
    import torch
    from transformers import CLIPModel

    with torch.device("meta"):
        module = CLIPModel(config).eval()
    side = config.vision_config.image_size

    def call(n: int) -> object:
        return module.get_image_features(torch.empty(n, 3, side, side))

    return need(HELD, module, call, ROWS)


def loaded(network: Network, path: Path) -> Any:
    """Return a network with the weights at a path, in single precision.

    Raises
    ------
    WeightsError
        If the file is damaged, holds code, or another network.
    """
    import torch

    from insilico.weights import checkpoint

    with torch.device("meta"):
        module = _named(network.module)()
    state = checkpoint.read(path, dtype=torch.float32).tensors
    state = _named(network.state)(state) if network.state else state
    expected = module.state_dict()
    checkpoint.fit(state, expected, str(path), _counts)
    lacking = {key: torch.zeros((), dtype=torch.int64) for key in expected if key not in state}
    module.load_state_dict({**state, **lacking}, assign=True)
    return module.eval().requires_grad_(False)


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _openai_clip(network: Network, path: Path, setting: Setting | None, where: str) -> Reader:
    module = _clip(path, where)
    vision = module.config.vision_config
    met = (vision.patch_size, vision.hidden_size, vision.num_hidden_layers)
    if met != VIT_L14:
        raise WeightsError(
            f"{path} is not CLIP ViT-L/14: patches of {met[0]}, width {met[1]}, {met[2]} layers; "
            "name the folder of openai/clip-vit-large-patch14, or use the features 'clip'"
        )
    return _projected(module, lambda images: network.prepared(images, setting))


def _own_clip(path: Path, where: str) -> Reader:
    from transformers import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil.from_pretrained(path)
    return _projected(
        _clip(path, where),
        lambda images: processor(list(images), return_tensors="pt")["pixel_values"],
    )


def _projected(module: Any, prepared: Callable[[np.ndarray], Any]) -> Reader:
    import torch

    def embedded(images: np.ndarray) -> np.ndarray:
        pixels = prepared(images).to(module.device)
        with torch.inference_mode():
            return module.get_image_features(pixel_values=pixels).pooler_output.cpu().numpy()

    return embedded


def _clip(path: Path, where: str) -> Any:
    from transformers import CLIPModel

    try:
        return CLIPModel.from_pretrained(path).float().eval().to(where)
    except UNREADABLE as error:
        raise WeightsError(f"{path} holds no CLIP that can be read: {error}") from error


def _named(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
