"""How MARY-Nano learns: from stimuli of any modality and the responses to them.

The network learns the responses' scores on their leading axes; at the end the cortical head is
solved in closed form on all vertices (ridge of reduced rank), and the spread of the training
features is noted for each modality, so that stimuli from elsewhere can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from insilico.course import Course, Draw, Losses
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import MODALITIES, Presentation, Shown
from insilico.encoders.regression import Targets, leading_axes, solve_head

BATCH = 64
FEW = 10
"""Held-out stimuli below which their usual distance from the training is not known."""
ROWS_SEEN = 1
"""Rows of a film that a training step looks at; texts and sounds are heard in full."""


@dataclass(frozen=True)
class Lesson:
    """Stimuli of one modality, and what each of them evoked.

    Attributes
    ----------
    shown : Presentation
    responses : (n, cortex)
        May be a memory map.
    at : int64, (stimuli, rows)
        Which response belongs to each row of each stimulus, -1 where there is none. A single
        column: to the mean over the rows.
    share : float
        Weight in the loss, and share of the batch.
    """

    shown: Presentation
    responses: np.ndarray
    at: np.ndarray
    share: float = 1.0

    @classmethod
    def of_means(cls, shown: Presentation, responses: np.ndarray, share: float = 1.0) -> Lesson:
        """Return a lesson in which every stimulus has one response, the mean over its rows."""
        return cls(shown, responses, np.arange(len(shown))[:, None], share)

    @property
    def whole(self) -> bool:
        """Whether responses belong to stimuli, not to their rows."""
        return self.at.shape[1] == 1

    @cached_property
    def alike(self) -> list[np.ndarray]:
        """Numbers of the stimuli that share their length, group by group."""
        return [np.flatnonzero(self.shown.alike == k) for k in np.unique(self.shown.alike)]

    def draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw stimuli of one length, and the rows to learn from."""
        share = np.array([len(group) for group in self.alike]) / len(self.shown)
        group = self.alike[rng.choice(len(share), p=share)]
        numbers = group[rng.integers(len(group), size=size)]
        rows = np.arange(self.shown.rows[numbers[0]])
        if not self.whole:
            rows = np.flatnonzero((self.at[numbers, : len(rows)] >= 0).any(0))
        if self.shown.modality in ("image", "film"):
            rows = np.sort(rng.permutation(rows)[:ROWS_SEEN])
        return numbers, rows

    def parts(self, rows: int = 64) -> Iterator[tuple[np.ndarray, Shown]]:
        """Yield all stimuli in batches."""
        yield from self.shown.batches(rows, "features")


