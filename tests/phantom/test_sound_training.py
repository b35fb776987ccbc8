"""What the phantom's sound networks are trained on, and that their parts do what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from insilico.phantom.scenes import CAPTIONS, HELD_OUT, attribute_indices, draw_scene, sound
from insilico.phantom.spectrograms import BANDS, spectrograms
from insilico.phantom.training import audioldm2
from insilico.phantom.training.clap import choose, pair_of
from insilico.phantom.training.prompts import PROMPTS, clap_tokenizer, spoken, t5_tokenizer
from insilico.phantom.training.sound import build_vae, seen, sounds, whiten
from insilico.phantom.training.text_prior import styles


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return sounds(tmp_path_factory.mktemp("cache"), "train", 80)


def test_sounds_are_those_of_trained_scenes_and_are_kept(tmp_path, kept):
    waves, combinations = sounds(tmp_path, "train", 5)
    again, _ = sounds(tmp_path, "train", 5)
    assert np.array_equal(waves, again)
    assert np.array_equal(waves, kept[0][:5])
    for k in range(5):
        scene = draw_scene(0, "train", k)
        assert combinations[k] == scene.combination
        assert not scene.held_out
        assert waves[k] == pytest.approx(sound(scene), abs=1e-3)
    assert not HELD_OUT & set(kept[1].tolist())


def test_spectrograms_are_those_of_numpy(kept):
    from transformers.audio_utils import mel_filter_bank

    wave = kept[0][0].astype(np.float64)
    padded = np.pad(wave, 512, mode="reflect")
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    frames = [np.abs(np.fft.rfft(shape * padded[s : s + 1024])) for s in range(0, 16_000, 160)]
    bank = mel_filter_bank(513, BANDS, 0, 8000, 16_000, norm="slaney", mel_scale="slaney")
    expected = (np.log(np.maximum(np.stack(frames) @ bank, 1e-3)) + 3.8) / 2.4
    made = spectrograms(torch.from_numpy(wave[None]).float())
    assert made.shape == (1, 100, 64)
    np.testing.assert_allclose(made[0].numpy(), expected, atol=2e-3)
    everything = seen(kept[0])
    assert everything.shape == (80, 1, 104, 64)
    assert abs(float(everything.mean())) < 0.2
    assert float(everything.std()) == pytest.approx(1, abs=0.2)


def test_both_tokenizers_spell_every_prompt_and_survive_other_words():
    clap, t5 = clap_tokenizer(), t5_tokenizer()
    for tokenizer in (clap, t5):
        unknown = tokenizer.unk_token_id
        read = tokenizer([*PROMPTS[::37], *CAPTIONS[::37]])["input_ids"]
        assert not any(unknown in numbers for numbers in read)
        assert max(map(len, read)) <= tokenizer.model_max_length
    assert clap("漢字")["input_ids"] == [0, 5, 2]  # a space: byte pairs have no unknown word
    assert t5.unk_token_id in t5("漢字")["input_ids"]
    words = t5(PROMPTS[5])["input_ids"]
    assert len(words) == len(PROMPTS[5].split()) + 1
    assert len({tuple(numbers) for numbers in t5(list(PROMPTS))["input_ids"]}) == len(PROMPTS)


def test_prompts_of_one_call_have_one_length_and_name_what_sounds():
    combinations = np.array([0, 700, 3000])
    for form in range(5):
        said = spoken(combinations, form)
        assert len({len(text.split()) for text in said}) == 1
        for text, k in zip(said, combinations, strict=True):
            assert {CAPTIONS[k].split()[3], CAPTIONS[k].split()[-1]} <= set(text.split())
    assert spoken(combinations, 0) == [PROMPTS[k] for k in combinations]
    assert spoken(combinations, 1) != spoken(combinations, 0)


def test_every_batch_of_clap_holds_each_pair_that_sounds_once():
    combinations = np.array([k for k in range(len(CAPTIONS)) if k not in HELD_OUT])
    pairs = pair_of(combinations)
    rows = choose(np.random.default_rng(0), pairs)
    assert sorted(pairs[rows]) == list(range(72))
    assert not np.array_equal(rows, choose(np.random.default_rng(1), pairs))
    assert (attribute_indices()[combinations[rows], 0] == pairs[rows] // 6).all()


def test_whitened_latents_have_unit_variance_and_decode_to_the_same(kept):
    torch.manual_seed(0)
    vae, given = build_vae().eval(), seen(kept[0][:24])
    with torch.no_grad():
        before = vae.decode(vae.encode(given).latent_dist.mode()).sample
        spread = vae.encode(given).latent_dist.std
        first = vae.encode(given).latent_dist.mode().std((0, 2, 3))
        whiten(vae, given)
        posterior = vae.encode(given).latent_dist
        after = vae.decode(posterior.mode()).sample
    torch.testing.assert_close(posterior.mode().mean((0, 2, 3)), torch.zeros(16), atol=1e-3, rtol=0)
    torch.testing.assert_close(posterior.mode().std((0, 2, 3)), torch.ones(16), atol=1e-3, rtol=0)
    torch.testing.assert_close(posterior.std, spread / first[:, None, None], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def pipe():
    from insilico.weights.folders import folder

    torch.manual_seed(0)
    return audioldm2.build(folder("phantom", "clap").parent)


def test_dropped_prompts_tell_nothing_and_others_do(pipe):
    latents = torch.randn(3, *audioldm2.LATENT, generator=torch.Generator().manual_seed(0))

    def errors(numbers, dropped):
        noise = torch.Generator().manual_seed(1)
        said = spoken(np.array(numbers))
        with torch.no_grad():
            return audioldm2.velocity_losses(pipe, latents, said, noise, dropped)

    assert torch.equal(errors([0, 700, 3000], 1.0), errors([5, 900, 2000], 1.0))
    assert not torch.equal(errors([0, 700, 3000], 0.0), errors([5, 900, 2000], 0.0))


def test_averages_go_into_a_copy(pipe):
    parameters = [p for name in audioldm2.TRAINED for p in getattr(pipe, name).parameters()]
    before = [p.detach().clone() for p in parameters]
    copied = audioldm2.with_average(pipe, [torch.full_like(p, 0.5) for p in before])
    own = [p for name in audioldm2.TRAINED for p in getattr(copied, name).parameters()]
    assert all((p == 0.5).all() for p in own)
    assert all(torch.equal(a, b) for a, b in zip(parameters, before, strict=True))


def test_styles_are_standard_normal_and_tell_the_scenes_apart():
    scenes = [draw_scene(0, "train", k) for k in range(3000)]
    drawn = styles(scenes)
    assert drawn.shape == (3000, 6)
    assert drawn.mean(0).abs().max() < 0.1
    assert (drawn.std(0) - 1).abs().max() < 0.1
    order = np.argsort([scene.shift for scene in scenes])
    assert (np.diff(drawn[order, 0].numpy()) >= 0).all()
    assert ((drawn[:, 5] < 0).numpy() == [scene.mirrored for scene in scenes]).all()


@pytest.mark.slow
def test_training_from_nothing_makes_a_folder_that_sounds(tmp_path):
    from insilico.decoders.audioldm2 import AudioLdm2
    from insilico.phantom.training import clap
    from insilico.phantom.training import sound as autoencoder

    folder, cache = tmp_path / "weights", tmp_path / "cache"
    clap.train(folder, cache=cache, steps=2)
    autoencoder.train_autoencoder(folder, cache=cache, steps=2)
    audioldm2.train(folder, cache=cache, steps=2)
    made, rate = AudioLdm2(weights=str(folder)).sounds([CAPTIONS[0]], [("a", 0)])
    assert made.shape == (1, 16_000)
    assert rate == 16_000
    assert np.isfinite(made).all()
