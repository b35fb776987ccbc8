"""From stimuli to what the streams take: films, waves and tokens, in batches of equal length."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal
from unicodedata import category

import numpy as np
import torch
import xarray as xr
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.slowfast import SlowFastConfig
from insilico.encoders.streams import SAMPLING_RATE_HZ
from insilico.errors import ParameterError, StimulusError, WeightsError, listed, not_one_of
from insilico.schema import check
from insilico.spaces.timeline import IMAGE_S, film_seconds, rows
from insilico.step import asked_batch, one_by_one

VARIABLES = {"image": "image", "text": "caption", "sound": "sound", "film": "film"}
MODALITIES = tuple(VARIABLES)
Stream = Literal["vision", "sound", "text"]
STREAMS = {"vision": ("film",), "sound": ("wave",), "text": ("tokens", "spans")}
"""Stream of the encoder to what it takes of what is shown."""
ALONE = {"image": "vision", "text": "text", "sound": "sound"}
"""Modality to the one stream that takes it; a film may have several."""
LONGEST = 120
"""Characters of a text that a complaint says."""


@dataclass(frozen=True)
class Shown:
    """What a batch of equally long stimuli shows; a modality left out is absent.

    Attributes
    ----------
    rows : int
        Rows of the response.
    modality : str
        One of `MODALITIES`.
    film : (n, frames, 3, side, side), optional
        Pixels, centred.
    rate_hz : float
        Frames of the film a second.
    wave : (n, samples), optional
        Sound at 16 kHz.
    tokens : int64 (n, tokens), optional
    spans : (n, tokens, 2), optional
        Start and stop of every token in seconds; equal for padding.
    """

    rows: int
    modality: str = "image"
    film: Tensor | None = None
    rate_hz: float = 1.0
    wave: Tensor | None = None
    tokens: Tensor | None = None
    spans: Tensor | None = None

    def to(self, where: str | torch.device) -> Shown:
        """Return the same on another device."""
        tensors = {k: v.to(where) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)  # type: ignore[arg-type]


def silenced(shown: Shown, streams: Collection[str]) -> Shown:
    """Return what is shown without what some streams would take.

    Raises
    ------
    ParameterError
        If nothing is left.
    """
    left = replace(shown, **{part: None for name in streams for part in STREAMS[name]})  # type: ignore[arg-type]
    if all(getattr(left, part) is None for part in ("film", "wave", "tokens")):
        raise ParameterError(nothing_left(streams, shown.modality))
    return left


def nothing_left(streams: Collection[str], modality: str) -> str:
    """Say that nothing is left of stimuli without some streams."""
    return (
        f"without {listed(streams)}, nothing is left of stimuli of modality {modality}; "
        "show one that has another stream too (a film with sound), or silence fewer"
    )


@dataclass(frozen=True)
class Presentation:
    """Stimuli as a model takes them.

    Attributes
    ----------
    stimuli : xarray.Dataset
        Their attribute `modality` says what is shown.
    config : MaryNanoConfig
        Of the model.
    tokenizer : tokenizers.Tokenizer, optional
        Of the model; needed for texts.
    """

    stimuli: xr.Dataset
    config: MaryNanoConfig
    tokenizer: Tokenizer | None = None

    def __post_init__(self) -> None:
        check(self.stimuli, "stimuli")
        if VARIABLES[self.modality] not in self.stimuli:
            raise StimulusError(
                f"stimuli of modality {self.modality} need {VARIABLES[self.modality]}; these hold "
                f"{listed(self.stimuli.data_vars)}"
            )
        if self.modality == "text" and self.tokenizer is None:
            raise WeightsError("these weights have no tokenizer.json: they cannot read texts")
        _CHECKS[self.modality](self.stimuli)

    def __len__(self) -> int:
        return self.stimuli.sizes["stimulus"]

    @property
    def modality(self) -> str:
        """How the stimuli are presented; images where they do not say."""
        modality = self.stimuli.attrs.get("modality", "image")
        if modality not in VARIABLES:
            raise StimulusError(not_one_of("modality", modality, VARIABLES))
        return modality

    @cached_property
    def rows(self) -> np.ndarray:
        """Rows of each stimulus, int64 (n,)."""
        return np.array([rows(seconds, self.config.tr_s) for seconds in self.durations])

    @cached_property
    def durations(self) -> np.ndarray:
        """Duration of each stimulus in seconds, (n,)."""
        if self.modality == "image":
            return np.full(len(self), IMAGE_S)
        if self.modality == "text":
            words = [len(str(text).split()) for text in self.stimuli["caption"].values]
            return np.array(words) * self.config.word_s
        heard = self._samples / SAMPLING_RATE_HZ if self._heard else np.zeros(len(self))
        return np.maximum(heard, film_seconds(self.stimuli)) if self.modality == "film" else heard

    @cached_property
    def _samples(self) -> np.ndarray:
        return _lengths(self.stimuli, "sound", "n_samples")

    @cached_property
    def _frames(self) -> np.ndarray:
        return _lengths(self.stimuli, "film", "n_frames")

    @cached_property
    def alike(self) -> np.ndarray:
        """Which stimuli can share a batch, int64 (n,): those of one number have one length."""
        keys = [self.rows]
        keys += [self._samples] if self._heard else []
        keys += [self._frames] if self.modality == "film" else []
        return np.unique(np.stack(keys, 1), axis=0, return_inverse=True)[1].ravel()

    @property
    def _heard(self) -> bool:
        with_film = self.modality == "film" and "sound" in self.stimuli
        return with_film or self.modality == "sound"

    def batches(
        self, rows: int, what: str = "encode", most: int | None = None
    ) -> Iterator[tuple[np.ndarray, Shown]]:
        """Yield numbers of stimuli of one length, and what they show, about `rows` rows at once.

        `most` stimuli fit into memory together.
        """
        parts: list[np.ndarray] = []
        for kind in np.unique(self.alike):
            alike = np.flatnonzero(self.alike == kind)
            size = asked_batch() or max(1, rows // int(self.rows[alike[0]]))
            size = size if most is None else min(size, most)
            parts += [alike[at : at + size] for at in range(0, len(alike), size)]
        for numbers in one_by_one(parts, what):
            yield numbers, self.shown(numbers)

    def shown(self, numbers: np.ndarray) -> Shown:
        """Return what stimuli of equal length show."""
        rows, modality = int(self.rows[numbers[0]]), self.modality
        heard = self._heard and self._samples[numbers[0]] > 0
        wave = self._wave(numbers) if heard else None
        if modality == "text":
            tokens, spans = self._tokens(numbers)
            return Shown(rows, modality, tokens=tokens, spans=spans)
        if modality == "sound":
            return Shown(rows, modality, wave=wave)
        film, rate_hz = self._film(numbers)
        return Shown(rows, modality, film=film, rate_hz=rate_hz, wave=wave)

    def _film(self, numbers: np.ndarray) -> tuple[Tensor, float]:
        vision = self.config.vision
        if self.modality == "image":
            return frames(self.stimuli["image"][numbers].values, vision)[:, None], 1 / IMAGE_S
        film = self.stimuli["film"][numbers, : self._frames[numbers[0]]].values
        shown = frames(film.reshape(-1, *film.shape[2:]), vision)
        return shown.unflatten(0, film.shape[:2]), float(self.stimuli.attrs["frame_rate_hz"])

    def _wave(self, numbers: np.ndarray) -> Tensor:
        length = self._samples[numbers[0]]
        heard = np.array(self.stimuli["sound"][numbers, :length].values, np.float32)
        if not np.isfinite(heard).all():
            bad = numbers[~np.isfinite(heard).all(1)]
            ids = listed(self.stimuli["stimulus"].values[bad], 3)
            raise StimulusError(f"NaN or infinite samples in the sounds of {ids}")
        return torch.from_numpy(heard)

    def _tokens(self, numbers: np.ndarray) -> tuple[Tensor, Tensor]:
        read = [self._read(k) for k in numbers]
        tokens = pad_sequence([tokens for tokens, _ in read], batch_first=True)
        return tokens, pad_sequence([spans for _, spans in read], batch_first=True)

    def _read(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the tokens of a text, and when each is read: as long as its word lasts."""
        assert self.tokenizer is not None
        words = [f" {word}" for word in str(self.stimuli["caption"].values[number]).split()]
        found = self.tokenizer.encode(words, is_pretokenized=True, add_special_tokens=False)
        if not found.ids:
            text = "".join(words)[1:]
            text = text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"
            raise StimulusError(f'no word in "{text}" that these weights can read')
        starts = torch.tensor(found.word_ids)[:, None] * self.config.word_s
        return torch.tensor(found.ids), torch.cat([starts, starts + self.config.word_s], 1)

    def unknown_words(self) -> list[str]:
        """Return the words of all texts that the tokenizer does not know.

        They hold a token that it has no number for, or characters that it leaves out; punctuation
        is such only where it stands alone, as a word.
        """
        unknown = self.tokenizer.token_to_id("<unk>") if self.tokenizer is not None else None
        if self.modality != "text" or unknown is None:
            return []
        words = [word for text in self.stimuli["caption"].values for word in str(text).split()]
        assert self.tokenizer is not None
        read = self.tokenizer.encode_batch([f" {word}" for word in words], add_special_tokens=False)
        return [
            word
            for word, found in zip(words, read, strict=True)
            if not found.ids or unknown in found.ids or any(map(self._left_out, word))
        ]

    def _left_out(self, character: str) -> bool:
        """Return whether the tokenizer deletes a character that is more than punctuation."""
        assert self.tokenizer is not None
        plain = character.isascii() or category(character)[0] in "MPC"
        normalizer = None if plain else self.tokenizer.normalizer
        return normalizer is not None and not normalizer.normalize_str(character)


