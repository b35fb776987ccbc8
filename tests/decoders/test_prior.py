"""The diffusion prior against numbers of the original code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from insilico.decoders.mindeye2.diffusion import DiffusionPrior
from insilico.decoders.mindeye2.prior import PriorNetwork, RelativeBias, ScaledNorm
from insilico.decoders.precision import products_in
from insilico.errors import ParameterError

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
    left = torch.tensor([0.4782646, 6.059645e-3, 2.43e-7])
    close(fresh["alphas_cumprod"][[50, 94, 99]], left, 1e-9, rtol=2e-3)
    close(fresh["alphas_cumprod"][[50, 94]], left[:2], 1e-7, rtol=1e-6)


def test_the_update_has_the_printed_weights(prior):
    """Specification 2.3: the steps 94 -> 89 and 9 -> 4."""
    table = prior.noise_scheduler.alphas_cumprod_prev
    close(table[[94, 89, 4]], torch.tensor([0.008718118, 0.029101387, 0.9945700]), 1e-8, 2e-6)
    for step, printed in {
        (94, 89): (0.82826334, 0.5337401),
        (9, 4): (0.06457657, 0.03549521),
    }.items():
        close(torch.stack(prior.weights(*step)[1:]), torch.tensor(printed), 1e-7)


@torch.no_grad()
def test_network_equals_the_original(data, prior):
    given = data["in/noisy_image_embed"], data["in/timesteps"].long(), data["in/brain_embed"]
    none = torch.zeros(2, dtype=torch.bool)
    with_brain, without = prior.net(*given), prior.net(*given, none, none)
    close(with_brain, data["out/net_forward"], 2e-5)
    close(without, data["out/net_forward_uncond"], 2e-5)
    close(without + 1.5 * (with_brain - without), data["out/net_forward_cfg1p5"], 4e-5)


def test_distances_fall_into_t5s_buckets_over_all_513_positions():
    """Specification 2.1; the null key is position 0, what lies ahead is in bucket 0."""
    bias = RelativeBias(heads=1)
    bias.relative_attention_bias.weight.data = torch.arange(32.0)[:, None]
    met = bias(513)[0].round().int().numpy()
    distance = np.maximum(np.arange(513)[:, None] - np.arange(514), 0)
    far = 16 + np.floor(16 * np.log(np.maximum(distance, 1) / 16) / np.log(8)).astype(int)
    np.testing.assert_array_equal(met, np.where(distance < 16, distance, np.minimum(far, 31)))
    assert [met[512, 512 - n] for n in (15, 16, 32, 64, 127, 128, 512)] == [
        15, 16, 21, 26, 31, 31, 31,
    ]  # fmt: skip


def test_sampling_equals_the_original(data, prior):
    assert prior.times(20)[:-1] == data["sample20/times"].int().tolist()
    result = prior.sample(data["in/brain_embed"], data["sample20/noise"])
    close(result, data["sample20/result"], 2e-4)


def test_sampling_of_an_item_does_not_depend_on_its_batch(data, prior):
    brain, noise = data["in/brain_embed"], data["sample20/noise"]
    both = prior.sample(brain, noise)
    alone = torch.cat([prior.sample(brain[k : k + 1], noise[:, k : k + 1]) for k in range(2)])
    close(alone, both, 1e-4)


def eager(attention, x, bias):
    """Attend as the original is written: two products, a softmax, null key first."""
    x = attention.norm(x)
    q = attention.to_q(x).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
    k, v = attention.to_kv(x).chunk(2, dim=-1)
    q, k = attention.rotary_emb(q), attention.rotary_emb(k)
    null_k, null_v = (row.expand(len(x), 1, -1) for row in attention.null_kv)
    k, v = torch.cat([null_k, k], dim=1), torch.cat([null_v, v], dim=1)
    cosine = torch.einsum("bhid,bjd->bhij", *(y / y.norm(dim=-1, keepdim=True) for y in (q, k)))
    weights = (16 * cosine + bias).softmax(dim=-1)
    out = torch.einsum("bhij,bjd->bhid", weights, v)
    return attention.to_out(out.transpose(1, 2).flatten(-2))


@torch.no_grad()
def test_fused_attention_is_the_eager_one(prior, data):
    transformer = prior.net.causal_transformer
    x = torch.randn(3, 33, data["in/brain_embed"].shape[-1], generator=torch.manual_seed(0))
    bias = transformer.rel_pos_bias(33)
    attention = transformer.layers[0][0]
    close(attention(x, bias), eager(attention, x, bias), 1e-5)
    assert not torch.allclose(attention(x, bias), eager(attention, x, 0 * bias), atol=1e-2)


def test_all_steps_are_the_ancestral_loop(data, prior):
    brain = data["in/brain_embed"]
    noise = torch.randn(prior.draws(100), *brain.shape, generator=torch.manual_seed(1))
    assert len(noise) == 101
    beta = prior.noise_scheduler.betas.double()
    total = (1 - beta).cumprod(0)
    x = noise[0].double()
    for k, t in enumerate(reversed(range(100)), 1):
        before = total[t - 1] if t else torch.tensor(1.0, dtype=torch.float64)
        with torch.no_grad():
            clean = prior.net(x.float(), torch.full((2,), t), brain).double()
        mean = clean * beta[t] * before.sqrt() + x * (1 - beta[t]).sqrt() * (1 - before)
        variance = beta[t] * (1 - before) / (1 - total[t])
        x = mean / (1 - total[t]) + (variance.sqrt() * noise[k] if t else 0)
    close(prior.sample(brain, noise, steps=100), x.float(), 1e-3, rtol=1e-3)


@pytest.mark.parametrize("steps", [0, 1, 101])
def test_steps_that_the_schedule_has_not_are_told(prior, steps):
    with pytest.raises(ParameterError, match=f"steps must be 2 to 100, got {steps}"):
        prior.draws(steps)


def test_noise_of_another_number_of_steps_is_told(data, prior):
    with pytest.raises(ParameterError, match=r"20 steps of the prior take noise of shape \(19,"):
        prior.sample(data["in/brain_embed"], data["sample20/noise"][1:])


@torch.no_grad()
def test_in_half_precision_only_the_norm_after_attention_is_coarse(data, prior):
    """Of the published run: to_out.1 sees fp16 and takes 1e-3, every other norm 1e-5."""
    seen = {}
    for name, module in prior.net.named_modules():
        if isinstance(module, ScaledNorm):
            module.register_forward_pre_hook(
                lambda m, x, name=name: seen.update({name: x[0].dtype})
            )
    given = data["in/noisy_image_embed"], data["in/timesteps"].long(), data["in/brain_embed"]
    whole = prior.net(*given)
    with products_in("fp16"):
        half = prior.net(*given)
    assert half.dtype == torch.float16
    assert {name for name, dtype in seen.items() if dtype == torch.float16} == {
        name for name in seen if name.endswith("to_out.1")
    }
    assert not torch.equal(half.float(), whole)
    x = torch.full((1, 4), 0.01) * torch.tensor([1, -1, 1, -1])
    assert ScaledNorm(4)(x).abs().max() > 0.99 * 0.01 / (1e-4 + 1e-5) ** 0.5
    assert ScaledNorm(4)(x.half()).abs().max() < 1.01 * 0.01 / (1e-4 + 1e-3) ** 0.5


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
