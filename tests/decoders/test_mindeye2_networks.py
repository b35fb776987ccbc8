"""The networks against numbers of the original code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from insilico.decoders.mindeye2.backbone import BrainNetwork, Ridge
from insilico.decoders.mindeye2.prior import DiffusionPrior, PriorNetwork

GOLDEN = Path(__file__).parents[1] / "golden" / "mindeye2"


def golden(name):
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as data:
        return {key: torch.from_numpy(data[key]) for key in data}


def weights(data, prefix):
    start = f"sd/{prefix}"
    return {key[len(start) :]: value for key, value in data.items() if key.startswith(start)}


def close(value, expected, atol, rtol=1e-5):
    torch.testing.assert_close(value, expected, atol=atol, rtol=rtol)


@pytest.fixture(scope="module")
def backbone():
    data = golden("brainnetwork_seq1")
    ridge = Ridge([37, 29], 32)
    ridge.load_state_dict(weights(data, "ridge."))
    network = BrainNetwork(hidden=32, n_blocks=2, tokens=16, width=24).eval()
    network.load_state_dict(weights(data, "backbone."))
    return data, ridge, network


@pytest.mark.parametrize("subject", [0, 1])
def test_backbone_equals_the_original(backbone, subject):
    data, ridge, network = backbone
    with torch.no_grad():
        hidden = ridge(data[f"in/voxels_subj{subject}"], subject)
        tokens, projected, low = network(hidden)
    close(hidden, data[f"out/ridge_subj{subject}"], 2e-6)
    close(tokens, data[f"out/backbone_subj{subject}"], 2e-6)
    close(projected, data[f"out/clip_voxels_subj{subject}"], 2e-6)
    assert low is None


def test_first_blocks_reach_no_output_but_full_mixing_agrees(backbone):
    data, _, network = backbone
    hidden = data["out/ridge_subj0"]
    with torch.no_grad():
        short = network.mixed(hidden)
        x, first, second = hidden, hidden, hidden.mT
        for block1, block2 in zip(network.mixer_blocks1, network.mixer_blocks2, strict=True):
            first = block1(x) + first
            second = block2(first.mT) + second
            x = second.mT
    close(short, x, 1e-6)


def procedural(network):
    state = network.state_dict()
    for k, key in enumerate(sorted(state)):
        shape, n = state[key].shape, state[key].numel()
        v = np.sin(np.arange(1, n + 1) * 12.9898 + (k + 1) * 78.233) * 43758.5453
        z = (2 * (v - np.floor(v)) - 1) * np.sqrt(3)
        if len(shape) > 1:
            z = z / np.sqrt(np.prod(shape[1:]))
        else:
            z = 1 + 0.3 * z if key.endswith("weight") else 0.2 * z
        state[key] = torch.from_numpy(z.astype(np.float32)).reshape(shape)
    network.load_state_dict(state)
    return state


def test_low_level_head_equals_the_original():
    data = golden("brainnetwork_blurry_procedural")
    network = BrainNetwork(hidden=32, n_blocks=2, tokens=16, width=24, blurry={}).eval()
    state = procedural(network)
    for key, array in state.items():
        expected = data[f"check/{key}"]
        close(array.flatten()[[0, -1]], expected[2:], 1e-6)
    with torch.no_grad():
        tokens, projected, (latent, features) = network(data["in/x"])
    close(tokens, data["out/backbone"], 1e-5)
    close(projected, data["out/clip_voxels"], 1e-5)
    close(latent, data["out/blurry_latent"], 5e-5)
    close(features, data["out/blurry_aux"], 1e-5)


@pytest.fixture(scope="module")
def prior():
    data = golden("prior_partialrot")
    width, head_width, heads, depth, tokens = (
        data["meta/dim_dimhead_heads_depth_ntok"].int().tolist()
    )
    model = DiffusionPrior(PriorNetwork(tokens, width, depth, heads, head_width)).eval()
    model.load_state_dict(weights(data, ""))
    return data, model


def test_schedule_equals_the_original(prior):
    data, _ = prior
    fresh = DiffusionPrior(PriorNetwork(2, 8, 1, 1, 8)).noise_scheduler.state_dict()
    for key, expected in weights(data, "noise_scheduler.").items():
        close(fresh[key], expected, 1e-7)
    close(
        fresh["betas"][[0, 50, 94, 99]],
        torch.tensor([6.312816e-4, 0.03154634, 0.3049366, 0.999]),
        1e-7,
    )


def test_prior_network_equals_the_original(prior):
    data, model = prior
    given = data["in/noisy_image_embed"], data["in/timesteps"].long(), data["in/brain_embed"]
    none = torch.zeros(2, dtype=torch.bool)
    with torch.no_grad():
        close(model.net(*given), data["out/net_forward"], 2e-5)
        close(model.net(*given, none, none), data["out/net_forward_uncond"], 2e-5)


def test_sampling_equals_the_original(prior):
    data, model = prior
    assert model.times(20)[:-1] == data["sample20/times"].int().tolist()
    result = model.sample(data["in/brain_embed"], data["sample20/noise"])
    close(result, data["sample20/result"], 2e-4)


def test_published_sizes():
    with torch.device("meta"):
        ridge = Ridge([15724])
        network = BrainNetwork(blurry={})
        prior = DiffusionPrior(PriorNetwork())
    count = [sum(p.numel() for p in part.parameters()) for part in (ridge, network, prior)]
    assert count == [64_409_600, 1_903_020_028, 259_865_216]
    assert sum(count) == 2_227_294_844
