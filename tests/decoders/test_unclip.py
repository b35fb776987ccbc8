"""The unCLIP decoder on tiny random networks: real classes, all noise injected."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UNet2DConditionModel,
)

from insilico.decoders.unclip import UnclipConfig, UnclipDecoder, with_token_grid
from insilico.errors import ParameterError, WeightsError

N, TOKENS, WIDTH, LATENT = 3, 16, 8, 4


def tiny_unet(config: UnclipConfig) -> UNet2DConditionModel:
    vector = {}
    if config.vector is not None:
        width = len(config.vector)
        vector = {
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": width,
        }
    return UNet2DConditionModel(
        sample_size=4,
        in_channels=LATENT + (WIDTH if config.token_grid else 0),
        out_channels=LATENT,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
        **vector,
    )


def tiny_decoder(scheduler=DPMSolverMultistepScheduler, **config) -> UnclipDecoder:
    torch.manual_seed(0)
    settings = UnclipConfig(**{"num_steps": 4, "guidance": 2.0, **config})
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 8),
        layers_per_block=1,
        latent_channels=LATENT,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )
    prediction = "v_prediction" if scheduler is DPMSolverMultistepScheduler else "epsilon"
    schedule = scheduler(beta_schedule="scaled_linear", prediction_type=prediction)
    return UnclipDecoder(tiny_unet(settings), vae, schedule, settings)


@pytest.fixture(params=[False, True], ids=["attention", "token-grid"])
def decoder(request) -> UnclipDecoder:
    return tiny_decoder(token_grid=request.param)


@pytest.fixture
def given() -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    return {
        "tokens": torch.randn(N, TOKENS, WIDTH, generator=draws),
        "noise": torch.randn(N, LATENT, 4, 4, generator=draws),
        "uncond": torch.randn(N, TOKENS, WIDTH, generator=draws),
    }


def test_pictures_are_pictures(decoder, given):
    made = decoder.sample(**given)
    assert made.shape == (N, 3, 8, 8)
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert decoder.latent_shape == (LATENT, 4, 4)


def test_an_item_is_the_same_in_any_batch(decoder, given):
    whole = decoder.sample(**given)
    backwards = decoder.sample(**{key: value.flip(0) for key, value in given.items()}).flip(0)
    alone = [decoder.sample(**{k: v[i : i + 1] for k, v in given.items()}) for i in range(N)]
    torch.testing.assert_close(backwards, whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat(alone), whole, atol=1e-5, rtol=0)


def test_injected_noise_replays_and_nothing_global_matters(decoder, given):
    torch.manual_seed(5)
    first = decoder.sample(**given)
    state = torch.random.get_rng_state()
    torch.manual_seed(6)
    assert torch.equal(decoder.sample(**given), first)
    torch.manual_seed(5)
    decoder.sample(**given)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("key", ["tokens", "noise", "uncond"])
def test_every_input_matters(decoder, given, key):
    other = decoder.sample(**{**given, key: given[key].flip(0)})
    assert not torch.allclose(other, decoder.sample(**given), atol=1e-4)


def test_saved_and_loaded_decoder_is_the_same(decoder, given, tmp_path):
    decoder.save_pretrained(tmp_path)
    again = UnclipDecoder.from_pretrained(tmp_path)
    assert again.config == decoder.config
    assert torch.equal(again.sample(**given), decoder.sample(**given))


def test_guidance_of_one_is_the_conditional_pass(decoder, given):
    plain = decoder.sample(given["tokens"], given["noise"], guidance=1)
    same = decoder.sample(given["tokens"], given["noise"], given["tokens"], guidance=3.0)
    torch.testing.assert_close(same, plain, atol=1e-5, rtol=0)
    assert not torch.allclose(decoder.sample(**given), plain, atol=1e-4)


def test_token_grid_is_in_reading_order():
    tokens = torch.arange(2 * 4 * 3.0).reshape(2, 4, 3)
    joined = with_token_grid(torch.zeros(2, 1, 2, 2), tokens)
    assert joined.shape == (2, 4, 2, 2)
    assert torch.equal(joined[1, 1:, 0, 1], tokens[1, 1])
    assert torch.equal(joined[1, 1:, 1, 0], tokens[1, 2])


def test_latents_are_scaled_and_shifted_by_channel(given):
    decoder = tiny_decoder()
    scale, shift = (2.0, 1.0, 0.5, 1.0), (0.0, 1.0, 0.0, -1.0)
    latents = given["noise"]
    decoder.config = dataclasses.replace(decoder.config, latent_scale=scale, latent_shift=shift)
    factors = (torch.tensor(v).reshape(1, -1, 1, 1) for v in (scale, shift))
    factor, offset = factors
    with torch.no_grad():
        expected = decoder.vae.decode(latents * factor + offset).sample / 2 + 0.5
        assert torch.equal(decoder._pictures(latents), expected.clamp(0, 1))


def test_published_timesteps_and_vector(given):
    decoder = tiny_decoder(EulerDiscreteScheduler, vector=(0.5, -0.5), timesteps="truncated")
    times = decoder._timesteps(decoder.scheduler, 38).tolist()
    assert times[:5] == [999, 972, 946, 920, 893]
    assert times[-3:] == [78, 52, 26]
    made = decoder.sample(**given)
    decoder.config = dataclasses.replace(decoder.config, vector=(2.0, 1.0))
    assert not torch.allclose(decoder.sample(**given), made, atol=1e-4)


def test_wrong_inputs_are_explained(decoder, given, tmp_path):
    with pytest.raises(ParameterError, match="noise has shape"):
        decoder.sample(given["tokens"], given["noise"][:, :2], given["uncond"])
    with pytest.raises(ParameterError, match="needs unconditional tokens"):
        decoder.sample(given["tokens"], given["noise"])
    with pytest.raises(ParameterError, match="do not fill"):
        with_token_grid(given["noise"], given["tokens"][:, :5])
    with pytest.raises(WeightsError, match=r"unclip\.json"):
        UnclipDecoder.from_pretrained(tmp_path)
