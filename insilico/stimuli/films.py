"""Films of any origin -> stimuli: frames at a chosen rate, and the film's own sound."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.errors import MissingPackage, StimulusError
from insilico.stimuli.files import Files
from insilico.stimuli.images import squared
from insilico.stimuli.lazy import FileArray, lazy
from insilico.stimuli.sounds import LONGEST_S, RATE_HZ, fitted, note_of, resampled, usable

LOST_S = 0.5
"""How much of its end a film may lack of what its head promises."""

FORMATS = "mp4,matroska,avi,mpegts,flv,asf,gif"
"""Of FFmpeg's formats those that hold a film: a playlist names other files and addresses."""


@dataclass(frozen=True)
class Head:
    """What a film's head says: seconds from its first frame to the end of the last, and sound."""

    lasts_s: float
    has_sound: bool

    @property
    def cut(self) -> bool:
        """Whether the film is longer than what is taken of it."""
        return self.lasts_s > LONGEST_S

    @property
    def duration_s(self) -> float:
        """Seconds that are taken."""
        return min(self.lasts_s, float(LONGEST_S))


class Films(Files):
    """Film files: mp4, mov, mkv, webm, avi, and ts, flv, wmv or gif.

    Frame k is what is on screen k / `frame_rate_hz` seconds after the first, upright, as a square
    like a picture's. A film's own sound, where it has one, becomes `sound` as in `Sounds`, as long
    as the film. What comes after 120 s is cut off, and the coordinate `cut` says so.

    Attributes
    ----------
    path, broken
        See `Files`.
    size : int
        Side of the frames in pixels.
    frame_rate_hz : float
        Frames a second that are taken.
    """

    kind: ClassVar[str] = "films"
    what: ClassVar[str] = "films"
    size: int = Field(64, ge=8, le=2048)
    frame_rate_hz: float = Field(1.0, gt=0, le=60)

    @classmethod
    def suffixes(cls) -> Collection[str]:
        """Return which files of a folder are films."""
        return (".mp4", ".avi", ".mkv", ".mov", ".webm")

    @staticmethod
    def tried(file: Path) -> Head:
        """Decode a film and its sound; return what its head says."""
        read_frames(file, 8, 1.0)
        read_track(file)
        return film_head(file)

    def shown(self, files: list[Path], heads: list[Head]) -> xr.Dataset:
        """Return `film`, uint8 (stimulus, frame, size, size, 3), and `sound` if any film has one.

        A film without sound among others with sound has no samples.
        """
        size, rate = self.size, self.frame_rate_hz
        counts = [_n_frames(head.duration_s, rate) for head in heads]
        read = partial(read_frames, size=size, rate=rate)
        array = FileArray(files, (max(counts), size, size, 3), np.uint8, read)
        coords: dict[str, list[Any]] = {
            "n_frames": counts,
            "duration_s": [head.duration_s for head in heads],
            "cut": [head.cut for head in heads],
        }
        note = f"frames were cropped to their central square and resized to {size} x {size}"
        said = [note, *note_of(coords["cut"]).values()]
        variables = {"film": lazy(("stimulus", "frame", "y_pixel", "x_pixel", "rgb"), array)}
        attrs = {"modality": "film", "frame_rate_hz": rate, "note": "; ".join(said)}
        if any(head.has_sound for head in heads):
            coords["n_samples"] = [round(h.duration_s * RATE_HZ) * h.has_sound for h in heads]
            heard = FileArray(files, (max(coords["n_samples"]),), np.float32, read_track)
            variables["sound"] = lazy(("stimulus", "sample"), heard)
            attrs["sampling_rate_hz"] = RATE_HZ
        labels = {name: ("stimulus", values) for name, values in coords.items()}
        return xr.Dataset(variables, coords=labels, attrs=attrs)


def film_head(path: Path) -> Head:
    """Return how long a film is and whether it has sound.

    Raises
    ------
    StimulusError
        If the file is missing, no film, or one without frames.
    MissingPackage
        If PyAV is not installed.
    """
    with _opened(path) as film:
        stream = _pictures(film, path)
        duration = _duration(film, stream, path)
        has_sound = bool(film.streams.audio)
    if duration <= 0:
        raise StimulusError(f"{path}: a film of zero length")
    return Head(duration, has_sound)


def _duration(film: Any, stream: Any, path: Path) -> float:
    """Return seconds from the first frame to the end of the last; Matroska makes us look."""
    start, end = 0, stream.duration or 0
    if not end:
        shown = [(p.pts, p.duration or 0) for p in film.demux(stream) if p.pts is not None]
        start = min((pts for pts, _ in shown), default=0)
        end = max((pts + lasts for pts, lasts in shown), default=0)
    there, promised = float(end * stream.time_base), _promised(stream)
    if there < promised - LOST_S:
        raise StimulusError(f"{path}: damaged: {there:.2f} of {promised:.2f} s are there")
    return float((end - start) * stream.time_base)


