from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from insilico.errors import RegionError, SchemaError, WeightsError
from insilico.schema import check, sample
from insilico.scores.brain import BrainCorrelation, through
from insilico.scores.gnet import Encoder, prepared, read_out

SIZES = (4, 6, 5, 3, 2)
VOXELS = 8


def head(voxels, maps, seed=0):
    rng = np.random.default_rng(seed)
    made = {
        "rf0": rng.standard_normal((voxels, 25, 25)),
        "rf1": rng.standard_normal((voxels, 13, 13)),
        "w": rng.standard_normal((voxels, sum(maps))),
        "b": rng.standard_normal(voxels),
    }
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in made.items()}


def encoder():
    torch.manual_seed(0)
    made = Encoder(*SIZES).eval()
    for name, value in made.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif ".conv" in name and name.endswith("weight"):
            value.mul_(4)  # else no picture would reach the voxels
    made.mu.data = torch.tensor([0.4, 0.5, 0.3])[None, :, None, None]
    return made


@pytest.fixture(scope="module")
def gnet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gnet")
    third, width = SIZES[2], SIZES[3]
    maps = (third + 2 * width, 4 * width)
    held = {
        "voxel_mask": {1: np.ones(VOXELS, bool)},
        "val_cc": {1: np.zeros(VOXELS)},
        "input_mean": np.zeros((1, 3, 1, 1)),
        "best_params": {"enc": encoder().state_dict(), "fwrfs": {1: head(VOXELS, maps)}},
    }
    torch.save(held, folder / "gnet_multisubject.pt")
    (folder / "gnet_multisubject.json").write_text("{}")  # of another size than the published
    return folder


@pytest.fixture
def scene():
    stimuli, made = sample("stimuli", 6), sample("reconstruction", 6)
    measured = sample("response", 6).assign_attrs(subject="nsd-subj01")
    return made, stimuli, measured


def test_the_encoder_has_the_published_size_and_names():
    with torch.device("meta"):
        made = Encoder()
        fine, coarse = made(torch.empty(1, 3, 227, 227))
    assert sum(p.numel() for p in made.parameters()) == 3_358_211
    assert (fine.shape, coarse.shape) == ((1, 256, 25, 25), (1, 256, 13, 13))
    shapes = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    assert shapes["mu"] == (1, 3, 1, 1)
    assert shapes["pre.conv1.0.weight"] == (64, 3, 11, 11)
    assert shapes["pre.conv2.0.weight"] == (192, 64, 5, 5)
    assert shapes["enc.bn1.running_mean"] == (192,)
    assert shapes["enc.conv3.weight"] == (128, 192, 3, 3)
    assert shapes["enc.conv4a.bn1.weight"] == (128,)
    assert shapes["enc.conv4a.conv1.weight"] == (256, 128, 3, 3)
    assert shapes["enc.conv6b.conv1.weight"] == (64, 256, 3, 3)


def test_blocks_run_in_the_published_order():
    made, x = encoder(), torch.rand(2, 3, 227, 227)
    trunk, relu = made.enc, torch.nn.functional.relu

    def block(part, maps):
        return relu(part.conv1(part.bn1(maps)))

    with torch.inference_mode():
        third = relu(trunk.conv3(trunk.bn1(made.pre(x - made.mu))))
        a = block(trunk.conv4a, third)
        b = block(trunk.conv4b, a)
        c = block(trunk.conv5a, torch.nn.functional.max_pool2d(b, 3, 2, 1))
        d = block(trunk.conv5b, c)
        e = block(trunk.conv6a, d)
        f = block(trunk.conv6b, e)
        fine, coarse = made(x)
    assert torch.equal(fine, torch.cat([third, a[:, :3], b[:, :3]], 1))
    assert torch.equal(coarse, torch.cat([c[:, :3], d[:, :3], e[:, :3], f], 1))


