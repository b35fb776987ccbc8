"""One training from first to last step: schedule, averaging, checkpoints, progress lines."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from insilico.errors import StoreError

KEPT_S = 60.0
"""Seconds of training that a kill may cost, and the step that it falls in."""

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
        Length. What resumes a training decides whether it may be another one; a training file may
        not be changed.
    checkpoint : path
        File to resume from, also after the last step, to go on with more steps.
    seed : int
        Seed of all batches.
    decay : float, optional
        Share of the steps over which the learning rate falls linearly to zero, after it rose over
        50; without it, it falls from the first step on by a half cosine.
    averaged : str, optional
        Module of which an exponential moving average is kept, in `average`.
    patience : int, optional
        How many reports in a row may fail to improve on the best `score` before it ends; the best
        state is then put back. Without it, the training runs to its last step.
    log : path, optional
        File that gets one line of JSON for each report; begun anew without a checkpoint.
    tell : callable, optional
        Hears (step, steps, means) at each report, in place of a printed line: the means of the
        losses since the last one, and ``"held out"`` where there is a score.
    """

    modules: dict[str, torch.nn.Module]
    optimizers: list[torch.optim.Optimizer]
    steps: int
    checkpoint: Path
    seed: int
    decay: float | None = 0.5
    averaged: str | None = None
    patience: int | None = None
    log: Path | None = None
    tell: Callable[[int, int, dict[str, float]], None] | None = None
    step: int = 0
    average: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._peaks = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        if self.averaged:
            self.average = [p.detach().clone() for p in self.modules[self.averaged].parameters()]
        self._best, self._worse = float("inf"), 0
        self._recent: list[dict[str, float]] = []
        if self.checkpoint.exists():
            self._resume()
        elif self.log is not None:
            self.log.unlink(missing_ok=True)

    def run(
        self,
        losses_of: Callable[[Draw], Losses],
        report: Callable[[], str] = str,
        *,
        every: int = 100,
        save: Callable[[], object] | None = None,
        score: Callable[[], float] | None = None,
    ) -> None:
        """Train to the last step, or until the score no longer improves.

        Parameters
        ----------
        losses_of : callable
            Takes the step's `Draw`, returns named losses; their sum is minimised.
        report : callable
            Returns a text for the progress line.
        every : int
            Steps between progress lines, checkpoints and calls of `save` and `score`; the last step
            has them too. Slow steps are kept at least every `KEPT_S` seconds.
        score : callable, optional
            Returns the loss on held-out data, for `patience`.
        """
        start = self._kept = time.monotonic()
        while self.step < self.steps and not self._enough():
            losses = losses_of(Draw(self.seed, self.step))
            self._update(torch.stack(list(losses.values())).sum())
            self._recent.append({name: float(loss.detach()) for name, loss in losses.items()})
            whole = self.step % every == 0 or self.step == self.steps
            if whole or self.step in (5, 25):
                self._told(report, score if whole else None, start)
            if whole:
                self._recent.clear()
                self._keep(save)
            if time.monotonic() - self._kept >= KEPT_S:
                self._keep(None)
                print(f"{self.step}/{self.steps} checkpoint", flush=True)
        self._put_back_best()

    def _told(
        self, report: Callable[[], str], score: Callable[[], float] | None, start: float
    ) -> None:
        rows = self._recent
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        self._tell(means | self._scored(score), report(), time.monotonic() - start)

    def _enough(self) -> bool:
        return self.patience is not None and self._worse >= self.patience

    def _scored(self, score: Callable[[], float] | None) -> dict[str, float]:
        """Measure on held-out data; keep the state if it is the best so far."""
        if score is None:
            return {}
        found = score()
        if found < self._best:
            self._best, self._worse = found, 0
            if self.patience is not None:
                self._write(self._best_file, {k: m.state_dict() for k, m in self.modules.items()})
        else:
            self._worse += 1
        return {"held out": found}

    @property
    def _best_file(self) -> Path:
        return self.checkpoint.with_suffix(".best")

    def _put_back_best(self) -> None:
        if self.patience is not None and self._best < float("inf"):
            best = torch.load(self._best_file, weights_only=True, map_location="cpu")
            for key, state in best.items():
                self.modules[key].load_state_dict(state)

    def _tell(self, means: dict[str, float], text: str, seconds: float) -> None:
        told = " ".join(f"{key} {value:.4f}" for key, value in means.items())
        if self.tell is not None:
            self.tell(self.step, self.steps, means)
        else:
            print(f"{self.step}/{self.steps} {told} {text} {seconds:.0f}s", flush=True)
        if self.log is not None:
            line = {"step": self.step, **means, "rate": self.rate(), "seconds": round(seconds, 1)}
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def rate(self) -> float:
        """Return the share of the peak learning rate at this step: a trapezoid or a cosine."""
        left = 1 - self.step / self.steps
        if self.decay is None:
            return (1 - math.cos(math.pi * left)) / 2
        return min(1.0, (self.step + 1) / 50) * min(1.0, max(0.01, left / self.decay))

    def _update(self, loss: torch.Tensor) -> None:
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            optimizer.zero_grad()
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * self.rate()
        loss.backward()
        trained = [p for o in self.optimizers for g in o.param_groups for p in g["params"]]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        if self.averaged:
            current = [p.detach() for p in self.modules[self.averaged].parameters()]
            keep = min(0.998, (self.step + 1) / (self.step + 10))
            torch._foreach_lerp_(self.average, current, 1 - keep)

    def _keep(self, save: Callable[[], object] | None) -> None:
        self._write(
            self.checkpoint,
            {
                "step": self.step,
                "modules": {key: module.state_dict() for key, module in self.modules.items()},
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "average": self.average,
                "best": self._best,
                "worse": self._worse,
                "recent": self._recent,
            },
        )
        self._kept = time.monotonic()
        if save:
            save()

    def _write(self, file: Path, state: dict) -> None:
        part = file.with_name(f"{file.name}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, part)
        part.rename(file)

    def _resume(self) -> None:
        try:
            kept = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
            for key, state in kept["modules"].items():
                self.modules[key].load_state_dict(state)
            for optimizer, state in zip(self.optimizers, kept["optimizers"], strict=True):
                optimizer.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
            raise StoreError(
                f"{self.checkpoint}: damaged, or of another training ({error}); delete it to "
                "begin anew"
            ) from error
        self.step = kept["step"]
        print(f"resumed at step {self.step} of {self.steps} ({self.checkpoint})", flush=True)
        self._recent = kept.get("recent", [])
        self._best, self._worse = kept.get("best", float("inf")), kept.get("worse", 0)
        for average, stored in zip(self.average, kept["average"], strict=True):
            average.copy_(stored)
