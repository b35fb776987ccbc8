"""A table of events -> stimuli, one a timeline: the way back from `presented`."""

from __future__ import annotations

import warnings
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.errors import EventError, listed
from insilico.schema import check
from insilico.spaces.timeline import IMAGE_S, WORD_S
from insilico.step import Step
from insilico.stimuli.captions import plain
from insilico.stimuli.content import Content, content_of, modality_of
from insilico.stimuli.events import NEARLY_S, read
from insilico.stimuli.files import digest
from insilico.stimuli.films import Films
from insilico.stimuli.images import Images
from insilico.stimuli.lazy import FileArray, lazy
from insilico.stimuli.sounds import RATE_HZ, Sounds, read_sound

FASTEST_HZ = 60
UNHEARD = Path()


class Events(Step):
    """A table of events (CSV or TSV), as `insilico.stimuli.events` reads it.

    Every timeline is a stimulus under its name; all are of one modality. What counts as content is
    in ``docs/stimuli.md``.

    Attributes
    ----------
    path : path
    size : int
        Side of pictures and frames in pixels.
    frame_rate_hz : float, optional
        Frames a second that are taken of films; by default the table's `frequency`.
    """

    kind: ClassVar[str] = "events"
    stored: ClassVar[bool] = False
    path: Path
    size: int = Field(64, ge=8, le=2048)
    frame_rate_hz: float | None = Field(None, gt=0, le=FASTEST_HZ)

    def digests(self) -> dict[str, str]:
        """Return digests of the table and of every file that it plays."""
        file = self.path.expanduser()
        named = filter(None, read(file)["filepath"].unique())
        return {str(path): digest(path) for path in [file, *map(Path, named)]}

    def ids(self) -> list[str]:
        """Return the names of the timelines."""
        return list(read(self.path.expanduser())["timeline"].unique())

    def __call__(self) -> xr.Dataset:
        """Return stimuli with `caption`, `sound`, `image`, or `film` (and its `sound`)."""
        file = self.path.expanduser()
        parts = groupby(read(file).to_dict("records"), itemgetter("timeline"))
        shown = {name: content_of(list(part), f"{file}, timeline '{name}'") for name, part in parts}
        make = {
            "text": lambda: _captions(shown, file),
            "sound": lambda: Sounds(path=()).of(_files(shown, "Audio")),
            "picture": lambda: Images(path=(), size=self.size).of(_files(shown, "Image")),
            "film of one frame": lambda: _images(self._films(shown, 1 / IMAGE_S)),
            "film": lambda: _heard(self._films(shown, self._rate(shown, file)), shown),
        }
        stimuli = make[modality_of(shown, file)]()
        return check(stimuli.assign_attrs(source="events"), "stimuli")

    def _films(self, shown: dict[str, Content], rate: float) -> xr.Dataset:
        films = Films(path=(), size=self.size, frame_rate_hz=rate).of(_files(shown, "Video"))
        seconds = np.array([content["Video"][0]["duration"] for content in shown.values()])
        return films.assign_coords(duration_s=np.minimum(films["duration_s"], seconds))

    def _rate(self, shown: dict[str, Content], file: Path) -> float:
        """Return the frames a second of all films."""
        rates = {content["Video"][0]["frequency"]: name for name, content in shown.items()}
        said = listed([f"{rate:g} ('{name}')" for rate, name in rates.items()], 2)
        if not self.frame_rate_hz and (len(rates) > 1 or max(rates) > FASTEST_HZ):
            raise EventError(
                f"{file}: films of frequency {said}; set frame_rate_hz, at most {FASTEST_HZ}"
            )
        return self.frame_rate_hz or max(rates) or 1.0


def _files(shown: dict[str, Content], kind: str) -> dict[str, Path]:
    return {name: Path(content[kind][0]["filepath"]) for name, content in shown.items()}


def _captions(shown: dict[str, Content], file: Path) -> xr.Dataset:
    """Return the words of each timeline in their order."""
    captions, paced = [], []
    for name, content in shown.items():
        words = content["Word"]
        captions.append(plain(" ".join(e["text"] for e in words), f"{file}, timeline '{name}'"))
        late = [event["start"] - k * WORD_S for k, event in enumerate(words)]
        paced.append(np.abs(late).max() <= NEARLY_S)
    attrs = {"modality": "text"}
    if not all(paced):
        n = len(paced) - sum(paced)
        attrs["note"] = f"words of {n} of {len(paced)} timelines do not follow at {WORD_S} s each"
        warnings.warn(f"{file}: {attrs['note']}; they are shown as if they did", stacklevel=2)
    coords = {"stimulus": list(shown), "split": ("stimulus", ["given"] * len(shown))}
    return xr.Dataset({"caption": ("stimulus", np.array(captions, object))}, coords, attrs)


def _images(films: xr.Dataset) -> xr.Dataset:
    """Return the first frames of films, as images."""
    image = films["film"].variable.isel(frame=0)
    images = films.drop_vars(set(films.variables) - {"stimulus", "split", "path"})
    images.attrs = {"modality": "image", "note": films.attrs["note"]}
    return images.assign(image=image)


def _heard(films: xr.Dataset, shown: dict[str, Content]) -> xr.Dataset:
    """Return films with the sounds that the table plays; their own where it has none at all."""
    if not any("Audio" in content for content in shown.values()):
        return films
    films = films.drop_vars(["sound", "n_samples"], errors="ignore")
    loud = {name: content for name, content in shown.items() if content.get("Audio")}
    if not loud:
        return films
    played = _files(loud, "Audio")
    lengths = Sounds(path=()).of(played)["n_samples"].reindex(stimulus=list(shown), fill_value=0)
    files = [played.get(name, UNHEARD) for name in shown]
    array = FileArray(files, (int(lengths.max()),), np.float32, _sound)
    films = films.assign_coords(n_samples=lengths.variable)
    films["sound"] = lazy(("stimulus", "sample"), array)
    return films.assign_attrs(sampling_rate_hz=RATE_HZ)


def _sound(path: Path) -> np.ndarray:
    return np.zeros(0, np.float32) if path == UNHEARD else read_sound(path)