def test_the_head_against_numpy():
    rng = np.random.default_rng(3)
    maps = [rng.standard_normal((2, 11, 25, 25)), rng.standard_normal((2, 12, 13, 13))]
    given = head(700, (11, 12))  # more than one block of voxels
    made = read_out(tuple(torch.tensor(m, dtype=torch.float32) for m in maps), given).numpy()

    def f(x):
        return np.log(1 + abs(x)) * np.tanh(x)

    params = {name: values.numpy().astype(float) for name, values in given.items()}
    for v in (0, 511, 512, 699):
        pooled = []
        for k, stack in enumerate(maps):
            field = np.exp(params[f"rf{k}"][v] - params[f"rf{k}"][v].max())
            pooled.append((f(stack) * field / field.sum()).sum((2, 3)))
        expected = f(np.concatenate(pooled, 1)) @ params["w"][v] + params["b"][v]
        np.testing.assert_allclose(made[:, v], expected, atol=1e-5)


def test_pictures_are_cut_to_8_bits_and_resized_by_lanczos():
    pixels = np.random.default_rng(4).uniform(0, 1, (40, 40, 3))
    cut = np.floor(pixels * 255).astype(np.uint8)
    seen = np.asarray(Image.fromarray(cut).resize((227, 227), Image.Resampling.LANCZOS)) / 255
    np.testing.assert_allclose(prepared([pixels])[0], seen.transpose(2, 0, 1), atol=1e-7)
    assert np.array_equal(prepared([pixels]), prepared([cut]))


def predicted(gnet, images):
    """Return the answer of the file's network to pictures, voxel by voxel, on its own."""
    held = torch.load(gnet / "gnet_multisubject.pt", weights_only=False)["best_params"]
    net = Encoder(*SIZES).eval()
    net.load_state_dict(held["enc"])
    with torch.inference_mode():
        return read_out(net(torch.from_numpy(prepared(images))), held["fwrfs"][1]).numpy()


def test_brain_correlation_is_pearson_over_a_regions_voxels(gnet, scene):
    made, stimuli, measured = scene
    repeats = measured.expand_dims(repeat=3).copy(deep=True)
    repeats["bold"][1] += 0.5 * repeats["bold"][1].roll(voxel=1)
    repeats = repeats.assign_coords(roi=("voxel", ["V1"] * 4 + ["V2"] * 4))
    score = BrainCorrelation(weights=str(gnet), regions=("all", "roi:V2"))
    result = check(score(made, stimuli, repeats), "score")
    assert result["metric"].values.tolist() == ["brain_correlation all", "brain_correlation roi:V2"]
    truth, answer = repeats["bold"].values.mean(0), predicted(gnet, made["image"].values[:, 0])
    for k, places in enumerate((slice(None), slice(4, None))):
        full = np.corrcoef(truth[:, places], answer[:, places])[:6, 6:]
        np.testing.assert_allclose(result["value"].values[:, 0, k], full.diagonal(), atol=1e-5)
        apart = full[~np.eye(6, dtype=bool)].mean()
        assert result["chance"].values[k] == pytest.approx(apart, abs=1e-5)
    assert "4 voxels" in result["definition"].values[1]


def test_pictures_go_through_another_size_first(gnet, scene):
    made, stimuli, measured = scene
    noise = np.random.default_rng(0).integers(0, 256, made["image"].shape).astype(np.uint8)
    made, images = made.assign(image=made["image"].copy(data=noise)), noise[:, 0]
    assert through(images, 64) is through(images, None) is images
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    smaller = torch.nn.functional.interpolate(pixels, (24, 24), mode="bilinear")
    smaller = smaller.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(through(images, 24), smaller, atol=1e-12)
    found = BrainCorrelation(weights=str(gnet), through=24)(made, stimuli, measured)
    answer, bold = predicted(gnet, smaller), measured["bold"].values.reshape(6, -1)
    assert answer.std(0).min() > 0.01
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(bold, answer, strict=True)]
    np.testing.assert_allclose(found["value"].values.ravel(), expected, atol=1e-6)
    whole = BrainCorrelation(weights=str(gnet))(made, stimuli, measured)
    assert np.abs(whole["value"] - found["value"]).max() > 1e-3


def test_a_brain_that_answers_as_the_encoder_says_correlates_at_one(gnet, scene):
    made, stimuli, measured = scene
    answer = predicted(gnet, made["image"].values[:, 0]).astype(np.float32)
    score = BrainCorrelation(weights=str(gnet))(
        made, stimuli, measured.assign(bold=(("stimulus", "voxel"), 2 * answer + 1))
    )
    np.testing.assert_allclose(score["value"], 1, atol=1e-5)


