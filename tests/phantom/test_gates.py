"""The gates on a few scenes: that they are met, and that they would notice if they were not."""

from __future__ import annotations

import numpy as np
import pytest

from insilico.phantom import check
from insilico.phantom.stimuli import Scenes


@pytest.fixture(scope="module")
def stimuli():
    return Scenes(split="unseen", n=40)()


def by_name(rows):
    return {(row.what, row.score): row for row in rows}


def test_scenes_are_of_combinations_that_no_network_has_seen(stimuli):
    assert stimuli["held_out"].all()
    assert len(set(stimuli["caption"].values)) == 40
    training = set(Scenes(split="train", n=3000)()["caption"].values)
    assert not training & set(stimuli["caption"].values)


def test_captions_of_true_pictures(stimuli):
    rows = by_name(check.caption_gates(stimuli))
    assert rows["CLIP, true picture", "top-1 of all 3,456 captions"].value >= 0.95
    assert rows["captioner, true picture", "exact caption"].value >= 0.9


def test_pictures_from_tokens_show_the_scene_and_other_tokens_do_not(stimuli, monkeypatch):
    monkeypatch.setattr(check, "library", lambda: few_known())
    rows = by_name(check.regeneration_gates(stimuli))
    assert rows["from true tokens", "exact caption"].value >= 0.8
    assert rows["from true tokens", "object right"].value >= 0.85
    other = "from another scene's tokens"
    assert rows[other, "exact caption"].value == 0
    assert rows[other, "object right"].value <= 0.25
    assert rows[other, "top-1 of 40"].value <= 0.1
    assert rows["nearest training picture, true tokens", "exact caption"].value < 0.3


def few_known():
    images = Scenes(split="train", n=500)()["image"].values
    return images, check.true_tokens(images).reshape(500, -1)


def test_pictures_from_measured_betas(stimuli):
    from insilico.decoders.mindeye2.step import MindEye2
    from insilico.phantom.recording import PhantomRecording

    betas = PhantomRecording(space="voxels", repeats="keep")(stimuli)
    made = MindEye2(captions=False)(betas)["image"].values[:, 0]
    hits = check.judged(made, stimuli)
    assert hits["object right"].mean() >= 0.5
    assert hits["top-1 of 40"].mean() >= 0.8


def test_look_up_finds_the_picture_itself(monkeypatch):
    images, known = few_known()
    monkeypatch.setattr(check, "library", lambda: (images, known))
    np.testing.assert_array_equal(check.looked_up(known[7:9].reshape(2, 64, 64)), images[7:9])


def test_a_share_has_wilson_s_interval_and_a_verdict():
    row = check.share("what", "score", np.array([1, 1, 1, 0]), 0.5, 0.8)
    # Wilson (1927) by hand: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.959964
    np.testing.assert_allclose([row.low, row.high], [0.300642, 0.954413], atol=1e-6)
    assert row.verdict == "minimum"
    assert check.share("what", "score", np.ones(9), 0.5, 0.8).verdict == "target"
    assert check.share("what", "score", np.zeros(9), 0.5, 0.8).verdict == "BELOW"


def test_a_gain_counts_only_if_its_interval_is_above_zero():
    rng = np.random.default_rng(0)
    assert check._difference("s", np.ones((3, 50))).verdict == "target"
    assert check._difference("s", rng.choice([-1.0, 1.0], (3, 50))).verdict == "BELOW"
