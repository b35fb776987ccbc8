"""Stimuli -> events, and the films and sounds that these play: the one maker of such tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from insilico.errors import EventError, MissingPackage, StimulusError, not_one_of
from insilico.schema import check
from insilico.spaces.timeline import IMAGE_S, WORD_S, film_seconds

RATE_HZ = 16_000
PLACEHOLDER = "."
"""The word where none is known; the papers do not tell theirs."""
BLACK_HZ, BLACK_PIXELS = 1, 64
LABELS = ("subject", "session", "task", "run")
ORDER = ("type", "start", "duration", "timeline", *LABELS)
OF_TYPES = ("filepath", "frequency", "offset", "text", "modality")
"""Columns, as the field's format orders them; `stop` is the last."""

Event = dict[str, Any]


def events(stimuli: xr.Dataset, folder: str | Path) -> pd.DataFrame:
    """Return the events of stimuli, one timeline for each, and write what they play.

    An image is a film of 1 s at 1 frame a second with a silent sound and a placeholder word. Words
    of a caption are read for 300 ms each, with black frames and silence. A sound has black frames
    and a placeholder word each second; a film has such words too, and its own sound or silence.

    Parameters
    ----------
    stimuli : stimuli
        Attribute `modality` says what is presented. Frames and samples are written as the stimuli
        hold them, without loss: their size and rate are those that the stimuli were read with.
    folder : path
        For the films (Matroska) and sounds (WAV, FLAC); new or empty.

    Returns
    -------
    DataFrame
        In the form of `insilico.stimuli.events.standard`.

    Raises
    ------
    EventError
        If the folder holds something.
    StimulusError
        If the stimuli do not hold what they are said to present.
    """
    check(stimuli, "stimuli")
    _, parts = _PARTS[modality_of(stimuli)]
    media, found = Media(Path(folder).expanduser()), list[Event]()
    for k, name in enumerate(stimuli["stimulus"].values.astype(str)):
        made = list(parts(stimuli.isel(stimulus=k), media, f"{k:06d}"))
        made += _rest(made, media, name)
        made.sort(key=lambda event: (event["start"], -event["duration"]))
        found += [{**event, "timeline": name} for event in made]
    return _table(found)


def modality_of(stimuli: xr.Dataset) -> str:
    """Return what is presented; images, where the stimuli do not say it."""
    modality = str(stimuli.attrs.get("modality", "image"))
    if modality not in _PARTS:
        raise StimulusError(not_one_of("modality", modality, _PARTS))
    if _PARTS[modality][0] not in stimuli:
        raise StimulusError(
            f"stimuli of modality {modality} need the variable {_PARTS[modality][0]}"
        )
    return modality


def _table(found: list[Event]) -> pd.DataFrame:
    blank = dict.fromkeys((*ORDER, *OF_TYPES), "") | {"frequency": 0.0, "offset": 0.0}
    table = pd.DataFrame([{**blank, **event} for event in found])
    return table.assign(stop=table["start"] + table["duration"])


def _image(one: xr.Dataset, media: Media, stem: str) -> Iterator[Event]:
    yield media.film(f"{stem}.mkv", [one["image"].values], 1 / IMAGE_S, IMAGE_S)


def _caption(one: xr.Dataset, media: Media, stem: str) -> Iterator[Event]:
    words = str(one["caption"].values).split()
    if not words:
        raise StimulusError(f"{one['stimulus'].item()}: an empty caption")
    for k, word in enumerate(words):
        start = round(k * WORD_S, 6)
        yield {**_event("Word", WORD_S, text=word), "start": start, "modality": "read"}


def _sound(one: xr.Dataset, media: Media, stem: str) -> Iterator[Event]:
    n = int(one["n_samples"]) if "n_samples" in one.coords else one.sizes["sample"]
    if (rate := one.attrs.get("sampling_rate_hz", RATE_HZ)) != RATE_HZ:
        raise StimulusError(f"sounds of events have {RATE_HZ} Hz, these {rate!r}: resample them")
    if n:
        yield media.sound(f"{stem}.wav", one["sound"].values[:n])