@dataclass(frozen=True)
class Learner:
    """A model, what it learns from, and the responses' leading axes.

    Attributes
    ----------
    model : MaryNanoModel
    lessons : sequence of Lesson
    targets : Targets
        Scores of the lessons' responses, one lesson after the other.
    subject : int
        Row of the model's subjects.
    batch : int
        Stimuli of one step, shared among the lessons.
    """

    model: MaryNanoModel
    lessons: Sequence[Lesson]
    targets: Targets
    subject: int = 0
    batch: int = BATCH
    scores: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        ends = np.cumsum([len(lesson.responses) for lesson in self.lessons])
        object.__setattr__(self, "scores", np.split(self.targets.scores, ends[:-1]))

    @property
    def where(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    def losses(self, draw: Draw) -> Losses:
        """Return the loss of one step, lesson by lesson."""
        rng = draw.numbers()
        self.model.train()
        losses: Losses = {}
        for lesson, scores in zip(self.lessons, self.scores, strict=True):
            size = max(1, round(self.batch * lesson.share))
            numbers, rows = lesson.draw(rng, size)
            loss = lesson.share * self._loss(lesson, scores, numbers, rows)
            losses[lesson.shown.modality] = losses.get(lesson.shown.modality, 0) + loss
        return losses

    def _loss(
        self, lesson: Lesson, scores: np.ndarray, numbers: np.ndarray, rows: np.ndarray
    ) -> Tensor:
        """Return the weighted squared error of the scores."""
        fused = self.model.fused(lesson.shown.shown(numbers).to(self.where), torch.from_numpy(rows))
        fused = fused.mean(1, keepdim=True) if lesson.whole else fused
        at = lesson.at[numbers][:, [0] if lesson.whole else rows]
        made = self.model.components(fused, self.subject)[..., : scores.shape[1]]
        there = torch.from_numpy(at >= 0).to(self.where)
        true = torch.from_numpy(scores[at]).to(self.where, made.dtype)
        weight = torch.from_numpy(self.targets.weight).to(self.where, made.dtype)
        error = (weight * (made - true) ** 2).mean(-1)
        return (error * there).sum() / there.sum().clamp_min(1)

    def held_out(self, lessons: Sequence[Lesson]) -> Callable[[], float]:
        """Return what measures the loss on other lessons, all rows of all stimuli."""
        scores = [self.targets.of([lesson.responses]) for lesson in lessons]

        @torch.no_grad()
        def measure() -> float:
            self.model.eval()
            losses = [
                float(self._loss(lesson, known, numbers, np.arange(shown.rows))) * len(numbers)
                for lesson, known in zip(lessons, scores, strict=True)
                for numbers, shown in lesson.parts()
            ]
            return sum(losses) / sum(len(lesson.shown) for lesson in lessons)

        return measure


def learn(
    model: MaryNanoModel,
    lessons: Sequence[Lesson],
    course: Course,
    *,
    subject: int = 0,
    held_out: Sequence[Lesson] = (),
    batch: int = BATCH,
    every: int = 200,
    targets: Targets | None = None,
) -> None:
    """Train a model and solve its head; it is ready to predict afterwards.

    Parameters
    ----------
    model : MaryNanoModel
    lessons : sequence of Lesson
    course : Course
        Schedule, optimisers and checkpoint.
    subject : int
        Row of the model's subjects that the responses belong to.
    held_out : sequence of Lesson
        What the course's `patience` is measured on, and the usual distance from training.
    batch, every : int
        Stimuli of one step; steps between progress lines and checkpoints.
    targets : Targets, optional
        Of the lessons' responses, where they are already known.
    """
    responses = [lesson.responses for lesson in lessons]
    targets = targets or leading_axes(responses, model.config.rank)
    learner = Learner(model, lessons, targets, subject, batch)
    score = learner.held_out(held_out) if held_out else None
    course.run(learner.losses, every=every, score=score)
    model.eval()
    features = [features_of(model, lesson) for lesson in lessons]
    set_head(model, np.concatenate(features), responses, targets.mean, subject)
    for modality in MODALITIES:
        _note(model, modality, lessons, features, held_out)


def learn_head(model: MaryNanoModel, lessons: Sequence[Lesson], subject: int) -> None:
    """Solve the head of a subject on the features that the model has; all else stays."""
    model.eval()
    responses = [lesson.responses for lesson in lessons]
    n = sum(map(len, responses))
    mean = sum(part.sum(0, dtype=np.float64) for part in responses) / n
    features = np.concatenate([features_of(model, lesson) for lesson in lessons])
    set_head(model, features, responses, mean.astype(np.float32), subject)


@torch.no_grad()
def features_of(model: MaryNanoModel, lesson: Lesson) -> np.ndarray:
    """Return the fused features behind each response, float32 (n, width)."""
    where = next(model.parameters()).device
    found = np.zeros((len(lesson.responses), model.config.width), np.float32)
    for numbers, shown in lesson.parts():
        fused = model.fused(shown.to(where))
        fused = fused.mean(1, keepdim=True) if lesson.whole else fused
        at = lesson.at[numbers, : fused.shape[1]]
        found[at[at >= 0]] = fused.cpu().numpy()[at >= 0]
    return found


@torch.no_grad()
def set_head(
    model: MaryNanoModel,
    features: np.ndarray,
    responses: Sequence[np.ndarray],
    mean: np.ndarray,
    subject: int = 0,
) -> None:
    """Write the closed-form solution into the cortical head; its components get unit variance."""
    where = next(model.parameters()).device
    own = model.of_subject(torch.from_numpy(features).to(where), subject).cpu().numpy()
    head = model.head_of(subject)
    into, out = solve_head(own, responses, mean, model.config.rank)
    spread = (own @ into.T).std(0) + 1e-12
    into, out = into / spread[:, None], out * spread
    head.components.weight.copy_(torch.from_numpy(into))
    head.components.bias.copy_(torch.from_numpy(-into @ own.mean(0)))
    head.vertices.weight.copy_(torch.from_numpy(out))
    head.vertices.bias.copy_(torch.from_numpy(mean))


def _note(
    model: MaryNanoModel,
    modality: str,
    lessons: Sequence[Lesson],
    features: Sequence[np.ndarray],
    held_out: Sequence[Lesson],
) -> None:
    """Note the spread of one modality, where it was taught and there is something held out."""
    pairs = zip(lessons, features, strict=True)
    taught = [found for lesson, found in pairs if lesson.shown.modality == modality]
    other = [features_of(model, lesson) for lesson in held_out if lesson.shown.modality == modality]
    if taught and other:
        note_spread(model, np.concatenate(taught), np.concatenate(other), modality)


@torch.no_grad()
def note_spread(
    model: MaryNanoModel, features: np.ndarray, held: np.ndarray, modality: str
) -> None:
    """Note the mean and the directions of the training features of a modality.

    New stimuli of the same world, `held`, give the usual distances; see `MaryNanoModel.remoteness`.
    Of fewer than `FEW` their spread says nothing, and distances are not measured (NaN).
    """
    k, mean = MODALITIES.index(modality), features.mean(0)
    squares, vectors = np.linalg.eigh(np.cov((features - mean).T))
    axes = (vectors / np.sqrt(np.maximum(squares, 1e-9))).T
    model.training_mean[k] = torch.from_numpy(mean)
    model.training_axes[k] = torch.from_numpy(np.ascontiguousarray(axes))
    logs = model.distances(torch.from_numpy(held).to(model.training_mean.device), modality)
    spread = logs.std(0, correction=0).clamp_min(1e-6)
    usual = torch.stack([logs.mean(0), spread], -1)
    model.training_distance[k] = usual if len(held) >= FEW else torch.nan
