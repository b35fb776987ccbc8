"""Refinement, converter and blurry pictures against the specification, on tiny real networks."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tiny_mindeye2 as tiny
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline
from safetensors.torch import load_file, save_file
from torch.nn import functional

from insilico.decoders.mindeye2.blurry import BlurryDecoder
from insilico.decoders.mindeye2.converter import ClipConverter
from insilico.decoders.mindeye2.pictures import as_stored, mixed
from insilico.decoders.mindeye2.refiner import NEGATIVE, SDXL, Refiner, RefinerConfig
from insilico.decoders.sampling import paced
from insilico.errors import ParameterError, WeightsError

SAID = ["a small red dog", "a large blue boat on the left"]
SIGMAS = [
    1.5091913, 1.3230609, 1.1605784, 1.0171463, 0.8890852, 0.7733918, 0.6675385, 0.5692849,
    0.4764544, 0.3865652, 0.2959417, 0.1963027, 0,
]  # fmt: skip


@pytest.fixture(scope="module")
def refiner():
    torch.manual_seed(3)
    return tiny.refiner()


@pytest.fixture
def given(refiner):
    pictures = torch.rand(2, 3, 6, 6, generator=torch.manual_seed(0))
    draws = [np.random.default_rng(k) for k in range(2)]
    return {"pictures": pictures, "captions": SAID, **refiner.drawn(draws)}


def close(value, expected, atol):
    torch.testing.assert_close(value, expected, atol=atol, rtol=0)


def test_the_sigmas_are_the_printed_ones():
    config = RefinerConfig()
    assert config.times == [479, 439, 399, 359, 319, 279, 239, 199, 159, 119, 79, 39]
    sigmas = paced(EulerDiscreteScheduler(**SDXL), 25, config.times).sigmas
    torch.testing.assert_close(sigmas, torch.tensor(SIGMAS), atol=1e-6, rtol=4e-6)


def test_the_negative_prompt_is_the_published_one():
    terms = NEGATIVE.split(", ")
    assert len(terms) == 23
    assert terms[:3] == ["painting", "extra fingers", "mutated hands"]
    assert terms[-2:] == ["extra legs", "anime"]


@torch.no_grad()
def test_words_are_those_of_the_sdxl_pipeline(refiner):
    pipe = StableDiffusionXLImg2ImgPipeline(
        refiner.vae,
        refiner.text_encoder,
        refiner.text_encoder_2,
        *refiner.tokenizers,
        refiner.unet,
        EulerDiscreteScheduler(**SDXL),
    )
    words, _, pooled, _ = pipe.encode_prompt(SAID, do_classifier_free_guidance=False)
    ours = refiner.words([SAID[0], SAID[1], SAID[0]])
    for expected, value in zip((words, pooled), ours, strict=True):
        close(value, expected[[0, 1, 0]], 1e-6)


def authors_refinement(refiner, pictures, captions, posterior, noise):
    """Refine as specification 4.2 says, written out; networks and words are lent."""
    larger = functional.interpolate(pictures, (8, 8), mode="bilinear", align_corners=False)
    found = refiner.vae.encode(2 * larger - 1).latent_dist
    x = 0.13025 * (found.mean + (0.5 * found.logvar).exp() * posterior) + noise * SIGMAS[0]
    n = len(captions)
    sizes = torch.tensor([[8, 8, 0, 0, 1024, 1024]]).repeat(n, 1)
    conditions = [refiner.words([refiner.config.negative] * n), refiner.words(captions)]
    for k, t in enumerate(range(479, 0, -40)):
        sigma, clean = SIGMAS[k], []
        for words, pooled in conditions:
            told = {"text_embeds": pooled, "time_ids": sizes}
            scaled = x / (sigma**2 + 1) ** 0.5
            eps = refiner.unet(scaled, t, words, added_cond_kwargs=told).sample
            clean.append(x - sigma * eps)
        guided = clean[0] + 5 * (clean[1] - clean[0])
        x = x + (x - guided) / sigma * (SIGMAS[k + 1] - sigma)
    return ((refiner.vae.decode(x / 0.13025).sample + 1) / 2).clamp(0, 1)


@torch.no_grad()
def test_refinement_is_the_authors(refiner, given):
    expected = authors_refinement(refiner, **given)
    assert ((expected > 0) & (expected < 1)).float().mean() > 0.2
    close(refiner.refined(**given), expected, 1e-4)
    one = {key: value[1:] for key, value in given.items()}
    close(refiner.refined(**one), expected[1:], 1e-4)
    other = refiner.refined(**{**given, "captions": SAID[::-1]})
    assert (other - expected).abs().max() > 1e-3


def test_a_saved_refiner_is_the_same(refiner, given, tmp_path):
    refiner.save_pretrained(tmp_path)
    again = Refiner.from_pretrained(tmp_path)
    assert again.config == refiner.config
    close(again.refined(**given), refiner.refined(**given), 1e-6)
    (tmp_path / "vae" / "config.json").unlink()
    with pytest.raises(WeightsError, match="vae cannot be loaded as AutoencoderKL"):
        Refiner.from_pretrained(tmp_path)
    (tmp_path / "refiner.json").write_text('{"sise": 8}')
    with pytest.raises(WeightsError, match="cannot be loaded as SDXL: .*'sise'"):
        Refiner.from_pretrained(tmp_path)


@pytest.mark.parametrize("part", ["unet", "text_encoder_2"])
def test_keys_that_a_file_lacks_are_never_made_up(refiner, tmp_path, part):
    refiner.save_pretrained(tmp_path)
    (file,) = (tmp_path / part).glob("*.safetensors")
    state = load_file(file)
    key = sorted(key for key in state if "projection" not in key)[0]
    lost = {other: value for other, value in state.items() if other != key}
    save_file({**lost, "stray.weight": torch.zeros(1)}, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=rf"missing: {re.escape(key)}; unexpected: stray.weight"):
        Refiner.from_pretrained(tmp_path)


def test_noise_of_another_size_is_told(refiner, given):
    with pytest.raises(ParameterError, match=r"posterior and noise of shape \(2, 4, 4, 4\)"):
        refiner.refined(**{**given, "noise": given["noise"][..., :2]})


@torch.no_grad()
def test_converter_maps_tokens_then_channels(tmp_path):
    state = {
        "linear1.weight": torch.randn(5, 4), "linear1.bias": torch.randn(5),
        "linear2.weight": torch.randn(3, 6), "linear2.bias": torch.randn(3),
    }  # fmt: skip
    save_file({k: v.half() for k, v in state.items()}, tmp_path / "model.safetensors")
    made = ClipConverter.from_pretrained(tmp_path)
    x = torch.randn(2, 4, 6)
    a, b, c, d = (state[key].half().float() for key in state)
    expected = torch.einsum("btc,st,oc->bso", x, a, c) + b[:, None] @ c.sum(1)[None] + d
    close(made(x), expected, 1e-5)
    with torch.device("meta"):
        published = ClipConverter()
    assert sum(p.numel() for p in published.parameters()) == 1_771_009
    save_file({"linear1.weight": torch.zeros(5, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="cannot be loaded as CLIPConverter"):
        ClipConverter.from_pretrained(tmp_path)


@torch.no_grad()
def test_blurry_pictures_are_scaled_decoded_and_clamped(tmp_path):
    torch.manual_seed(0)
    vae = tiny.vae(0.18215)
    vae.save_pretrained(tmp_path)
    latents = torch.randn(2, 4, 5, 5)
    expected = (vae.decode(latents / 0.18215).sample / 2 + 0.5).clamp(0, 1)
    made = BlurryDecoder.from_pretrained(tmp_path).pictures(latents)
    close(made, expected, 1e-6)
    assert made.shape == (2, 3, 10, 10)
    with pytest.raises(WeightsError, match="cannot be loaded as AutoencoderKL"):
        BlurryDecoder.from_pretrained(tmp_path / "none")


def test_pictures_are_stored_small_without_antialiasing_and_mixed_as_evaluated():
    large = torch.rand(1, 3, 12, 12)
    halved = as_stored(large, 6)
    close(halved, large.unflatten(-1, (6, 2)).mean(-1).unflatten(-2, (6, 2)).mean(-2), 1e-6)
    third = as_stored(large, 4)
    close(third, large[..., 1::3, 1::3], 1e-6)  # the middle of each nine; antialiasing takes more
    assert as_stored(large, 12) is large
    assert as_stored(large, None) is large
    blurry = torch.rand(1, 3, 3, 3)
    larger = functional.interpolate(blurry, (12, 12), mode="bilinear", align_corners=False)
    close(mixed(large, blurry, 0.25), 0.75 * large + 0.25 * larger, 1e-6)
