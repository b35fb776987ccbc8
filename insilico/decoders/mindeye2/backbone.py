"""MindEye2's entry ridge and BrainNetwork: betas -> CLIP image tokens.

Wiring, names and sizes are the authors' (specification section 1); state dicts of published
checkpoints load as they are.
"""

from __future__ import annotations

import torch
from torch import nn


class Ridge(nn.Module):
    """One linear map per subject, from its voxels to the shared width.

    Parameters
    ----------
    voxels : sequence of int
        Voxels of each subject, in the order of the training run.
    hidden : int
        Shared width.
    """

    def __init__(self, voxels: list[int], hidden: int = 4096) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(count, hidden) for count in voxels])

    def forward(self, betas: torch.Tensor, subject: int = 0) -> torch.Tensor:
        """Map betas (n, 1, voxels) to (n, 1, hidden); `subject` is a position in the list."""
        return self.linears[subject](betas[:, 0]).unsqueeze(1)


def _mixer(width: int, dropout: float) -> nn.Sequential:
    inner = nn.Sequential(
        nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
    )
    return nn.Sequential(nn.LayerNorm(width), inner)


def _projector(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width)]
    return nn.Sequential(*layers)


class BrainNetwork(nn.Module):
    """MLP mixer with two residual streams, token head, contrastive projector, low-level head.

    Parameters
    ----------
    hidden, seq_len, n_blocks : int
    tokens, width : int
        Shape of the CLIP tokens, (256, 1664) as published.
    dropout : float
    blurry : dict, optional
        Sizes of the low-level head: ``channels`` (64), ``grid`` (7), ``blocks`` ((32, 64, 128)),
        ``groups`` (32), ``aux`` (512), ``latent`` (4). None builds no head.
    """

    def __init__(
        self,
        hidden: int = 4096,
        seq_len: int = 1,
        n_blocks: int = 4,
        tokens: int = 256,
        width: int = 1664,
        dropout: float = 0.15,
        blurry: dict | None = None,
    ) -> None:
        super().__init__()
        self.tokens, self.width = tokens, width
        self.mixer_blocks1 = nn.ModuleList([_mixer(hidden, dropout) for _ in range(n_blocks)])
        self.mixer_blocks2 = nn.ModuleList([_mixer(seq_len, dropout) for _ in range(n_blocks)])
        self.backbone_linear = nn.Linear(hidden * seq_len, tokens * width)
        self.clip_proj = _projector(width)
        self.blurry = blurry
        if blurry is not None:
            self._build_blurry(hidden * seq_len, **blurry)

    def _build_blurry(
        self,
        features: int,
        channels: int = 64,
        grid: int = 7,
        blocks: tuple[int, ...] = (32, 64, 128),
        groups: int = 32,
        aux: int = 512,
        latent: int = 4,
    ) -> None:
        from diffusers.models.autoencoders.vae import Decoder

        self.grid = (channels, grid, grid)
        self.blin1 = nn.Linear(features, channels * grid * grid)
        self.bdropout = nn.Dropout(0.3)
        self.bnorm = nn.GroupNorm(1, channels)
        self.bupsampler = Decoder(
            in_channels=channels,
            out_channels=latent,
            up_block_types=("UpDecoderBlock2D",) * len(blocks),
            block_out_channels=tuple(blocks),
            layers_per_block=1,
            norm_num_groups=groups,
        )
        self.b_maps_projector = nn.Sequential(
            nn.Conv2d(channels, aux, 1, bias=False),
            nn.GroupNorm(1, aux),
            nn.ReLU(True),
            nn.Conv2d(aux, aux, 1, bias=False),
            nn.GroupNorm(1, aux),
            nn.ReLU(True),
            nn.Conv2d(aux, aux, 1),
        )

    def mixed(self, x: torch.Tensor) -> torch.Tensor:
        """Run the mixer blocks on (n, seq_len, hidden).

        With ``seq_len`` 1 the first kind of block reaches no output (specification section 1.1):
        it is skipped.
        """
        if x.shape[1] == 1:
            return self._mixed_one(x)
        first, second = x, x.mT
        for block1, block2 in zip(self.mixer_blocks1, self.mixer_blocks2, strict=True):
            x = block1(x) + first
            first = x
            x = block2(x.mT) + second
            second = x
            x = x.mT
        return x

    def _mixed_one(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.mixer_blocks2:
            x = x + block(x.mT).mT
        return x

    def forward(
        self, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:
        """Predict tokens.

        Parameters
        ----------
        x : (n, seq_len, hidden)

        Returns
        -------
        backbone : (n, tokens, width)
            Condition of the diffusion prior.
        clip_voxels : (n, tokens, width)
            For retrieval.
        blurry : (latent (n, 4, h, w), features (n, places, 512)), or None without the head
        """
        x = self.mixed(x).flatten(1)
        backbone = self.backbone_linear(x).reshape(len(x), self.tokens, self.width)
        low = self._low_level(x) if self.blurry is not None else None
        return backbone, self.clip_proj(backbone), low

    def _low_level(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.bnorm(self.bdropout(self.blin1(x)).reshape(len(x), *self.grid))
        features = self.b_maps_projector(maps).flatten(2).mT
        return self.bupsampler(maps), features
