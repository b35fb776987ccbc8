"""A stream of MARY-Nano silenced: the network predicts as if that modality were absent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import TINY, dataset, random_model

from insilico.encoders.mary_nano import MaryNano
from insilico.errors import ParameterError
from insilico.spaces import fsaverage5


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    n = int((~fsaverage5.medial_wall()).sum())
    path = tmp_path_factory.mktemp("weights")
    random_model(replace(TINY, n_vertices=20484, n_cortex=n), seed=1).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def films():
    sound = dataset("sound")
    return dataset("film", **{"sampling_rate_hz": 16_000}).assign(sound=sound["sound"])


def bold(response):
    return response["bold"].values


def test_without_its_sound_a_film_is_a_silent_one(weights, films):
    silenced = MaryNano(weights=weights, without=("sound",))(films)
    np.testing.assert_allclose(
        bold(silenced), bold(MaryNano(weights=weights)(films.drop_vars("sound"))), atol=1e-5
    )
    assert np.abs(bold(silenced) - bold(MaryNano(weights=weights)(films))).max() > 1e-2
    assert "stream of sound" in silenced.attrs["lesion"]
    assert "lesion" not in MaryNano(weights=weights)(films).attrs


def test_without_vision_no_picture_matters(weights, films):
    blind = MaryNano(weights=weights, without=("vision",))
    other = films.assign(film=films["film"].copy(data=255 - films["film"].values))
    assert np.array_equal(bold(blind(films)), bold(blind(other)))
    assert np.ptp(bold(blind(films)), axis=0).max() > 1e-3  # what is heard still counts


def test_a_stream_that_gets_nothing_is_lost_at_no_cost_and_the_response_says_so(weights):
    pictures = dataset("image")
    deaf, whole = (MaryNano(weights=weights, without=w)(pictures) for w in (("sound",), ()))
    assert np.array_equal(bold(deaf), bold(whole))
    said = "without sound: images have nothing for it, so that nothing is lost"
    assert said in deaf.attrs["note"]
    assert said not in whole.attrs.get("note", "")


def test_nothing_left_is_an_error(weights, films):
    with pytest.raises(ParameterError, match="without vision, nothing is left of .* image"):
        MaryNano(weights=weights, without=("vision",))(dataset("image"))
    with pytest.raises(ParameterError, match="nothing is left of stimuli of modality film"):
        MaryNano(weights=weights, without=("vision", "sound"))(films)
    with pytest.raises(ParameterError, match="unknown value 'smell'; one of: vision, sound, text"):
        MaryNano(weights=weights, without=("smell",))
