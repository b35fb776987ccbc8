from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tiny import TINY, dataset, random_model, tokenizer

from insilico import encoders
from insilico.encoders.mary_nano import (
    FAR,
    MaryNano,
    distance_from_training,
    weights_digest,
    weights_folder,
)
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import MODALITIES, Presentation, Shown
from insilico.errors import ParameterError, SchemaError, StimulusError, WeightsError
from insilico.phantom.cohort import Cohort
from insilico.phantom.stimuli import Scenes
from insilico.schema import check
from insilico.spaces import fsaverage5

SHIPPED = weights_folder("phantom")


@pytest.fixture
def tiny() -> MaryNanoModel:
    return random_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of a tiny random model on fsaverage5."""
    n = int((~fsaverage5.medial_wall()).sum())
    model = random_model(replace(TINY, n_vertices=20484, n_cortex=n), seed=1)
    path = tmp_path_factory.mktemp("weights")
    model.save_pretrained(path)
    return path


def batch_of(modality: str, n: int = 3) -> Shown:
    shown = Presentation(dataset(modality, n), TINY, tokenizer())
    return next(shown.batches(64))[1]


def film(n: int = 3, frames: int = 1) -> Shown:
    torch.manual_seed(7)
    return Shown(frames + 1, film=torch.randn(n, frames, 3, 16, 16))


# --- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_modality_gives_rows_of_vertices(tiny: MaryNanoModel, modality: str):
    batch = batch_of(modality)
    response = tiny(batch)
    assert response.shape[1:] == (batch.rows, 30)
    assert response.isfinite().all()
    other = "sound" if modality == "image" else "image"
    assert (response[0, 0] - tiny(batch_of(other))[0, 0]).abs().max() > 1e-3


def test_onset_and_offset_differ(tiny: MaryNanoModel):
    rows = tiny(film())
    assert (rows[:, 0] - rows[:, 1]).abs().max() > 1e-4


def test_medial_wall_is_exactly_zero(tiny: MaryNanoModel):
    response = tiny(film())
    assert (response[..., ~tiny.head.cortex] == 0).all()
    assert (response[..., tiny.head.cortex] != 0).all()


@pytest.mark.parametrize("modality", ["image", "sound", "film"])
def test_items_do_not_depend_on_their_batch(tiny: MaryNanoModel, modality: str):
    shown = Presentation(dataset(modality), TINY, tokenizer())
    together = tiny(shown.shown(np.arange(5)))
    alone = torch.cat([tiny(shown.shown(np.array([k]))) for k in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_texts_of_one_batch_do_not_depend_on_each_other(tiny: MaryNanoModel):
    texts = ["a dog", "a blue cat", "dog"]
    shown = Presentation(dataset("text", 3).assign(caption=("stimulus", texts)), TINY, tokenizer())
    assert shown.rows.tolist() == [1, 1, 1]
    together = tiny(shown.shown(np.arange(3)))
    alone = torch.cat([tiny(shown.shown(np.array([k]))) for k in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("modality", ["image", "film", "sound", "text"])
def test_some_rows_are_those_of_all(tiny: MaryNanoModel, modality: str):
    batch = batch_of(modality)
    last = torch.tensor([batch.rows - 1])
    torch.testing.assert_close(tiny.fused(batch, last), tiny.fused(batch)[:, -1:])


def test_subjects_have_their_own_embedding(tiny: MaryNanoModel):
    assert (tiny(film(), 0) - tiny(film(), 1)).abs().max() > 1e-3


def test_absent_modality_is_a_state(tiny: MaryNanoModel):
    n, here = tiny.vision.n_features, torch.ones(2, 3, dtype=torch.bool)
    absent = {k: v.detach().clone() for k, v in tiny.fusion.absent.items()}
    seen = {"vision": (torch.randn(2, 3, n), here)}
    silent = {**seen, "sound": (absent["sound"].expand(2, 3, -1), here)}
    torch.testing.assert_close(tiny.fusion(seen), tiny.fusion(silent))
    for key in ("sound", "text"):
        moved = random_model()
        with torch.no_grad():
            moved.fusion.absent[key].add_(1)
        assert (moved.fusion(seen) - tiny.fusion(seen)).abs().max() > 1e-3


def test_rows_without_a_token_take_the_absent_state(tiny: MaryNanoModel):
    heard, here = torch.randn(1, 2, tiny.sound.n_features), torch.tensor([[True, False]])
    fused = tiny.fusion({"sound": (heard, here)})
    nothing = tiny.fusion({"sound": (heard, torch.zeros(1, 2, dtype=torch.bool))})
    torch.testing.assert_close(fused[:, 1], nothing[:, 1])
    assert (fused[:, 0] - nothing[:, 0]).abs().max() > 1e-3


def test_silence_and_the_shortest_sounds_are_encoded(tiny: MaryNanoModel):
    for wave in (torch.zeros(1, 16_000), torch.ones(1, 1), torch.zeros(1, 40_000)):
        assert tiny(Shown(2, "sound", wave=wave)).isfinite().all()


def test_long_sounds_are_heard_piece_by_piece(tiny: MaryNanoModel):
    torch.manual_seed(0)
    wave = torch.randn(1, 64_000)
    whole = tiny.fused(Shown(5, "sound", wave=wave))
    first = tiny.fused(Shown(3, "sound", wave=wave[:, :32_000]))
    torch.testing.assert_close(whole[:, :2], first[:, :2])


def test_ten_thousand_words_are_read_in_pieces(tiny: MaryNanoModel):
    stimuli = dataset("text", 1).assign(caption=("stimulus", ["a red dog sleeps " * 2500]))
    shown = Presentation(stimuli, TINY, tokenizer())
    assert tiny.fused(shown.shown(np.arange(1))).shape == (1, 3001, TINY.width)


def test_a_new_subject_starts_as_the_average_and_has_an_own_head(tiny: MaryNanoModel):
    more = tiny.with_subject("7")
    assert more.config.subjects == ("average", "2", "7")
    torch.testing.assert_close(more(film(), 2), tiny(film(), 0))
    with torch.no_grad():
        more.own_heads["7"].vertices.bias.add_(1)
    torch.testing.assert_close(more(film(), 0), tiny(film(), 0))
    assert (more(film(), 2) - tiny(film(), 0)).abs().max() > 0.9


# --- files ----------------------------------------------------------------------------------------


def test_saved_and_loaded_models_agree(tiny: MaryNanoModel, tmp_path: Path):
    tiny.with_subject("7").save_pretrained(tmp_path)
    again = MaryNanoModel.from_pretrained(tmp_path)
    assert again.config.vision == tiny.config.vision
    assert again.config.own_heads == ("7",)
    for modality in MODALITIES:
        batch = batch_of(modality)
        torch.testing.assert_close(again(batch, 1), tiny(batch, 1), atol=0, rtol=0)
    assert again.tokenizer is not None
    assert again.tokenizer.to_str() == tokenizer().to_str()


def test_half_precision_on_disk_is_close(tiny: MaryNanoModel, tmp_path: Path):
    tiny.save_pretrained(tmp_path, half=True)
    again = MaryNanoModel.from_pretrained(tmp_path)
    assert next(again.parameters()).dtype == torch.float32
    torch.testing.assert_close(again(film()), tiny(film()), atol=1e-2, rtol=1e-2)


def test_unreadable_weights_say_so(tiny: MaryNanoModel, tmp_path: Path):
    with pytest.raises(WeightsError, match="no such file"):
        MaryNanoModel.from_pretrained(tmp_path)
    tiny.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="not a tokenizer"):
        MaryNanoModel.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match="not the weights"):
        MaryNanoModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(WeightsError, match="'clip'"):
        MaryNanoModel.from_pretrained(tmp_path)


# --- the step -------------------------------------------------------------------------------------


def test_step_gives_a_response_on_fsaverage5(folder: Path):
    step = encoders.KINDS.build({"kind": "mary_nano", "weights": str(folder)})
    response = check(step(dataset("image")), "response", space="fsaverage5")
    assert response["bold"].shape == (5, 20484)
    assert (response["bold"].values[:, fsaverage5.medial_wall()] == 0).all()
    assert response.attrs["encoder"] == "mary_nano"
    assert response.attrs["subject"] == "average"
    assert response.attrs["source"] == "test"
    assert response.attrs["rows_averaged"] == 2
    assert response.attrs["weights"] == weights_digest(folder) == step.digests()["weights"]
    alone = step(dataset("image").isel(stimulus=[3]))
    np.testing.assert_allclose(response["bold"][[3]], alone["bold"], atol=1e-4)


@pytest.mark.parametrize("modality", MODALITIES)
def test_kept_rows_have_timeline_and_time_and_average_to_the_response(folder: Path, modality: str):
    given = dataset(modality)
    mean = MaryNano(weights=str(folder))(given)
    kept = MaryNano(weights=str(folder), rows="keep")(given)
    check(kept, "response", space="fsaverage5", rows=True)
    shown = Presentation(given, MaryNano(weights=str(folder)).model().config, tokenizer())
    assert (
        kept["timeline"].values.tolist() == np.repeat(given["stimulus"].values, shown.rows).tolist()
    )
    first = kept["time"].values[kept["timeline"].values == "test-1"]
    assert first.tolist() == list(range(shown.rows[1]))
    averaged = kept["bold"].groupby(kept["timeline"]).mean()
    np.testing.assert_allclose(averaged, mean["bold"], atol=1e-5)
    assert mean.attrs.get("modality", "image") == modality


def test_films_without_sound_are_encoded_as_such_beside_films_with_sound(folder: Path):
    silent = dataset("film")
    heard = silent.assign(sound=dataset("sound")["sound"]).assign_attrs(sampling_rate_hz=16_000)
    some = heard.assign_coords(n_samples=("stimulus", [24_000, 0, 24_000, 0, 0]))
    step = MaryNano(weights=str(folder))
    mixed, without, with_sound = (step(one)["bold"].values for one in (some, silent, heard))
    np.testing.assert_allclose(mixed[[1, 3, 4]], without[[1, 3, 4]], atol=1e-5)
    np.testing.assert_allclose(mixed[[0, 2]], with_sound[[0, 2]], atol=1e-5)
    assert np.abs(with_sound[1] - without[1]).max() > 1e-3


def test_pictures_of_many_batches_keep_their_order(folder: Path):
    many = dataset("image", 70)
    response = MaryNano(weights=str(folder))(many)
    some = MaryNano(weights=str(folder))(many.isel(stimulus=[69, 31, 32]))
    np.testing.assert_allclose(response["bold"][[69, 31, 32]], some["bold"], atol=1e-4)


@pytest.mark.parametrize("modality", ["image", "sound", "film"])
def test_stimuli_on_disk_are_read_batch_by_batch(folder: Path, tmp_path: Path, modality: str):
    dataset(modality, 40).to_netcdf(tmp_path / "stimuli.nc")
    with xr.open_dataset(tmp_path / "stimuli.nc") as lazy:
        response = MaryNano(weights=str(folder))(lazy)
        assert not lazy[modality].variable._in_memory
    whole = MaryNano(weights=str(folder))(dataset(modality, 40))
    np.testing.assert_array_equal(response["bold"], whole["bold"])


def test_a_thousand_pictures_take_less_than_a_minute():
    scenes = Scenes(split="test", n=128)()
    MaryNano()(scenes.isel(stimulus=[0]))  # loads the network
    start = time.process_time()
    MaryNano()(scenes)
    assert time.process_time() - start < 60 * len(scenes["stimulus"]) / 1000


def test_unknown_subject_and_wrong_tr_are_refused(folder: Path):
    with pytest.raises(ParameterError, match="did you mean 'average'"):
        MaryNano(weights=str(folder), subject="averge")(dataset("image"))
    with pytest.raises(ParameterError, match="tr_s"):
        MaryNano(weights=str(folder), tr_s=2.0)(dataset("image"))
    with pytest.raises(WeightsError, match="nowhere"):
        MaryNano(weights=str(folder / "nowhere"))(dataset("image"))


def test_stimuli_without_what_they_present_are_refused(folder: Path):
    given = dataset("image").drop_vars("image").assign(caption=("stimulus", ["a"] * 5))
    with pytest.raises(StimulusError, match="caption"):
        MaryNano(weights=str(folder))(given)
    with pytest.raises(SchemaError, match="float64"):
        MaryNano(weights=str(folder))(dataset("image").astype(float))


def test_unknown_words_are_noted(folder: Path):
    texts = dataset("text", 2).assign(caption=("stimulus", ["a zebra sleeps", "a dog"]))
    assert (
        "1 words are unknown to the encoder: zebra"
        in MaryNano(weights=str(folder))(texts).attrs["note"]
    )


def test_what_the_weights_were_never_taught_is_noted(folder: Path, tmp_path: Path):
    model = MaryNanoModel.from_pretrained(folder)
    model.training_axes[MODALITIES.index("film")] = 0
    model.save_pretrained(tmp_path)
    step = MaryNano(weights=str(tmp_path))
    assert step(dataset("film")).attrs["note"] == "these weights were never taught films"
    assert "never taught" not in step(dataset("sound")).attrs.get("note", "")
    assert "never taught" not in MaryNano(weights=str(folder))(dataset("film")).attrs.get(
        "note", ""
    )


# --- the shipped weights --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the shipped encoder's and the true responses to 60 scenes, by modality."""
    cortex, found = ~fsaverage5.medial_wall(), {}
    for modality in ("image", "text", "sound"):
        scenes = Scenes(split="test", n=60, modality=modality)()
        made = MaryNano()(scenes)["bold"].values[:, cortex]
        found[modality] = made, Cohort().average_signal(scenes)[:, cortex]
    return found


