"""Sound from captions: diffusers' own pipeline at tiny random size, and the shipped one."""

from __future__ import annotations

import json
import shutil
import time

import numpy as np
import pytest
import torch
import xarray as xr
from diffusers import (
    AudioLDM2Pipeline,
    AudioLDM2ProjectionModel,
    AudioLDM2UNet2DConditionModel,
    AutoencoderKL,
    DDIMScheduler,
)
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    RobertaTokenizer,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from insilico.decoders.audioldm2 import PROMPT, AudioLdm2, _loaded, latent_shape
from insilico.errors import ParameterError, SchemaError, WeightsError
from insilico.schema import sample
from insilico.step import Registry, computing
from insilico.weights.folders import digest

WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def text_parts() -> dict:
    special = {word: k for k, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))}
    byte_pairs = {**special, **{letter: 5 + k for k, letter in enumerate("Ġ" + LETTERS)}}
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0)]
    text = {"vocab_size": 40, "hidden_size": WIDTH, "intermediate_size": 32, "pad_token_id": 1}
    text |= {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 130}
    audio = {"spec_size": 64, "num_mel_bins": 64, "depths": [1, 1], "num_attention_heads": [2, 2]}
    audio |= {"patch_stride": [4, 4], "patch_embeds_hidden_size": 8, "hidden_size": WIDTH}
    clap = ClapConfig(text_config=text | QUIET, audio_config=audio | QUIET, projection_dim=WIDTH)
    t5 = T5Config(vocab_size=40, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    gpt2 = GPT2Config(vocab_size=8, n_positions=160, n_embd=WIDTH, n_layer=1, n_head=2)
    return {
        "text_encoder": ClapModel(clap),
        "text_encoder_2": T5EncoderModel(t5),
        "projection_model": AudioLDM2ProjectionModel(WIDTH, WIDTH, WIDTH),
        "language_model": GPT2LMHeadModel(gpt2),
        "tokenizer": RobertaTokenizer(vocab=byte_pairs, merges=[], model_max_length=120),
        "tokenizer_2": T5Tokenizer(
            vocab=[*pieces, *((letter, -3.0) for letter in LETTERS)],
            extra_ids=0,
            model_max_length=120,
        ),
        "feature_extractor": ClapFeatureExtractor(feature_size=64, truncation="rand_trunc"),
    }


def sound_parts() -> dict:
    unet = AudioLDM2UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=(WIDTH, WIDTH),
        attention_head_dim=2,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
    )
    vocoder = SpeechT5HifiGanConfig(
        model_in_dim=8,
        upsample_initial_channel=8,
        upsample_rates=[8, 5],
        upsample_kernel_sizes=[16, 11],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        normalize_before=False,
        initializer_range=0.3,
    )
    scheduler = DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False
    )
    return {"unet": unet, "vae": vae, "vocoder": SpeechT5HifiGan(vocoder), "scheduler": scheduler}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    torch.manual_seed(0)
    pipe = AudioLDM2Pipeline(**text_parts(), **sound_parts())
    with torch.no_grad():  # untrained convolutions of the vocoder make next to silence
        for parameter in pipe.vocoder.parameters():
            parameter.normal_(0, 0.3)
    folder = tmp_path_factory.mktemp("audioldm2")
    pipe.save_pretrained(folder)
    return folder


def said(*captions: str) -> xr.Dataset:
    images = sample("reconstruction", len(captions))
    return images.assign(caption=(("stimulus", "draw"), np.array(captions)[:, None]))


def quick(folder, **parameters) -> AudioLdm2:
    return AudioLdm2(weights=str(folder), seconds=0.25, steps=3, **parameters)


def test_sound_is_added_and_all_else_stays(tiny):
    before = said("a dog", "a red bird on a beach")
    made = quick(tiny)(before)
    assert made["sound"].dims == ("stimulus", "draw", "sample")
    assert made["sound"].shape == (2, 1, 4000)
    assert made["sound"].dtype == np.float32
    assert made.attrs["sampling_rate_hz"] == 16_000
    assert "caption alone" in made.attrs["sound_order"]
    xr.testing.assert_identical(made.drop_vars("sound").drop_attrs(), before.drop_attrs())


