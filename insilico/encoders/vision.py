"""The visual stream of MARY-Nano: a small convolutional network with two rates.

The slow path sees every frame by itself, with many channels: what is where. The fast path sees
each frame together with the one before it, with few channels: what changes. Every row of the
result covers two frames, so that a film of n frames has n + 1 rows: the first row sees the onset
of the first frame, the last one its offset. An image is a film of one frame and has two rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return convolution, batch norm and GELU; the size falls by `stride`."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )


class Block(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width, 3)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        return functional.gelu(maps + self.second(self.first(maps)))


class Path(nn.Sequential):
    """Maps that halve three times: `side` pixels to `side` / 8, with one width for each stage."""

    def __init__(self, channels: int, widths: Sequence[int], blocks: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for stage, (width, n) in enumerate(zip(widths, blocks, strict=True)):
            layers.append(convolution(channels, width, 3 if stage else 5, 2))
            layers += [Block(width) for _ in range(n)]
            channels = width
        super().__init__(*layers)


class ReadOut(nn.Module):
    """Vectors from maps: the mean of every channel, and a few channels place by place."""

    def __init__(self, width: int, side: int, placed: int) -> None:
        super().__init__()
        self.place = nn.Conv2d(width, placed, 1)
        self.n_features = width + placed * side**2

    def forward(self, maps: Tensor) -> Tensor:
        """Turn (n, width, side, side) into (n, n_features)."""
        return torch.cat([maps.mean((2, 3)), self.place(maps).flatten(1)], 1)


def windows(frames: Tensor) -> Tensor:
    """Put every frame beside the one before it; grey (zero) comes before and after the film.

    Parameters
    ----------
    frames : (n, frames, 3, side, side)

    Returns
    -------
    (n, frames + 1, 6, side, side)
    """
    film = functional.pad(frames, (0, 0, 0, 0, 0, 0, 1, 1))
    return torch.cat([film[:, :-1], film[:, 1:]], 2)


def spread(features: Tensor) -> Tensor:
    """Give each row the mean of the frames inside its window: (n, frames, k) to (n, frames + 1, k).

    Windows at the two ends hold one frame; the grey beside it does not count.
    """
    film = functional.pad(features, (0, 0, 1, 1))
    held = functional.pad(features.new_ones(features.shape[1]), (1, 1))
    return (film[:, :-1] + film[:, 1:]) / (held[:-1] + held[1:])[None, :, None]


class TwoRateVision(nn.Module):
    """Frames in, features on the row grid out.

    Parameters
    ----------
    side : int
        Height and width of a frame in pixels, a multiple of eight.
    slow, fast : sequence of int
        Channels of the three stages of each path.
    blocks : sequence of int
        Residual blocks of the slow path's stages.
    placed : int
        Channels that the slow path hands on place by place; the fast path hands on a third.
    """

    def __init__(
        self,
        side: int = 64,
        slow: Sequence[int] = (24, 48, 96),
        fast: Sequence[int] = (6, 12, 24),
        blocks: Sequence[int] = (0, 1, 2),
        placed: int = 12,
    ) -> None:
        super().__init__()
        self.slow = Path(3, slow, blocks)
        self.fast = Path(6, fast, (0, 0, 0))
        self.read_slow = ReadOut(slow[-1], side // 8, placed)
        self.read_fast = ReadOut(fast[-1], side // 8, max(1, placed // 3))
        self.n_features = self.read_slow.n_features + self.read_fast.n_features

    def forward(self, frames: Tensor) -> Tensor:
        """Encode films.

        Parameters
        ----------
        frames : (n, frames, 3, side, side)
            Pixels in [-1, 1], one frame a second.

        Returns
        -------
        (n, frames + 1, n_features)
        """
        return torch.cat([self._slow_rows(frames), self._fast_rows(frames)], -1)

    def _slow_rows(self, frames: Tensor) -> Tensor:
        maps = self.slow(frames.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        return spread(self.read_slow(maps).unflatten(0, frames.shape[:2]))

    def _fast_rows(self, frames: Tensor) -> Tensor:
        pairs = windows(frames)
        maps = self.fast(pairs.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        return self.read_fast(maps).unflatten(0, pairs.shape[:2])