@pytest.fixture
def masks(tmp_path):
    with h5py.File(tmp_path / "brain_region_masks.hdf5", "w") as file:
        file["subj01/nsd_general"] = np.ones(VOXELS, bool)
        file["subj01/V1"] = np.arange(VOXELS) < 3
        file["subj02/V1"] = np.ones(5, bool)
    return tmp_path / "brain_region_masks.hdf5"


def test_masks_of_the_authors_file(gnet, scene, masks):
    given = {"weights": str(gnet), "masks": str(masks)}
    made, stimuli, measured = scene
    result = BrainCorrelation(**given, regions=("nsd_general", "V1"))(made, stimuli, measured)
    whole = BrainCorrelation(weights=str(gnet))(made, stimuli, measured)
    np.testing.assert_array_equal(result["value"].values[..., 0], whole["value"].values[..., 0])
    answer = predicted(gnet, made["image"].values[:, 0])[:, :3]
    first = [
        np.corrcoef(m[:3], a)[0, 1] for m, a in zip(measured["bold"].values, answer, strict=True)
    ]
    np.testing.assert_allclose(result["value"].values[:, 0, 1], first, atol=1e-5)
    with pytest.raises(RegionError, match="unknown mask 'V9'; one of: V1, nsd_general, all"):
        BrainCorrelation(**given, regions=("V9",))(*scene)
    with pytest.raises(RegionError, match="mask V1 of subj02 has shape .5,.; .* 8 voxels"):
        BrainCorrelation(**given, subject=2)(*scene)
    with pytest.raises(RegionError, match="unknown subject 'subj03'"):
        BrainCorrelation(**given, subject=3)(*scene)


def test_mistakes_are_answered(gnet, scene, tmp_path):
    made, stimuli, measured = scene
    score = BrainCorrelation(weights=str(gnet))
    with pytest.raises(SchemaError, match="needs the measured response to the same stimuli"):
        score(made, stimuli)
    with pytest.raises(SchemaError, match="no measured response to sample-000005"):
        score(made, stimuli, measured.isel(stimulus=slice(5)))
    with pytest.raises(SchemaError, match="which of NSD's subjects is 'sample'"):
        score(made, stimuli, measured.assign_attrs(subject="sample"))
    with pytest.raises(WeightsError, match="subject 1 has 8 voxels there, .* response 7"):
        score(made, stimuli, measured.isel(voxel=slice(7)))
    with pytest.raises(WeightsError, match="no head of subject 4; it has 1"):
        BrainCorrelation(weights=str(gnet), subject=4)(*scene)
    with pytest.raises(WeightsError, match=r"no GNet at .*gnet_multisubject.pt \(1.2 GiB\)"):
        BrainCorrelation(weights=str(tmp_path)).digests()


class Evil:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize("content", [{"epoch": 1}, {"best_params": {"enc": {}, "fwrfs": {}}}])
def test_files_that_are_no_gnet_are_refused(content, tmp_path, scene):
    torch.save(content, tmp_path / "gnet_multisubject.pt")
    (tmp_path / "gnet_multisubject.json").write_text("{}")
    with pytest.raises(WeightsError, match="is no GNet|the encoder lacks"):
        BrainCorrelation(weights=str(tmp_path))(*scene)


def test_code_in_a_gnet_is_not_run(tmp_path, scene, capsys):
    (tmp_path / "gnet_multisubject.pt").write_bytes(pickle.dumps({"best_params": Evil()}))
    with pytest.raises(WeightsError):
        BrainCorrelation(weights=str(tmp_path))(*scene)
    assert capsys.readouterr().out == ""


def test_an_encoder_of_another_shape_is_named(gnet, tmp_path, scene):
    held = torch.load(gnet / "gnet_multisubject.pt", weights_only=False)
    held["best_params"]["enc"]["enc.conv5a.bn1.weight"] = torch.ones(9)
    torch.save(held, tmp_path / "gnet_multisubject.pt")
    (tmp_path / "gnet_multisubject.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"enc.conv5a.bn1.weight is \(9,\), not \(5,\)"):
        BrainCorrelation(weights=str(tmp_path))(*scene)
