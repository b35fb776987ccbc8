"""MindEye2's last.pth: the network that was saved, or one error that names what is wrong."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from tiny_networks import HEAD, RUN, same, tiny_mindeye2, with_last

from insilico.decoders.mindeye2.model import MindEye2Model
from insilico.errors import WeightsError
from insilico.weights.folders import folder, source


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("blurry", [HEAD, None], ids=["blurry", "plain"])
@torch.no_grad()
def test_mindeye2_is_the_network_that_was_saved(hub, blurry, half):
    model = tiny_mindeye2(blurry=blurry)
    with_last(hub, model.half() if half else model)
    again = MindEye2Model.from_pretrained(folder(str(hub), "mindeye2", RUN))
    assert again.config == model.config
    model = model.float()
    betas = torch.randn(2, 1, 11, generator=torch.Generator().manual_seed(4))
    for one, other in zip(
        model.backbone(model.ridge(betas)), again.backbone(again.ridge(betas)), strict=True
    ):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    same(dict(model.diffusion_prior.net.state_dict()), dict(again.diffusion_prior.net.state_dict()))


def test_old_attention_names_and_missing_tables_are_taken(hub):
    model = tiny_mindeye2()
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for key, value in model.state_dict().items():
        if "bupsampler.mid_block.attentions" in key:
            for new, name in old.items():
                key = key.replace(f".{new}.", f".{name}.")
        if "noise_scheduler" not in key:
            state[key] = value
    assert any(key.endswith("proj_attn.weight") for key in state)
    with_last(hub, state)
    made = load_file(folder(str(hub), "mindeye2") / "model.safetensors")
    expected = {k: v for k, v in model.state_dict().items() if "noise_scheduler" not in k}
    same(made, expected)


def damaged(change):
    state = dict(tiny_mindeye2().state_dict())
    change(state)
    return state


def wider(state):
    state["ridge.linears.0.weight"] = torch.zeros(9, 11)
    state["ridge.linears.0.bias"] = torch.zeros(9)


def longer(state):
    for k in range(3):
        state[f"backbone.mixer_blocks2.{k}.0.weight"] = torch.ones(2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("backbone.clip_proj.2.bias"),
            r"missing keys backbone\.clip_proj\.2\.bias",
        ),
        (lambda s: s.update(strange=torch.ones(1)), "unexpected keys strange"),
        (lambda s: s.pop("diffusion_prior.net.learned_query"), "missing key .*learned_query"),
        (lambda s: s.pop("ridge.linears.0.weight"), r"missing key ridge\.linears\.0\.weight"),
        (wider, "the ridge gives 9 hidden numbers, the backbone takes 8"),
        (longer, "sequences of 2 responses"),
        (
            lambda s: s.update({"backbone.bnorm.bias": torch.ones(3)}),
            r"wrong shapes backbone\.bnorm\.bias is \(3,\), not \(8,\)",
        ),
    ],
)
def test_what_is_no_mindeye2_is_told_by_name(hub, change, message):
    with_last(hub, damaged(change))
    with pytest.raises(WeightsError, match=message):
        folder(str(hub), "mindeye2")
    assert not list((hub / "converted").glob("mindeye2*"))


def test_groups_that_do_not_fit_are_told(hub):
    with_last(hub, tiny_mindeye2()).with_suffix(".json").write_text("{}")
    with pytest.raises(WeightsError, match=r"divisible by num_groups \(32\); .* last\.json"):
        folder(str(hub), "mindeye2")


@pytest.mark.parametrize(
    ("run", "voxels", "message"),
    [
        (RUN, [14278], r"says subject 1, but its ridge reads voxels: 14278 \(NSD subject 2\)"),
        ("final_multisubject_subj01", [15724, 14278], r"says all subjects but 1, but"),
    ],
)
def test_a_checkpoint_of_another_subject_is_told(hub, run, voxels, message):
    with_last(hub, tiny_mindeye2(voxels), run)
    with pytest.raises(WeightsError, match=message):
        folder(str(hub), "mindeye2", run)


def test_a_multi_subject_name_may_hold_the_ridge_of_its_own_subject(hub):
    with_last(hub, tiny_mindeye2([15724]), "multisubject_subj01_1024hid_nolow_300ep")
    assert folder(str(hub), "mindeye2").is_dir()


def test_a_run_is_chosen_by_name(hub):
    with_last(hub, tiny_mindeye2([5, 7]), "final_multisubject_subj01")
    assert source(str(hub), "mindeye2").parent.name == "final_multisubject_subj01"
    with_last(hub, tiny_mindeye2())
    with pytest.raises(WeightsError, match="several models; name one as 'model': .*_24bs"):
        source(str(hub), "mindeye2")
    made = MindEye2Model.from_pretrained(folder(str(hub), "mindeye2", "final_multisubject_subj01"))
    assert made.config.voxels == [5, 7]
    with pytest.raises(WeightsError, match="no model 'final' in .*; there are: final_m.*, final_s"):
        source(str(hub), "mindeye2", "final")
    with pytest.raises(WeightsError, match="the phantom has one MindEye2, no model 'final'"):
        source("phantom", "mindeye2", "final")


def test_shards_of_deepspeed_are_told(hub):
    (hub / "train_logs" / RUN / "last").mkdir(parents=True)
    with pytest.raises(WeightsError, match=r"join them with the zero_to_fp32\.py"):
        source(str(hub), "mindeye2", RUN)
