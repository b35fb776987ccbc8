from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tiny import TINY, WORDS, dataset, random_model, tokenizer

from insilico.course import Course
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Presentation
from insilico.encoders.regression import Targets, in_chunks, leading_axes, solve_head
from insilico.encoders.training import (
    Learner,
    Lesson,
    features_of,
    learn,
    learn_head,
    note_spread,
)
from insilico.phantom.training.mary_nano import accuracy, hidden
from insilico.phantom.training.muon import optimizers_for

N = 96
CORTEX = TINY.n_cortex


def presented(stimuli: xr.Dataset) -> Presentation:
    return Presentation(stimuli, TINY, tokenizer())


def greys(n: int = N, seed: int = 0) -> Lesson:
    """Return pictures of one colour each, and responses that follow the colour."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 256, (n, 3))
    image = np.broadcast_to(colour[:, None, None], (n, 16, 16, 3)).astype(np.uint8)
    pixels = (("stimulus", "y_pixel", "x_pixel", "rgb"), image)
    stimuli = dataset("image", n).assign(image=pixels)
    return Lesson.of_means(presented(stimuli), (colour / 128 - 1) @ mixing(3))


def mixing(n: int) -> np.ndarray:
    return np.random.default_rng(9).standard_normal((n, CORTEX))


def texts(n: int = N) -> Lesson:
    """Return texts of three words, and responses to the second one."""
    chosen = np.random.default_rng(1).integers(2, len(WORDS), n)
    stimuli = dataset("text", n).assign(caption=("stimulus", [f"a {WORDS[k]} dog" for k in chosen]))
    return Lesson.of_means(presented(stimuli), np.eye(len(WORDS))[chosen] @ mixing(len(WORDS)))


def sounds(n: int = N) -> Lesson:
    """Return tones of two pitches, and responses to the pitch, row by row."""
    pitch = np.random.default_rng(2).integers(2, size=n)
    wave = np.sin(np.arange(24_000) / np.array([3, 40])[pitch][:, None]).astype(np.float32)
    stimuli = dataset("sound", n).assign(sound=(("stimulus", "sample"), wave))
    responses = np.repeat(np.eye(2)[pitch] @ mixing(2), 2, axis=0)
    return Lesson(presented(stimuli), responses, np.arange(2 * n).reshape(n, 2))


def course_of(model: MaryNanoModel, steps: int, checkpoint: Path, **more) -> Course:
    optimizers = optimizers_for([model], hidden, weight_decay=0.1)
    return Course({"model": model}, optimizers, steps, checkpoint, 0, **more)


@pytest.mark.parametrize("make", [greys, texts, sounds])
def test_each_modality_is_learned(make: Callable[[], Lesson], tmp_path: Path):
    lesson, model = make(), random_model()
    learn(model, [lesson], course_of(model, 60, tmp_path / "c.pt"), batch=32)
    features = torch.from_numpy(features_of(model, lesson))
    made = model.predict(features)[:, model.head.cortex].detach().numpy()
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(made.T, lesson.responses.T, strict=True)]
    assert np.median(r) > 0.9


def test_modalities_are_learned_together(tmp_path: Path):
    lessons, model = [greys(), texts(), sounds()], random_model()
    targets = leading_axes([lesson.responses for lesson in lessons], TINY.rank)
    learner = Learner(model, lessons, targets, batch=16)
    course = course_of(model, 80, tmp_path / "c.pt")
    before = learner.held_out(lessons)()
    course.run(learner.losses)
    assert learner.held_out(lessons)() < 0.6 * before


def test_slow_steps_are_kept_by_the_clock(tmp_path: Path, monkeypatch, capsys):
    import torch

    from insilico import course

    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    slow = course.Course({"net": net}, [optimizer], 3, tmp_path / "c.pt", 0)
    clock = iter(range(0, 10_000, 40))  # seconds at every look
    monkeypatch.setattr(course.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(slow, "_enough", lambda: slow.step == 2)  # killed before the last step
    slow.run(lambda draw: {"loss": net(torch.ones(1, 2)).sum()}, every=100)
    assert "2/3 checkpoint" in capsys.readouterr().out
    again = course.Course({"net": net}, [optimizer], 3, tmp_path / "c.pt", 0)
    assert again.step == 2
    assert "resumed at step 2 of 3" in capsys.readouterr().out


def test_resumed_training_equals_uninterrupted(tmp_path: Path):
    lessons = [greys(), texts()]
    whole, cut, again = random_model(), random_model(), random_model()
    learn(whole, lessons, course_of(whole, 8, tmp_path / "whole.pt"), every=2, batch=8)
    stopped = course_of(cut, 8, tmp_path / "cut.pt")

    def losses_of(draw):
        if draw.step == 5:
            raise KeyboardInterrupt
        return learner.losses(draw)

    learner = Learner(cut, lessons, leading_axes([x.responses for x in lessons], 5), batch=8)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(losses_of, every=2)
    resumed = course_of(again, 8, tmp_path / "cut.pt")
    assert resumed.step == 4
    learn(again, lessons, resumed, every=2, batch=8)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, atol=0, rtol=0)


def test_a_course_ends_early_with_its_best_state_and_a_log(tmp_path: Path):
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    found = iter([3.0, 1.0, 2.0, 2.0, 2.0])
    kept: list[float] = []

    def score() -> float:
        kept.append(float(module.weight.detach()))
        return next(found)

    course = Course(
        {"m": module}, [optimizer], 100, tmp_path / "c.pt", 0, patience=2, log=tmp_path / "log"
    )
    course.run(lambda _: {"loss": module(torch.ones(1)).square().sum()}, every=1, score=score)
    assert course.step == 4
    assert float(module.weight.detach()) == kept[1]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["held out"] for line in lines] == [3, 1, 2, 2]
    assert all(line["rate"] > 0 for line in lines)
    again = Course({"m": module}, [optimizer], 100, tmp_path / "c.pt", 0, patience=2)
    again.run(lambda _: pytest.fail("nothing is left to train"))


def test_the_last_steps_are_reported_judged_and_kept(tmp_path: Path):
    module, found = torch.nn.Linear(1, 1), iter([3.0, 1.0])
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    log = tmp_path / "new" / "log"
    course = Course({"m": module}, [optimizer], 7, tmp_path / "c.pt", 0, patience=2, log=log)
    last: list[float] = []

    def score() -> float:
        last.append(float(module.weight.detach()))
        return next(found)

    course.run(lambda _: {"loss": module(torch.ones(1)).square().sum()}, every=4, score=score)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["step"], line.get("held out")) for line in lines] == [(4, 3), (5, None), (7, 1)]
    assert float(module.weight.detach()) == last[1] != last[0]
    assert Course({"m": module}, [optimizer], 7, tmp_path / "c.pt", 0, patience=2).step == 7


def test_a_training_without_a_checkpoint_begins_a_new_log(tmp_path: Path):
    (tmp_path / "log").write_text("of another training")
    module = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    course = Course({"m": module}, [optimizer], 1, tmp_path / "c.pt", 0, log=tmp_path / "log")
    course.run(lambda _: {"loss": module(torch.ones(1)).sum()})
    assert [json.loads(line)["step"] for line in (tmp_path / "log").read_text().splitlines()] == [1]


def test_film_lessons_pick_rows_that_have_responses():
    at = np.full((5, 4), -1)
    at[:, 2] = np.arange(5)
    lesson = Lesson(presented(dataset("film")), np.zeros((5, CORTEX)), at)
    drawn = [lesson.draw(np.random.default_rng(k), 3)[1] for k in range(8)]
    assert all(rows.tolist() == [2] for rows in drawn)


def test_leading_axes_are_the_principal_components():
    rng = np.random.default_rng(1)
    responses = rng.standard_normal((200, 6)) @ (np.diag([9, 7, 5, 1, 1, 1]) @ np.eye(6, 24))
    parts = [responses[:50].astype(np.float32), responses[50:].astype(np.float32)]
    found = leading_axes(parts, 3)
    centred = responses - responses.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.axes @ axes[:3].T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(found.spread, values[:3] / np.sqrt(200), rtol=1e-3)
    np.testing.assert_allclose(found.scores.std(0), 1, rtol=1e-4)
    np.testing.assert_allclose(found.of(parts[1:]), found.scores[50:], atol=1e-4)


def test_axes_along_which_few_responses_do_not_differ_are_left_out():
    rng = np.random.default_rng(1)
    few = rng.standard_normal((10, 40)).astype(np.float32)
    found = leading_axes([few, few[:5]], 12)
    assert found.scores.shape == (15, 9)
    assert np.abs(found.of([rng.standard_normal((50, 40))])).max() < 10


def test_chunks_run_over_all_parts():
    parts = [np.ones((1500, 2)), np.full((3, 2), 2.0)]
    slices = [(rows.start, rows.stop, part.mean()) for rows, part in in_chunks(parts, 1.0)]
    assert slices == [(0, 1000, 0), (1000, 1500, 0), (1500, 1503, 1)]


def test_head_of_full_rank_is_ridge():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((50, 4)), rng.standard_normal((50, 9)).astype(np.float32)
    into, out = solve_head(x, [y[:20], y[20:]], y.mean(0), rank=4)
    penalty = 1e-3 * ((x - x.mean(0)) ** 2).sum() / 4
    np.testing.assert_allclose(out @ into, Ridge(alpha=penalty).fit(x, y).coef_, atol=1e-5)


def test_distance_is_noted_for_each_modality_taught(tmp_path: Path):
    model, lesson, other = random_model(), greys(), greys(seed=5)
    model.training_axes.zero_()
    learn(model, [lesson], course_of(model, 20, tmp_path / "c.pt"), held_out=[other], batch=16)
    features = torch.from_numpy(features_of(model, other))
    mean, deviation = model.training_distance[0].unbind(-1)
    usual = (model.distances(features) - mean) / deviation
    torch.testing.assert_close(usual.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(usual.std(0, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    assert model.remoteness(features, "text").isnan().all()


def test_of_few_held_out_no_distance_is_told():
    model, rng = random_model(), np.random.default_rng(0)
    train = rng.standard_normal((40, TINY.width)).astype(np.float32)
    for n, measured in ((1, False), (9, False), (10, True)):
        held = rng.standard_normal((n, TINY.width)).astype(np.float32)
        note_spread(model, train, held, "sound")
        assert model.taught("sound")
        assert bool(model.remoteness(torch.from_numpy(train), "sound").isfinite().all()) == measured


def test_what_goes_too_far_and_what_shows_nothing_is_remote():
    model, rng = random_model(), np.random.default_rng(0)
    scale = np.concatenate([np.full(TINY.directions, 0.1), np.full(8, 3.0)])
    train, held = rng.standard_normal((2, 400, TINY.width)).astype(np.float32) * scale
    note_spread(model, train.astype(np.float32), held.astype(np.float32), "sound")
    odd = torch.zeros(2, TINY.width)
    odd[0] = torch.from_numpy(held[0].astype(np.float32))
    odd[0, 0] = 3.0
    away = model.remoteness(torch.cat([odd, torch.from_numpy(held.astype(np.float32))]), "sound")
    assert (away[:2] > 4).all()
    assert (away[2:] > 3).float().mean() < 0.02


def test_a_subjects_own_head_leaves_the_others_as_they_are():
    lesson, model = greys(), random_model().with_subject("7")
    lesson = replace(lesson, responses=-lesson.responses)
    before = model(lesson.shown.shown(np.arange(4)), 0)
    learn_head(model, [lesson], 2)
    torch.testing.assert_close(model(lesson.shown.shown(np.arange(4)), 0), before)
    assert np.median(accuracy(model, lesson, 2)) > 0.7


def test_weights_of_scores_have_mean_one():
    targets = Targets(np.zeros(1), np.zeros((2, 1)), np.zeros((3, 2)), np.array([3.0, 1.0]))
    assert targets.weight.tolist() == [1.5, 0.5]
