"""The unCLIP decoder on tiny random networks: real classes, all noise injected."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UNet2DConditionModel,
)

from insilico.decoders.mindeye2.refiner import SDXL
from insilico.decoders.precision import DTYPES, stored_in
from insilico.decoders.sampling import paced, size_vector, truncated
from insilico.decoders.unclip import UnclipConfig, UnclipDecoder, with_token_grid
from insilico.errors import ParameterError, SchemaError, WeightsError

N, TOKENS, WIDTH, LATENT = 3, 16, 8, 4
GOLDEN = Path(__file__).parents[1] / "golden" / "mindeye2"


def tiny_unet(config: UnclipConfig) -> UNet2DConditionModel:
    labels = {}
    if config.sizes:
        labels["class_embed_type"] = "projection"
        labels["projection_class_embeddings_input_dim"] = 256 * len(config.sizes)
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
        **labels,
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
        assert torch.equal(decoder.pictures(latents), expected.clamp(0, 1))


def test_published_timesteps_are_the_printed_ones():
    times = truncated(38)
    printed = """999 972 946 920 893 867 841 814 788 762 736 709 683 657 630 604 578 552 525 499 473
    446 420 394 368 341 315 289 262 236 210 184 157 131 105 78 52 26"""
    assert times == [int(word) for word in printed.split()]
    sigmas = paced(EulerDiscreteScheduler(**SDXL), 38, times).sigmas
    expected = torch.tensor([14.614641, 12.444417, 10.721358, 0.230698, 0.157970, 0])
    torch.testing.assert_close(sigmas[[0, 1, 2, -3, -2, -1]], expected, atol=1e-6, rtol=4e-6)


def test_size_vectors_equal_the_original():
    with np.load(GOLDEN / "unclip_vector_suffix.npz", allow_pickle=False) as golden:
        for key, sizes in {
            "vector_suffix": UnclipConfig.published().sizes,
            "refiner_vector_suffix": (768, 768, 0, 0, 1024, 1024),
        }.items():
            torch.testing.assert_close(
                size_vector(sizes), torch.from_numpy(golden[key]), atol=1e-5, rtol=0
            )


def authors_sampler(decoder, tokens, z, uncond, noise, offset):
    """Sample as specification 3.4 says, written out: the decoder lends its two networks only."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)
    times = [int(999 - i * 999 / 38) for i in range(38)]
    sigmas = [float(((1 - kept[t]) / kept[t]) ** 0.5) for t in times] + [0.0]
    k = torch.arange(128)
    angles = torch.tensor([768.0, 768, 0, 0])[:, None] * 10000 ** (-k / 128)
    vector = torch.cat([angles.cos(), angles.sin()], 1).reshape(1, 1024).expand(len(z), -1)

    def clean(x, t, sigma, context):
        eps = decoder.unet(x / (sigma**2 + 1) ** 0.5, t, context, class_labels=vector).sample
        return x - sigma * eps

    x = z + (noise + 0.04 * offset.reshape(-1, 1, 1, 1)) * sigmas[0]
    for t, sigma, after in zip(times, sigmas, sigmas[1:], strict=False):
        free, given = clean(x, t, sigma, uncond), clean(x, t, sigma, tokens)
        guided = free + 5 * (given - free)
        x = x + (x - guided) / sigma * (after - sigma)
    return (0.8 * decoder.vae.decode(x / 0.13025).sample + 0.2).clamp(0, 1)


@torch.no_grad()
def test_published_sampler_is_the_authors(given):
    decoder = tiny_decoder(EulerDiscreteScheduler, **dataclasses.asdict(UnclipConfig.published()))
    decoder.scheduler = EulerDiscreteScheduler(**SDXL)
    decoder.vae.decoder.conv_out.weight.mul_(0.3)  # or the pictures are mostly clipped
    draws = [np.random.default_rng(k) for k in range(N)]
    noise = decoder.drawn(draws, given["tokens"].shape[1:])
    assert list(noise) == ["z", "uncond", "noise", "offset"]
    expected = authors_sampler(decoder, given["tokens"], **noise)
    assert ((expected > 0) & (expected < 1)).float().mean() > 0.2
    torch.testing.assert_close(
        decoder.sample(given["tokens"], **noise), expected, atol=1e-4, rtol=0
    )
    other = {**noise, "offset": noise["offset"].flip(0)}
    assert not torch.allclose(decoder.sample(given["tokens"], **other), expected, atol=1e-3)


