"""The six translations, whole, with the shipped networks: few scenes."""

from __future__ import annotations

import numpy as np
import pytest

import insilico as isi
from insilico.errors import ProtocolError
from insilico.phantom.hearing import SoundObject
from insilico.phantom.stimuli import Scenes
from insilico.schema import check

SMALL = {"stimuli.n": 8, "adapter.pairs": 500}
MODALITIES = ("seen", "read", "heard")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translation")
    return isi.run("translation", set=SMALL, out=folder / "out", store=folder / "store")


def test_nothing_failed_and_every_output_is_there(results):
    assert results.failures == ()
    made = check(results.open("reconstruction"), "reconstruction")
    assert {"image", "caption", "sound"} <= set(made.data_vars)
    assert made["condition"].values.tolist() == [
        *MODALITIES,
        *(f"measured {name}" for name in MODALITIES),
    ]
    for name in ("translation_levels", "translation_examples"):
        assert (results.folder / f"{name}.pdf").stat().st_size > 10_000
    assert "second order" in made.attrs["sound_order"]


def test_what_is_read_or_heard_reaches_the_picture(results):
    """Every modality finds its scene's picture above chance; seeing does so best."""
    cosine = results.open("estimate-levels").sel(metric="clip_cosine")
    for name in MODALITIES:
        one = cosine.sel(contrast=name)
        assert one["ci_low"] > one["chance_level"] + 0.1, name
    assert cosine["effect"].sel(contrast="seen") > cosine["effect"].sel(contrast="read")
    assert cosine["effect"].sel(contrast="read") > cosine["effect"].sel(contrast="heard")


def test_words_and_sounds_name_the_object(results):
    levels = results.open("estimate-levels")["effect"]
    for metric in ("caption_object", "sound_object"):
        assert (levels.sel(metric=metric) >= 0.35).all(), metric


def test_conditions_differ_in_what_was_shown(results):
    bold = results.open("response")["bold"]
    seen, read = (bold.sel(condition=name).values for name in ("seen", "read"))
    assert np.abs(seen - read).max() > 0.1


def test_the_sound_of_a_scene_is_heard_as_its_object():
    scenes = Scenes(split="unseen", n=30, sounds=True)()
    made = (
        scenes[["sound"]]
        .expand_dims(draw=[0], axis=1)
        .assign_attrs(scenes.attrs, decoder="none", seed=0)
    )
    score = SoundObject()(made, scenes)
    assert score["value"].mean() > 0.9
    assert score["chance"].item() < 0.3


def test_a_sound_section_of_an_unknown_kind_is_named():
    with pytest.raises(ProtocolError, match=r"sound.kind: unknown kind of sound 'audioldm'; .*\?"):
        isi.run("translation", set={"sound.kind": "audioldm"})
    with pytest.raises(ProtocolError, match="unknown kind of captioner 'gti'"):
        isi.run("translation", set={"captioner": "gti"})


def test_the_chain_in_python_makes_sounds(tmp_path):
    chain = isi.load_chain(set={"sound": {"kind": "audioldm2"}, "adapter.pairs": 100},
                           store=tmp_path)  # fmt: skip
    made = chain.decode(chain.encode(chain.stimuli(split="unseen", n=2, modality="text")))
    assert made["sound"].shape == (2, 1, 16_000)
    assert made.attrs["sampling_rate_hz"] == 16_000
