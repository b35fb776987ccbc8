"""The network of the `mlp` and `bottleneck` adapters; its sizes decide which it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class VertexNetwork(nn.Module):
    """Vertices to voxels through hidden layers: linear, LayerNorm, GELU, dropout; then linear.

    With hidden sizes (2048, 2048), from 20,484 to 15,724, it has 78,376,300 parameters; with
    (512,) it has 18,555,756.

    Parameters
    ----------
    vertices, voxels : int
    hidden : sequence of int
    dropout : float
    """

    def __init__(self, vertices: int, voxels: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        sizes = [vertices, *hidden]
        parts: list[nn.Module] = []
        for one, other in pairwise(sizes):
            parts += [nn.Linear(one, other), nn.LayerNorm(other), nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*parts, nn.Linear(sizes[-1], voxels))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised voxels, (..., voxel), from standardised vertices, (..., vertex)."""
        return self.layers(x)
