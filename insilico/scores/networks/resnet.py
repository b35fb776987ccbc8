"""ResNet-50 with the stride in the 3 × 3 convolution, and the names of torchvision's file."""

from __future__ import annotations

import torch
from torch import nn

DEPTHS = (3, 4, 6, 3)


def _convolution(before: int, after: int, side: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, side, stride, padding=side // 2, bias=False)


class Bottleneck(nn.Module):
    """Narrow, look around, widen, and add the input."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.conv1, self.bn1 = _convolution(before, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _convolution(width, after, 1), nn.BatchNorm2d(after)
        self.downsample: nn.Module | None = None
        if before != after or stride != 1:
            shortcut = _convolution(before, after, 1, stride)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(after))

    def forward(self, before: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        found = torch.relu(self.bn1(self.conv1(before)))
        found = torch.relu(self.bn2(self.conv2(found)))
        kept = before if self.downsample is None else self.downsample(before)
        return torch.relu(self.bn3(self.conv3(found)) + kept)


class ResNet50(nn.Module):
    """ResNet-50; layer ``avgpool`` is 2,048 means over places.

    Parameters
    ----------
    head : bool
        Whether there is the classifier ``fc`` (SwAV's file holds none).
    """

    def __init__(self, *, head: bool = True) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(3, 64, 7, 2), nn.BatchNorm2d(64)
        before = 64
        for k, depth in enumerate(DEPTHS):
            width, blocks = 64 * 2**k, []
            for turn in range(depth):
                blocks.append(Bottleneck(before, width, 2 if k > 0 and turn == 0 else 1))
                before = 4 * width
            setattr(self, f"layer{k + 1}", nn.Sequential(*blocks))
        if head:
            self.fc = nn.Linear(before, 1000)

    def forward(self, pixels: torch.Tensor, layer: str = "avgpool") -> torch.Tensor:
        """Return the means over places, (n, 2048)."""
        found = torch.relu(self.bn1(self.conv1(pixels)))
        found = nn.functional.max_pool2d(found, 3, 2, padding=1)
        for k in range(len(DEPTHS)):
            found = getattr(self, f"layer{k + 1}")(found)
        return found.mean((2, 3))


def backbone() -> ResNet50:
    """Return a ResNet-50 without its classifier, as SwAV trains it."""
    return ResNet50(head=False)


def swav_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the backbone's part of SwAV's file: no projection, no prototypes."""
    heads = ("projection_head.", "prototypes.", "fc.")
    return {key: value for key, value in state.items() if not key.startswith(heads)}
