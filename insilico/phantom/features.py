"""What the phantom's neurons answer to: numbers read from a stimulus.

Pixels reach early visual cortex; everything further answers to what the scene *is*, which the
phantom knows: that is what makes it a phantom.
"""

from __future__ import annotations

from functools import cache, lru_cache
from types import MappingProxyType

import numpy as np
import xarray as xr

from insilico.errors import StimulusError, not_one_of
from insilico.phantom.scenes import ATTRIBUTES, SOURCE, draw_scenes, render
from insilico.step import generator

GRID = 16
CHANNELS = ("luminance", "red-green", "blue-yellow", "0°", "90°", "45°", "135°")
N_TRAINING = 1000
ATTRIBUTE_WEIGHTS = {
    "object": 1.0, "background": 0.8, "colour": 0.4, "position": 0.35, "size": 0.3
}  # fmt: skip
LOUDNESS = {"large": 1.15, "small": 0.85}
N_HIDDEN = {"meaning": 64, "language": 48, "sound": 24}
GAINS = MappingProxyType(
    {
        "image": {"picture": 1.0, "category": 1.0, "meaning": 1.0, "language": 1.0, "sound": 1.0},
        "text": {"picture": 0.0, "category": 0.5, "meaning": 1.0, "language": 2.0, "sound": 0.0},
        "sound": {"picture": 0.0, "category": 0.5, "meaning": 1.0, "language": 0.0, "sound": 2.0},
    }
)
"""How strongly each block answers to a scene that is seen, read or heard. This is *built in*.

Only what is seen reaches early visual cortex; category patches answer to words and sounds at half
strength, as imagery does; meaning is the same however a scene is told, except that a sound tells
object and background alone (`HEARD`).
"""
HEARD = ("object", "background")
"""What a sound tells; its other attributes are unknown, which is zero in centred features."""
Features = dict[str, np.ndarray]
"""Blocks: picture (n, 1792), category (n, 12), meaning, language and sound; all float32."""


