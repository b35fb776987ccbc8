"""Phantom scenes as stimuli."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.phantom.scenes import ATTRIBUTES, SOURCE, Scene, caption, draw_scene, render, sound
from insilico.phantom.sounds import SAMPLE_RATE_HZ
from insilico.schema import check
from insilico.step import Step, batches


class Scenes(Step):
    """Scenes of the phantom world: picture, caption, and sound where asked for.

    Attributes
    ----------
    split : {"test", "train", "seen", "unseen"}
        ``train`` and ``seen`` show trained combinations, ``unseen`` those held out from all
        training, ``test`` takes seen and unseen in turn.
    n, start : int
        How many scenes, and the number of the first.
    modality : {"image", "text", "sound"}
        How the scenes are presented to a subject or an encoder: seen, read or heard. What is not
        presented stays beside it as known truth.
    sounds : bool
        Whether to make the sounds (16 kHz, one second); always made where scenes are heard.
    world : int
        Seed of the world; the shipped networks were trained in world 0.
    """

    kind: ClassVar[str] = "phantom"
    split: Literal["test", "train", "seen", "unseen"] = "test"
    n: int = Field(20, ge=1, le=100_000)
    start: int = Field(0, ge=0)
    modality: Literal["image", "text", "sound"] = "image"
    sounds: bool = False
    world: int = Field(0, ge=0)

    def ids(self) -> list[str]:
        """Return the ids of the scenes, without making them."""
        return [f"phantom-{self.split}-{k:06d}" for k in range(self.start, self.start + self.n)]

    def ahead(self) -> xr.Dataset:
        """Return the labels of the scenes, without making them."""
        return xr.Dataset(coords=_labels(self._scenes()), attrs={"modality": self.modality})

    def __call__(self) -> xr.Dataset:
        """Return stimuli with `image`, `caption` and the five attributes as coordinates."""
        scenes = self._scenes()
        stimuli = dataset(scenes, sounds=self.sounds or self.modality == "sound")
        stimuli.attrs["modality"] = self.modality
        return stimuli.assign_coords(split=("stimulus", [self.split] * self.n))

    def _scenes(self) -> list[Scene]:
        numbers = range(self.start, self.start + self.n)
        return [draw_scene(self.world, self.split, number) for number in numbers]


def _stack(scenes: list[Scene], make: Callable[[Scene], np.ndarray], what: str) -> np.ndarray:
    return np.stack([make(scene) for part in batches(scenes, 500, what) for scene in part])


def dataset(scenes: list[Scene], sounds: bool = False) -> xr.Dataset:
    """Return scenes as stimuli.

    Parameters
    ----------
    scenes : list of Scene
        With distinct ids.
    sounds : bool
        Whether to make the sounds.
    """
    pixels = ("stimulus", "y_pixel", "x_pixel", "rgb")
    captions = ("stimulus", np.array([caption(s) for s in scenes]))
    variables: dict[str, Any] = {
        "image": (pixels, _stack(scenes, render, "pictures")),
        "caption": captions,
    }
    if sounds:
        variables["sound"] = (("stimulus", "sample"), _stack(scenes, sound, "sounds"))
    attrs: dict[str, Any] = {"source": SOURCE, "modality": "image"}
    if sounds:
        attrs["sampling_rate_hz"] = SAMPLE_RATE_HZ
    return check(xr.Dataset(variables, coords=_labels(scenes), attrs=attrs), "stimuli")


def _labels(scenes: list[Scene]) -> dict[str, Any]:
    named: dict[str, Any] = {
        k: ("stimulus", np.array([s.attributes[k] for s in scenes])) for k in ATTRIBUTES
    }
    named["split"] = ("stimulus", np.array([s.id.split("-")[1] for s in scenes]))
    named["held_out"] = ("stimulus", np.array([s.held_out for s in scenes]))
    return {"stimulus": [s.id for s in scenes], **named}