def frames(pixels: np.ndarray, config: SlowFastConfig) -> Tensor:
    """Return the middle square of pictures at the size that the model sees.

    Parameters
    ----------
    pixels : uint8, (n, height, width, 3)
    config : SlowFastConfig
        Says the size, and how pixels are centred.

    Returns
    -------
    float32, (n, 3, side, side)
    """
    height, width = pixels.shape[1:3]
    square = min(height, width)
    y, x = (height - square) // 2, (width - square) // 2
    cut = np.array(pixels[:, y : y + square, x : x + square])
    return framed(torch.from_numpy(cut).permute(0, 3, 1, 2).float(), config)


def framed(pixels: Tensor, config: SlowFastConfig) -> Tensor:
    """Return square pictures, floating (n, 3, y, x), 0 to 255, as `frames` does; with gradients."""
    side = config.side
    if pixels.shape[-1] != side:
        pixels = functional.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
    return pixels.div(255).sub(config.mean).div(config.deviation)


def _lengths(stimuli: xr.Dataset, variable: str, coordinate: str) -> np.ndarray:
    """Return how much of each stimulus is not padding, int64 (n,)."""
    n, whole = stimuli[variable].shape[:2]
    return stimuli[coordinate].values if coordinate in stimuli.coords else np.full(n, whole)


