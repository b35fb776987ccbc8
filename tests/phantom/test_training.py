"""The training of the phantom's networks: its optimiser, its course and its data."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from insilico.course import Course, Draw
from insilico.phantom.scenes import CAPTIONS, HELD_OUT, draw_scene, object_mask, render
from insilico.phantom.training import NETWORKS
from insilico.phantom.training.clip import choose_combinations, grid_code
from insilico.phantom.training.data import pictures
from insilico.phantom.training.muon import optimizers_for, orthogonalized
from insilico.phantom.training.storage import halve
from insilico.phantom.training.unclip import corrupted
from insilico.phantom.training.vocabulary import caption_tokens, save_processors, spelled


@pytest.mark.parametrize("name", NETWORKS)
def test_import_strings_lead_to_functions(name):
    module, function = NETWORKS[name].split(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("shape", [(3, 8, 5), (2, 5, 8), (1, 6, 6)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    stack = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalized(stack))
    assert values.min() > 0.6
    assert values.max() < 1.3


def trained(file, steps, until=None) -> list[torch.Tensor]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    optimizers = optimizers_for([model], lambda name, parameter: parameter.ndim == 2)
    course = Course({"model": model}, optimizers, steps, file, seed=5, averaged="model")

    def losses_of(draw: Draw) -> dict[str, torch.Tensor]:
        if draw.step == until:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=draw.noise())
        return {"error": ((model(x) - x[:, :2]) ** 2).mean()}

    course.run(losses_of, every=10)
    return [*model.parameters(), *course.average]


def test_interrupted_training_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = trained(tmp_path / "whole.pt", 40)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut.pt", 40, until=27)
    for a, b in zip(trained(tmp_path / "cut.pt", 40), whole, strict=True):
        assert torch.equal(a, b)


def test_schedule_is_a_trapezoid(tmp_path):
    course = Course({}, [], 1000, tmp_path / "none.pt", 0)
    rates = []
    for course.step in (0, 49, 300, 499, 750, 999):
        rates.append(course.rate())
    assert rates == pytest.approx([0.02, 1, 1, 1, 0.5, 0.01])


def test_pictures_are_the_scenes(tmp_path):
    shown = pictures(tmp_path, "unseen", 6)
    for k in range(6):
        scene = draw_scene(0, "unseen", k)
        assert np.array_equal(shown.images[k], render(scene))
        assert np.array_equal(shown.objects(slice(k, k + 1))[0, 0].bool(), object_mask(scene))
        assert shown.combinations[k] == scene.combination
    values = shown.pixels(slice(0, 6))
    assert values.min() >= -1
    assert values.max() <= 1


def test_held_out_combinations_are_in_no_batch():
    for step in range(40):
        chosen = choose_combinations(Draw(0, step).numbers())
        assert not HELD_OUT & set(chosen.tolist())
        assert len(set(chosen.tolist())) == len(chosen) > 100


def test_grid_code_tells_all_places_apart():
    code = grid_code(8, 64)
    assert code.shape == (64, 64)
    assert torch.cdist(code, code).fill_diagonal_(9).min() > 0.5


def test_corruption_spares_half_and_drops_a_tenth():
    draws = torch.Generator().manual_seed(0)
    tokens, others = (torch.randn(2000, 4, 3, generator=draws) + 2 for _ in range(2))
    made = corrupted(tokens, others, draws)
    spared = (made - tokens).abs().amax((1, 2)) < 1e-5
    assert float(spared.float().mean()) == pytest.approx(0.45, abs=0.05)
    dropped = made.mean((1, 2)) < 0.7
    assert float(dropped.float().mean()) == pytest.approx(0.1, abs=0.03)


def test_captions_survive_the_vocabulary_and_the_stored_processors(tmp_path):
    from transformers import AutoTokenizer, CLIPImageProcessorPil

    save_processors(tmp_path)
    tokens = caption_tokens()
    read = AutoTokenizer.from_pretrained(tmp_path)(list(CAPTIONS), return_tensors="pt").input_ids
    assert torch.equal(read, tokens)
    assert [spelled(row[1:]) for row in tokens[::97]] == list(CAPTIONS[::97])
    picture = render(draw_scene(0, "seen", 0))
    prepared = CLIPImageProcessorPil.from_pretrained(tmp_path)(picture, return_tensors="pt")
    expected = torch.from_numpy(picture / 127.5 - 1).permute(2, 0, 1).float()
    torch.testing.assert_close(prepared.pixel_values[0], expected, atol=1e-6, rtol=0)


def test_halved_weights_are_half_as_large(tmp_path):
    from safetensors.torch import load_file, save_file

    save_file({"a": torch.full((100,), 0.5), "b": torch.arange(3)}, tmp_path / "x.safetensors")
    halve(tmp_path)
    stored = load_file(tmp_path / "x.safetensors")
    assert stored["a"].dtype == torch.float16
    assert torch.equal(stored["b"], torch.arange(3))
