"""Ridge and BrainNetwork against numbers of the original code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from insilico.decoders.mindeye2.backbone import BrainNetwork, Ridge

GOLDEN = Path(__file__).parents[1] / "golden" / "mindeye2"


def golden(name):
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as data:
        return {key: torch.from_numpy(data[key]) for key in data}


def weights(data, prefix):
    start = f"sd/{prefix}"
    return {key[len(start) :]: value for key, value in data.items() if key.startswith(start)}


def close(value, expected, atol, rtol=1e-5):
    torch.testing.assert_close(value, expected, atol=atol, rtol=rtol)


@pytest.fixture
def networks():
    data = golden("brainnetwork_seq1")
    ridge = Ridge([37, 29], 32)
    ridge.load_state_dict(weights(data, "ridge."))
    network = BrainNetwork(hidden=32, n_blocks=2, tokens=16, width=24).eval()
    network.load_state_dict(weights(data, "backbone."))
    return data, ridge, network


@pytest.mark.parametrize("subject", [0, 1])
@torch.no_grad()
def test_backbone_equals_the_original(networks, subject):
    data, ridge, network = networks
    hidden = ridge(data[f"in/voxels_subj{subject}"], subject)
    tokens, projected, low = network(hidden)
    close(hidden, data[f"out/ridge_subj{subject}"], 2e-6)
    close(tokens, data[f"out/backbone_subj{subject}"], 2e-6)
    close(projected, data[f"out/clip_voxels_subj{subject}"], 2e-6)
    assert low is None


@torch.no_grad()
def test_repeats_are_averaged_at_the_output(networks):
    data, ridge, network = networks
    tokens = network(ridge(data["in/voxels_subj0"]))[0]
    close(tokens.mean(0, keepdim=True), data["out/backbone_rep_mean_subj0"], 2e-6)


@torch.no_grad()
def test_mixer_blocks1_reach_no_output(networks):
    data, _, network = networks
    before = network(data["out/ridge_subj0"])[:2]
    for parameter in network.mixer_blocks1.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(1))
    after = network(data["out/ridge_subj0"])[:2]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def published_wiring(network, x):
    """The authors' mixer, written out: two residual streams, carried apart."""
    first, second = x, x.mT
    for block1, block2 in zip(network.mixer_blocks1, network.mixer_blocks2, strict=True):
        first = block1(x) + first
        second = block2(first.mT) + second
        x = second.mT
    return x


@pytest.mark.parametrize("seq_len", [1, 3])
@torch.no_grad()
def test_mixing_follows_the_published_wiring(seq_len):
    torch.manual_seed(0)
    network = BrainNetwork(hidden=8, seq_len=seq_len, n_blocks=3, tokens=2, width=4).eval()
    for parameter in network.parameters():
        parameter.normal_()
    x = torch.randn(5, seq_len, 8)
    close(network.mixed(x), published_wiring(network, x), 1e-5)


@torch.no_grad()
def test_one_token_makes_the_backbone_affine(networks):
    data, _, network = networks
    constants = [block[1](block[0].bias.reshape(1, 1)) for block in network.mixer_blocks2]
    hidden = data["out/ridge_subj0"][:, 0] + sum(constants)
    expected = network.backbone_linear(hidden).reshape(3, 16, 24)
    close(network(data["out/ridge_subj0"])[0], expected, 2e-6)


def procedural(network):
    """Set all weights by the formula that made the golden numbers."""
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


@torch.no_grad()
def test_low_level_head_equals_the_original():
    data = golden("brainnetwork_blurry_procedural")
    network = BrainNetwork(hidden=32, n_blocks=2, tokens=16, width=24, blurry={}).eval()
    state = procedural(network)
    assert {f"check/{key}" for key in state} == {key for key in data if key.startswith("check/")}
    for key, array in state.items():
        wide = array.double()
        sums = torch.stack([wide.sum(), wide.abs().sum(), *wide.flatten()[[0, -1]]])
        close(sums.float(), data[f"check/{key}"], 1e-4)
    tokens, projected, (latent, features) = network(data["in/x"])
    close(tokens, data["out/backbone"], 1e-5)
    close(projected, data["out/clip_voxels"], 1e-5)
    close(latent, data["out/blurry_latent"], 5e-5)
    close(features, data["out/blurry_aux"], 1e-5)
