"""Inception v3 as ported from TensorFlow, with the names of torchvision's file."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Unit(nn.Module):
    """Convolution, batch norm of epsilon 0.001, ReLU."""

    def __init__(self, before: int, after: int, side: Any = 1, stride: int = 1, pad: Any = 0):
        super().__init__()
        self.conv = nn.Conv2d(before, after, side, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, before: torch.Tensor) -> torch.Tensor:
        """Return the unit's output."""
        return torch.relu(self.bn(self.conv(before)))


def wide(before: int, after: int, side: int) -> Unit:
    """Return a convolution over a row of `side` places."""
    return Unit(before, after, (1, side), pad=(0, side // 2))


def tall(before: int, after: int, side: int) -> Unit:
    """Return a convolution over a column of `side` places."""
    return Unit(before, after, (side, 1), pad=(side // 2, 0))


class Mixed(nn.Module):
    """Branches side by side; each is a chain of units, by name.

    Attributes
    ----------
    chains : tuple of tuple of str
        Names of the units of each branch; ``a|b`` are two units side by side.
    pooled : str
        Unit after a 3 × 3 mean; ``""`` where the branch is a bare 3 × 3 maximum of stride 2.
    """

    chains: tuple[tuple[str, ...], ...]
    pooled: str = "branch_pool"

    def forward(self, before: torch.Tensor) -> torch.Tensor:
        """Return all branches' channels."""
        found = [self._chain(chain, before) for chain in self.chains]
        if self.pooled:
            found.append(self.get_submodule(self.pooled)(avg_pool2d(before, 3, 1, 1)))
        else:
            found.append(max_pool2d(before, 3, 2))
        return torch.cat(found, 1)

    def _chain(self, chain: tuple[str, ...], found: torch.Tensor) -> torch.Tensor:
        for names in chain:
            parts = [self.get_submodule(name)(found) for name in names.split("|")]
            found = torch.cat(parts, 1)
        return found


class MixedA(Mixed):
    """Branches of 1 × 1, 5 × 5 and twice 3 × 3."""

    chains = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    )

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(before, 64)
        self.branch5x5_1, self.branch5x5_2 = Unit(before, 48), Unit(48, 64, 5, pad=2)
        self.branch3x3dbl_1 = Unit(before, 64)
        self.branch3x3dbl_2 = Unit(64, 96, 3, pad=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, pad=1)
        self.branch_pool = Unit(before, pooled)


class MixedB(Mixed):
    """From 35 to 17 places: branches of 3 × 3 and twice 3 × 3."""

    chains = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"))
    pooled = ""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = Unit(288, 384, 3, 2)
        self.branch3x3dbl_1 = Unit(288, 64)
        self.branch3x3dbl_2 = Unit(64, 96, 3, pad=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, 2)


class MixedC(Mixed):
    """Branches of 1 × 1, 7 × 7 and twice 7 × 7, in rows and columns."""

    chains = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{k}" for k in range(1, 6)),
    )

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(768, 192)
        self.branch7x7_1 = Unit(768, width)
        self.branch7x7_2, self.branch7x7_3 = wide(width, width, 7), tall(width, 192, 7)
        self.branch7x7dbl_1 = Unit(768, width)
        self.branch7x7dbl_2, self.branch7x7dbl_3 = tall(width, width, 7), wide(width, width, 7)
        self.branch7x7dbl_4, self.branch7x7dbl_5 = tall(width, width, 7), wide(width, 192, 7)
        self.branch_pool = Unit(768, 192)


class MixedD(Mixed):
    """From 17 to 8 places."""

    chains = (
        ("branch3x3_1", "branch3x3_2"),
        tuple(f"branch7x7x3_{k}" for k in range(1, 5)),
    )
    pooled = ""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(768, 192), Unit(192, 320, 3, 2)
        self.branch7x7x3_1 = Unit(768, 192)
        self.branch7x7x3_2, self.branch7x7x3_3 = wide(192, 192, 7), tall(192, 192, 7)
        self.branch7x7x3_4 = Unit(192, 192, 3, 2)


class MixedE(Mixed):
    """Branches that end in a row and a column side by side."""

    chains = (
        ("branch1x1",),
        ("branch3x3_1", "branch3x3_2a|branch3x3_2b"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a|branch3x3dbl_3b"),
    )

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(before, 320)
        self.branch3x3_1 = Unit(before, 384)
        self.branch3x3_2a, self.branch3x3_2b = wide(384, 384, 3), tall(384, 384, 3)
        self.branch3x3dbl_1 = Unit(before, 448)
        self.branch3x3dbl_2 = Unit(448, 384, 3, pad=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = wide(384, 384, 3), tall(384, 384, 3)
        self.branch_pool = Unit(before, 192)


class Auxiliary(nn.Module):
    """The side classifier of training: in the file, never read here."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.conv1 = Unit(768, 128), Unit(128, 768, 5)
        self.fc = nn.Linear(768, 1000)


class InceptionV3(nn.Module):
    """Inception v3; layer ``avgpool`` is 2,048 means over places.

    Pixels come normalised as ImageNet's; the net first turns them into those of its origin, which
    lie in [-1, 1].
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, pad=1)
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c = MixedA(192, 32), MixedA(256, 64)
        self.Mixed_5d, self.Mixed_6a = MixedA(288, 64), MixedB()
        self.Mixed_6b, self.Mixed_6c = MixedC(128), MixedC(160)
        self.Mixed_6d, self.Mixed_6e = MixedC(160), MixedC(192)
        self.AuxLogits = Auxiliary()
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = MixedD(), MixedE(1280), MixedE(2048)
        self.fc = nn.Linear(2048, 1000)

    def forward(self, pixels: torch.Tensor, layer: str = "avgpool") -> torch.Tensor:
        """Return the means over places, (n, 2048)."""
        mean, spread = (pixels.new_tensor(v)[:, None, None] for v in (MEAN, SPREAD))
        found = pixels * (spread / 0.5) + (mean - 0.5) / 0.5
        found = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(found)))
        found = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(max_pool2d(found, 3, 2)))
        found = max_pool2d(found, 3, 2)
        for name, module in self.named_children():
            if name.startswith("Mixed"):
                found = module(found)
        return found.mean((2, 3))
