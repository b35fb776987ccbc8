"""The training of the phantom's convolutional judge."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from insilico.phantom.training import judge_convnet
from insilico.phantom.training.data import WORLD
from insilico.scores.features import NETWORKS
from insilico.scores.readers import loaded


def test_a_short_training_writes_what_scores_read(tmp_path, monkeypatch):
    monkeypatch.setattr(judge_convnet, "N_SCENES", 80)
    monkeypatch.setattr(judge_convnet, "N_HELD", 10)
    judge_convnet.train(tmp_path / "weights", cache=tmp_path / "cache", steps=2)
    path = NETWORKS["phantom_convnet"].path("test", str(tmp_path / "weights"), None)
    assert {value.dtype for value in load_file(path).values()} == {torch.float16}
    module = loaded(NETWORKS["phantom_convnet"], path)
    assert module(torch.zeros(1, 3, 64, 64), "early").shape == (1, 48, 32, 32)
    assert module(torch.zeros(1, 3, 64, 64), "late").shape == (1, 96)


def test_the_judges_world_is_its_own():
    assert judge_convnet.JUDGES_WORLD not in (WORLD, 1)  # 1: the listener's
    images, truth = judge_convnet.scenes("train", 4)
    assert images.shape == (4, 64, 64, 3)
    assert truth.shape == (4, 2)


def test_half_of_a_batch_is_spoiled():
    pixels = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = judge_convnet.spoiled(pixels, torch.Generator().manual_seed(1))
    changed = (found != pixels).flatten(1).any(1)
    assert changed.tolist() == [True, False] * 3