@pytest.mark.parametrize("guidance", [1, 2.5])
def test_every_sound_is_what_the_pipeline_gives_for_its_prompt_alone(tiny, guidance):
    captions = ["a dog", "a red bird on a beach", "dog"]
    step = quick(tiny, guidance=guidance, negative_prompt="low quality")
    made = step(said(*captions))["sound"].values[:, 0]
    pipe = AudioLDM2Pipeline.from_pretrained(tiny, low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    for k, caption in enumerate(captions):
        alone = pipe(
            f"ambient sound of {caption}",
            negative_prompt="low quality",
            latents=step._noise(pipe, 0.25, f"sample-{k:06d}", 0)[None],
            audio_length_in_s=0.25,
            num_inference_steps=3,
            guidance_scale=guidance,
            max_new_tokens=8,
        ).audios[0]
        assert np.abs(alone).max() > 1e-3
        np.testing.assert_allclose(made[k], alone, atol=2e-5)


def test_a_sound_is_the_same_in_any_batch_and_differs_between_draws(tiny):
    four = said("a dog", "a red bird on a beach", "dog", "a dog")
    together = quick(tiny)(four)["sound"].values
    with computing(batch=1):
        one_by_one = quick(tiny)(four)["sound"].values
    np.testing.assert_allclose(together, one_by_one, atol=2e-5)
    assert np.abs(together[0] - together[3]).max() > 1e-3  # one caption, other noise
    again = quick(tiny, seed=1)(four)["sound"].values
    assert np.abs(together - again).max() > 1e-3


def test_caption_prompt_negative_prompt_and_guidance_all_matter(tiny):
    base = quick(tiny)(said("a dog"))["sound"].values
    others = [quick(tiny)(said("a bird"))]
    changes = ({"prompt": "{caption}"}, {"negative_prompt": "noise"}, {"guidance": 1.0})
    others += [quick(tiny, **change)(said("a dog")) for change in changes]
    for other in others:
        assert np.abs(other["sound"].values - base).max() > 1e-6


def test_a_language_model_saved_without_its_head_gives_the_same_sound(tiny, tmp_path):
    folder = tmp_path / "published"
    shutil.copytree(tiny, folder)
    whole = GPT2LMHeadModel.from_pretrained(tiny, subfolder="language_model")
    bare = GPT2Model.from_pretrained(tiny, subfolder="language_model")
    shutil.rmtree(folder / "language_model")
    bare.save_pretrained(folder / "language_model")
    index = json.loads((folder / "model_index.json").read_text())
    index["language_model"] = ["transformers", "GPT2Model"]
    (folder / "model_index.json").write_text(json.dumps(index))
    assert torch.equal(whole.transformer.wte.weight, bare.wte.weight)
    ours, theirs = (quick(f)(said("a dog"))["sound"].values for f in (tiny, folder))
    np.testing.assert_array_equal(ours, theirs)


def test_number_of_written_states_is_read_from_the_file(tiny, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(tiny, folder)
    file = folder / "language_model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_new_tokens": 2}))
    ours, theirs = (quick(f)(said("a dog"))["sound"].values for f in (tiny, folder))
    assert np.abs(ours - theirs).max() > 1e-6


def test_published_settings_are_the_default(tiny):
    pipe = _loaded(tiny, digest(tiny), "cpu")
    assert latent_shape(pipe, 10.0) == (4, 2000, 4)  # 10 s of 400 frames, halved in time and bands
    step = AudioLdm2(weights=str(tiny))
    assert (step.seconds, step.steps, step.guidance) == (None, None, None)
    from insilico.decoders.audioldm2 import defaults

    assert defaults(tiny) == {"seconds": 10.0, "steps": 200, "guidance": 3.5}
    assert PROMPT == "ambient sound of {caption}"


# --- the phantom ----------------------------------------------------------------------------------

CAPTION = "a large red dog on the left of a beach"


def test_shipped_pipeline_makes_a_second_of_sound_by_its_own_settings(caplog):
    made = AudioLdm2()(said(CAPTION, CAPTION))
    assert made["sound"].shape == (2, 1, 16_000)
    assert 0.1 < np.abs(made["sound"]).max() < 2
    assert not caplog.records  # nothing that diffusers would warn a user of
    with computing(batch=1):
        one_by_one = AudioLdm2()(said(CAPTION, CAPTION))["sound"].values
    np.testing.assert_allclose(made["sound"].values, one_by_one, atol=1e-3)


