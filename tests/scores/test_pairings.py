from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import insilico as isi
from insilico.errors import ParameterError, ProtocolError, SchemaError
from insilico.schema import check, sample
from insilico.scores import KINDS
from insilico.scores.bleu import Bleu1
from insilico.scores.pairings import CaptionPairings

SHOWN = ["a red dog on a hill", "two boats", "a man by a house"]
BY_CAPTIONER = ["a red dog", "two boats", "a man"]
DECODED = [["a dog", "a red dog"], ["two dogs", "a boat"], ["a man", "a house"]]


def spoken(words):
    words = np.array(words)
    words = words[:, None] if words.ndim == 1 else words
    made = xr.Dataset(
        {"caption": (("stimulus", "draw"), words)},
        coords={"stimulus": sample("stimuli", 3)["stimulus"].values, "draw": range(words.shape[1])},
        attrs={"decoder": "none", "seed": 0},
    )
    return check(made, "reconstruction")


@pytest.fixture
def stimuli():
    return sample("stimuli", 3).assign(caption=("stimulus", SHOWN))


def test_three_pairings_and_their_ratio(stimuli):
    score = CaptionPairings(of="bleu1")(spoken(DECODED), stimuli, spoken(BY_CAPTIONER))
    check(score, "score")
    names = [f"bleu1 {name}" for name in ("img_ref", "brain_ref", "brain_img", "relative")]
    assert score["metric"].values.tolist() == names
    ceiling, ref, img, relative = np.moveaxis(score["value"].values, -1, 0)
    seen = stimuli.assign(caption=("stimulus", BY_CAPTIONER))
    expected = [
        (ceiling[:, :1], spoken(BY_CAPTIONER), stimuli),
        (ref, spoken(DECODED), stimuli),
        (img, spoken(DECODED), seen),
    ]
    for own, made, shown in expected:
        np.testing.assert_allclose(own, Bleu1()(made, shown)["value"].values[..., 0])
    assert (ceiling[:, 0] == ceiling[:, 1]).all()
    np.testing.assert_allclose(relative.mean(), img.mean() / ceiling.mean())
    np.testing.assert_allclose(relative, img / ceiling.mean())
    chance = dict(zip(names, score["chance"].values, strict=True))
    np.testing.assert_allclose(chance["bleu1 relative"], chance["bleu1 brain_img"] / ceiling.mean())


def test_the_captioners_own_words_reach_one(stimuli):
    said = spoken(BY_CAPTIONER)
    score = CaptionPairings(of={"kind": "rouge_l"})(said, stimuli, said)
    np.testing.assert_allclose(score["value"].sel(metric="rouge_l brain_img"), 1)
    img_ref = score["value"].sel(metric="rouge_l img_ref")
    np.testing.assert_allclose(img_ref, score["value"].sel(metric="rouge_l brain_ref"))


def test_other_order_and_several_references(stimuli):
    both = np.array([[text, ""] for text in SHOWN])
    several = stimuli.assign(caption=(("stimulus", "reference"), both))
    turned = spoken(BY_CAPTIONER).isel(stimulus=[2, 0, 1])
    one = CaptionPairings(of="bleu1")(spoken(DECODED), stimuli, spoken(BY_CAPTIONER))
    other = CaptionPairings(of="bleu1")(spoken(DECODED), several, turned)
    np.testing.assert_allclose(one["value"], other["value"])


def test_mistakes_are_answered(stimuli):
    with pytest.raises(SchemaError, match="captioned=chain.caption"):
        CaptionPairings(of="bleu1")(spoken(DECODED), stimuli)
    lacking = spoken(BY_CAPTIONER).isel(stimulus=[0, 1])
    with pytest.raises(SchemaError, match="said nothing of sample-000002"):
        CaptionPairings(of="bleu1")(spoken(DECODED), stimuli, lacking)
    with pytest.raises(ProtocolError, match="ssim compares no captions"):
        isi.score(spoken(DECODED), stimuli, [{"kind": "caption_pairings", "of": "ssim"}])
    with pytest.raises(ProtocolError, match="unknown scores kind 'bleu5'"):
        isi.score(spoken(DECODED), stimuli, [{"kind": "caption_pairings", "of": "bleu5"}])
    with pytest.raises(ProtocolError, match="caption_pairings needs the captioner's words"):
        isi.score(spoken(DECODED), stimuli, [{"kind": "caption_pairings", "of": "bleu1"}])
    with pytest.raises(ParameterError, match="'kind' is missing"):
        KINDS.build({"kind": "caption_pairings", "of": {"n": 1}})


def test_a_chain_captions_the_stimuli_themselves():
    chain = isi.load_chain("phantom", set={"captioner": "git"})
    stimuli = chain.stimuli(n=3)
    captioned = chain.caption(stimuli)
    assert captioned["caption"].dims == ("stimulus", "draw")
    assert "as they were shown" in captioned.attrs["decoder"]
    score = isi.score(
        captioned, stimuli, [{"kind": "caption_pairings", "of": "bleu1"}], captioned=captioned
    )
    np.testing.assert_allclose(score["value"].sel(metric="bleu1 brain_img"), 1)
    assert score["value"].sel(metric="bleu1 img_ref").mean() > 0.5


def test_pairings_of_two_scores_and_a_score_of_the_set_lie_side_by_side(stimuli):
    asked = [
        {"kind": "caption_pairings", "of": "bleu1"},
        {"kind": "caption_pairings", "of": "rouge_l", "name": "longest"},
        {"kind": "bleu1", "form": "corpus"},
    ]
    score = isi.score(spoken(DECODED), stimuli, asked, captioned=spoken(BY_CAPTIONER))
    names = score["metric"].values.tolist()
    assert names[:1] + names[-1:] == ["bleu1 img_ref", "longest relative"]
    assert score["set_metric"].values.tolist() == ["corpus_bleu1"]
    assert score["set_value"].dims == ("draw", "set_metric")
