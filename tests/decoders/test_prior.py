"""The diffusion prior against numbers of the original code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from insilico.decoders.mindeye2.prior import DiffusionPrior, PriorNetwork

GOLDEN = Path(__file__).parents[1] / "golden" / "mindeye2" / "prior_partialrot.npz"


def close(value, expected, atol, rtol=1e-5):
    torch.testing.assert_close(value, expected, atol=atol, rtol=rtol)


@pytest.fixture(scope="module")
def data():
    with np.load(GOLDEN, allow_pickle=False) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays}


@pytest.fixture(scope="module")
def prior(data):
    width, head_width, heads, depth, tokens = (
        data["meta/dim_dimhead_heads_depth_ntok"].int().tolist()
    )
    model = DiffusionPrior(PriorNetwork(tokens, width, depth, heads, head_width)).eval()
    model.load_state_dict({key[3:]: data[key] for key in data if key.startswith("sd/")})
    return model


def test_schedule_equals_the_original(data):
    fresh = DiffusionPrior(PriorNetwork(2, 8, 1, 1, 8)).noise_scheduler.state_dict()
    start = "sd/noise_scheduler."
    expected = {key[len(start) :]: data[key] for key in data if key.startswith(start)}
    assert fresh.keys() == expected.keys()
    for key, table in expected.items():
        close(fresh[key], table, 1e-7)
    named = torch.tensor([6.312816e-4, 0.03154634, 0.3049366, 0.999])
    close(fresh["betas"][[0, 50, 94, 99]], named, 1e-7)


@torch.no_grad()
def test_network_equals_the_original(data, prior):
    given = data["in/noisy_image_embed"], data["in/timesteps"].long(), data["in/brain_embed"]
    none = torch.zeros(2, dtype=torch.bool)
    with_brain, without = prior.net(*given), prior.net(*given, none, none)
    close(with_brain, data["out/net_forward"], 2e-5)
    close(without, data["out/net_forward_uncond"], 2e-5)
    close(without + 1.5 * (with_brain - without), data["out/net_forward_cfg1p5"], 4e-5)


def test_sampling_equals_the_original(data, prior):
    assert prior.times(20)[:-1] == data["sample20/times"].int().tolist()
    result = prior.sample(data["in/brain_embed"], data["sample20/noise"])
    close(result, data["sample20/result"], 2e-4)


def test_sampling_of_an_item_does_not_depend_on_its_batch(data, prior):
    brain, noise = data["in/brain_embed"], data["sample20/noise"]
    both = prior.sample(brain, noise)
    alone = torch.cat([prior.sample(brain[k : k + 1], noise[:, k : k + 1]) for k in range(2)])
    close(alone, both, 1e-4)


@torch.no_grad()
def test_loss_is_the_error_from_noised_tokens(data, prior):
    brain, t = data["in/brain_embed"], torch.tensor([94, 7])
    image, noise = torch.randn(2, *brain.shape, generator=torch.Generator().manual_seed(0))
    every, table = torch.ones(2, dtype=torch.bool), prior.noise_scheduler
    loss, predicted = prior.loss(brain, image, t, noise, every, every)
    signal = table.alphas_cumprod[t].sqrt()[:, None, None]
    noisy = signal * image + (1 - table.alphas_cumprod[t]).sqrt()[:, None, None] * noise
    close(predicted, prior.net(noisy, t, brain), 2e-5)
    close(loss, (predicted - image).square().mean(), 1e-6)
