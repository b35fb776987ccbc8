from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_mary_nano import TINY

from insilico.encoders.network import MaryNanoModel
from insilico.phantom.training.course import Course
from insilico.phantom.training.data import Pictures
from insilico.phantom.training.mary_nano import (
    Targets,
    accuracy,
    fused_features,
    hidden,
    leading_axes,
    learn_scores,
    note_spread,
    set_head,
    solve_head,
)
from insilico.phantom.training.muon import optimizers_for


@pytest.fixture
def world() -> tuple[Pictures, np.ndarray]:
    """Return 80 pictures of one grey each and responses that follow the grey."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (80, 3))
    images = np.broadcast_to(grey[:, None, None], (80, 16, 16, 3)).astype(np.uint8)
    responses = (grey / 128 - 1) @ rng.standard_normal((3, 24))
    masks, numbers = np.zeros((80, 16, 2), np.uint8), np.zeros(80, int)
    shown = Pictures(images, masks, numbers, np.zeros((80, 2), np.float32))
    return shown, responses.astype(np.float16)


def course_of(model: MaryNanoModel, steps: int, checkpoint: Path) -> Course:
    optimizers = optimizers_for([model], hidden, weight_decay=0.1)
    return Course({"model": model}, optimizers, steps, checkpoint, 0)


def fresh() -> MaryNanoModel:
    torch.manual_seed(0)
    return MaryNanoModel(TINY)


def test_training_lowers_the_loss(world: tuple[Pictures, np.ndarray], tmp_path: Path):
    shown, responses = world
    targets, model = leading_axes(responses, TINY.rank), fresh()

    def loss() -> float:
        made = model.head.components(torch.from_numpy(fused_features(model.eval(), shown)))
        return float(((made.detach().numpy() - targets.scores) ** 2 * targets.weight).mean())

    before = loss()
    learn_scores(model, shown, targets, course_of(model, 60, tmp_path / "c.pt"))
    assert loss() < 0.5 * before


def test_resumed_training_equals_uninterrupted(world: tuple[Pictures, np.ndarray], tmp_path: Path):
    shown, responses = world
    targets, whole, first, second = leading_axes(responses, TINY.rank), fresh(), fresh(), fresh()
    learn_scores(whole, shown, targets, course_of(whole, 8, tmp_path / "whole.pt"), every=4)
    stopped = course_of(first, 8, tmp_path / "cut.pt")

    def stop() -> str:
        if stopped.step == 6:
            raise KeyboardInterrupt
        return ""

    with pytest.raises(KeyboardInterrupt):
        learn_scores(first, shown, targets, stopped, stop, every=2)
    again = course_of(second, 8, tmp_path / "cut.pt")
    assert 0 < again.step < 8
    learn_scores(second, shown, targets, again, every=2)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[key], value, atol=0, rtol=0)


def test_leading_axes_are_the_principal_components():
    rng = np.random.default_rng(1)
    responses = rng.standard_normal((200, 6)) @ (np.diag([9, 7, 5, 1, 1, 1]) @ np.eye(6, 24))
    found = leading_axes(responses.astype(np.float32), 3)
    centred = responses - responses.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.axes @ axes[:3].T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(found.spread, values[:3] / np.sqrt(200), rtol=1e-3)
    np.testing.assert_allclose(found.scores.std(0), 1, rtol=1e-4)


def test_head_of_full_rank_is_ridge():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((50, 4)), rng.standard_normal((50, 9)).astype(np.float32)
    into, out = solve_head(x, y, y.mean(0), rank=4)
    penalty = 1e-3 * ((x - x.mean(0)) ** 2).sum() / 4
    np.testing.assert_allclose(out @ into, Ridge(alpha=penalty).fit(x, y).coef_, atol=1e-5)


def test_solved_head_predicts_the_responses(world: tuple[Pictures, np.ndarray], tmp_path: Path):
    shown, responses = world
    targets, model = leading_axes(responses, TINY.rank), fresh()
    learn_scores(model, shown, targets, course_of(model, 60, tmp_path / "c.pt"))
    features = fused_features(model, shown)
    set_head(model, features, responses, targets.mean)
    note_spread(model, features, shown)
    assert np.median(accuracy(model, shown, responses)) > 0.9
    frames = torch.from_numpy(shown.images).permute(0, 3, 1, 2)[:, None].float() / 127.5 - 1
    with torch.no_grad():
        score = model.remoteness(model.fused(frames))
    assert abs(float(score.mean())) < 0.05
    assert abs(float(score.std(correction=0)) - 1) < 0.05


def test_weights_of_scores_have_mean_one():
    targets = Targets(np.zeros(1), np.zeros((2, 1)), np.zeros((3, 2)), np.array([3.0, 1.0]))
    assert targets.weight.tolist() == [1.5, 0.5]
