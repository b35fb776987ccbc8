"""A gallery: the pictures among which the nearest are sought, by name.

It is given as stimuli are: a folder, a table, scenes of the phantom. Of a folder only names, sizes
and times of change are looked at until a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import StimulusError
from insilico.schema import short_digest
from insilico.step import Registry, Step

KINDS = Registry(
    "galleries",
    {
        "images": "insilico.stimuli.images:Images",
        "table": "insilico.stimuli.table:Table",
        "phantom": "insilico.phantom.stimuli:Scenes",
    },
)
"""What makes stimuli with pictures; found by name, since rooms do not import each other."""
TABLES = (".csv", ".tsv")


def gallery_of(spec: str | Mapping[str, Any], side: int) -> Gallery:
    """Return the gallery that a protocol names.

    Parameters
    ----------
    spec : str or dict
        A folder, a picture or a table (CSV, TSV); or ``kind`` and parameters of stimuli.
    side : int
        Of the pictures in pixels, where the kind has a `size` and none is given.

    Raises
    ------
    ParameterError, StimulusError
        If there is no such kind, a parameter is wrong, or there are no pictures.
    """
    asked = named(spec) if isinstance(spec, str) else dict(spec)
    fields = getattr(KINDS[asked["kind"]], "model_fields", {}) if "kind" in asked else {}
    if "size" in fields:
        asked.setdefault("size", side)
    step = KINDS.build(asked)
    return Folder(step) if hasattr(step, "files") else Gallery(step)


def named(path: str) -> dict[str, Any]:
    """Return what a protocol would say of a folder, a picture or a table."""
    is_table = Path(path).suffix.lower() in TABLES
    return {"kind": "table" if is_table else "images", "path": path}


class Gallery:
    """Pictures of any step that makes stimuli.

    Parameters
    ----------
    step : Step
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.stops = getattr(step, "broken", "stop") == "stop"

    @cached_property
    def shown(self) -> xr.Dataset:
        """The stimuli."""
        made: xr.Dataset = self.step()
        if "image" not in made:
            raise StimulusError(
                f"the gallery holds no pictures; its variables are {', '.join(map(str, made))}"
            )
        return made

    @cached_property
    def stamps(self) -> dict[str, str]:
        """What changes when a picture does, by name."""
        names = [str(name) for name in self.shown["stimulus"].values]
        if "path" in self.shown:
            return dict(zip(names, map(stamp, self.shown["path"].values), strict=True))
        return dict(zip(names, map(fingerprint, self.shown["image"].values), strict=True))

    def digest(self) -> str:
        """Name the gallery's content."""
        return short_digest(self.step.identity(), self.step.digests())

    def identity(self) -> dict[str, Any]:
        """Return what tells this gallery from others, whatever it holds now."""
        about = {k: v for k, v in self.step.identity().items() if k != "broken"}
        if "path" in about:
            paths = about["path"] if isinstance(about["path"], list) else [about["path"]]
            about["path"] = [str(Path(path).expanduser().resolve()) for path in paths]
        return about

    def pictures(self, names: list[str]) -> tuple[list[str], np.ndarray]:
        """Return those of the pictures that are whole: names, and uint8 (m, y, x, 3)."""
        return names, self.shown["image"].sel(stimulus=names).values

    def same(self, stimuli: xr.Dataset) -> list[str]:
        """Return the fingerprint that each shown picture would have in this gallery.

        Parameters
        ----------
        stimuli : stimuli
            With `image`.
        """
        return [fingerprint(picture) for picture in stimuli["image"].values]


class Folder(Gallery):
    """Pictures in files, none of them read until it is asked for."""

    step: Any

    @cached_property
    def files(self) -> dict[str, Path]:
        """The files by name."""
        return self.step.files()

    @cached_property
    def stamps(self) -> dict[str, str]:
        """Size and time of change, by name."""
        return {name: stamp(file) for name, file in self.files.items()}

    def digest(self) -> str:
        """Name the gallery's files: names, sizes and times of change."""
        return short_digest(self.identity(), self.stamps)

    def pictures(self, names: list[str]) -> tuple[list[str], np.ndarray]:
        """Return those of the pictures that are whole; a broken one stops, or is left out."""
        return self._read({name: self.files[name] for name in names})

    def _read(self, files: dict[str, Path]) -> tuple[list[str], np.ndarray]:
        try:
            found = self.step.of(files)
        except StimulusError as error:
            if self.stops:
                raise StimulusError(
                    f"{error}; mend it or take it out of the gallery, or leave broken pictures "
                    f"out: insilico index --skip-broken, gallery: {{..., broken: skip}}"
                ) from error
            return [], np.empty((0, self.step.size, self.step.size, 3), np.uint8)
        return [str(name) for name in found["stimulus"].values], found["image"].values

    def same(self, stimuli: xr.Dataset) -> list[str]:
        """Return fingerprints; shown files are read as the gallery's are."""
        if "path" not in stimuli:
            return super().same(stimuli)
        files = {str(k): Path(str(file)) for k, file in enumerate(stimuli["path"].values)}
        whole = dict(zip(*self._read(files), strict=True))
        return [fingerprint(whole[k]) if k in whole else "" for k in files]


def stamp(file: str | Path) -> str:
    """Return a file's size and time of change."""
    try:
        state = Path(file).stat()
    except OSError as error:
        raise StimulusError(f"{file}: cannot be read ({error.strerror or error})") from error
    return f"{state.st_size} {state.st_mtime_ns}"


def fingerprint(picture: np.ndarray) -> str:
    """Return a digest of pixels."""
    return short_digest(list(picture.shape), np.ascontiguousarray(picture).tobytes())
