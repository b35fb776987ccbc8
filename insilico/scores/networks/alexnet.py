"""AlexNet, one column ("One weird trick", 2014), with the names of torchvision's file."""

from __future__ import annotations

import torch
from torch import nn


class AlexNet(nn.Module):
    """AlexNet; layers ``features.4`` and ``features.11`` are its second and fifth, after ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        unread = [nn.Identity(), nn.Linear(9216, 4096), nn.Identity(), nn.Identity()]
        unread += [nn.Linear(4096, 4096), nn.Identity(), nn.Linear(4096, 1000)]
        self.classifier = nn.Sequential(*unread)

    def forward(self, pixels: torch.Tensor, layer: str) -> torch.Tensor:
        """Return the output of ``features.N``, (n, channels, y, x)."""
        last = int(layer.removeprefix("features."))
        return self.features[: last + 1](pixels)