def test_offset_noise_needs_its_draws(given):
    decoder = tiny_decoder(EulerDiscreteScheduler, offset_noise=0.04)
    with pytest.raises(ParameterError, match="offset noise 0.04 needs z"):
        decoder.sample(**given)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_near_and_keeps_the_autoencoder_whole(given, precision):
    decoder = stored_in(tiny_decoder(guidance=1.0), "fp32")
    whole = decoder.sample(**given)
    stored_in(decoder.unet, precision)
    half = decoder.sample(**given, precision=precision)
    assert decoder.unet.mid_block.resnets[0].conv1.weight.dtype == DTYPES[precision]
    assert decoder.unet.conv_norm_out.weight.dtype == decoder.vae.dtype == torch.float32
    assert not torch.equal(half, whole)
    torch.testing.assert_close(half, whole, atol=0.02, rtol=0)


def test_weights_kept_in_half_give_the_bits_of_autocast(given):
    decoder = tiny_decoder()
    rounded_each_time = decoder.sample(**given, precision="bf16")
    stored_in(decoder.unet, "bf16")
    assert torch.equal(decoder.sample(**given, precision="bf16"), rounded_each_time)


def test_tokens_that_are_no_numbers_are_named(given):
    given["tokens"][1, 0, 0] = torch.nan
    with pytest.raises(SchemaError, match="tokens to make pictures of in item 1; look for NaN"):
        tiny_decoder().sample(**given)


def test_an_autoencoder_that_overflows_in_fp16_is_told(given):
    decoder = tiny_decoder()
    decoder.vae.half()
    with torch.no_grad():
        decoder.vae.decoder.conv_in.bias.fill_(60000)
        decoder.vae.decoder.conv_in.weight.fill_(60000)
    with pytest.raises(SchemaError, match="pictures of the autoencoder in item 0.*precision: fp32"):
        decoder.sample(**given)


def test_published_networks_have_the_published_sizes():
    sizes = {
        "sample_size": 96,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": [1, 2, 10],
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
    }
    labels = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 1024}
    base = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
    with torch.device("meta"):
        unclip = UNet2DConditionModel(**sizes, cross_attention_dim=1664, **labels)
        refiner = UNet2DConditionModel(**sizes, cross_attention_dim=2048, **base)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
    counts = [sum(p.numel() for p in part.parameters()) for part in (unclip, refiner, vae)]
    assert counts == [2_501_272_324, 2_567_463_684, 83_653_863]
    assert [len(unclip.state_dict()), len(vae.state_dict())] == [1680, 248]


def test_wrong_inputs_are_explained(decoder, given, tmp_path):
    with pytest.raises(ParameterError, match="noise has shape"):
        decoder.sample(given["tokens"], given["noise"][:, :2], given["uncond"])
    with pytest.raises(ParameterError, match="needs unconditional tokens"):
        decoder.sample(given["tokens"], given["noise"])
    with pytest.raises(ParameterError, match="do not fill"):
        with_token_grid(given["noise"], given["tokens"][:, :5])
    with pytest.raises(WeightsError, match=r"unclip\.json"):
        UnclipDecoder.from_pretrained(tmp_path)
    decoder.save_pretrained(tmp_path)
    (tmp_path / "unclip.json").write_text('{"vector": [1.0]}')
    with pytest.raises(WeightsError, match="cannot be loaded as unCLIP.*'vector'"):
        UnclipDecoder.from_pretrained(tmp_path)