def _promised(stream: Any) -> float:
    """Return until when a film goes on by its head, in seconds; 0 if that does not say."""
    tag = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    hours, minutes, seconds = map(float, tag.groups() if tag else (0, 0, 0))
    counted = stream.frames / stream.average_rate if stream.average_rate else 0
    return float(max(3600 * hours + 60 * minutes + seconds, counted))


def read_frames(path: str | Path, size: int, rate: float) -> np.ndarray:
    """Read a film's frames at a rate.

    Parameters
    ----------
    path : path
    size : int
        Side in pixels.
    rate : float
        Frames a second.

    Returns
    -------
    uint8, (n, size, size, 3)

    Raises
    ------
    StimulusError
        If the file is no film, or cannot be decoded to its end.
    """
    path = Path(path)
    head = film_head(path)
    wanted = np.arange(_n_frames(head.duration_s, rate)) / rate
    frames: list[np.ndarray] = []
    until = 0.0
    with _opened(path) as film:
        for frame, until in _lasting(film.decode(_pictures(film, path))):
            if due := int(np.sum(wanted[len(frames) :] < until)):
                frames += [_square(frame, size)] * due
            if len(frames) == len(wanted):
                break
    if not frames or until < wanted[-1] - LOST_S:
        raise StimulusError(f"{path}: damaged: {until:.2f} of {head.duration_s:.2f} s are pictures")
    return np.stack(frames + frames[-1:] * (len(wanted) - len(frames)))


def _lasting(frames: Iterator[Any]) -> Iterator[tuple[Any, float]]:
    """Yield frames with the time until which they are on screen, from the first one's on."""
    before: Any = next(frames, None)
    if before is None:
        return
    first = before.time or 0.0
    for frame in frames:
        yield before, (frame.time or 0.0) - first
        before = frame
    lasts = float((before.duration or 0) * (before.time_base or 0))
    yield before, (before.time or 0.0) - first + lasts


def read_track(path: str | Path) -> np.ndarray:
    """Read a film's own sound, from its first frame on.

    Returns
    -------
    float32, (n,)
        One channel at 16 kHz; empty if the film has no sound.
    """
    path = Path(path)
    head = film_head(path)
    if not head.has_sound:
        return np.zeros(0, dtype=np.float32)
    with _opened(path) as film:
        stream = film.streams.audio[0]
        rate = usable(stream.rate, path)
        late = _start(stream) - _start(_pictures(film, path))
        wave = _decoded(film, stream, (head.duration_s + max(-late, 0.0)) * rate)
    if not len(wave) or not np.isfinite(wave).all():
        raise StimulusError(f"{path}: damaged: its sound cannot be decoded")
    wave, shift = resampled(wave, rate), round(late * RATE_HZ)
    wave = np.pad(wave, (shift, 0)) if shift > 0 else wave[-shift:]
    return fitted(wave, round(head.duration_s * RATE_HZ))


def _decoded(film: Any, stream: Any, most: float) -> np.ndarray:
    """Return the first samples of a stream, its channels averaged."""
    from av import AudioResampler

    plain, parts, n = AudioResampler(format="fltp"), [np.zeros(0, np.float32)], 0
    for frame in film.decode(stream):
        parts += [part.to_ndarray().mean(axis=0) for part in plain.resample(frame)]
        n += frame.samples
        if n > most:
            break
    return np.concatenate(parts, dtype=np.float32)


def _start(stream: Any) -> float:
    return float((stream.start_time or 0) * stream.time_base)


def _n_frames(duration_s: float, rate: float) -> int:
    return max(1, ceil(duration_s * rate - 1e-6))


def _square(frame: Any, size: int) -> np.ndarray:
    return squared(frame.to_image().rotate(frame.rotation, expand=True), size)


def _pictures(film: Any, path: Path) -> Any:
    """Return the stream of frames; a record's cover is none."""
    from av.stream import Disposition

    for stream in film.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    raise StimulusError(f"{path}: no moving pictures in this file; if it is a sound: kind: sounds")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a film; what FFmpeg says of it becomes a `StimulusError` that names it."""
    try:
        import av
    except ImportError as error:
        raise MissingPackage("PyAV", "film", "reading films") from error
    try:
        only = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        whole = str(Path(path).absolute())
        with av.open(whole, options=only, metadata_errors="replace") as film:
            yield film
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StimulusError(f"{path}: not a film, or a damaged one ({reason})") from error
