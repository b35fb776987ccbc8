"""Pictures of the Natural Scenes Dataset with COCO's captions -> stimuli."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from PIL import Image
from pydantic import Field, PositiveInt

from insilico.errors import InsilicoError, ParameterError, StimulusError, listed
from insilico.schema import check
from insilico.spaces import nsd
from insilico.spaces.nsd.hub import ACCESS, Hub
from insilico.spaces.nsd.hub import root_of as hub_root
from insilico.spaces.nsd.layout import Tree, require, root_of, stamp
from insilico.step import Step
from insilico.stimuli.coco import captions_of, captions_source
from insilico.stimuli.images import squared
from insilico.stimuli.lazy import FileArray, lazy

SOURCE = "Natural Scenes Dataset (COCO pictures)"


class NSDPictures(Step):
    """Pictures that a subject of NSD saw, ascending by their place among the 73,000.

    Ids are ``coco73k-03157``: the place, from 0. Pictures are read when they are indexed.

    Attributes
    ----------
    root : path, optional
        NSD's folder; by default that of the environment variable INSILICO_NSD.
    subject : int
        1 to 8.
    split : {"test", "shared1000", "982", "515", "train"}
        ``test`` is ``shared1000``, the pictures shown to all subjects; ``982`` are those of them in
        the sessions public first; ``515`` those that all eight subjects saw three times; ``train``
        is the rest of the subject's.
    n, start : int
        How many pictures (all, if not given), and the place of the first in the split.
    at_least : int
        How often the subject must have seen a picture in these sessions.
    sessions : tuple of int, optional
        By default all that the subject completed.
    size : int, optional
        Side in pixels; by default as stored (425).
    captions : path, optional
        ``COCO_73k_annots_curated.npy``; by default that file in `root`, else COCO's annotations in
        NSD's folder. Without either there are no captions.
    layout : {"nsd", "mindeye2"}
        ``mindeye2`` takes pictures, 224 pixels wide, and splits from MindEye2's files in `hub`.
    hub : path, optional
        By default that of the environment variable INSILICO_WEIGHTS.
    """

    kind: ClassVar[str] = "nsd"
    modality: ClassVar[str] = "image"
    stored: ClassVar[bool] = False
    root: Path | None = None
    subject: int = Field(1, ge=1, le=8)
    split: Literal["test", "shared1000", "982", "515", "train"] = "test"
    n: PositiveInt | None = None
    start: int = Field(0, ge=0)
    at_least: PositiveInt = 1
    sessions: tuple[PositiveInt, ...] | None = None
    size: int | None = Field(None, ge=8, le=2048)
    captions: Path | None = None
    layout: Literal["nsd", "mindeye2"] = "nsd"
    hub: Path | None = None

    def digests(self) -> dict[str, str]:
        """Return digests of the files used."""
        file, _ = self._file()
        if self.layout == "mindeye2":
            require([file], "MindEye2's pictures", f"Get them {ACCESS}")
        else:
            self._tree().require([file], "the pictures of NSD")
        told = captions_source(self._tree(), self.captions)
        found = {"pictures": stamp([file]), "captions": stamp(told)}
        if self.layout == "nsd":
            self._tree().require([self._tree().design_file], "NSD's design")
            found["design"] = stamp([self._tree().design_file])
        else:
            part = "train" if self.split == "train" else _part(self.split)
            found["trials"] = stamp(self._hub().tars(part))
        self.chosen()  # more pictures than there are is known before any work
        return found

    def __call__(self) -> xr.Dataset:
        """Return stimuli with `image`, uint8 (stimulus, y, x, rgb), and `caption` where known."""
        self.digests()
        pictures = self.chosen()
        file, key = self._file()
        array = _array(file, key, pictures, self.size)
        dims = ("stimulus", "y_pixel", "x_pixel", "rgb")
        variables: dict[str, Any] = {"image": lazy(dims, array)}
        words = captions_of(self._tree(), self.captions, pictures)
        if words is not None:
            variables["caption"] = ("stimulus", words)
        ids = [nsd.stimulus_id(int(picture)) for picture in pictures]
        coords = {"stimulus": ids, "split": ("stimulus", [self.split] * len(ids))}
        mark = self._tree().mark
        attrs = {"source": mark.get("source", SOURCE), "modality": "image"}
        if "note" in mark:
            attrs["note"] = mark["note"]
        return check(xr.Dataset(variables, coords, attrs), "stimuli")

    def ids(self) -> list[str] | None:
        """Return the pictures' ids; None where files are missing, which `digests` says."""
        try:
            return [nsd.stimulus_id(int(picture)) for picture in self.chosen()]
        except InsilicoError:
            return None

    def chosen(self) -> np.ndarray:
        """Return the pictures, int (stimulus,): places among the 73,000, ascending."""
        all_of = self._of_hub() if self.layout == "mindeye2" else self._of_design()
        last = len(all_of) if self.n is None else self.start + self.n
        if not self.start < last <= len(all_of):
            raise ParameterError(
                f"nsd: pictures {self.start} to {last - 1} of split '{self.split}' were asked for; "
                f"subject {self.subject} saw {len(all_of)} of it at least {self.at_least} time(s); "
                "set n and start (of stimuli, training or a statistic's stimuli) within that"
            )
        return all_of[self.start : last]

    def _tree(self) -> Tree:
        if self.layout == "mindeye2" and self.root is None:
            return Tree(hub_root(self.hub), self.subject)  # captions may lie beside the hub's files
        return Tree(root_of(self.root), self.subject)

    def _hub(self) -> Hub:
        return Hub(hub_root(self.hub), self.subject)

    def _file(self) -> tuple[Path, str]:
        if self.layout == "mindeye2":
            return self._hub().pictures_file, "images"
        return self._tree().pictures_file, "imgBrick"

    def _of_design(self) -> np.ndarray:
        design = self._tree().design
        sessions = self.sessions or design.completed(self.subject)
        strange = sorted(set(sessions) - set(design.completed(self.subject)))
        if strange:
            raise ParameterError(
                f"nsd.sessions: subject {self.subject} completed 1 to "
                f"{design.completed(self.subject)[-1]}; got {listed(strange)}"
            )
        return design.split(self.split, self.subject, sessions, self.at_least)

    def _of_hub(self) -> np.ndarray:
        if self.split == "515" or self.sessions is not None:
            raise ParameterError(
                "nsd: MindEye2's files do not tell sessions apart: splits are train, 982, "
                "shared1000 and test, without sessions"
            )
        part = "train" if self.split == "train" else _part(self.split)
        return self._hub().pictures(part, self.at_least)


