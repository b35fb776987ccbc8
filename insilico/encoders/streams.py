"""The three streams of MARY-Nano: what is seen, heard and read, as features on the grid of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from insilico.encoders.alignment import align, clip_frames, even_spans
from insilico.encoders.slowfast import SlowFast, SlowFastConfig

SAMPLING_RATE_HZ = 16_000
ROWS_AT_ONCE = 8
Rows = tuple[Tensor, Tensor]
"""Features (n, rows, k), and whether a row has any (n, rows)."""


class ReadOut(nn.Module):
    """Vectors from maps: the mean of every channel, and a few channels place by place."""

    def __init__(self, width: int, grid: int, placed: int) -> None:
        super().__init__()
        self.place = nn.Conv2d(width, placed, 1)
        self.n_features = width + placed * grid**2

    def forward(self, maps: Tensor) -> Tensor:
        """Turn (n, width, time, grid, grid) into (n, n_features); time is averaged."""
        still = maps.mean(2)
        return torch.cat([still.mean((2, 3)), self.place(still).flatten(1)], 1)


class VisionStream(nn.Module):
    """SlowFast on the two TR around each row.

    Parameters
    ----------
    config : SlowFastConfig
    tr_s : float
    """

    def __init__(self, config: SlowFastConfig, tr_s: float) -> None:
        super().__init__()
        self.config, self.tr_s = config, tr_s
        self.slowfast = SlowFast(config)
        slow, fast = config.widths
        self.read_slow = ReadOut(slow, config.grid, config.placed)
        self.read_fast = ReadOut(fast, config.grid, max(1, config.placed // 3))
        self.n_features = self.read_slow.n_features + self.read_fast.n_features

    def forward(self, film: Tensor, rate_hz: float, rows: Tensor) -> Rows:
        """Encode films.

        Parameters
        ----------
        film : (n, frames, 3, side, side)
            Pixels, centred; zero is grey.
        rate_hz : float
            Frames a second.
        rows : int64, (rows,)
            Rows to encode.
        """
        at = clip_frames(film.shape[1], rate_hz, rows, self.tr_s, self.config.frames)
        at = at.to(film.device)
        parts = [self._clips(film, some) for some in at.split(ROWS_AT_ONCE)]
        present = (at < film.shape[1]).any(1)
        return torch.cat(parts, 1), present.expand(len(film), -1)

    def _clips(self, film: Tensor, at: Tensor) -> Tensor:
        """Encode the clips whose frames are `at` (rows, frames), a few rows at once."""
        film = functional.pad(film, (0, 0, 0, 0, 0, 0, 0, 1))
        clips = film[:, at].flatten(0, 1).transpose(1, 2)
        slow, fast = self.slowfast.maps(clips.contiguous(memory_format=torch.channels_last_3d))
        read = torch.cat([self.read_slow(slow), self.read_fast(fast)], -1)
        return read.unflatten(0, (len(film), len(at)))


class SoundStream(nn.Module):
    """wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477) on pieces of a sound.

    Parameters
    ----------
    sizes : mapping
        What differs from `transformers.Wav2Vec2Config`, whose defaults are wav2vec2-base.
    window_s, tr_s : float
        Length of a piece, seconds between rows.
    """

    def __init__(self, sizes: Mapping[str, Any], window_s: float, tr_s: float) -> None:
        from transformers import Wav2Vec2Config, Wav2Vec2Model

        super().__init__()
        config = Wav2Vec2Config(**{"apply_spec_augment": False, "layerdrop": 0.0, **sizes})
        self.window, self.tr_s = round(window_s * SAMPLING_RATE_HZ), tr_s
        self.wav2vec2 = Wav2Vec2Model(config)
        self.n_features = config.hidden_size
        self.shortest = shortest_sound(config.conv_kernel, config.conv_stride)

    def forward(self, wave: Tensor, rows: int) -> Rows:
        """Encode sounds (n, samples) at 16 kHz."""
        features, spans, start = [], [], 0
        for piece in wave.split(self.window, 1):
            hidden = self.wav2vec2(self._ready(piece)).last_hidden_state
            stop = start + piece.shape[1]
            edges = (start / SAMPLING_RATE_HZ, stop / SAMPLING_RATE_HZ)
            features.append(hidden)
            spans.append(even_spans(hidden.shape[1], *edges).to(wave.device))
            start = stop
        times = torch.cat(spans).expand(len(wave), -1, -1)
        return align(torch.cat(features, 1), times, rows, self.tr_s)

    def _ready(self, piece: Tensor) -> Tensor:
        """Return a piece of mean 0 and variance 1, long enough for one frame; silence stays so."""
        piece = functional.pad(piece, (0, max(0, self.shortest - piece.shape[1])))
        centred = piece - piece.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + 1e-7).sqrt()


def shortest_sound(kernels: list[int], strides: list[int]) -> int:
    """Return the samples that convolutions one after the other need for a single frame."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


class TextStream(nn.Module):
    """GPT-2 (Radford et al. 2019) on the tokens of a text, each as long as its word.

    Parameters
    ----------
    sizes : mapping
        What differs from `transformers.GPT2Config`, whose defaults are the small GPT-2.
    tr_s : float
    """

    def __init__(self, sizes: Mapping[str, Any], tr_s: float) -> None:
        from transformers import GPT2Config, GPT2Model

        super().__init__()
        config = GPT2Config(**{"use_cache": False, **sizes})
        self.tr_s = tr_s
        self.gpt2 = GPT2Model(config)
        self.n_features, self.window = config.n_embd, config.n_positions

    def forward(self, tokens: Tensor, spans: Tensor, rows: int) -> Rows:
        """Encode tokens (n, tokens) with spans (n, tokens, 2); padding comes last and lasts 0 s."""
        pieces = tokens.split(self.window, 1)
        features = torch.cat([self.gpt2(piece).last_hidden_state for piece in pieces], 1)
        return align(features, spans, rows, self.tr_s)
