"""The network of MindEye2's diffusion prior: clean image tokens from noisy ones and the brain's.

Specification section 2.1; the transformer is that of DALLE2-pytorch 1.15.6, with the authors' key
names.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class ScaledNorm(nn.Module):
    """Layer norm with a gain only; `stable` first divides by the signed maximum."""

    def __init__(self, width: int, stable: bool = False) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(width))
        self.stable = stable

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last axis."""
        if self.stable:
            x = x / x.amax(dim=-1, keepdim=True).detach()
        eps = 1e-5 if x.dtype == torch.float32 else 1e-3
        variance = torch.var(x, dim=-1, unbiased=False, keepdim=True)
        return (x - x.mean(-1, keepdim=True)) * (variance + eps).rsqrt() * self.g


class Rotary(nn.Module):
    """Rotary positions on the first channels of a head, interleaved pairs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        freqs = 1.0 / 10000 ** (torch.arange(0, channels, 2).float() / channels)
        self.freqs = nn.Parameter(freqs, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rotate (..., position, channel)."""
        turned = 2 * len(self.freqs)
        angle = torch.arange(x.shape[-2], device=x.device)[:, None] * self.freqs.to(x.dtype)
        angle = angle.repeat_interleave(2, dim=-1)
        head, rest = x[..., :turned], x[..., turned:]
        pairs = head.unflatten(-1, (-1, 2))
        swapped = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(-2)
        return torch.cat([head * angle.cos() + swapped * angle.sin(), rest], dim=-1)


class Attention(nn.Module):
    """Cosine attention: many query heads, one key and value head, a learned null key."""

    def __init__(self, width: int, heads: int, head_width: int, rotary: Rotary) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_width
        self.norm = ScaledNorm(width)
        self.null_kv = nn.Parameter(torch.randn(2, head_width))
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * head_width, bias=False)
        self.rotary_emb = rotary
        self.to_out = nn.Sequential(nn.Linear(inner, width, bias=False), ScaledNorm(width))

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Attend over (n, position, width); `bias` is (heads, position, 1 + position)."""
        x = self.norm(x)
        q = self.to_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.to_kv(x).chunk(2, dim=-1)
        q, k = self.rotary_emb(q), self.rotary_emb(k)
        null_k, null_v = (row.expand(len(x), 1, -1) for row in self.null_kv)
        k, v = torch.cat([null_k, k], dim=1), torch.cat([null_v, v], dim=1)
        q, k = 4 * F.normalize(q, dim=-1), 4 * F.normalize(k, dim=-1)  # logits: 16 times cosine
        k, v = (rows[:, None].expand(-1, self.heads, -1, -1) for rows in (k, v))
        out = F.scaled_dot_product_attention(q, k, v.to(q.dtype), bias.to(q.dtype), scale=1.0)
        return self.to_out(out.transpose(1, 2).flatten(-2))


class Gate(nn.Module):
    """First half times the SiLU of the second."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the last axis."""
        x, gate = x.chunk(2, dim=-1)
        return x * F.silu(gate)


def _feed_forward(width: int, factor: int = 4) -> nn.Sequential:
    inner = factor * width
    up, down = nn.Linear(width, 2 * inner, bias=False), nn.Linear(inner, width, bias=False)
    # The authors' file numbers its layers 0, 1 and 5: normal, gate, and two that hold nothing.
    return nn.Sequential(ScaledNorm(width), up, Gate(), nn.Identity(), nn.Identity(), down)


class RelativeBias(nn.Module):
    """T5's bucketed distance, causal: everything ahead falls into the first bucket."""

    def __init__(self, heads: int, buckets: int = 32, reach: int = 128) -> None:
        super().__init__()
        self.buckets, self.reach = buckets, reach
        self.relative_attention_bias = nn.Embedding(buckets, heads)

    def forward(self, positions: int) -> torch.Tensor:
        """Return (heads, position, 1 + position); the null key is position 0."""
        where = self.relative_attention_bias.weight.device
        query = torch.arange(positions, device=where)[:, None]
        distance = (query - torch.arange(positions + 1, device=where)).clamp(min=0)
        exact = self.buckets // 2
        far = torch.log(distance.float().clamp(min=1) / exact) / math.log(self.reach / exact)
        far = (exact + (far * (self.buckets - exact)).long()).clamp(max=self.buckets - 1)
        bucket = torch.where(distance < exact, distance, far)
        return self.relative_attention_bias(bucket).permute(2, 0, 1)


class Transformer(nn.Module):
    """The prior's transformer; its attention looks both ways."""

    def __init__(self, width: int, depth: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.rel_pos_bias = RelativeBias(heads)
        rotary = Rotary(min(32, head_width))
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(width, heads, head_width, rotary), _feed_forward(width)])
            for _ in range(depth)
        )
        self.norm = ScaledNorm(width, stable=True)
        self.project_out = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, position, width) to the same shape."""
        bias = self.rel_pos_bias(x.shape[1])
        layer: Any
        for layer in self.layers:
            x = layer[0](x, bias) + x
            x = layer[1](x) + x
        return self.project_out(self.norm(x))


class SinusoidalTime(nn.Module):
    """Sines, then cosines, of a timestep."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Embed (n,) as (n, width)."""
        half = self.width // 2
        rate = torch.exp(torch.arange(half, device=t.device) * -(math.log(10000) / (half - 1)))
        angle = t.float()[:, None] * rate
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class TimeMlp(nn.Module):
    """Three layers, twice as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 2 * width
        self.net = nn.Sequential(
            nn.Sequential(nn.Linear(width, wide), nn.SiLU()),
            nn.Sequential(nn.Linear(wide, wide), nn.SiLU()),
            nn.Linear(wide, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, width) to (n, width)."""
        return self.net(x)


class PriorNetwork(nn.Module):
    """Predicts clean image tokens from noisy ones and from the brain's.

    Parameters
    ----------
    tokens, width : int
        (256, 1664) as published.
    depth, heads, head_width : int
        6, 32 and 52 as published.
    """

    def __init__(
        self,
        tokens: int = 256,
        width: int = 1664,
        depth: int = 6,
        heads: int = 32,
        head_width: int = 52,
    ) -> None:
        super().__init__()
        self.to_time_embeds = nn.Sequential(
            nn.Sequential(SinusoidalTime(width), TimeMlp(width)), nn.Identity()
        )
        self.learned_query = nn.Parameter(torch.randn(tokens, width) * width**-0.5)
        self.null_brain_embeds = nn.Parameter(torch.randn(tokens, width))
        self.null_image_embed = nn.Parameter(torch.randn(tokens, width))
        self.causal_transformer = Transformer(width, depth, heads, head_width)

    def forward(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        brain: torch.Tensor,
        keep_brain: torch.Tensor | None = None,
        keep_image: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predict the clean tokens.

        Parameters
        ----------
        noisy, brain : (n, tokens, width)
        t : int (n,)
            Timesteps, 0 to 99.
        keep_brain, keep_image : bool (n,), optional
            False puts the learned null tokens in an item's place.

        Returns
        -------
        (n, tokens, width)
        """
        if keep_brain is not None:
            brain = torch.where(keep_brain[:, None, None], brain, self.null_brain_embeds)
        if keep_image is not None:
            noisy = torch.where(keep_image[:, None, None], noisy, self.null_image_embed)
        time = self.to_time_embeds(t).to(brain.dtype)[:, None]
        sequence = torch.cat([brain, time, noisy + self.learned_query], dim=1)
        return self.causal_transformer(sequence)[:, -noisy.shape[1] :]
