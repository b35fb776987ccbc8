"""Stimuli as the files and events that another encoder takes, one timeline for each stimulus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from insilico.errors import StimulusError, not_one_of
from insilico.spaces.timeline import IMAGE_S, WORD_S, film_seconds

CONTEXT_WORDS = 1024
EVENTS = "events.csv"
SHOWN = {"image": "image", "text": "caption", "sound": "sound", "film": "film"}
"""Modality to the variable that holds it."""

Event = dict[str, Any]


def modality_of(stimuli: xr.Dataset) -> str:
    """Return what is presented; images, where the stimuli do not say it."""
    held = [name for name, variable in SHOWN.items() if variable in stimuli]
    modality = stimuli.attrs.get("modality", "image")
    if modality not in held:
        raise StimulusError(not_one_of("modality of these stimuli", modality, held))
    return str(modality)


def write_media(stimuli: xr.Dataset, folder: Path) -> None:
    """Write stimuli as files and events.csv, with a timeline named after each stimulus.

    Parameters
    ----------
    stimuli : stimuli
        Images are shown for 1 s, words for 300 ms each; sounds and films last as long as they do.
        Pictures and films become uint8 arrays (frame, y, x, rgb), sounds float32 WAV files.
    folder : Path
        Files are numbered: no id becomes a file name.
    """
    make = _EVENTS[modality_of(stimuli)]
    (folder / "media").mkdir()
    events = []
    for k, name in enumerate(stimuli["stimulus"].values.astype(str)):
        one = stimuli.isel(stimulus=k)
        found = list(make(one, folder / "media" / f"{k:06d}"))
        if not found or found[0]["duration"] <= 0:
            raise StimulusError(f"stimulus {name}: nothing to show, it has no words or no length")
        events += [{"start": 0.0, **event, "timeline": name} for event in found]
    pd.DataFrame(events).to_csv(folder / EVENTS, index=False)


def _image(one: xr.Dataset, path: Path) -> Iterator[Event]:
    yield _video(one["image"].values[None], 1 / IMAGE_S, IMAGE_S, path)


def _film(one: xr.Dataset, path: Path) -> Iterator[Event]:
    rate = _rate(one, "frame_rate_hz")
    yield _video(_used(one, "film", "n_frames"), rate, film_seconds(one).item(), path)
    if "sound" in one:
        yield from _sound(one, path)


def _video(frames: np.ndarray, rate: float, seconds: float, path: Path) -> Event:
    np.save(path.with_suffix(".npy"), frames, allow_pickle=False)
    file = {"filepath": str(path.with_suffix(".npy")), "frequency": rate}
    return {"type": "Video", "duration": seconds, **file}


def _sound(one: xr.Dataset, path: Path) -> Iterator[Event]:
    from scipy.io import wavfile

    samples, rate = _used(one, "sound", "n_samples"), int(_rate(one, "sampling_rate_hz"))
    if not len(samples):
        return
    wavfile.write(path.with_suffix(".wav"), rate, samples.astype(np.float32))
    file = {"filepath": str(path.with_suffix(".wav")), "frequency": float(rate)}
    yield {"type": "Audio", "duration": len(samples) / rate, **file}


def _text(one: xr.Dataset, path: Path) -> Iterator[Event]:
    words = str(one["caption"].values).split()
    for k, word in enumerate(words):
        context = " ".join(words[max(0, k + 1 - CONTEXT_WORDS) : k + 1])
        yield {
            "type": "Word",
            "start": round(k * WORD_S, 6),
            "duration": WORD_S,
            "text": word,
            "context": context,
        }


def _rate(one: xr.Dataset, name: str) -> float:
    rate = one.attrs.get(name)
    if not isinstance(rate, int | float | np.number) or not rate > 0:
        raise StimulusError(f"these stimuli need the attribute {name}, above 0; it is {rate!r}")
    return float(rate)


def _used(one: xr.Dataset, variable: str, length: str) -> np.ndarray:
    """Return what is no padding."""
    return one[variable].values[: int(one[length]) if length in one.coords else None]


_EVENTS = {"image": _image, "text": _text, "sound": _sound, "film": _film}
