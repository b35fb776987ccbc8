"""EfficientNet-B1 with symmetric padding, and the names of torchvision's file."""

from __future__ import annotations

import torch
from torch import nn

STAGES = (  # widening, kernel, stride, channels before, channels after, blocks
    (1, 3, 1, 32, 16, 2),
    (6, 3, 2, 16, 24, 3),
    (6, 5, 2, 24, 40, 3),
    (6, 3, 2, 40, 80, 4),
    (6, 5, 1, 80, 112, 4),
    (6, 5, 2, 112, 192, 5),
    (6, 3, 1, 192, 320, 2),
)
WIDTH = 1280


def _convolution(
    before: int, after: int, side: int = 1, stride: int = 1, groups: int = 1, *, active: bool = True
) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, side, stride, side // 2, groups=groups, bias=False)
    parts = [convolution, nn.BatchNorm2d(after), *([nn.SiLU()] if active else [])]
    return nn.Sequential(*parts)


class Squeeze(nn.Module):
    """Weigh channels by what their means tell."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, squeezed, 1), nn.Conv2d(squeezed, width, 1)

    def forward(self, before: torch.Tensor) -> torch.Tensor:
        """Return the weighed channels."""
        means = before.mean((2, 3), keepdim=True)
        weights = self.fc2(nn.functional.silu(self.fc1(means)))
        return before * torch.sigmoid(weights)


class Block(nn.Module):
    """Widen, look around channel by channel, weigh, narrow; add the input where it fits."""

    def __init__(self, widening: int, side: int, stride: int, before: int, after: int) -> None:
        super().__init__()
        width = widening * before
        parts: list[nn.Module] = [_convolution(before, width)] if widening > 1 else []
        parts.append(_convolution(width, width, side, stride, groups=width))
        parts.append(Squeeze(width, before // 4))
        parts.append(_convolution(width, after, active=False))
        self.block = nn.Sequential(*parts)
        self.adds = stride == 1 and before == after

    def forward(self, before: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        found = self.block(before)
        return found + before if self.adds else found


def _stage(
    widening: int, side: int, stride: int, before: int, after: int, blocks: int
) -> nn.Sequential:
    first = Block(widening, side, stride, before, after)
    return nn.Sequential(
        first, *(Block(widening, side, 1, after, after) for _ in range(blocks - 1))
    )


class EfficientNetB1(nn.Module):
    """EfficientNet-B1; layer ``avgpool`` is 1,280 means over places."""

    def __init__(self) -> None:
        super().__init__()
        stages = [_stage(*numbers) for numbers in STAGES]
        stem, top = _convolution(3, 32, 3, 2), _convolution(320, WIDTH)
        self.features = nn.Sequential(stem, *stages, top)
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(WIDTH, 1000))

    def forward(self, pixels: torch.Tensor, layer: str = "avgpool") -> torch.Tensor:
        """Return the means over places, (n, 1280)."""
        return self.features(pixels).mean((2, 3))
