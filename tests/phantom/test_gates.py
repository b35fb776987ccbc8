"""The gates on a few scenes: that they are met, and that they would notice if they were not."""

from __future__ import annotations

import numpy as np
import pytest

from insilico.errors import WeightsError
from insilico.phantom import gates as module
from insilico.phantom import shares
from insilico.phantom.check import check
from insilico.phantom.gates import Gates
from insilico.phantom.stimuli import Scenes


@pytest.fixture(scope="module")
def gates():
    return Gates(Scenes(split="unseen", n=40)(), known=500)


def by_name(rows):
    return {(row.what, row.score): row for row in rows}


def test_scenes_are_of_combinations_that_no_network_has_seen(gates):
    assert gates.stimuli["held_out"].all()
    assert len(set(gates.truth)) == 40
    training = set(Scenes(split="train", n=3000)()["caption"].values)
    assert not training & set(gates.truth)


def test_captions_of_true_pictures(gates):
    rows = by_name(gates.true_pictures())
    assert rows["CLIP, true picture", "top-1 of all 3,456 captions"].value >= 0.95
    assert rows["captioner, true picture", "exact caption"].value >= 0.9


def test_pictures_from_tokens_show_the_scene_and_other_tokens_do_not(gates):
    rows = by_name(gates.true_tokens())
    assert rows["true tokens", "exact caption"].value >= 0.8
    assert rows["true tokens", "object right"].value >= 0.85
    for score in ("exact caption", "object right", "top-1 of 40"):
        assert rows["true tokens of another scene", score].verdict == "chance"
    assert rows["true tokens, nearest training picture", "exact caption"].value < 0.3


def test_measured_betas_and_synthetic_fmri(gates, monkeypatch):
    monkeypatch.setattr(module, "SETS", 1)
    monkeypatch.setattr(module, "PAIRS", (60, 600))
    rows = by_name(gates.measured() + gates.synthetic())
    assert rows["measured betas", "object right"].verdict != "BELOW"
    assert rows["measured betas", "top-1 of 40"].value >= 0.8
    assert rows["measured betas of another scene", "object right"].verdict == "chance"
    assert rows["600 minus 60 pairs", "PixCorr"].verdict == "target"
    assert rows["synthetic fMRI, 600 pairs of another scene", "top-1 of 40"].verdict == "chance"
    assert rows["synthetic fMRI, 600 pairs, nearest training picture", "exact caption"].value < 0.3
    reference = rows["measured betas", "PixCorr"].value
    many = rows["synthetic fMRI, 600 pairs, 1 sets", "PixCorr"].value
    ratio = rows["600 pairs / measured betas", "PixCorr"]
    assert ratio.value == pytest.approx(many / reference)
    assert ratio.low < ratio.value < ratio.high


def test_look_up_finds_the_picture_itself(gates):
    clip = gates._folder("clip")
    images, known = module.library(clip, 500)
    found = module.looked_up(known[7:9].reshape(2, 64, 64), clip, 500)
    np.testing.assert_array_equal(found, images[7:9])


def test_chance_counts_scenes_that_share_an_object(gates):
    chance = gates._chance()
    assert 0.04 < chance["object right"] < 0.15  # 12 objects
    assert chance["exact caption"] == 0  # 40 different captions


def test_the_folder_that_is_given_is_measured(tmp_path):
    with pytest.raises(WeightsError, match="clip"):
        check(n=2, weights=str(tmp_path))


def test_a_share_has_wilson_s_interval_and_a_verdict():
    row = shares.share("what", "score", np.array([1, 1, 1, 0]), (0.5, 0.8))
    # Wilson (1927) by hand: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.959964
    np.testing.assert_allclose([row.low, row.high], [0.300642, 0.954413], atol=1e-6)
    assert row.verdict == "minimum"
    assert shares.share("what", "score", np.ones(9), (0.5, 0.8)).verdict == "target"
    assert shares.share("what", "score", np.zeros(9), (0.5, 0.8)).verdict == "BELOW"


def test_a_share_that_must_fall_to_chance():
    assert shares.share("what", "score", np.arange(40) < 4, chance=0.083).verdict == "chance"
    found = shares.share("what", "score", np.arange(40) < 14, chance=0.083)
    assert found.verdict == "ABOVE CHANCE"
    assert found.failed


def test_a_gain_counts_only_if_its_interval_is_above_zero():
    rng = np.random.default_rng(0)
    assert shares.gain("w", "s", 0.1 + rng.random(50), gated=True).verdict == "target"
    assert shares.gain("w", "s", rng.choice([-1.0, 1.0], 50), gated=True).failed
    assert shares.gain("w", "s", rng.choice([-1.0, 1.0], 50), gated=False).verdict == ""


def test_a_ratio_is_of_means_over_the_same_scenes():
    values = np.random.default_rng(1).random(80) + 1
    row = shares.ratio("w", "s", 0.9 * values, values, 0.85)
    np.testing.assert_allclose([row.value, row.low, row.high], 0.9)
    assert row.verdict == "target"
