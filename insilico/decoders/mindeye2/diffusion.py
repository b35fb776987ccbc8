"""MindEye2's diffusion prior: the noise schedule, the loss, and sampling as published.

Specification sections 2.2 and 2.3; names of buffers and both sampling loops are those of
DALLE2-pytorch 1.15.6.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from insilico.decoders.mindeye2.prior import PriorNetwork
from insilico.errors import ParameterError

TIMESTEPS = 100


class NoiseSchedule(nn.Module):
    """The cosine schedule's tables, as buffers with the authors' names."""

    def __init__(self, timesteps: int = TIMESTEPS) -> None:
        super().__init__()
        for name, table in _tables(timesteps).items():
            self.register_buffer(name, table.float())


def _tables(timesteps: int, s: float = 0.008) -> dict[str, torch.Tensor]:
    x = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64)
    curve = torch.cos((x / timesteps + s) / (1 + s) * torch.pi / 2) ** 2
    curve = curve / curve[0]
    betas = (1 - curve[1:] / curve[:-1]).clamp(0, 0.999)
    alphas = 1 - betas
    total = alphas.cumprod(0)
    before = F.pad(total[:-1], (1, 0), value=1.0)
    variance = betas * (1 - before) / (1 - total)
    return {
        "betas": betas,
        "alphas_cumprod": total,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": total.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - total).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - total).log(),
        "sqrt_recip_alphas_cumprod": (1 / total).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / total - 1).sqrt(),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": variance.clamp(min=1e-20).log(),
        "posterior_mean_coef1": betas * before.sqrt() / (1 - total),
        "posterior_mean_coef2": (1 - before) * alphas.sqrt() / (1 - total),
        "p2_loss_weight": torch.ones_like(betas),
    }


class DiffusionPrior(nn.Module):
    """The prior network with its noise schedule, loss and sampling."""

    def __init__(self, net: PriorNetwork, timesteps: int = TIMESTEPS) -> None:
        super().__init__()
        self.net = net
        self.noise_scheduler: Any = NoiseSchedule(timesteps)

    @property
    def timesteps(self) -> int:
        """Number of training timesteps."""
        return len(self.noise_scheduler.betas)

    def loss(
        self,
        brain: torch.Tensor,
        image: torch.Tensor,
        t: torch.Tensor,
        noise: torch.Tensor,
        keep_brain: torch.Tensor,
        keep_image: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean squared error of the clean tokens, and the prediction."""
        table = self.noise_scheduler
        signal = table.sqrt_alphas_cumprod[t][:, None, None]
        spread = table.sqrt_one_minus_alphas_cumprod[t][:, None, None]
        predicted = self.net(signal * image + spread * noise, t, brain, keep_brain, keep_image)
        return F.mse_loss(predicted, image), predicted

    def times(self, steps: int) -> list[int]:
        """Return the timesteps visited, the last one -1: 94, 89, ... 4, -1 for 20 steps."""
        return torch.linspace(-1, self.timesteps, steps + 1)[:-1].int().tolist()[::-1]

    def draws(self, steps: int) -> int:
        """Return how many standard normal arrays of an item's shape sampling takes.

        The start and one for each network call but the last; ancestral sampling draws one for the
        last call too, and multiplies it by zero.

        Raises
        ------
        ParameterError
            If there is no such number of steps.
        """
        if not 2 <= steps <= self.timesteps:
            raise ParameterError(
                f"the prior was trained on {self.timesteps} timesteps: steps must be 2 to "
                f"{self.timesteps}, got {steps}"
            )
        return steps + 1 if steps == self.timesteps else steps - 1

    @torch.no_grad()
    def sample(self, brain: torch.Tensor, noise: torch.Tensor, steps: int = 20) -> torch.Tensor:
        """Sample clean tokens as published.

        With fewer steps than the schedule has: DDIM with eta 1, `steps` - 1 network calls; with
        all of them: the ancestral loop, one call each.

        Parameters
        ----------
        brain : (n, tokens, width)
        noise : (draws, n, tokens, width)
            The start, then the steps' own; `draws` says how many.

        Returns
        -------
        (n, tokens, width)

        Raises
        ------
        ParameterError
            If `steps` or the shape of `noise` do not fit.
        """
        expected = (self.draws(steps), *brain.shape)
        if tuple(noise.shape) != expected:
            raise ParameterError(
                f"{steps} steps of the prior take noise of shape {expected}, got "
                f"{tuple(noise.shape)}"
            )
        loop = self._ancestral if steps == self.timesteps else self._ddim
        return loop(brain, noise, steps)

    def _clean(self, x: torch.Tensor, now: int, brain: torch.Tensor) -> torch.Tensor:
        return self.net(x, torch.full((len(x),), now, device=x.device), brain)

    def _ddim(self, brain: torch.Tensor, noise: torch.Tensor, steps: int) -> torch.Tensor:
        """Estimate noise with the true cumulative alphas, update with the shifted table.

        The mismatch is in the original.
        """
        table, x = self.noise_scheduler, noise[0]
        pairs = list(pairwise(self.times(steps)))
        for k, (now, then) in enumerate(pairs[:-1], 1):
            clean = self._clean(x, now, brain)
            error = table.sqrt_recip_alphas_cumprod[now] * x - clean
            error = error / table.sqrt_recipm1_alphas_cumprod[now]
            signal, fresh, kept = self.weights(now, then)
            x = clean * signal + fresh * noise[k] + kept * error
        return self._clean(x, pairs[-1][0], brain)

    def weights(self, now: int, then: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what a DDIM step with eta 1 gives clean tokens, fresh and estimated noise."""
        a, b = self.noise_scheduler.alphas_cumprod_prev[[now, then]]
        fresh = ((1 - a / b) * (1 - b) / (1 - a)).sqrt()
        return b.sqrt(), fresh, (1 - b - fresh**2).sqrt()

    def _ancestral(self, brain: torch.Tensor, noise: torch.Tensor, steps: int) -> torch.Tensor:
        table, x = self.noise_scheduler, noise[0]
        for k, now in enumerate(range(steps - 1, -1, -1), 1):
            clean = self._clean(x, now, brain)
            mean = table.posterior_mean_coef1[now] * clean + table.posterior_mean_coef2[now] * x
            spread = (0.5 * table.posterior_log_variance_clipped[now]).exp() if now else 0.0
            x = mean + spread * noise[k]
        return x