def _film(one: xr.Dataset, media: Media, stem: str) -> Iterator[Event]:
    frames, rate = one["film"].values, float(one.attrs["frame_rate_hz"])
    n = int(one["n_frames"]) if "n_frames" in one.coords else len(frames)
    yield media.film(f"{stem}.mkv", frames[:n], rate, film_seconds(one).item())
    if "sound" in one:
        yield from _sound(one, media, stem)


_PARTS: dict[str, tuple[str, Callable[[xr.Dataset, Media, str], Iterator[Event]]]] = {
    "image": ("image", _image),
    "text": ("caption", _caption),
    "sound": ("sound", _sound),
    "film": ("film", _film),
}
"""Modality to the variable that holds it, and to what makes its own events."""


def _rest(made: list[Event], media: Media, name: str) -> Iterator[Event]:
    """Yield the film, the sound and the words that a timeline lacks."""
    seconds = max((event["start"] + event["duration"] for event in made), default=0.0)
    if not seconds:
        raise StimulusError(f"{name}: a sound without samples cannot be presented")
    types = {event["type"] for event in made}
    if "Video" not in types:
        yield media.black(seconds)
    if "Audio" not in types:
        yield media.silence(seconds)
    if "Word" not in types:
        for start in range(ceil(seconds - 1e-6)):
            lasts = min(WORD_S, seconds - start)
            yield {**_event("Word", lasts, text=PLACEHOLDER), "start": float(start)}


def _event(kind: str, seconds: float, **about: Any) -> Event:
    return {"type": kind, "start": 0.0, "duration": round(seconds, 6), **about}


class Media:
    """Writes films and sounds, and returns the events that play them.

    Parameters
    ----------
    folder : Path
        New or empty.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise EventError(f"{folder} is not empty; name a new folder for films and sounds")
        self.folder = folder

    def film(self, name: str, frames: Iterable[np.ndarray], rate: float, seconds: float) -> Event:
        """Write frames, uint8 (height, width, 3), unless the file is there."""
        path = self.folder / name
        if not path.exists():
            write_film(path, frames, rate)
        return _event("Video", seconds, filepath=str(path), frequency=rate)

    def sound(self, name: str, wave: np.ndarray) -> Event:
        """Write samples at 16 kHz, unless the file is there."""
        import soundfile

        path = self.folder / name
        if not path.exists():
            subtype = "FLOAT" if path.suffix == ".wav" else "PCM_16"
            soundfile.write(path, wave, RATE_HZ, subtype=subtype)
        return _event("Audio", len(wave) / RATE_HZ, filepath=str(path), frequency=float(RATE_HZ))

    def black(self, seconds: float) -> Event:
        """Return a film of black frames; equally long ones share a file."""
        n = ceil(seconds * BLACK_HZ - 1e-6)
        frame = np.zeros((BLACK_PIXELS, BLACK_PIXELS, 3), np.uint8)
        return self.film(f"black-{n}.mkv", (frame for _ in range(n)), BLACK_HZ, seconds)

    def silence(self, seconds: float) -> Event:
        """Return silence; equally long ones share a file."""
        n = round(seconds * RATE_HZ)
        return self.sound(f"silence-{n}.flac", np.zeros(n, np.int16))


def writer() -> ModuleType:
    """Return PyAV, which writes films; every table of events has some.

    Raises
    ------
    MissingPackage
        If PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPackage("PyAV", "film", "writing films") from error
    return av


def write_film(path: Path, frames: Iterable[np.ndarray], rate: float) -> None:
    """Write frames, uint8 (height, width, 3), without loss (FFV1 in Matroska)."""
    av = writer()
    with av.open(str(path.absolute()), "w", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("ffv1", rate=Fraction(rate).limit_denominator(1000))
        stream.pix_fmt = "bgr0"
        for k, frame in enumerate(frames):
            if k == 0:
                stream.height, stream.width = frame.shape[:2]
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            out.mux(stream.encode(shown.reformat(format="bgr0")))
        out.mux(stream.encode(None))
