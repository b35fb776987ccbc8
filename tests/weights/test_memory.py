"""Memory: counted needs at the published sizes, plans, and blocks that come and go."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from insilico.decoders.mindeye2.needs import needs_at
from insilico.decoders.mindeye2.sizes import published, small
from insilico.decoders.mindeye2.skeleton import built
from insilico.errors import ParameterError
from insilico.measuring.random_weights import filled
from insilico.weights.counting import LiveBytes, activations, parameters_of
from insilico.weights.memory import RESERVE, Need, plan
from insilico.weights.offload import blocks, least, offloaded, own_bytes

UNET, SDXL, VAE, PRIOR = 2_501_272_324, 2_567_463_684, 83_653_863, 259_865_216
SPECIFIED = {
    "brain": 2_227_294_844 - PRIOR,
    "prior": PRIOR,
    "blurry": VAE,
    "unclip": UNET + VAE,
    "converter": 1_771_009,
    # bigG's text side as the file counts it, with one number for contrastive training
    "refiner": SDXL + VAE + 123_060_480 + 694_659_841 - 1,
}
GB = 10**9


@pytest.fixture(scope="module")
def full() -> dict[str, tuple[Need, ...]]:
    return {precision: needs_at(published(), precision) for precision in ("fp32", "fp16")}


def test_published_networks_have_the_specified_number_of_parameters():
    sizes = published()
    counted = {name: parameters_of(built(name, sizes[name])) for name in SPECIFIED}
    assert counted == SPECIFIED


def test_weights_are_four_bytes_a_parameter_and_half_of_that_where_it_is_safe(full):
    for need in full["fp32"]:
        if need.name in SPECIFIED:
            assert 0 <= need.weights - 4 * SPECIFIED[need.name] < 10_000, need.name  # tables
    whole, half = ({need.name: need.weights for need in full[p]} for p in ("fp32", "fp16"))
    assert half["unclip"] == pytest.approx(2 * UNET + 4 * VAE, rel=1e-3)  # the autoencoder is fp32
    assert half["brain"] == pytest.approx(whole["brain"] / 2, rel=1e-3)
    assert half["blurry"] == whole["blurry"]


def test_sixteen_gigabytes_are_enough_for_the_published_networks_with_nothing_in_blocks(full):
    made = plan(full["fp16"], 16 * GB)
    assert made.peak <= 16 * GB
    assert not any(share.offloaded for share in made.shares)
    assert made["unclip"].batch >= 4
    assert {"unclip", "refiner"}.isdisjoint(made.resident)
    in_full = plan(full["fp32"], 16 * GB)
    assert in_full.peak <= 16 * GB
    assert in_full["refiner"].offloaded
    assert plan(full["fp16"], 40 * GB).resident == {need.name for need in full["fp16"]}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_plans_keep_to_the_memory_and_more_of_it_never_does_worse(full, precision, device):
    needs = full[precision]
    with pytest.raises(ParameterError, match="least that works") as error:
        plan(needs, GB, device)
    told = re.search(r"least that works is ([\d.]+)GB", str(error.value))
    lowest = round(float(told[1]) * 1e9)
    with pytest.raises(ParameterError):
        plan(needs, lowest - 2 * 10**8, device)
    kept = -1
    for memory in range(lowest, 60 * GB, 3 * GB):
        made = plan(needs, memory, device)
        assert made.peak <= memory
        held = sum(share.need.weights for share in made.shares if share.resident)
        for share in made.shares:
            beside = held - share.need.weights * share.resident
            taken = beside + share.weights + share.need.computed(share.batch)
            assert share.peak == taken + made.reserve
            assert share.weights >= share.need.least
        assert device == "cuda" or not any(share.offloaded for share in made.shares)
        assert held >= kept
        kept = held


def test_an_asked_batch_is_kept_where_it_fits(full):
    made = plan(full["fp16"], 16 * GB, batch=2)
    assert {share.batch for share in made.shares} == {2}
    assert plan(full["fp16"], 16 * GB, batch=1000)["unclip"].batch < 20
    assert RESERVE["cuda"] == made.reserve


@pytest.mark.parametrize("name", ["brain", "prior", "blurry", "unclip"])
def test_what_is_counted_without_computing_is_what_computing_takes(name):
    from insilico.decoders.mindeye2.needs import CALLS

    about, n = small()[name], 3
    call = CALLS[name][0]
    fixed, item = activations(network := built(name, about), lambda k: call(network, k))
    real = filled(network, "cpu")
    live = LiveBytes((*real.parameters(), *real.buffers()))
    with torch.no_grad(), live:
        call(real, n)
    assert fixed + n * item == pytest.approx(live.peak, rel=0.1)


# --- blocks that come and go ----------------------------------------------------------------------


class Watcher:
    """Counts the bytes of parameters that are not at home, whenever a module is called."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.peak = network, 0
        self.home = {p.data_ptr() for p in network.parameters()}
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.register_forward_pre_hook(self.look)

    def look(self, *_: object) -> None:
        away = [p for p in self.network.parameters() if p.data_ptr() not in self.home]
        self.peak = max(self.peak, sum(p.nbytes for p in away))


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return filled(built("unclip", small()["unclip"]), "cpu").unet


def called(unet: nn.Module) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    x, words = torch.randn(2, 4, 16, 16, generator=rng), torch.randn(2, 5, 96, generator=rng)
    with torch.no_grad():
        return unet(x, 5, words, class_labels=torch.ones(2, 1024)).sample


def test_blocks_come_and_go_within_the_room_and_change_no_bit(unet):
    import copy

    expected, whole = called(unet), own_bytes(unet)
    for share in (2, 5, 20):
        room = max(whole // share, least(unet, 0))
        network = copy.deepcopy(unet)
        watcher = Watcher(offloaded(network, room, "cpu", small=0))
        assert torch.equal(called(network), expected)
        assert 0 < watcher.peak <= room
        assert all(p.data_ptr() in watcher.home for p in network.parameters())


def test_blocks_go_home_when_a_call_fails(unet):
    import copy

    network = copy.deepcopy(unet)
    watcher = Watcher(offloaded(network, least(network, 0), "cpu", small=0))
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, 16, 16), 5, torch.zeros(1, 5, 96), class_labels=torch.ones(1, 9))
    assert all(p.data_ptr() in watcher.home for p in network.parameters())


def test_every_large_parameter_lies_in_one_block(unet):
    found = blocks(unet, own_bytes(unet) // 4, small=1000)
    inside = [id(p) for block in found for p in block.parameters()]
    assert len(inside) == len(set(inside))
    outside = [p for p in unet.parameters() if id(p) not in set(inside)]
    assert max(p.nbytes for p in outside) <= 1000
    assert sum(map(own_bytes, found)) + sum(p.nbytes for p in outside) == own_bytes(unet)
