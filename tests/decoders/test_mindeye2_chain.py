"""The published chain as a step, on a whole set of tiny weights in the published layout."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_mindeye2 as tiny
import torch
import xarray as xr

from insilico.decoders import KINDS
from insilico.decoders.git import caption_tokens
from insilico.decoders.mindeye2.converter import ClipConverter
from insilico.decoders.mindeye2.model import MindEye2Model
from insilico.decoders.mindeye2.stages import stage
from insilico.decoders.mindeye2.step import MindEye2
from insilico.errors import ParameterError, SchemaError, WeightsError
from insilico.step import computing
from insilico.weights.shelf import let_go

ALL = ("ridge", "backbone", "clip_voxels", "prior")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    yield str(tiny.write(tmp_path_factory.mktemp("published")))
    let_go()


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return str(tiny.write(tmp_path_factory.mktemp("few"), extras=()))


def response(repeats=3, voxels=11, n=3):
    bold = np.random.default_rng(0).standard_normal((repeats, n, voxels)).astype(np.float32)
    place = {name: ("voxel", np.zeros(voxels, np.float32)) for name in "xyz"}
    return xr.Dataset(
        {"bold": (("repeat", "stimulus", "voxel"), bold)},
        coords={"stimulus": list("abc")[:n], "hemi": ("voxel", np.full(voxels, "L")), **place},
        attrs={
            "space": "nsd", "units": "session z", "subject": "nsd-subj01",
            "hemodynamic_offset_s": 0.0, "source": "test",
        },
    )  # fmt: skip


def quick(weights, **parameters):
    return MindEye2(weights=weights, steps=3, prior_steps=4, **parameters)


@pytest.fixture(scope="module")
def whole(weights):
    step = quick(weights, refine=True, mix=0.25, draws=2, keep=ALL)
    return step, step(response())


def test_everything_that_is_asked_is_stored(whole):
    step, made = whole
    drawn = ("stimulus", "draw", "y_pixel", "x_pixel", "rgb")
    assert {name: made[name].dims for name in made} == {
        "image": drawn,
        "refined": drawn,
        "unrefined": drawn,
        "caption": drawn[:2],
        "blurry": ("stimulus", *drawn[2:]),
        "tokens_ridge": ("stimulus", "hidden"),
        "tokens_backbone": ("stimulus", "token", "channel"),
        "tokens_voxels": ("stimulus", "token", "channel"),
        "tokens_prior": ("stimulus", "draw", "token", "channel"),
    }
    assert made["image"].shape == (3, 2, 8, 8, 3)
    assert made["tokens_prior"].shape == (3, 2, tiny.TOKENS, tiny.WIDTH)
    assert made.attrs["variant"] == (
        "outputs averaged over repeats; prior in 4 steps; captions of tokens; "
        "unCLIP in 3 steps; refined by SDXL, "
        "0.75 refined + 0.25 blurry; fp32"
    )
    assert set(step.digests()) == {
        "mindeye2", "unclip", "captioner", "converter", "blurry", "refiner"
    }  # fmt: skip


def test_the_mix_is_three_quarters_refined_and_one_blurry(whole):
    _, made = whole
    refined, blurry = made["refined"].astype(float), made["blurry"].astype(float)
    assert np.abs(made["image"] - (0.75 * refined + 0.25 * blurry)).max() <= 1
    assert np.abs(made["refined"].astype(int) - made["unrefined"]).max() > 1


def test_what_is_asked_for_beside_changes_no_picture(weights, whole):
    plain = quick(weights, draws=2)(response())
    np.testing.assert_array_equal(plain["image"], whole[1]["unrefined"])
    np.testing.assert_array_equal(plain["caption"], whole[1]["caption"])
    assert set(plain) == {"image", "caption", "blurry"}


def test_stages_are_called_one_after_the_other_as_published(weights, whole):
    """The step against the modules themselves, stage by stage, all noise replayed."""
    step, made = whole
    model = MindEye2Model.from_pretrained(f"{weights}/mindeye2")
    betas = torch.from_numpy(response()["bold"].values)
    with torch.no_grad():
        ridge = [model.ridge(rows[:, None]) for rows in betas]
        heads = [model.backbone(hidden) for hidden in ridge]
    outputs = {
        "tokens_ridge": torch.stack([hidden[:, 0] for hidden in ridge]),
        "tokens_backbone": torch.stack([head[0] for head in heads]),
        "tokens_voxels": torch.stack([head[1] for head in heads]),
    }
    for name, value in outputs.items():
        np.testing.assert_allclose(made[name], value.mean(0), atol=1e-5)
    latent = torch.stack([head[2][0] for head in heads]).mean(0)
    blurry = stage("blurry", weights).pictures(latent)
    small = torch.nn.functional.interpolate(blurry, (8, 8), mode="bilinear")
    stored = np.moveaxis(small.numpy(), 1, -1) * 255
    assert np.abs(made["blurry"] - stored).max() <= 0.51
    shape = (3, tiny.TOKENS, tiny.WIDTH)
    noise = np.stack([step._rng("prior", name, 1).standard_normal(shape) for name in "abc"], 1)
    given = outputs["tokens_backbone"].mean(0), torch.from_numpy(noise.astype(np.float32))
    prior = model.diffusion_prior.sample(*given, steps=4)
    np.testing.assert_allclose(made["tokens_prior"][:, 1], prior, atol=1e-4)
    with torch.no_grad():
        seen = ClipConverter.from_pretrained(f"{weights}/converter")(prior)
    said = caption_tokens(seen, step_folder(weights), 1)
    assert made["caption"].values[:, 1].tolist() == said


def step_folder(weights):
    from insilico.weights.folders import folder

    return folder(weights, "captioner")


def test_an_item_is_the_same_in_any_batch(weights, whole):
    step, made = whole
    with computing(batch=1):
        alone = step(response().isel(stimulus=[2]))
    for name in ("blurry", "unrefined", "refined", "image", "tokens_prior"):
        limit = 1e-4 if name == "tokens_prior" else 1
        apart = np.abs(alone[name].astype(float) - made[name].isel(stimulus=[2])).max()
        assert apart <= limit, name
    assert (alone["caption"] == made["caption"].isel(stimulus=[2])).all()


def test_repeats_are_averaged_at_the_outputs_or_before(weights):
    outputs, betas = (
        quick(weights, repeats=way).outputs(response()) for way in ("outputs", "betas")
    )
    torch.testing.assert_close(outputs.backbone, betas.backbone, atol=1e-5, rtol=0)  # it is affine
    assert not torch.allclose(outputs.clip_voxels, betas.clip_voxels, atol=1e-4)
    assert not torch.allclose(outputs.latent, betas.latent, atol=1e-4)


def test_two_repeats_are_padded_with_the_first_and_one_stands_for_three(weights):
    step = quick(weights)
    a, b = (step.outputs(response().isel(repeat=[k])).clip_voxels for k in (0, 1))
    two = step.outputs(response().isel(repeat=[0, 1])).clip_voxels
    torch.testing.assert_close(two, (2 * a + b) / 3, atol=1e-5, rtol=0)
    single = step.outputs(response().isel(repeat=0)).clip_voxels
    torch.testing.assert_close(single, a, atol=1e-5, rtol=0)
    second = quick(weights, repeat=2).outputs(response()).clip_voxels
    torch.testing.assert_close(second, b, atol=1e-5, rtol=0)


def test_the_subject_is_a_position_in_the_list(weights):
    second = quick(weights, subject=1, captions="none")
    assert second(response(voxels=7))["image"].shape == (3, 1, 8, 8, 3)
    with pytest.raises(
        ParameterError, match="subject 2: these weights have 2, at positions 0 to 1"
    ):
        quick(weights, subject=2)(response())
    with pytest.raises(ParameterError, match="repeat 4 is not there: the response has 3"):
        quick(weights, repeat=4)(response())


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_near_from_one_end_to_the_other(weights, precision):
    whole = quick(weights, refine=True, keep=ALL)(response())
    half = quick(weights, refine=True, keep=ALL, precision=precision)(response())
    for name in ("tokens_ridge", "tokens_backbone", "tokens_voxels", "tokens_prior"):
        error = np.abs(half[name] - whole[name]).max() / np.abs(whole[name]).max()
        assert 0 < error < 0.1, name
    for name in ("blurry", "unrefined", "image"):
        assert 0 < np.abs(half[name].astype(float) - whole[name]).mean() < 10, name
    assert half.attrs["variant"].endswith(precision)


def test_tiles_and_stored_size_are_honoured(weights):
    small = quick(weights, captions="none", size=4)(response())
    assert small["image"].shape[2:] == (4, 4, 3)
    assert small["blurry"].shape[1:] == (4, 4, 3)
    assert stage("unclip", weights, tiled=True).vae.use_tiling
    assert not stage("unclip", weights).vae.use_tiling


def test_published_defaults_are_taken_where_their_weights_are(few):
    step = quick(few)
    assert step.captioned == "pictures"
    assert set(step(response(n=2))) == {"image", "caption"}
    for asked, name in {"refine": "refiner", "blurry": "blurry"}.items():
        with pytest.raises(WeightsError, match=f"no weights of {name}"):
            quick(few, **{asked: True})(response())
    with pytest.raises(WeightsError, match="no weights of converter"):
        quick(few, captions="tokens")(response())


def test_the_phantom_decodes_its_low_level_head_on_request():
    step = MindEye2(prior_steps=2, steps=1, captions="none", blurry=True)
    voxels = stage("brain", "phantom").config.voxels[0]
    made = step(response(voxels=voxels))
    assert made["blurry"].dims == ("stimulus", "y_pixel", "x_pixel", "rgb")
    assert made["blurry"].dtype == np.uint8
    assert "blurry" not in step.model_copy(update={"blurry": None})(response(voxels=voxels))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"refine": True, "captions": "none"}, "its prompts are captions"),
        ({"mix": 0.25}, "the authors mix refined pictures alone"),
        ({"mix": 0.25, "refine": True, "blurry": False}, "blurry pictures are needed"),
        ({"prior_steps": 1}, "prior_steps"),
        ({"repeats": "mean"}, "repeats"),
        ({"keep": ["tokens"]}, "keep"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_parameters_that_do_not_fit_are_told(wrong, said):
    with pytest.raises(ParameterError, match=said):
        KINDS.build({"kind": "mindeye2", **wrong})


def test_weights_that_make_no_numbers_are_told(tmp_path):
    root = tiny.write(tmp_path, extras=())
    model = MindEye2Model.from_pretrained(root / "mindeye2")
    with torch.no_grad():
        model.backbone.backbone_linear.bias[3] = torch.nan
    model.save_pretrained(root / "mindeye2")
    with pytest.raises(SchemaError, match="backbone tokens in a, b, c; look for NaN"):
        quick(str(root))(response())


def test_a_checkpoint_may_lack_or_round_its_schedule_but_not_have_another(tmp_path):
    from safetensors.torch import load_file, save_file

    tiny.mindeye2().save_pretrained(tmp_path)
    file, table = tmp_path / "model.safetensors", "diffusion_prior.noise_scheduler."
    state = load_file(file)
    rounded = {k: v.half() if table in k else v for k, v in state.items()}
    rounded[f"{table}sqrt_recipm1_alphas_cumprod"][:] = torch.nan
    for kept in (rounded, {k: v for k, v in state.items() if table not in k}):
        save_file(kept, file)
        model = MindEye2Model.from_pretrained(tmp_path)
        for name, value in model.diffusion_prior.noise_scheduler.state_dict().items():
            assert torch.equal(value, state[table + name]), name
    save_file({**state, f"{table}betas": torch.linspace(1e-4, 0.02, 100)}, file)
    with pytest.raises(WeightsError, match="betas are not those of the cosine schedule"):
        MindEye2Model.from_pretrained(tmp_path)


def test_parts_of_a_checkpoint_are_read_alone(weights):
    brain = MindEye2Model.from_pretrained(f"{weights}/mindeye2", ("ridge", "backbone"))
    assert [name for name, _ in brain.named_children()] == ["ridge", "backbone"]
    assert stage("prior", weights).net.learned_query.shape == (tiny.TOKENS, tiny.WIDTH)


@torch.no_grad()
def test_a_decoded_caption_has_twenty_tokens_at_most_its_start_included(tmp_path):
    model, tokenizer, processor = tiny.captioner()
    model.output.bias[:4] = -1e4  # none of the special words: it never ends
    for part in (model, tokenizer, processor):
        part.save_pretrained(tmp_path)
    (said,) = caption_tokens(torch.randn(1, 5, 16), tmp_path)
    assert len(said.split()) == 19


def test_the_variant_says_in_words_what_was_asked_for(weights):
    plain = MindEye2(weights=weights)
    assert "unCLIP" not in plain.variant
    assert "unCLIP in 10 steps with guidance 2.5" in MindEye2(steps=10, guidance=2.5).variant
    assert "captions of pictures by 4 beams" in MindEye2(captions="pictures", beams=4).variant
    assert "entry trained" in MindEye2(entry="entry.safetensors").variant


def test_all_steps_of_the_prior_are_another_variant(weights):
    step = MindEye2(weights=weights, steps=1, prior_steps=100, captions="none", keep=("prior",))
    made = step(response(n=2))
    assert "prior in 100 steps" in made.attrs["variant"]
    fewer = step.model_copy(update={"prior_steps": 99})(response(n=2))
    assert np.abs(made["tokens_prior"] - fewer["tokens_prior"]).max() > 1e-3
    with pytest.raises(ParameterError, match="steps must be 2 to 100, got 101"):
        step.model_copy(update={"prior_steps": 101})(response(n=2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own
def test_networks_are_compiled_only_where_that_is_asked_and_give_the_same(weights):
    step = quick(weights, refine=True, keep=ALL)
    eager = step(response())
    with computing(compile=True):
        compiled = step(response())
        assert stage("unclip", weights).unet._compiled_call_impl is not None
    assert stage("unclip", weights).unet._compiled_call_impl is None
    assert np.abs(eager["tokens_prior"] - compiled["tokens_prior"]).max() < 1e-4
    assert np.abs(eager["image"].astype(int) - compiled["image"]).max() <= 1
