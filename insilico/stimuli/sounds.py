"""Recordings of any origin -> stimuli: 16 kHz, one channel, at most 120 seconds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import ceil, gcd
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from insilico.errors import StimulusError
from insilico.spaces.presented import RATE_HZ
from insilico.stimuli.files import Files
from insilico.stimuli.lazy import FileArray, lazy

LONGEST_S = 120
BLOCK = 1 << 20
RATES_HZ = (1_000, 768_000)
"""Sampling rates that a file may have."""
LOST_S = 0.1
"""How much of the end a file may lack of what its head promises (the padding of MP3)."""


class Sounds(Files):
    """Sound files: wav, flac, ogg, mp3, or what else libsndfile opens.

    Channels are averaged and the mean resampled to 16 kHz; what comes after 120 s is cut off, and
    a warning, the note and the coordinate `cut` say so. Loudness stays as it is; silence is a
    sound.

    Attributes
    ----------
    path, broken
        See `Files`.
    """

    kind: ClassVar[str] = "sounds"
    modality: ClassVar[str] = "sound"
    what: ClassVar[str] = "sounds"

    @classmethod
    def suffixes(cls) -> Collection[str]:
        """Return which files of a folder are sounds."""
        return (".wav", ".flac", ".ogg", ".mp3")

    @staticmethod
    def tried(file: Path) -> tuple[int, bool]:
        """Return how many samples at 16 kHz a file has, and whether it was cut."""
        frames, rate = sound_head(file)
        _channel(file, frames, rate)
        return _samples(frames, rate), frames > LONGEST_S * rate

    def shown(self, files: list[Path], heads: list[Any]) -> xr.Dataset:
        """Return `sound`, float32 (stimulus, sample), zeros after the `n_samples` of each."""
        lengths, cut = [n for n, _ in heads], [was_cut for _, was_cut in heads]
        array = FileArray(files, (max(lengths),), np.float32, read_sound)
        return xr.Dataset(
            {"sound": lazy(("stimulus", "sample"), array)},
            coords={"n_samples": ("stimulus", lengths), "cut": ("stimulus", cut)},
            attrs={"modality": "sound", "sampling_rate_hz": RATE_HZ, **note_of(cut)},
        )


def note_of(cut: list[bool]) -> dict[str, str]:
    """Return a note on stimuli that were cut, if any were, and warn."""
    if not any(cut):
        return {}
    note = f"{sum(cut)} of {len(cut)} were longer than {LONGEST_S} s and cut to that"
    warnings.warn(note, stacklevel=2)
    return {"note": note}


def read_sound(path: str | Path) -> np.ndarray:
    """Read at most 120 s of a sound file.

    Parameters
    ----------
    path : path
        Anything that libsndfile opens, of any depth, rate and number of channels.

    Returns
    -------
    float32, (n,)
        One channel at 16 kHz, in the file's own units (full scale is 1).

    Raises
    ------
    StimulusError
        If the file is not a sound, holds nothing or cannot be decoded to its end.
    """
    path = Path(path)
    frames, rate = sound_head(path)
    return fitted(resampled(_channel(path, frames, rate), rate), _samples(frames, rate))


def _channel(path: Path, frames: int, rate: int) -> np.ndarray:
    """Return the mean of a file's channels, float32 (n,), as the file has it."""
    import soundfile

    wanted, parts = min(frames, LONGEST_S * rate), [np.zeros(0, np.float32)]
    with _named(path), soundfile.SoundFile(path) as file:
        for _ in range(0, wanted, BLOCK):
            parts.append(file.read(BLOCK, "float32", always_2d=True).mean(1))
    wave = np.concatenate(parts)[:wanted]
    if len(wave) < wanted - LOST_S * rate:
        raise StimulusError(
            f"{path}: damaged: {len(wave) / rate:.2f} of {wanted / rate:.2f} s can be decoded"
        )
    if not np.isfinite(wave).all():
        raise StimulusError(f"{path}: holds NaN or infinite samples; export it again")
    return wave


def resampled(wave: np.ndarray, rate: int) -> np.ndarray:
    """Bring one channel to 16 kHz with a polyphase filter.

    Parameters
    ----------
    wave : float32, (n,)
    rate : int
        Samples a second.

    Returns
    -------
    float32, (ceil(n * 16000 / rate),)
    """
    from scipy.signal import resample_poly

    common = gcd(RATE_HZ, rate)
    return resample_poly(wave, RATE_HZ // common, rate // common).astype(np.float32, copy=False)


def fitted(wave: np.ndarray, n: int) -> np.ndarray:
    """Return n samples: cut, or zeros after the last."""
    return np.pad(wave[:n], (0, max(0, n - len(wave))))


def _samples(frames: int, rate: int) -> int:
    return ceil(min(frames, LONGEST_S * rate) * RATE_HZ / rate)


def sound_head(path: Path) -> tuple[int, int]:
    """Return a sound file's frames and sampling rate, if it has sound that can be used."""
    import soundfile

    with _named(path):
        head = soundfile.info(path)
    if head.frames <= 0:
        raise StimulusError(f"{path}: a sound of zero length, or cut short")
    return head.frames, usable(head.samplerate, path)


def usable(rate: int, path: Path) -> int:
    """Return a sampling rate, if it is one of sound."""
    low, high = RATES_HZ
    if not low <= rate <= high:
        raise StimulusError(f"{path}: {rate} samples a second; allowed: {low} to {high}")
    return rate


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what libsndfile says of a file into a `StimulusError` that names it."""
    import soundfile

    try:
        with _unheard():
            yield
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise StimulusError(
            f"{path}: not a sound, or a damaged one (wav, flac, ogg and mp3 can be read)"
        ) from error


_ONE_AT_A_TIME = RLock()


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep what libmpg123 itself writes of a damaged file off the screen, to descriptor 2.

    The descriptor is the whole process's: what another thread writes there in these milliseconds
    is lost too. One thread at a time does this, so that each finds the descriptor as it was.
    """
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(2)
        except OSError:  # stderr is closed: nothing can be heard
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