def test_shipped_weights_are_small_and_know_the_wall():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 8e6
    model = MaryNanoModel.from_pretrained(SHIPPED)
    assert (model.head.cortex.numpy() == ~fsaverage5.medial_wall()).all()


LEAST = {"image": 0.985, "text": 0.98, "sound": 0.985}


@pytest.mark.parametrize(("modality", "least"), LEAST.items())
def test_shipped_weights_predict_the_average_subject(told, modality: str, least: float):
    made, true = (x - x.mean(0) for x in told[modality])
    norm = np.sqrt((made**2).sum(0) * (true**2).sum(0))
    assert np.median((made * true).sum(0) / np.maximum(norm, 1e-12)) > least


def test_pictures_from_elsewhere_are_far():
    near = distance_from_training(Scenes(split="test", n=50)()["image"].values)
    noise = np.random.default_rng(0).integers(0, 256, (5, 100, 90, 3), dtype=np.uint8)
    plain = [np.full((64, 64, 3), level, np.uint8) for level in (0, 128, 255)]
    far = distance_from_training([*noise, *plain])
    assert np.abs(np.median(near)) < 1
    assert far.min() > FAR > np.quantile(near, 0.95)
    elsewhere = dataset("image", 2).drop_vars("image")
    pixels = (("stimulus", "y_pixel", "x_pixel", "rgb"), noise[:2])
    assert "2 of 2 images" in MaryNano()(elsewhere.assign(image=pixels)).attrs["note"]


def test_characters_that_are_not_read_are_unknown_words():
    texts = ["a ☃ red 😀 dog", "dog☃ a - dog, 'dog' dog! dog$"]
    given = dataset("text", 2).assign(caption=("stimulus", texts))
    unknown = Presentation(given, MaryNano().model().config, MaryNano().model().tokenizer)
    assert unknown.unknown_words() == ["☃", "😀", "dog☃", "-"]
    assert "4 words are unknown to the encoder: ☃, 😀" in MaryNano()(given).attrs["note"]
    with pytest.raises(StimulusError, match='^no word in "☃ 😀" that these weights can read$'):
        MaryNano()(dataset("text", 1).assign(caption=("stimulus", ["☃  😀"])))
    with pytest.raises(StimulusError, match='☃ …" that these weights'):
        MaryNano()(dataset("text", 1).assign(caption=("stimulus", ["☃ " * 999])))


def test_sounds_and_words_from_elsewhere_are_far():
    texts = dataset("text", 1).assign(caption=("stimulus", ["nobody expects the inquisition"]))
    assert "1 of 1 texts lie more than" in MaryNano()(texts).attrs["note"]
    assert "1 of 1 sounds lie more than" in MaryNano()(dataset("sound", 1)).attrs["note"]
