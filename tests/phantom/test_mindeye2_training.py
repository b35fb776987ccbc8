"""The pieces of the training of the phantom's MindEye2."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from insilico.course import Course, Draw
from insilico.decoders.mindeye2.model import MindEye2Config, MindEye2Model
from insilico.phantom.training import mindeye2

N, VOXELS = 80, 12


@pytest.fixture
def lesson(monkeypatch):
    monkeypatch.setattr(mindeye2, "BATCH", 8)
    torch.manual_seed(0)
    model = mindeye2.build(VOXELS)
    betas = np.random.default_rng(0).standard_normal((3, N, VOXELS)).astype(np.float16)
    tokens, latents = torch.randn(N, 64, 64), torch.randn(N, 16, 8, 8)
    return mindeye2.Lesson(model, betas, tokens, latents, steps=6)


def test_training_starts_from_reduced_rank_ridge_regression(monkeypatch):
    monkeypatch.setattr(mindeye2, "PENALTY", 1e-3)
    monkeypatch.setattr(mindeye2, "HIDDEN", 4)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, VOXELS)).astype(np.float32) + 1
    true = rng.standard_normal((VOXELS, 4)) @ rng.standard_normal((4, 6)) / 4
    y = torch.from_numpy((x @ true + 2).astype(np.float32)).reshape(N, 2, 3)
    sizes = {"hidden": 4, "n_blocks": 2, "tokens": 2, "width": 3, "heads": 1, "head_width": 4}
    model = MindEye2Model(MindEye2Config(voxels=[VOXELS], blurry=None, depth=1, **sizes)).eval()
    mindeye2.start_from_regression(model, x, y)
    with torch.no_grad():
        hidden = model.ridge(torch.from_numpy(x)[:, None])
        torch.testing.assert_close(model.condition(torch.from_numpy(x)), y, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(hidden.std(0).squeeze(), torch.ones(4), atol=0.02, rtol=0)


def test_contrastive_losses_without_mixing_are_clip_losses():
    torch.manual_seed(0)
    made, true = (functional.normalize(torch.randn(6, 5), dim=-1) for _ in range(2))
    logits, right = made @ true.T / 0.1, torch.arange(6)
    clip = (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2
    own, order = torch.ones(6), torch.randperm(6)
    torch.testing.assert_close(mindeye2.bimixco(made, true, 0.1, order, own), clip)
    far = torch.eye(6)
    sharp = functional.cross_entropy(far @ far.T / 0.02, right)
    torch.testing.assert_close(mindeye2.soft_clip(far, far, 0.02), sharp)


def test_bimixco_is_least_where_mixed_betas_point_at_both_pictures():
    true, order, share = torch.eye(4), torch.tensor([1, 0, 3, 2]), torch.full((4,), 0.7)
    both = functional.normalize(0.7 * true + 0.3 * true[order], dim=-1)
    toward = mindeye2.bimixco(both, true, 0.5, order, share)
    assert toward < mindeye2.bimixco(true[order], true, 0.5, order, share)


def test_losses_are_named_finite_and_the_same_for_the_same_step(lesson):
    for step in (0, 5):
        lesson.model.eval()
        torch.manual_seed(0)
        first = lesson.losses(Draw(3, step))
        torch.manual_seed(0)
        again = lesson.losses(Draw(3, step))
        assert list(first) == ["prior", "contrast", "low level"]
        assert all(torch.isfinite(value) for value in first.values())
        assert all(torch.equal(first[key], again[key]) for key in first)


def test_training_goes_on_after_a_kill_and_saves_the_average(lesson, tmp_path):
    model = lesson.model
    before = model.ridge.linears[0].weight.detach().clone()

    def course(steps):
        return Course(
            {"model": model},
            mindeye2.optimizers(model),
            steps,
            tmp_path / "me.pt",
            0,
            averaged="model",
        )

    course(2).run(lesson.losses, every=2)
    kept = course(4)
    assert kept.step == 2
    kept.run(lesson.losses, every=2)
    moved = (model.ridge.linears[0].weight.detach() - before).abs().max()
    assert 0 < moved < 5 * mindeye2.SLOW
    mindeye2.save_average(model, kept.average, tmp_path / "mindeye2")
    loaded = MindEye2Model.from_pretrained(tmp_path / "mindeye2")
    for parameter, value in zip(loaded.parameters(), kept.average, strict=True):
        torch.testing.assert_close(parameter, value, atol=1e-3, rtol=1e-3)
