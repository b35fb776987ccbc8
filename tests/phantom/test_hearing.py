"""The gate of sounds on a few scenes, and that the listener would notice a generator that fails."""

from __future__ import annotations

import numpy as np
import pytest

from insilico.decoders.audioldm2 import AudioLdm2
from insilico.phantom.hearing import OTHER_WORLD, listener, loudness, sound_gates
from insilico.phantom.scenes import draw_scene, sound
from insilico.phantom.stimuli import Scenes


@pytest.fixture(scope="module")
def scenes():
    return Scenes(split="unseen", n=16)()


@pytest.fixture(scope="module")
def rows(scenes):
    return {(row.what, row.score): row for row in sound_gates(scenes)}


def test_captions_are_of_combinations_that_the_generator_never_saw(scenes):
    assert scenes["held_out"].all()


def test_sounds_of_captions_are_heard_as_what_the_captions_name(rows):
    for name in ("object", "background"):
        row = rows["sounds from captions", f"{name} heard"]
        assert row.value >= 0.8
        assert row.low < row.value
        assert row.n == 16
    assert rows["sounds from captions", "object heard"].verdict == "target"


def test_sounds_of_other_captions_fall_to_chance(rows):
    row = rows["from another scene's caption", "object heard"]
    assert row.value <= 0.3
    assert row.verdict == "chance"


def test_listener_has_heard_none_of_the_generators_sounds():
    assert OTHER_WORLD != 0
    ours = {draw_scene(0, "train", k).detail for k in range(3111)}
    heard = {draw_scene(OTHER_WORLD, "train", k).detail for k in range(720)}
    assert not ours & heard


def test_listener_knows_true_sounds_and_is_not_told_by_loudness_or_length():
    scenes = [draw_scene(0, "unseen", k) for k in range(60)]
    waves = np.stack([sound(scene) for scene in scenes])
    for given in (waves, 0.05 * waves, waves + 1e-3):
        named = listener().names(given)
        for key, names in named.items():
            truth = np.array([scene.attributes[key] for scene in scenes])
            assert (names == truth).mean() >= 0.95
    assert loudness(waves[:2, :8000]).shape == loudness(waves[:2]).shape


def test_gate_fails_where_the_generator_ignores_its_captions(scenes, monkeypatch):
    def deaf(self, captions, items):
        rng = np.random.default_rng(0)
        return rng.standard_normal((len(captions), 16_000)).astype(np.float32), 16_000

    monkeypatch.setattr(AudioLdm2, "sounds", deaf)
    rows = {(row.what, row.score): row for row in sound_gates(scenes)}
    assert rows["sounds from captions", "object heard"].verdict == "BELOW"
    assert rows["true sounds", "object heard"].value == 1
