"""One training from first to last step: schedule, averaging, checkpoints, progress lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Draw:
    """The random numbers of one step; they depend on the seed and the step alone."""

    seed: int
    step: int

    @property
    def progress_key(self) -> list[int]:
        """Seed sequence of this step."""
        return [self.seed, self.step]

    def numbers(self) -> np.random.Generator:
        """Return this step's generator for choices."""
        return np.random.default_rng(self.progress_key)

    def noise(self) -> torch.Generator:
        """Return this step's generator for tensors."""
        word = np.random.SeedSequence([*self.progress_key, 1]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(word >> 1))


@dataclass
class Course:
    """A resumable training.

    Attributes
    ----------
    modules : dict of torch.nn.Module
        Everything that is trained, throw-away heads included.
    optimizers : list of torch.optim.Optimizer
        Their learning rates are the peaks of the schedule.
    steps : int
        Length. A resumed training may be given another length.
    checkpoint : path
        File to resume from, also after the last step, to go on with more steps.
    seed : int
        Seed of all batches.
    decay : float
        Share of the steps over which the learning rate falls linearly to zero.
    averaged : str, optional
        Module of which an exponential moving average is kept, in `average`.
    """

    modules: dict[str, torch.nn.Module]
    optimizers: list[torch.optim.Optimizer]
    steps: int
    checkpoint: Path
    seed: int
    decay: float = 0.5
    averaged: str | None = None
    step: int = 0
    average: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._peaks = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        if self.averaged:
            self.average = [p.detach().clone() for p in self.modules[self.averaged].parameters()]
        if self.checkpoint.exists():
            self._resume()

    def run(
        self,
        losses_of: Callable[[Draw], Losses],
        report: Callable[[], str] = str,
        *,
        every: int = 100,
        save: Callable[[], object] | None = None,
    ) -> None:
        """Train to the last step.

        Parameters
        ----------
        losses_of : callable
            Takes the step's `Draw`, returns named losses; their sum is minimised.
        report : callable
            Returns a text for the progress line.
        every : int
            Steps between progress lines, checkpoints and calls of `save`.
        """
        start, recent = time.monotonic(), []
        while self.step < self.steps:
            losses = losses_of(Draw(self.seed, self.step))
            self._update(torch.stack(list(losses.values())).sum())
            recent.append({name: float(loss.detach()) for name, loss in losses.items()})
            if self.step % every == 0 or self.step in (5, 25):
                means = {key: np.mean([row[key] for row in recent]) for key in recent[0]}
                text = " ".join(f"{key} {value:.4f}" for key, value in means.items())
                seconds = time.monotonic() - start
                print(f"{self.step}/{self.steps} {text} {report()} {seconds:.0f}s", flush=True)
                recent.clear()
                if self.step % every == 0:
                    self._keep(save)

    def rate(self) -> float:
        """Return the share of the peak learning rate at this step: a trapezoid."""
        left = 1 - self.step / self.steps
        return min(1.0, (self.step + 1) / 50) * min(1.0, max(0.01, left / self.decay))

    def _update(self, loss: torch.Tensor) -> None:
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            optimizer.zero_grad()
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * self.rate()
        loss.backward()
        trained = [p for module in self.modules.values() for p in module.parameters()]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        if self.averaged:
            current = [p.detach() for p in self.modules[self.averaged].parameters()]
            keep = min(0.998, (self.step + 1) / (self.step + 10))
            torch._foreach_lerp_(self.average, current, 1 - keep)

    def _keep(self, save: Callable[[], object] | None) -> None:
        part = self.checkpoint.with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "step": self.step,
                "modules": {key: module.state_dict() for key, module in self.modules.items()},
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "average": self.average,
            },
            part,
        )
        part.rename(self.checkpoint)
        if save:
            save()

    def _resume(self) -> None:
        kept = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        for key, state in kept["modules"].items():
            self.modules[key].load_state_dict(state)
        for optimizer, state in zip(self.optimizers, kept["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step = kept["step"]
        for average, stored in zip(self.average, kept["average"], strict=True):
            average.copy_(stored)
