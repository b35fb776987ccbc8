"""What a person is told of a translation: what came out, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import listed

WHAT = {"image": "pictures", "text": "sentences", "sound": "sounds", "film": "films"}
LONGEST = 120


@dataclass(frozen=True)
class Familiarity:
    """How near a stimulus lies to what the encoder was trained on.

    Attributes
    ----------
    distance : float
        See `insilico.encoders.mary_nano.distance_from_training`; NaN where it is not measured.
    world : float
        Below it lie 98 in 100 new stimuli of the encoder's own world.
    unknown, known : tuple of str
        Words of a text that the encoder does not know; those that it knows, if they are few.
    taught : bool
        Whether the encoder is known to have learned from stimuli of this modality, or cannot tell.
    """

    distance: float = np.nan
    world: float = np.nan
    unknown: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    taught: bool = True

    @classmethod
    def of(cls, encoder: Mapping[str, Any], stimuli: xr.Dataset) -> Familiarity:
        """Return that of the first stimulus; only MARY-Nano can tell."""
        if encoder.get("kind") != "mary_nano":
            return cls()
        from insilico.encoders.mary_nano import FAR, MaryNano, distance_from_training, words_of

        weights = encoder.get("weights", "phantom")
        unknown, known = words_of(stimuli, weights=weights)
        distance = float(distance_from_training(stimuli, weights=weights)[0])
        modality = str(stimuli.attrs.get("modality", "image"))
        taught = MaryNano(weights=weights).model().taught(modality)
        return cls(distance, FAR, tuple(unknown), tuple(known), taught)


def summary(
    spec: Mapping[str, Any],
    preset: str,
    stimuli: xr.Dataset,
    made: xr.Dataset,
    forms: list[str],
    near: Familiarity,
) -> str:
    """Return what is said at the end, line by line."""
    lines = [f"{_titled(spec)} through the chain of '{preset}' (simulated; not a person's brain)"]
    lines += [f"shown: {stimuli.attrs['note']}"] if stimuli.attrs.get("note") else []
    if "text" in forms:
        lines.append(f'caption: "{made["caption"].values[0, 0]}"')
    if "image" in forms:
        lines.append(f"image.png: {made.sizes['x_pixel']} x {made.sizes['y_pixel']} pixels")
    if "sound" in forms:
        rate = int(made.attrs["sampling_rate_hz"])
        seconds = made.sizes["sample"] / rate
        said = f"sound.wav: {seconds:g} s at {rate} Hz, made from the caption alone"
        scale = loudness(made["sound"].values[0, 0])
        softer = f"; made softer, × {scale:.3g}, so that its peak is 1 and nothing is clipped"
        lines.append(said + (softer if scale < 1 else ""))
    lines.append(_how_far(near, Path(preset).stem, str(stimuli.attrs.get("modality", "image"))))
    lines += _strange_words(near)
    return "\n".join(lines) + "\n"


def loudness(wave: np.ndarray) -> float:
    """Return by what a decoded sound is multiplied when it is written.

    1, unless its peak is above full scale (1), where players clip: then 1 / peak.
    """
    return 1.0 / max(1.0, float(np.abs(wave).max(initial=0.0)))


def _titled(spec: Mapping[str, Any]) -> str:
    if "path" in spec:
        return str(spec["path"])
    return f'"{_short(spec["text"][0])}"'


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST].rstrip()} … ({len(text.split()):,} words)"


def _how_far(near: Familiarity, name: str, modality: str) -> str:
    what = WHAT[modality]
    if not near.taught:
        return f"these weights were never taught {what}: what comes out is no more than a guess"
    if np.isnan(near.distance):
        return f"distance from the {what} that the encoder knows: not measured"
    text = f"distance from the {what} that the encoder knows: {near.distance:.1f} SD"
    if near.distance > near.world:
        return (
            f"{text}: another world than the {name}'s (of its own new scenes 98 in 100 "
            f"lie below {near.world:g}). What comes out is the nearest that this small world can "
            f"say; do not read it as a description of what was shown"
        )
    return f"{text}: within the {name}'s world"


def _strange_words(near: Familiarity) -> list[str]:
    if not near.unknown:
        return []
    words = listed([_short(word) for word in near.unknown])
    return [f"words that the encoder does not know: {words}; it knows {listed(near.known, 60)}"]