def test_a_caption_sounds_within_three_seconds_of_processor_time():
    step, one = AudioLdm2(), said(CAPTION)
    step(one)
    start = time.process_time()
    step(one)
    assert time.process_time() - start < 3


def test_longer_sounds_can_be_asked_for():
    assert AudioLdm2(seconds=2.0)(said(CAPTION))["sound"].shape == (1, 1, 32_000)


# --- bad input ------------------------------------------------------------------------------------


def test_no_words_no_sound(tiny):
    made = quick(tiny)(said("", "a dog", "  "))["sound"].values[:, 0]
    assert (made[[0, 2]] == 0).all()
    assert np.abs(made[1]).max() > 1e-3
    assert (quick(tiny)(said(""))["sound"].values == 0).all()


def test_ten_thousand_words_are_refused_before_any_work(tiny):
    with pytest.raises(SchemaError, match="10000 words .* this AudioLDM2 reads 120"):
        quick(tiny)(said("a dog", "word " * 10_000))


def test_unknown_letters_are_unknown_not_fatal(tiny):
    made = quick(tiny)(said("漢字 ☃"))["sound"].values
    assert np.isfinite(made).all()


def test_captions_are_needed():
    with pytest.raises(SchemaError, match="decode with captions first"):
        AudioLdm2()(sample("reconstruction"))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"prompt": "a sound"}, "must hold {caption} once"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"steps": 0}, "steps"),
        ({"guidance": 0.5}, "guidance"),
        ({"guidence": 2}, "did you mean 'guidance'"),
    ],
)
def test_parameters_are_checked(parameters, message):
    kinds = Registry("decoders", {"audioldm2": "insilico.decoders.audioldm2:AudioLdm2"})
    with pytest.raises(ParameterError, match=message):
        kinds.build({"kind": "audioldm2", **parameters})


def test_a_folder_without_a_pipeline_is_named(tmp_path):
    with pytest.raises(WeightsError, match="no weights of audioldm2"):
        AudioLdm2(weights=str(tmp_path))(said("a dog"))
    (tmp_path / "audioldm2").mkdir()
    with pytest.raises(WeightsError, match=r"no model_index\.json"):
        AudioLdm2(weights=str(tmp_path))(said("a dog"))


def test_a_damaged_pipeline_is_named(tiny, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny, folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="cannot be loaded as AudioLDM2"):
        quick(folder)(said("a dog"))


def test_a_hub_id_without_network_is_an_error_of_ours(monkeypatch):
    import huggingface_hub

    def refused(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refused)
    with pytest.raises(WeightsError, match="the hub gave no such model"):
        AudioLdm2(weights="cvssp/audioldm2-large")(said("a dog"))


def test_of_a_hub_repository_only_what_is_safe_is_fetched(monkeypatch, tiny):
    import huggingface_hub

    asked = {}

    def fetch(name, **options):
        asked.update(options, name=name)
        return str(tiny)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    made = AudioLdm2(weights="cvssp/audioldm2-large@abc123", seconds=0.25, steps=3)(said("a dog"))
    assert made["sound"].shape == (1, 1, 4000)
    assert (asked["name"], asked["revision"]) == ("cvssp/audioldm2-large", "abc123")
    assert not {"*.bin", "*.pt", "*.py", "*"} & set(asked["allow_patterns"])


def test_a_local_folder_named_phantom_is_not_taken_for_the_shipped_weights(
    monkeypatch, tiny, tmp_path
):
    shutil.copytree(tiny, tmp_path / "phantom")
    monkeypatch.chdir(tmp_path)
    assert AudioLdm2().digests() != AudioLdm2(weights="./phantom").digests()


def test_pickled_weights_are_not_opened(tiny, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny, folder)
    file = folder / "language_model" / "model.safetensors"
    state = GPT2LMHeadModel.from_pretrained(tiny, subfolder="language_model").state_dict()
    torch.save(state, file.with_name("pytorch_model.bin"))
    file.unlink()
    with pytest.raises(WeightsError, match="cannot be loaded as AudioLDM2"):
        quick(folder)(said("a dog"))