def _check_pixels(stimuli: xr.Dataset, name: str = "image") -> None:
    pixels = stimuli[name]
    dims = (
        ("frame", "y_pixel", "x_pixel", "rgb") if name == "film" else ("y_pixel", "x_pixel", "rgb")
    )
    right = pixels.dtype == np.uint8 and pixels.ndim == 1 + len(dims) and pixels.shape[-1] == 3
    if not right:
        raise StimulusError(
            f"{name} must be uint8 (stimulus, {', '.join(dims)}); is {pixels.dtype} {pixels.shape}"
        )


def _check_film(stimuli: xr.Dataset) -> None:
    _check_pixels(stimuli, "film")
    rate = stimuli.attrs.get("frame_rate_hz")
    if not isinstance(rate, int | float) or not rate > 0:
        raise StimulusError(f"films need attrs['frame_rate_hz'] above 0; it is {rate!r}")
    _check_lengths(stimuli, "film", "n_frames")
    film_seconds(stimuli)
    if "sound" in stimuli:
        _check_sound(stimuli, least=0)


def _check_sound(stimuli: xr.Dataset, least: int = 1) -> None:
    rate = stimuli.attrs.get("sampling_rate_hz")
    if rate != SAMPLING_RATE_HZ:
        raise StimulusError(
            f"sounds need attrs['sampling_rate_hz'] {SAMPLING_RATE_HZ}; it is {rate!r}: resample"
        )
    sound = stimuli["sound"]
    if sound.ndim != 2 or sound.dtype.kind != "f":
        raise StimulusError(
            f"sound must be floating (stimulus, sample), mono; is {sound.dtype} {sound.shape}"
        )
    _check_lengths(stimuli, "sound", "n_samples", least)


def _check_lengths(stimuli: xr.Dataset, variable: str, coordinate: str, least: int = 1) -> None:
    lengths, whole = _lengths(stimuli, variable, coordinate), stimuli[variable].shape[1]
    wrong = (lengths < least) | (lengths > whole)
    if wrong.any():
        raise StimulusError(
            f"{variable} of {listed(stimuli['stimulus'].values[wrong], 3)}: {coordinate} must lie "
            f"between {least} and {whole}, is {listed(lengths[wrong], 3)}"
        )


def _check_text(stimuli: xr.Dataset) -> None:
    blank = np.array([not str(text).strip() for text in stimuli["caption"].values], bool)
    if blank.any():
        ids = listed(stimuli["stimulus"].values[blank], 3)
        raise StimulusError(f"empty caption of {ids}: give each text a word at least")


_CHECKS = {
    "image": _check_pixels,
    "film": _check_film,
    "sound": _check_sound,
    "text": _check_text,
}
