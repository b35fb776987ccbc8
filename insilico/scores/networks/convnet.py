"""The phantom's convolutional net: it names objects and colours of phantom scenes."""

from __future__ import annotations

import torch
from torch import nn

WIDTHS = (24, 48, 64, 96)
N_OBJECTS, N_COLOURS = 12, 8


class PhantomConvnet(nn.Module):
    """Four convolutions with batch norm, a mean over places, two read-outs.

    Layers: ``early``, after the second convolution, 48 × 32 × 32; ``late``, 96 means over places.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks, before = [], 3
        for width in WIDTHS:
            convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
            blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU()))
            before = width
        self.blocks = nn.ModuleList(blocks)
        self.object = nn.Linear(before, N_OBJECTS)
        self.colour = nn.Linear(before, N_COLOURS)

    def forward(self, pixels: torch.Tensor, layer: str) -> torch.Tensor:
        """Return a layer of pixels (n, 3, 64, 64)."""
        found = pixels
        for k, block in enumerate(self.blocks):
            found = block(found if k == 0 else nn.functional.max_pool2d(found, 2))
            if k == 1 and layer == "early":
                return found
        return found.mean((2, 3))
