from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import insilico
from insilico.errors import ParameterError, SchemaError, WeightsError
from insilico.phantom.scenes import ATTRIBUTES
from insilico.phantom.sounds import make_sound
from insilico.schema import sample
from insilico.scores import KINDS
from insilico.scores.meaning import ClipTextCosine, PhantomTextCosine, SentenceCosine
from insilico.scores.sounds import ClapScore, PhantomClap
from insilico.spaces.meanings import clap_rng, clap_sound, clap_texts, sentences

WEIGHTS = Path(insilico.__file__).parent / "phantom" / "weights"
OBJECTS = ("house", "dog", "boat")
CAPTIONS = [f"a small red {name} on the left of a beach" for name in OBJECTS]
RATE = 16000


def scene(said=CAPTIONS):
    kinds = [ATTRIBUTES["object"].index(name) for name in OBJECTS]
    waves = np.stack([make_sound(kind, 0, seed) for seed, kind in enumerate(kinds)])
    stimuli = sample("stimuli", 3).assign(caption=("stimulus", CAPTIONS))
    made = xr.Dataset(
        {
            "caption": (("stimulus", "draw"), np.array(said)[:, None]),
            "sound": (("stimulus", "draw", "sample"), waves[:, None]),
        },
        coords={"stimulus": stimuli["stimulus"].values, "draw": [0]},
        attrs={"decoder": "none", "seed": 0, "sampling_rate_hz": RATE},
    )
    return made, stimuli


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A sentence encoder of three layers' width eight, random."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", *sorted({w for text in CAPTIONS for w in text.split()})]
    cut = Tokenizer(WordLevel({w: k for k, w in enumerate(words)}, unk_token="[UNK]"))
    cut.pre_tokenizer = Whitespace()
    folder = tmp_path_factory.mktemp("encoder")
    PreTrainedTokenizerFast(
        tokenizer_object=cut, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_sentences_are_mean_states_whatever_they_are_padded_with(bert):
    from transformers import AutoTokenizer, BertModel

    model, tokenizer = BertModel.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    texts = ["a dog", CAPTIONS[0]]
    for text, vector in zip(texts, sentences(texts, bert), strict=True):
        with torch.inference_mode():
            given = tokenizer(text, return_tensors="pt")
            mean = model(**given).last_hidden_state[0].mean(0).double().numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_sentence_cosine_of_pairs_and_chance(bert):
    said = [CAPTIONS[1], *CAPTIONS[1:]]
    score = SentenceCosine(weights=str(bert))(*scene(said))
    vectors = sentences(CAPTIONS, bert)
    full = vectors @ vectors[[1, 1, 2]].T
    np.testing.assert_allclose(score["value"].values[:, 0, 0], full.diagonal(), atol=1e-6)
    apart = full[~np.eye(3, dtype=bool)].mean()
    assert score["chance"].item() == pytest.approx(apart, abs=1e-6)


def test_of_several_references_the_closest_counts(bert):
    made, stimuli = scene()
    both = np.array([[CAPTIONS[2], text] for text in CAPTIONS])
    stimuli = stimuli.assign(caption=(("stimulus", "reference"), both))
    value = SentenceCosine(weights=str(bert))(made, stimuli)["value"]
    np.testing.assert_allclose(value, 1, atol=1e-6)


def test_the_phantoms_networks_stand_under_their_own_names(bert):
    for kind in ("sentence_cosine", "clip_text_cosine", "clap_score"):
        with pytest.raises(ParameterError, match="phantom's networks stand under their own kinds"):
            KINDS.build({"kind": kind, "weights": "phantom"})
    other = SentenceCosine(weights=str(bert))(*scene())
    assert other["metric"].item() == f"sentence_cosine ({bert.name})"
    assert "MiniLM" not in other["definition"].item()
    assert SentenceCosine().described()[0] == "sentence_cosine"
    assert ClapScore(weights="/w/clap-htsat-unfused").described()[0] == "clap_score"
    small = ClipTextCosine(weights="openai/clip-vit-base-patch32").described()
    assert small[0] == "clip_text_cosine (clip-vit-base-patch32)"


def test_clip_text_cosine_reads_a_folder():
    made, stimuli = scene([CAPTIONS[1], *CAPTIONS[1:]])
    judged = PhantomTextCosine()(made, stimuli)
    path = ClipTextCosine(weights=str(WEIGHTS / "judge_clip"))(made, stimuli)
    np.testing.assert_array_equal(judged["value"], path["value"])
    value = judged["value"].values[:, 0, 0]
    np.testing.assert_allclose(value[1:], 1, atol=1e-6)
    assert value[0] < 0.99


def test_clap_score_is_the_cosine_of_sound_and_text():
    made, stimuli = scene()
    score = PhantomClap()(made, stimuli)
    texts = clap_texts(CAPTIONS, WEIGHTS / "clap")
    waves, ids = made["sound"].values[:, 0], stimuli["stimulus"].values
    heard = [
        clap_sound(wave, RATE, WEIGHTS / "clap", 8, clap_rng(0, str(name)))
        for name, wave in zip(ids, waves, strict=True)
    ]
    full = texts @ np.array(heard).T
    np.testing.assert_allclose(score["value"].values[:, 0, 0], full.diagonal(), atol=1e-6)
    assert score["value"].mean() > score["chance"].item() + 0.1
    path = ClapScore(weights=str(WEIGHTS / "clap"))(made, stimuli)
    np.testing.assert_array_equal(path["value"], score["value"])


def test_clap_against_the_prompt_is_another_metric():
    made, stimuli = scene(CAPTIONS[::-1])
    score = PhantomClap(text="decoded")(made, stimuli)
    swapped = PhantomClap()(made, stimuli.assign(caption=("stimulus", CAPTIONS[::-1])))
    np.testing.assert_allclose(score["value"], swapped["value"], atol=1e-6)
    assert score["metric"].item() == "phantom_clap_prompt"


def test_sounds_at_another_rate_are_heard_alike():
    from scipy.signal import resample_poly

    made, stimuli = scene()
    waves = resample_poly(made["sound"].values, 3, 1, axis=-1)
    tripled = made.drop_vars("sound").assign(sound=(("stimulus", "draw", "sample"), waves))
    value = PhantomClap()(tripled.assign_attrs(sampling_rate_hz=3 * RATE), stimuli)["value"]
    np.testing.assert_allclose(value, PhantomClap()(made, stimuli)["value"], atol=0.02)


def test_silence_is_nothing_that_a_text_says():
    made, stimuli = scene()
    value = PhantomClap()(made, stimuli)["value"].values
    made["sound"][1] = 0
    silent = PhantomClap()(made, stimuli)["value"].values
    assert silent[1] == 0
    np.testing.assert_array_equal(silent[[0, 2]], value[[0, 2]])
    made["sound"][:] = 0
    with pytest.raises(SchemaError, match="all sounds are silent"):
        PhantomClap()(made, stimuli)


def test_mistakes_are_answered(tmp_path):
    made, stimuli = scene()
    unsaid = made.copy()
    unsaid.attrs.pop("sampling_rate_hz")
    with pytest.raises(SchemaError, match="does not say its attribute sampling_rate_hz"):
        PhantomClap()(unsaid, stimuli)
    with pytest.raises(SchemaError, match="text 'decoded' needs captions"):
        PhantomClap(text="decoded")(made.drop_vars("caption"), stimuli)
    with pytest.raises(WeightsError, match="no weights of sentence_encoder"):
        SentenceCosine(weights=str(tmp_path)).digests()