def _part(split: str) -> str:
    return "test" if split == "982" else "new_test"


def _array(file: Path, key: str, pictures: np.ndarray, size: int | None) -> FileArray:
    """Return the pictures as an array that reads what is indexed."""
    import h5py

    try:
        with h5py.File(file, "r") as held:
            shape, kind = held[key].shape, held[key].dtype
    except (OSError, KeyError) as error:
        raise StimulusError(f"{file}: no pictures under the key '{key}' ({error})") from error
    first = key == "images"  # channels first, float16 in 0 to 1
    side = shape[-1] if first else (shape[1] if len(shape) > 1 else 0)
    wanted = (shape[0], 3, side, side) if first else (shape[0], side, side, 3)
    if tuple(shape) != wanted or kind != (np.float16 if first else np.uint8):
        raise StimulusError(f"{file}: {key} is {kind} {tuple(shape)}; {wanted} is needed")
    if pictures.max() >= shape[0]:
        raise StimulusError(
            f"{file}: holds {shape[0]} pictures; {nsd.stimulus_id(int(pictures.max()))} was asked "
            "for: is it NSD's file of 73,000?"
        )
    read = partial(_read, file=file, key=key, size=size)
    to = size or side
    return FileArray(pictures.tolist(), (to, to, 3), np.uint8, read)


def _read(picture: int, file: Path, key: str, size: int | None) -> np.ndarray:
    import h5py

    try:
        with h5py.File(file, "r") as held:
            pixels = held[key][picture]
    except OSError as error:
        raise StimulusError(f"{file}: picture {picture} cannot be read ({error})") from error
    if key == "images":
        bright = np.clip(pixels.astype(np.float32).transpose(1, 2, 0), 0, 1)
        pixels = np.round(bright * 255).astype(np.uint8)
    if size is None or size == len(pixels):
        return pixels
    return squared(Image.fromarray(pixels), size)
