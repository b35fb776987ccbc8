"""Image tokens of pictures: where decoded tokens live, and what they are compared with.

MindEye2's are those of OpenCLIP's ViT-bigG-14 after its last layer norm, class token left out,
(256, 1664). Its authors hand pictures in [0, 1] to a preprocessing for [-1, 1]: the network sees
them washed out, between 0.5 and 1, and the prior and all retrieval scores depend on that
(specification 3.5). The phantom's are those of its first CLIP, whose own preprocessing is used.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import PositiveInt

from insilico.errors import ParameterError, SchemaError, WeightsError, listed, not_one_of
from insilico.schema import check
from insilico.step import Step, batches, device
from insilico.weights.alone import granted, need, taken
from insilico.weights.folders import found, found_digest, ready_made
from insilico.weights.memory import Need
from insilico.weights.shelf import kept

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
BATCH = 32
HELD = "image tokens"
TOWERS = ("CLIPVisionModel", "CLIPModel", "CLIPVisionModelWithProjection")
Preprocessing = Literal["mindeye2", "own"]


def image_tokens(
    images: np.ndarray,
    weights: str = "phantom",
    preprocessing: Preprocessing | None = None,
    through: int | None = None,
) -> np.ndarray:
    """Return the image tokens of pictures.

    Parameters
    ----------
    images : uint8 (n, height, width, 3)
    weights : str
        ``"phantom"``, the folder of a CLIP of transformers (CLIPVisionModel or CLIPModel), one
        that holds it as ``clip/``, or one with the published unCLIP file.
    preprocessing : {"mindeye2", "own"}, optional
        The authors' (resized to the tower's size, bicubic with aligned corners; then (x + 1) / 2 of
        pictures in [0, 1]; CLIP's mean and deviation), or that of the folder's own
        ``preprocessor_config.json``. By default the authors', and for the phantom its own.
    through : int, optional
        Resize to this square first, bilinear without antialiasing: 256 in the authors' retrieval
        scores.

    Returns
    -------
    float32 (n, tokens, channels)

    Raises
    ------
    WeightsError, ParameterError, SchemaError
    """
    import torch

    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise SchemaError(
            f"image tokens are made of uint8 (n, height, width, 3); got {images.dtype} "
            f"{images.shape}"
        )
    folder = clip_folder(weights)
    how = preprocessing or ("own" if weights == "phantom" else "mindeye2")
    if how not in ("mindeye2", "own"):
        raise ParameterError(not_one_of("preprocessing", how, ("mindeye2", "own")))
    most = taken(HELD, lambda: _need(folder, _stamp(folder)))
    tower, own = _clip(folder, _stamp(folder), device(), how)
    made = []
    with torch.inference_mode():
        for part in batches(images, most or BATCH, HELD, most):
            pixels = _through(np.stack(part), through)
            pixels = own(pixels) if own else washed_out(pixels, tower.config.image_size)
            last = tower(pixel_values=pixels.to(device())).last_hidden_state
            made.append(tower.post_layernorm(last)[:, 1:].float().cpu())
    return torch.cat(made).numpy()


def clip_folder(weights: str) -> Path:
    """Return the folder of a CLIP, made of the published unCLIP file where that is given.

    Raises
    ------
    WeightsError
    """
    return found(weights, "clip")


def washed_out(pixels: Any, size: int) -> Any:
    """Return what MindEye2's image tower sees of pictures in [0, 1], (n, 3, size, size)."""
    import torch
    from torch.nn.functional import interpolate

    if pixels.shape[-2:] != (size, size):
        pixels = interpolate(pixels, (size, size), mode="bicubic", align_corners=True)
    mean, std = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (MEAN, STD))
    return ((pixels + 1) / 2 - mean) / std


def _through(images: np.ndarray, size: int | None) -> Any:
    """Return pictures as float (n, 3, height, width) in [0, 1], resized if that is asked."""
    import torch
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    if size is None:
        return pixels
    return interpolate(pixels, (size, size), mode="bilinear", align_corners=False)


def _kind(folder: Path) -> tuple[str, Any]:
    """Return the class of transformers that a folder's CLIP is loaded as, and its sizes."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    named = (config.architectures or [None])[0]
    return named if named in TOWERS else TOWERS[config.model_type == "clip"], config


@lru_cache(maxsize=4)
def _need(folder: Path, stamp: object) -> Need:
    """Return what a CLIP's vision tower takes."""
    import torch
    import transformers

    try:
        kind, config = _kind(folder)
        made = getattr(transformers, kind)
        with torch.device("meta"):
            model = made(made.config_class.from_dict(config.to_dict())).eval()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise WeightsError(f"{folder} cannot be loaded as CLIP: {error}") from error
    return tower_need(getattr(model, "vision_model", model))


def tower_need(tower: Any) -> Need:
    """Return what a vision tower on the meta device needs."""
    import torch

    side = tower.config.image_size
    return need(HELD, tower, lambda n: tower(pixel_values=torch.empty(n, 3, side, side)), BATCH)


@kept(HELD)
def _clip(folder: Path, stamp: object, where: str, how: str) -> tuple[Any, Any]:
    """Return a vision tower, and its own preprocessing where that is asked for."""
    import transformers

    try:
        kind, _ = _kind(folder)
        model, found = getattr(transformers, kind).from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
        own = transformers.CLIPImageProcessorPil
        processor = own.from_pretrained(folder) if how == "own" else None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{folder} cannot be loaded as CLIP: {error}") from error
    if found["missing_keys"] or found["mismatched_keys"]:
        lacking = [*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])]
        raise WeightsError(
            f"{folder} cannot be loaded as {kind}; keys missing or of other sizes: "
            f"{listed(sorted(lacking), 3)}"
        )
    tower = getattr(model, "vision_model", model).float().eval().to(where)
    return tower, None if processor is None else lambda pixels: _processed(processor, pixels)


def _processed(processor: Any, pixels: Any) -> Any:
    images = pixels.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return processor(list(images), return_tensors="pt")["pixel_values"]


def _stamp(folder: Path) -> tuple[int, int]:
    about = (folder / "model.safetensors").stat()
    return about.st_size, about.st_mtime_ns


class ImageTokens(Step):
    """Give stimuli their image tokens, as targets or for retrieval.

    Parameters
    ----------
    weights, preprocessing, through
        As for `image_tokens`.
    """

    kind: ClassVar[str] = "image_tokens"
    weights: str = "phantom"
    preprocessing: Preprocessing | None = None
    through: PositiveInt | None = None

    def digests(self) -> dict[str, str]:
        """Return the digest of the CLIP."""
        return {"clip": found_digest(self.weights, "clip")}

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little; converts nothing."""
        if (folder := ready_made(self.weights, "clip")) is not None:
            granted(lambda: _need(folder, _stamp(folder)))

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the stimuli with `tokens`, float32 (stimulus, token, channel).

        Parameters
        ----------
        stimuli : stimuli, with `image`

        Raises
        ------
        SchemaError, WeightsError
        """
        if "image" not in check(stimuli, "stimuli"):
            raise SchemaError(
                f"image_tokens: the stimuli hold no image; they hold {listed(stimuli.data_vars)}"
            )
        images = stimuli["image"].transpose("stimulus", "y_pixel", "x_pixel", "rgb").values
        made = image_tokens(images, self.weights, self.preprocessing, self.through)
        return stimuli.assign(tokens=(("stimulus", "token", "channel"), made))