def picture_maps(images: np.ndarray) -> np.ndarray:
    """Return brightness, colour and contrast of pictures on a 16 x 16 grid.

    Parameters
    ----------
    images : uint8, (n, 64, 64, 3)

    Returns
    -------
    float32, (n, 16, 16, 7)
        The channels are `CHANNELS`; the last four are root mean square contrast energies.
    """
    n, side = images.shape[:2]
    cells = (n, GRID, side // GRID, GRID, side // GRID)
    pixels = images.astype(np.float32) / 255
    r, g, b = np.moveaxis(pixels.reshape(*cells, 3).mean((2, 4)), -1, 0)
    grey = pixels.mean(3)
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    energy = [np.sqrt((d**2).reshape(cells).mean((2, 4))) for d in (dx, dy, dx + dy, dx - dy)]
    return np.stack([(r + g + b) / 3, r - g, b - (r + g) / 2, *energy], axis=-1)


def one_hot(values: np.ndarray, attribute: str) -> np.ndarray:
    """Return one column per allowed value of an attribute, float32 (n, values)."""
    allowed = np.array(ATTRIBUTES[attribute])
    return (np.asarray(values).astype(str)[:, None] == allowed).astype(np.float32)


@cache
def _mixing(code: str, n_inputs: int) -> np.ndarray:
    rng = generator(0, "phantom code", code, n_inputs)
    return 1.1 * rng.standard_normal((n_inputs, N_HIDDEN[code])).astype(np.float32)


def _code(linear: np.ndarray, code: str) -> np.ndarray:
    """Return a nonlinear code: the inputs themselves and hidden features of their combinations."""
    return np.concatenate([linear, 0.5 * np.tanh(linear @ _mixing(code, linear.shape[1]))], axis=1)


def _hot(attributes: dict[str, np.ndarray], modality: str) -> dict[str, np.ndarray]:
    """Return every attribute one-hot; one that the modality does not tell is even over values."""
    hot = {name: one_hot(values, name) for name, values in attributes.items()}
    if modality == "sound":
        for name in set(ATTRIBUTES) - set(HEARD):
            hot[name] = np.broadcast_to(training_hot(name), hot[name].shape)
    return hot


def _meanings(attributes: dict[str, np.ndarray], modality: str = "image") -> Features:
    hot = _hot(attributes, modality)
    weighted = [ATTRIBUTE_WEIGHTS[name] * hot[name] for name in ATTRIBUTES]
    heard = np.concatenate([hot["object"], 0.5 * hot["background"]], axis=1)
    return {
        "category": hot["object"] * _loudness(attributes, modality)[:, None],
        "meaning": _code(np.concatenate(weighted, axis=1), "meaning"),
        "language": _code(np.concatenate(list(hot.values()), axis=1), "language"),
        "sound": _code(heard, "sound"),
    }


def _loudness(attributes: dict[str, np.ndarray], modality: str) -> np.ndarray:
    """Return how strongly an object drives its category: by its size, where that is known."""
    sizes = attributes["size"].astype(str)
    loud = np.array([LOUDNESS[size] for size in sizes], dtype=np.float32)
    return np.ones_like(loud) if modality == "sound" else loud


def _features(images: np.ndarray, attributes: dict[str, np.ndarray]) -> Features:
    maps = picture_maps(images)
    return {"picture": maps.reshape(len(maps), -1), **_meanings(attributes)}


def _training_attributes() -> dict[str, np.ndarray]:
    scenes = draw_scenes(0, N_TRAINING, "train")
    return {k: np.array([s.attributes[k] for s in scenes]) for k in ATTRIBUTES}


@cache
def training_hot(attribute: str) -> np.ndarray:
    """Return the share of each value of an attribute over training, float32 (values,)."""
    return one_hot(_training_attributes()[attribute], attribute).mean(0)


@lru_cache(maxsize=1)
def training() -> tuple[Features, Features]:
    """Return the mean, and the centred features, of the scenes on which all constants rest."""
    scenes = draw_scenes(0, N_TRAINING, "train")
    attributes = _training_attributes()
    raw = _features(np.stack([render(scene) for scene in scenes]), attributes)
    means = {name: block.mean(0) for name, block in raw.items()}
    return means, {name: block - means[name] for name, block in raw.items()}


@cache
def picture_scale() -> np.ndarray:
    """Return the standard deviation of each picture channel over training, float32 (1792,)."""
    maps = training()[1]["picture"].reshape(-1, len(CHANNELS))
    return np.tile(maps.std(0), GRID * GRID).astype(np.float32)


def modality_of(stimuli: xr.Dataset) -> str:
    """Return how stimuli are presented: ``"image"``, ``"text"`` or ``"sound"``."""
    modality = stimuli.attrs.get("modality", "image")
    if modality not in GAINS:
        raise StimulusError(not_one_of("modality of phantom scenes", modality, GAINS))
    return modality


def check_phantom(stimuli: xr.Dataset) -> None:
    """Refuse stimuli to which the phantom's subjects have no answer."""
    pictures = ["image"] if stimuli.attrs.get("modality", "image") == "image" else []
    missing = [name for name in [*pictures, *ATTRIBUTES] if name not in stimuli.variables]
    if stimuli.attrs.get("source") == SOURCE and not missing:
        modality_of(stimuli)
        return
    ids = stimuli["stimulus"].values if "stimulus" in stimuli.coords else ["these stimuli"]
    raise StimulusError(
        f"no measured responses exist for {ids[0]}"
        + (f" and {len(ids) - 1} others" if len(ids) > 1 else "")
        + f" (source '{stimuli.attrs.get('source', 'unknown')}'): the phantom's subjects only saw "
        "phantom scenes; use stimuli of kind 'phantom', or synthetic fMRI from an encoder"
    )


def features(stimuli: xr.Dataset) -> Features:
    """Return the features of phantom stimuli, centred on the training scenes.

    Scenes that are read or heard have the blocks that `GAINS` gives them; others are left out.
    """
    check_phantom(stimuli)
    modality = modality_of(stimuli)
    attributes = {name: stimuli[name].values for name in ATTRIBUTES}
    if modality == "image":
        raw = _features(stimuli["image"].values, attributes)
    else:
        raw = _meanings(attributes, modality)
    means, gains = training()[0], GAINS[modality]
    return {k: np.float32(gains[k]) * (block - means[k]) for k, block in raw.items() if gains[k]}
