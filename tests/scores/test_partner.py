"""Scores that do not ask for what was shown: words that are named, and a stimulus's partner."""

from __future__ import annotations

import numpy as np
import pytest

from insilico.errors import InsilicoError
from insilico.protocol.shown import AsShown
from insilico.schema import sample
from insilico.scores.naming import CaptionNames
from insilico.scores.partner import ToPartner

PARTNERS = [1, 2, 3, 0]


@pytest.fixture
def stimuli():
    words = ["a face", "a House.", "two faces", "a dog"]
    return sample("stimuli").assign(caption=("stimulus", words))


def made_of(stimuli, order):
    made = AsShown()(stimuli.assign(caption=stimuli["caption"]))
    captions = stimuli["caption"].values[order][:, None]
    return made.assign(
        image=made["image"].copy(data=made["image"].values[order]),
        caption=(("stimulus", "draw"), captions),
    )


def test_words_are_named_whatever_was_shown(stimuli):
    step = CaptionNames(words=["face", "house"])
    found = step(made_of(stimuli, PARTNERS), stimuli)
    assert found["value"].values.ravel().tolist() == [1, 0, 0, 1]
    assert found["chance"].item() == 0.5
    assert found["metric"].item() == "names face, house"


def test_a_picture_of_the_partner_is_like_the_partner(stimuli):
    response = sample("response")
    ids = stimuli["stimulus"].values[PARTNERS]
    response = response.assign_coords(partner=("stimulus", ids))
    made, step = made_of(stimuli, PARTNERS), ToPartner(score="pixcorr")
    found = step(made, stimuli, response)
    np.testing.assert_allclose(found["value"], 1)
    assert found["metric"].item() == "pixcorr to partner"
    own = step.inner(made, stimuli)
    assert (own["value"] < 0.5).all()


def test_no_partner_is_an_error(stimuli):
    made = made_of(stimuli, PARTNERS)
    with pytest.raises(InsilicoError, match="change it by interpolate or swap"):
        ToPartner(score="pixcorr")(made, stimuli, sample("response"))
    with pytest.raises(InsilicoError, match="compares no single pictures"):
        ToPartner(score="caption_pairings").digests()
