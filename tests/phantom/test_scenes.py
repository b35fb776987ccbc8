"""The phantom world: its laws, and that a scene depends on its own number alone."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from insilico.errors import ParameterError
from insilico.phantom import scenes
from insilico.phantom.scenes import (
    ATTRIBUTES,
    CAPTIONS,
    COMBINATIONS,
    HELD_OUT,
    SPLITS,
    TRAINED,
    caption,
    draw_scene,
    draw_scenes,
    object_mask,
    read_caption,
    render,
    sound,
    write_caption,
)


def test_world_has_every_combination_once():
    assert len(COMBINATIONS) == len(set(COMBINATIONS)) == len(set(CAPTIONS)) == 3456
    assert len(HELD_OUT) == 345
    assert not HELD_OUT & set(TRAINED)
    assert len(HELD_OUT) + len(TRAINED) == 3456


@pytest.mark.parametrize("attribute", range(5))
def test_every_value_is_met_in_training_and_held_out(attribute):
    for combinations in (HELD_OUT, TRAINED):
        met = {COMBINATIONS[k][attribute] for k in combinations}
        assert met == set(list(ATTRIBUTES.values())[attribute])


def test_captions_follow_the_grammar_and_read_back():
    assert CAPTIONS[0] == "a small red face on the left of a road"
    for combination in COMBINATIONS:
        assert read_caption(write_caption(combination)) == combination
    assert read_caption("a small red face") is None


@pytest.mark.parametrize("split", SPLITS)
def test_a_scene_depends_on_its_number_alone(split):
    many, few = draw_scenes(3, 40, split), draw_scenes(3, 7, split)
    assert many[:7] == few
    assert draw_scene(3, split, 29) == many[29]
    assert many[29].id == f"phantom-{split}-000029"
    assert draw_scene(4, split, 29) != many[29]


def test_pictures_and_sounds_repeat_exactly():
    first, again = draw_scene(0, "test", 5), draw_scene(0, "test", 5)
    render(draw_scene(0, "train", 1))
    assert np.array_equal(render(first), render(again))
    assert np.array_equal(sound(first), sound(again))
    assert caption(first) == caption(again)


def test_held_out_combinations_are_never_trained():
    assert not any(scene.held_out for scene in draw_scenes(0, 6300, "train"))
    assert not any(scene.held_out for scene in draw_scenes(0, 50, "seen"))
    assert all(scene.held_out for scene in draw_scenes(0, 345, "unseen"))
    assert [scene.held_out for scene in draw_scenes(0, 6, "test")] == [False, True] * 3


def test_every_turn_meets_every_combination_once():
    counts = Counter(scene.combination for scene in draw_scenes(0, 2 * len(TRAINED), "train"))
    assert set(counts.values()) == {2}
    assert len(counts) == len(TRAINED)


def test_splits_draw_different_scenes():
    drawn = [draw_scene(0, split, 0) for split in SPLITS]
    assert len({scene.detail for scene in drawn}) == len(SPLITS)


def test_unknown_split_is_refused():
    with pytest.raises(ParameterError, match="did you mean 'train'"):
        draw_scene(0, "trian", 0)


def test_picture_law():
    picture = render(draw_scene(0, "train", 0))
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8


def test_mask_is_where_the_object_is():
    scene = draw_scene(0, "train", 2)
    what = scene.attributes
    mask = object_mask(scene)
    assert mask.shape == (64, 64)
    assert mask.dtype == bool
    x = np.nonzero(mask)[1].mean() / 64
    assert abs(x - scenes.POSITIONS[what["position"]] - scene.shift) < 0.06
    colours = list(ATTRIBUTES["colour"])
    other = "green" if what["colour"] == "red" else "red"
    step = (colours.index(other) - colours.index(what["colour"])) * 6
    twin = replace(scene, combination=scene.combination + step)
    assert twin.attributes == {**what, "colour": other}
    changed = (render(scene) != render(twin)).any(-1)
    assert changed.any()
    assert not (changed & ~mask).any()


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_objects_are_visible_and_large_ones_larger(split):
    areas = {"small": [], "large": []}
    for scene in draw_scenes(0, 120, split):
        areas[scene.attributes["size"]].append(object_mask(scene).mean())
    assert min(areas["small"]) > 0.02
    assert np.mean(areas["large"]) > 1.5 * np.mean(areas["small"])


def test_sound_law():
    heard = [sound(scene) for scene in draw_scenes(0, 12, "train")]
    for wave in heard:
        assert wave.shape == (16000,)
        assert wave.dtype == np.float32
        assert np.abs(wave).max() == pytest.approx(0.9, abs=1e-6)
    assert len({wave.tobytes() for wave in heard}) == len(heard)


def test_thousand_scenes_a_second():
    drawn = draw_scenes(0, 250, "train")
    rates = []
    for _ in range(3):
        start = time.process_time()
        for scene in drawn:
            render(scene)
        rates.append(len(drawn) / (time.process_time() - start))
    assert max(rates) > 1000
