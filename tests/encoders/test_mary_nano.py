from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from insilico import encoders
from insilico.encoders.mary_nano import (
    MaryNano,
    distance_from_training,
    films,
    weights_digest,
    weights_folder,
)
from insilico.encoders.network import MaryNanoConfig, MaryNanoModel
from insilico.encoders.vision import spread, windows
from insilico.errors import ParameterError, SchemaError, StimulusError, WeightsError
from insilico.schema import check
from insilico.spaces import fsaverage5

SHIPPED = weights_folder("phantom")
TINY = MaryNanoConfig(
    side=16, slow=(4, 6, 8), fast=(2, 3, 4), blocks=(0, 1, 1), placed=2, width=12, rank=5,
    directions=4, subjects=("average", "2"), n_vertices=30, n_cortex=24,
)  # fmt: skip


@pytest.fixture
def tiny() -> MaryNanoModel:
    """Return a model with random weights and statistics, and a wall of six vertices."""
    torch.manual_seed(0)
    model = MaryNanoModel(TINY)
    with torch.no_grad():
        model.head.cortex.copy_(torch.tensor([True] * 10 + [False] * 6 + [True] * 14))
        model.gain.weight.normal_()
        model.training_axes.normal_()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
    return model.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return weights of a tiny random model on fsaverage5."""
    torch.manual_seed(1)
    cortex = torch.from_numpy(~fsaverage5.medial_wall())
    config = {**TINY.__dict__, "n_vertices": len(cortex), "n_cortex": int(cortex.sum())}
    model = MaryNanoModel(MaryNanoConfig(**config))
    with torch.no_grad():
        model.head.cortex.copy_(cortex)
        model.training_axes.normal_()
    model.save_pretrained(tmp_path / "weights")
    return tmp_path / "weights"


def stimuli(n: int = 5, size: tuple[int, int] = (16, 16)) -> xr.Dataset:
    image = np.random.default_rng(0).integers(0, 256, (n, *size, 3), dtype=np.uint8)
    return xr.Dataset(
        {"image": (("stimulus", "y_pixel", "x_pixel", "rgb"), image)},
        coords={"stimulus": [f"test-{k}" for k in range(n)], "split": ("stimulus", ["test"] * n)},
        attrs={"source": "test"},
    )


def test_a_film_of_n_frames_has_one_row_more(tiny: MaryNanoModel):
    for frames in (1, 2, 5):
        assert tiny(torch.randn(3, frames, 3, 16, 16)).shape == (3, frames + 1, 30)


def test_windows_hold_a_frame_and_the_one_before():
    film = torch.arange(1.0, 4.0).reshape(1, 3, 1, 1, 1).expand(1, 3, 3, 2, 2)
    pairs = windows(film)[0, :, [0, 3], 0, 0]
    assert pairs.tolist() == [[0, 1], [1, 2], [2, 3], [3, 0]]


def test_features_are_spread_over_the_rows_that_see_them():
    rows = spread(torch.tensor([[[2.0], [4.0]]]))
    assert rows.flatten().tolist() == [2, 3, 4]


def test_onset_and_offset_differ(tiny: MaryNanoModel):
    rows = tiny(torch.randn(2, 1, 3, 16, 16))
    assert (rows[:, 0] - rows[:, 1]).abs().max() > 1e-4


def test_medial_wall_is_exactly_zero(tiny: MaryNanoModel):
    response = tiny(torch.randn(4, 1, 3, 16, 16))
    wall = ~tiny.head.cortex
    assert (response[..., wall] == 0).all()
    assert (response[..., ~wall] != 0).all()


def test_items_do_not_depend_on_their_batch(tiny: MaryNanoModel):
    frames = torch.randn(9, 1, 3, 16, 16)
    alone = torch.cat([tiny(one[None]) for one in frames])
    torch.testing.assert_close(tiny(frames), alone, atol=1e-4, rtol=1e-4)


def test_subjects_have_their_own_embedding(tiny: MaryNanoModel):
    frames = torch.randn(2, 1, 3, 16, 16)
    assert (tiny(frames, 0) - tiny(frames, 1)).abs().max() > 1e-3


def test_absent_modality_is_a_state():
    model = MaryNanoModel(TINY)
    model.fusion.absent["vision"].data.fill_(0.5)
    n = model.streams["vision"].n_features
    given = model.fusion({"vision": torch.full((1, 2, n), 0.5)})
    other = {"sound": torch.zeros(1, 2, 1)}
    torch.testing.assert_close(model.fusion(other), given)


def test_saved_and_loaded_models_agree(tiny: MaryNanoModel, tmp_path: Path):
    frames = torch.randn(3, 1, 3, 16, 16)
    tiny.save_pretrained(tmp_path)
    again = MaryNanoModel.from_pretrained(tmp_path)
    assert again.config == tiny.config
    torch.testing.assert_close(again(frames, 1), tiny(frames, 1), atol=0, rtol=0)
    fused = tiny.fused(frames)
    torch.testing.assert_close(again.remoteness(fused), tiny.remoteness(fused), atol=0, rtol=0)


def test_half_precision_on_disk_is_close(tiny: MaryNanoModel, tmp_path: Path):
    frames = torch.randn(3, 1, 3, 16, 16)
    tiny.save_pretrained(tmp_path, half=True)
    again = MaryNanoModel.from_pretrained(tmp_path)
    assert next(again.parameters()).dtype == torch.float32
    torch.testing.assert_close(again(frames), tiny(frames), atol=1e-2, rtol=1e-2)


def test_unreadable_weights_say_so(tiny: MaryNanoModel, tmp_path: Path):
    with pytest.raises(WeightsError, match="no such file"):
        MaryNanoModel.from_pretrained(tmp_path)
    tiny.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match="not the weights"):
        MaryNanoModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(WeightsError, match="'clip'"):
        MaryNanoModel.from_pretrained(tmp_path)


def test_pictures_of_other_sizes_are_cut_and_resized():
    square = np.full((1, 40, 40, 3), 200, np.uint8)
    wide = np.concatenate(
        [np.zeros((1, 40, 10, 3), np.uint8), square[:, :, :40], square[:, :, :10]], 2
    )
    made = films(wide, 16)
    assert made.shape == (1, 1, 3, 16, 16)
    torch.testing.assert_close(made, films(square, 16))
    assert films(np.full((1, 1, 7, 3), 255, np.uint8), 16).min() == 1


def test_step_gives_a_response_on_fsaverage5(folder: Path):
    step = encoders.KINDS.build({"kind": "mary_nano", "weights": str(folder)})
    response = check(step(stimuli()), "response", space="fsaverage5")
    assert response["bold"].shape == (5, 20484)
    assert (response["bold"].values[:, fsaverage5.medial_wall()] == 0).all()
    assert response.attrs["encoder"] == "mary_nano"
    assert response.attrs["subject"] == "average"
    assert response.attrs["source"] == "phantom (simulated)"
    assert response.attrs["weights"] == weights_digest(folder) == step.digests()["weights"]
    alone = step(stimuli().isel(stimulus=[3]))
    np.testing.assert_allclose(response["bold"][[3]], alone["bold"], atol=1e-4)


def test_step_takes_the_mean_over_rows(folder: Path):
    given = stimuli()
    response = MaryNano(weights=str(folder))(given)
    with torch.no_grad():
        rows = MaryNanoModel.from_pretrained(folder)(films(given["image"].values, 16))
    np.testing.assert_allclose(response["bold"], rows.mean(1), atol=1e-5)


def test_unknown_subject_and_wrong_tr_are_refused(folder: Path):
    with pytest.raises(ParameterError, match="did you mean 'average'"):
        MaryNano(weights=str(folder), subject="averge")(stimuli())
    with pytest.raises(ParameterError, match="tr_s"):
        MaryNano(weights=str(folder), tr_s=2.0)(stimuli())
    with pytest.raises(WeightsError, match="nowhere"):
        MaryNano(weights=str(folder / "nowhere"))(stimuli())


def test_stimuli_without_images_are_refused(folder: Path):
    given = stimuli().drop_vars("image").assign(caption=("stimulus", ["a"] * 5))
    with pytest.raises(StimulusError, match="caption"):
        MaryNano(weights=str(folder))(given)
    with pytest.raises(SchemaError, match="float64"):
        MaryNano(weights=str(folder))(stimuli().astype(float))


needs_weights = pytest.mark.skipif(
    not (SHIPPED / "model.safetensors").is_file(),
    reason="the phantom's weights are not trained yet",
)


@needs_weights
def test_shipped_weights_are_small_and_know_the_wall():
    assert (SHIPPED / "model.safetensors").stat().st_size <= 6e6
    model = MaryNanoModel.from_pretrained(SHIPPED)
    assert (model.head.cortex.numpy() == ~fsaverage5.medial_wall()).all()


@needs_weights
def test_shipped_weights_predict_the_average_subject():
    from insilico.phantom.cohort import Cohort
    from insilico.phantom.stimuli import Scenes

    scenes = Scenes(split="test", n=100)()
    made = MaryNano()(scenes)["bold"].values
    true = Cohort().average_signal(scenes)
    made, true = made - made.mean(0), true - true.mean(0)
    cortex = ~fsaverage5.medial_wall()
    norm = np.sqrt((made**2).sum(0) * (true**2).sum(0))[cortex]
    assert np.median((made * true).sum(0)[cortex] / norm) > 0.8


@needs_weights
def test_pictures_from_elsewhere_are_far():
    from insilico.phantom.stimuli import Scenes

    near = distance_from_training(Scenes(split="test", n=50)()["image"].values)
    noise = np.random.default_rng(0).integers(0, 256, (5, 100, 90, 3), dtype=np.uint8)
    far = distance_from_training(list(noise))
    assert np.abs(np.median(near)) < 1
    assert far.min() > np.quantile(near, 0.98)
    response = MaryNano()(stimuli(2, (100, 90)))
    assert "2 of 2 images" in response.attrs["note"]
