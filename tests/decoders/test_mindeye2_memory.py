"""The chain within a memory: the same results, whatever stays, comes in turn or block by block."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_mindeye2 as tiny
import torch
import xarray as xr
from diffusers import UNet2DConditionModel
from diffusers.models.autoencoders.vae import Decoder
from test_mindeye2_chain import ALL, quick, response
from torch import nn
from transformers import GitForCausalLM

from insilico.decoders.audioldm2 import AudioLdm2
from insilico.decoders.git import Git
from insilico.decoders.mindeye2 import needs as counted
from insilico.decoders.mindeye2.backbone import BrainNetwork
from insilico.decoders.mindeye2.converter import ClipConverter
from insilico.decoders.mindeye2.model import BRAIN, MindEye2Model
from insilico.decoders.mindeye2.prior import PriorNetwork
from insilico.decoders.mindeye2.step import MindEye2
from insilico.errors import ParameterError
from insilico.job import Job
from insilico.run.runner import run
from insilico.run.store import Store
from insilico.step import computing, in_bytes
from insilico.weights import memory, offload, shelf
from insilico.weights.counting import LiveBytes
from insilico.weights.folders import folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    yield str(tiny.write(tmp_path_factory.mktemp("published")))
    shelf.let_go()


@pytest.fixture(scope="module")
def expected(weights):
    return everything(weights)(response())


def everything(weights: str) -> MindEye2:
    return quick(weights, refine=True, mix=0.25, draws=2, keep=ALL)


CALLED = (UNet2DConditionModel, BrainNetwork, PriorNetwork, ClipConverter, GitForCausalLM, Decoder)


class Live:
    """Watches the parameters of all networks that are held, whenever a module is called."""

    def __init__(self) -> None:
        self.peak = 0

    def __enter__(self) -> Live:
        self.hook = nn.modules.module.register_module_forward_pre_hook(self.look)
        return self

    def __exit__(self, *_: object) -> None:
        self.hook.remove()

    def look(self, module: nn.Module, *_: object) -> None:
        if not isinstance(module, CALLED):
            return
        networks = [thing for room in shelf._held.values() for thing in room.values()]
        parts = [
            part for thing in networks for part in (thing if type(thing) is tuple else [thing])
        ]
        here = [p for part in parts if isinstance(part, nn.Module) for p in part.parameters()]
        self.peak = max(self.peak, sum(p.nbytes for p in here))


def plan_of(step: MindEye2, size: int) -> memory.Plan:
    with computing(memory=size):
        return step._plan()


def same(made: xr.Dataset, expected: xr.Dataset) -> None:
    assert set(made) == set(expected)
    for name in made:
        if name == "caption":
            assert (made[name] == expected[name]).all()
            continue
        limit = 1e-4 if name.startswith("tokens") else 1
        assert np.abs(made[name].astype(float) - expected[name]).max() <= limit, name


def lowest(step: MindEye2) -> int:
    with pytest.raises(ParameterError, match="is too little: stage '") as error:
        plan_of(step, 1000)
    return in_bytes(str(error.value).rpartition(" is ")[2])


def test_results_are_the_same_whatever_stays(weights, expected):
    step = everything(weights)
    least = lowest(step)
    for size in (least, 2 * least):
        plan = plan_of(step, size)
        shelf.let_go()
        with computing(memory=size), Live() as live:
            same(step(response()), expected)
        held = sum(share.need.weights for share in plan.shares if share.resident)
        most = max(0 if s.resident else s.need.weights for s in plan.shares)
        assert 0 < live.peak <= held + most
        assert live.peak + max(s.need.computed(s.batch) for s in plan.shares) < 2 * size
        here = set(shelf.names()) - {"converter"}
        assert here <= plan.resident | {"refiner"}
    staying = [len(plan_of(step, k * least).resident) for k in (1, 2, 100)]
    assert staying[0] < staying[1] <= staying[2] == 6


def test_results_are_the_same_block_by_block(weights, expected, monkeypatch):
    monkeypatch.setattr(memory, "OFFLOADS", ("cuda", "cpu"))
    monkeypatch.setattr(offload, "SMALL_BYTES", 0)
    for function in (offload.blocks, offload.least, offload.fitting, offload.offloaded):
        monkeypatch.setattr(function, "__defaults__", (0,))
    counted._counted.cache_clear()
    step = everything(weights)
    least = lowest(step)
    plan = plan_of(step, least)
    assert any(share.offloaded for share in plan.shares)
    came: list[str] = []
    first = offload._Traveller.come
    monkeypatch.setattr(
        offload._Traveller, "come", lambda self, *args: (came.append("came"), first(self, *args))[1]
    )
    shelf.let_go()
    with computing(memory=least):
        same(step(response()), expected)
    assert len(came) > 10
    shelf.let_go()
    counted._counted.cache_clear()


def test_three_repeats_of_every_item_are_counted(weights):
    path = folder(weights, "mindeye2")
    (need,) = counted.needs_of({"brain": path}, "fp32")
    step, model = MindEye2(weights=weights), MindEye2Model.from_pretrained(path, BRAIN)
    enter = model.ridge.linears[0]
    given = np.ones((3, 2, enter.in_features), np.float32)
    with LiveBytes(model.parameters()) as live, torch.inference_mode():
        step._averaged(model, given, enter)
    assert need.computed(2) / 2 < live.peak <= need.computed(2)


def test_a_memory_is_no_part_of_what_a_result_is(weights):
    step = everything(weights)
    before = Job("decode", step).key
    with computing(memory="1GB", batch=3, compile=True):
        assert Job("decode", step).key == before


def test_a_batch_that_is_asked_for_gives_way_to_the_memory(weights):
    heard: list[tuple[str, int, int]] = []
    step = quick(weights, captions="none", blurry=False)
    size = lowest(step)
    with computing(memory=size, batch=3, progress=lambda *news: heard.append(news)):
        step(response())
    batch = plan_of(step, size)["unclip"].batch
    assert next(done for what, done, _ in heard if what == "decode") == min(3, batch)


@pytest.mark.parametrize("step", [MindEye2(), Git(), AudioLdm2()])
def test_too_little_memory_is_one_error_before_any_work(step, tmp_path):
    job = Job("a job", step)
    with pytest.raises(ParameterError, match=r"memory 9 kB is too little.*least that works is"):
        run([job], Store(tmp_path), how={"memory": "9kB"})
    assert not list(tmp_path.rglob("*.nc"))


def test_captions_and_sounds_keep_to_a_memory(tmp_path):
    scene = xr.Dataset(
        {
            "image": (
                ("stimulus", "draw", "y_pixel", "x_pixel", "rgb"),
                np.random.default_rng(0).integers(0, 255, (3, 1, 64, 64, 3)).astype(np.uint8),
            )
        },
        {"stimulus": list("abc"), "draw": [0]},
        {"decoder": "test", "seed": 0, "source": "test"},
    )
    step, sound = Git(), AudioLdm2(steps=1, seconds=0.2)
    plain = step(scene)
    with computing(memory="40MB"):
        made = step(scene)
        assert shelf.names() == ["captioner"]
        heard = sound(made)
        assert shelf.names() == ["sound"]
    assert (made["caption"] == plain["caption"]).all()
    np.testing.assert_allclose(heard["sound"], sound(plain)["sound"], atol=1e-3)
