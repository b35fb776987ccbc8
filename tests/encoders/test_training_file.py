"""`insilico train encoder`: a training as a file says it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from tiny import TINY, dataset, random_model, tokenizer

from insilico.cli import main
from insilico.encoders.mary_nano import MaryNano
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Presentation
from insilico.errors import ParameterError, ProtocolError, SchemaError, SpaceError
from insilico.phantom.stimuli import Scenes
from insilico.phantom.training import mary_nano
from insilico.spaces import fsaverage5
from insilico.spaces.responses.files import write_response
from insilico.spaces.responses.rows import at_acquisition
from insilico.training import read_training, train_encoder
from insilico.training.document import Part
from insilico.training.folder import Place, key_of
from insilico.training.given import given_by
from insilico.training.lessons import as_lesson, held_out, ids_of, lessons_of

N = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with weights of the tiny model and responses to phantom scenes."""
    folder = tmp_path_factory.mktemp("training")
    n = int((~fsaverage5.medial_wall()).sum())
    random_model(replace(TINY, n_vertices=20484, n_cortex=n)).save_pretrained(folder / "start")
    scenes = Scenes(split="train", n=N)()
    brightness = scenes["image"].values.mean((1, 2)).astype(np.float32) / 128 - 1
    bold = brightness @ np.random.default_rng(0).standard_normal((3, 20484)).astype(np.float32)
    ids = scenes["stimulus"].values
    attrs = {"units": "run z", "subject": "me", "hemodynamic_offset_s": 5.0, "source": "my scanner"}
    fsaverage5.response(bold, ids, **attrs).isel(stimulus=slice(None, None, -1)).to_netcdf(
        folder / "me.nc"
    )
    return folder


def written(place: Path, name: str, **changes: object) -> Path:
    """Write a training file; keys that are None are left out."""
    text = {
        "parts": [
            {
                "stimuli": {"kind": "phantom", "split": "train", "n": N},
                "response": str(place / "me.nc"),
            }
        ],
        "model": str(place / "start"),
        "subject": "me",
        "steps": 6,
        "batch": 4,
        "every": 2,
        **changes,
    }
    (place / name).write_text(json.dumps({k: v for k, v in text.items() if v is not None}))
    return place / name


def test_a_file_trains_a_model_that_the_encoder_reads(place: Path, capsys):
    file, out = written(place, "mine.yaml"), place / "mine"
    assert main(["train", "encoder", str(file), "--out", str(out)]) == 0
    assert f"weights in {out}" in capsys.readouterr().out
    response = MaryNano(weights=str(out), subject="me")(Scenes(split="test", n=3)())
    assert response["bold"].shape == (3, 20484)
    assert response.attrs["subject"] == "me"
    assert reported(out) == [2, 4, 5, 6]
    assert "held out" in json.loads((out / "training.log").read_text().splitlines()[0])
    assert sorted(p.name for p in out.iterdir() if "checkpoint" in p.name) == []


def test_an_own_head_is_added_beside_the_average(place: Path):
    before = MaryNano(weights=str(place / "start"))(Scenes(split="test", n=4)())
    out = train_encoder(written(place, "head.yaml", learn="head"), place / "head")
    assert MaryNanoModel.from_pretrained(out).config.subjects == ("average", "2", "me")
    scenes = Scenes(split="test", n=4)()
    np.testing.assert_allclose(MaryNano(weights=str(out))(scenes)["bold"], before["bold"])
    own = MaryNano(weights=str(out), subject="me")(scenes)
    assert np.abs(own["bold"] - before["bold"]).max() > 0.1
    with pytest.raises(ParameterError, match="'me' is in these weights already"):
        train_encoder(written(place, "twice.yaml", learn="head", model=str(out)), place / "twice")


def test_fine_tuning_starts_from_the_weights(place: Path):
    file = written(place, "slow.yaml", lr=1e-12, steps=1, subject="average")
    out = train_encoder(file, place / "slow")
    first = MaryNanoModel.from_pretrained(place / "start").state_dict()
    moved = MaryNanoModel.from_pretrained(out).state_dict()
    for key, value in first.items():
        if (
            key.startswith(("vision.", "sound.", "text.", "fusion."))
            and "num_batches" not in key
            and "running" not in key
        ):
            torch.testing.assert_close(moved[key].float(), value.float(), atol=1e-6, rtol=1e-6)


@pytest.fixture
def killed(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a training, killed.yaml, that was killed after four steps."""
    from insilico import training as room

    learn, out = room.learn, place / f"killed-{len(list(place.iterdir()))}"

    def until_killed(model, lessons, course, **more):
        course.steps = 4
        learn(model, lessons, course, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, "learn", until_killed)
        with pytest.raises(KeyboardInterrupt):
            train_encoder(written(place, "killed.yaml"), out)
    return out


def reported(out: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (out / "training.log").read_text().splitlines()]


def test_a_killed_training_goes_on_and_is_done_once(
    place: Path, killed: Path, capsys: pytest.CaptureFixture[str]
):
    train_encoder(place / "killed.yaml", killed)
    assert f"resumed at step 4 of 6 ({killed}/checkpoint.pt)" in capsys.readouterr().out
    assert reported(killed) == [2, 4, 5, 6]
    before = (killed / "model.safetensors").stat().st_mtime_ns
    train_encoder(place / "killed.yaml", killed)
    assert (killed / "model.safetensors").stat().st_mtime_ns == before


def test_two_trainings_do_not_share_a_folder(place: Path, killed: Path):
    with Place(killed).alone(), pytest.raises(ParameterError, match="another process is training"):
        train_encoder(place / "killed.yaml", killed)
    train_encoder(place / "killed.yaml", killed)
    assert (killed / "model.safetensors").is_file()


def test_ids_that_have_no_response_are_named_with_the_file(place: Path):
    part = {"stimuli": {"kind": "phantom", "split": "test", "n": 12}, "response": f"{place}/me.nc"}
    said = r"me\.nc: no response to 12 of 12 .*: .*; it has phantom-train-.* and 21 more; "
    with pytest.raises(SchemaError, match=said):
        train_encoder(written(place, "odd.yaml", parts=[part]), place / "odd")
    assert not (place / "odd").exists()


def test_a_checkpoint_of_another_file_or_of_no_note_is_refused(place: Path, killed: Path):
    with pytest.raises(ParameterError, match="checkpoint of another training.*--overwrite"):
        train_encoder(written(place, "other.yaml", batch=5), killed)
    (killed / "training.json").unlink()
    with pytest.raises(ParameterError, match="checkpoint and no training.json"):
        train_encoder(place / "killed.yaml", killed)
    assert (killed / "checkpoint.pt").exists()


def test_a_checkpoint_of_other_responses_under_the_same_name_is_refused(place: Path, killed: Path):
    file = place / "me.nc"
    before = file.read_bytes()
    with xr.open_dataset(file) as opened:
        other = opened.load().assign(bold=-opened["bold"])
    other.to_netcdf(file)
    with pytest.raises(ParameterError, match="checkpoint of another training, or of other data"):
        train_encoder(place / "killed.yaml", killed)
    file.write_bytes(before)
    train_encoder(place / "killed.yaml", killed)


def test_other_stimuli_under_the_same_name_are_another_training(place: Path):
    captions = place / "captions.csv"
    ids = Scenes(split="train", n=N)()["stimulus"].values
    part = {
        "stimuli": {"kind": "captions", "path": str(captions)},
        "response": str(place / "me.nc"),
    }
    keys = []
    for word in ("ball", "dog"):
        rows = "".join(f"{name},a red {word}\n" for name in ids)
        captions.write_text("id,caption\n" + rows)
        training = read_training(written(place, "read.yaml", parts=[part]))
        keys.append(key_of(training, [given_by(one) for one in training.parts]))
    assert keys[0] != keys[1]


def test_weights_of_another_training_are_kept_unless_told(place: Path):
    out = train_encoder(written(place, "one.yaml", steps=1), place / "kept")
    weights = (out / "model.safetensors").read_bytes()
    file = written(place, "two.yaml", steps=1, seed=1)
    with pytest.raises(ParameterError, match="trained encoder of another training.*--overwrite"):
        train_encoder(file, out)
    assert (out / "model.safetensors").read_bytes() == weights
    assert main(["train", "encoder", str(file), "--out", str(out), "--overwrite"]) == 0
    assert (out / "model.safetensors").read_bytes() != weights
    with pytest.raises(ParameterError, match="model and --out are both"):
        train_encoder(written(place, "on.yaml", model=str(out)), out, overwrite=True)
    (place / "a-file").touch()
    with pytest.raises(ParameterError, match="a-file is a file"):
        train_encoder(file, place / "a-file")


def test_units_source_and_offset_of_the_responses_are_the_models(place: Path):
    file = written(place, "fresh.yaml", model="tiny", steps=1)
    config = MaryNanoModel.from_pretrained(train_encoder(file, place / "fresh")).config
    assert (config.units, config.source, config.hemodynamic_offset_s) == ("run z", "my scanner", 5)
    assert config.subjects == ("me",)


def in_rows(rows: pd.DataFrame) -> xr.Dataset:
    """Return noise as a response in these rows."""
    bold = np.random.default_rng(1).standard_normal((len(rows), 20484)).astype(np.float32)
    attrs = {"units": "z", "subject": "me", "hemodynamic_offset_s": 0.0, "source": "rows"}
    response = fsaverage5.response(bold, [str(k) for k in range(len(rows))], **attrs)
    response = response.rename_dims(stimulus="row").drop_vars("stimulus")
    timelines = rows["timeline"].to_numpy(object)
    return response.assign_coords(timeline=("row", timelines), time=("row", rows["time"]))


def test_a_table_of_events_trains_as_the_stimuli_do_of_which_it_was_made(place: Path):
    from insilico.spaces.presented import events
    from insilico.stimuli.events import grid, write

    pytest.importorskip("av")
    table = events(Scenes(split="train", n=8)(), place / "media")
    write(table, place / "table.csv")
    rows = [own for _, own in grid(table).groupby("timeline", sort=False)]
    in_rows(pd.concat([rows[k] for k in (3, 0, 7, 1, 6, 2, 5, 4)])).to_netcdf(place / "rows.nc")
    logs = []
    for stimuli in (
        {"kind": "events", "path": str(place / "table.csv")},
        {"kind": "phantom", "split": "train", "n": 8},
    ):
        parts = [{"stimuli": stimuli, "response": str(place / "rows.nc")}]
        kind = stimuli["kind"]
        file = written(place, f"rows-{kind}.yaml", parts=parts, steps=2, every=1)
        out = train_encoder(file, place / f"rows-{kind}")
        lines = [json.loads(line) for line in (out / "training.log").read_text().splitlines()]
        logs.append([{k: v for k, v in line.items() if k != "seconds"} for line in lines])
    assert [line["step"] for line in logs[0]] == [1, 2]
    assert logs[0] == logs[1]
    shown = MaryNano(weights=str(out), subject="me")(Scenes(split="test", n=2)())
    assert shown["bold"].shape == (2, 20484)


@pytest.mark.parametrize("learn", ["all", "head"])
def test_real_responses_learned_from_the_phantoms_weights_are_not_the_phantoms(
    place: Path, learn: str
):
    file = written(place, "real.yaml", model="phantom", steps=1, learn=learn)
    out = train_encoder(file, place / f"real-{learn}")
    scenes = Scenes(split="test", n=2)()
    attrs = MaryNano(weights=str(out), subject="me")(scenes).attrs
    said = (attrs["units"], attrs["source"], attrs["hemodynamic_offset_s"])
    assert said == ("run z", "my scanner", 5)
    assert "began with weights of 'phantom (simulated)'" in attrs["note"]
    if learn == "head":
        attrs = MaryNano(weights=str(out))(scenes).attrs
        assert (attrs["source"], attrs["units"]) == ("phantom (simulated)", "session z")
        assert "note" not in attrs


def test_a_second_training_on_the_same_responses_keeps_what_the_first_began_with(place: Path):
    first = train_encoder(
        written(place, "first.yaml", model="phantom", steps=1), place / "first-of-two"
    )
    file = written(place, "second.yaml", model=str(first), steps=1)
    note = MaryNanoModel.from_pretrained(train_encoder(file, place / "second")).config.note
    assert note == "its training began with weights of 'phantom (simulated)'"


def test_rows_of_a_response_are_matched_by_timeline_and_time():
    shown = Presentation(dataset("film", 2), TINY, tokenizer())
    response = xr.Dataset(
        {"bold": (("row", "vertex"), np.arange(4.0)[:, None] * np.ones(30))},
        coords={"timeline": ("row", ["test-1", "test-1", "x", "test-0"])},
    ).assign_coords(time=("row", [1.0, 2.0, 0.0, 0.0]))
    lesson = as_lesson(shown, response, np.ones(30, bool))
    assert lesson.at.tolist() == [[2, -1, -1, -1], [-1, 0, 1, -1]]
    assert lesson.responses[:, 0].tolist() == [0, 1, 3]
    with pytest.raises(SchemaError, match="2.5 s of timeline 'test-1'.* every 1 s from 0 to 3 s"):
        as_lesson(shown, response.assign_coords(time=("row", [0, 2.5, 0, 0.0])), np.ones(30, bool))
    with pytest.raises(SchemaError, match="no response to 1 of 2 stimuli: test-0; it has test-1; "):
        as_lesson(shown, response.isel(row=[0, 1]), np.ones(30, bool))


def test_times_of_the_scanner_and_rows_at_one_time_are_refused():
    shown = Presentation(dataset("film", 2), TINY, tokenizer())
    names = np.repeat(["test-0", "test-1"], 3)
    rows = fsaverage5.response(np.ones((6, 20484)), names, hemodynamic_offset_s=5.0, units="z")
    rows = rows.assign_attrs(subject="me", source="s").drop_vars("stimulus")
    rows = rows.rename_dims(stimulus="row").assign_coords(timeline=("row", names))
    rows = rows.assign_coords(time=("row", [0.0, 1, 2, 0, 1, 2]))
    cortex = ~fsaverage5.medial_wall()
    assert as_lesson(shown, rows, cortex).at[:, :3].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(SchemaError, match="the scanner's, 5 s after.*assign_coords"):
        as_lesson(shown, at_acquisition(rows), cortex)
    for times in ([0.0, 0, 1, 0, 1, 2], [0.0, 1, 2, 0, 1, np.nan]):
        with pytest.raises(SchemaError, match="test-0.*rising times|rows without a time: 5"):
            as_lesson(shown, rows.assign_coords(time=("row", times)), cortex)


def part_of(file: Path, **more: object) -> Part:
    stimuli = {"kind": "phantom", "split": "train", "n": N}
    return Part(stimuli=stimuli, response=file, **more)


@pytest.mark.parametrize("name", ["a.npy", "a.func.gii", "a.dscalar.nii"])
def test_responses_in_the_files_of_the_field_are_read(place: Path, tmp_path: Path, name: str):
    with xr.open_dataset(place / "me.nc") as opened:
        response = opened.load()
    file = write_response(response, tmp_path / name)[0]
    order = {"order": "lh,rh"} if name.endswith(".npy") else {}
    read = given_by(part_of(file, **order))[1]
    np.testing.assert_array_equal(read["bold"], response["bold"])
    assert read["stimulus"].values.tolist() == response["stimulus"].values.tolist()
    assert read.attrs["source"] == "my scanner"


def test_a_bare_array_with_its_order_is_taken_item_by_item(place: Path, tmp_path: Path):
    with xr.open_dataset(place / "me.nc") as opened:
        response = opened.load()
    np.save(tmp_path / "bare.npy", response["bold"].values)
    shown, read = given_by(part_of(tmp_path / "bare.npy", order="lh,rh"))
    np.testing.assert_array_equal(read["bold"], response["bold"])
    assert read["stimulus"].values.tolist() == shown["stimulus"].values.tolist()
    np.save(tmp_path / "bare.npy", response["bold"].values[:-1])
    with pytest.raises(SchemaError, match=rf"bare.npy: bold has {N - 1} items, but there are {N}"):
        given_by(part_of(tmp_path / "bare.npy", order="lh,rh"))
    with pytest.raises(ParameterError, match=r"bare.npy: .*order"):
        given_by(part_of(tmp_path / "bare.npy"))


def test_a_response_that_is_no_netcdf_or_of_another_length_is_told_with_its_name(
    place: Path, tmp_path: Path
):
    odd = tmp_path / "odd.nc"
    odd.write_text("no netcdf")
    with pytest.raises(SchemaError, match=r"odd.nc: this is not a NetCDF file.*\.npy"):
        given_by(part_of(odd))
    (tmp_path / "cut.nc").write_bytes((place / "me.nc").read_bytes()[:5000])
    with pytest.raises(SchemaError, match=r"cut.nc: this is not a NetCDF file, or a damaged one"):
        given_by(part_of(tmp_path / "cut.nc"))
    with xr.open_dataset(place / "me.nc") as opened:
        opened.isel(vertex=slice(20_000)).to_netcdf(tmp_path / "short.nc")
    with pytest.raises(SpaceError, match=r"short.nc: fsaverage5 has 20484 vertices.*has 20000"):
        given_by(part_of(tmp_path / "short.nc"))
    with pytest.raises(ParameterError, match="me.nc: order is for .npy"):
        given_by(part_of(place / "me.nc", order="lh,rh"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepps": 3}, "stepps.*did you mean 'steps'"),
        ({"lr": -1}, "lr: met -1"),
        ({"learn": "some"}, "learn.*all, head"),
        ({"parts": []}, "parts"),
        ({"subject": "a/b"}, "subject"),
        ({"parts": [{"stimuli": {"kind": "phantom"}}]}, "either a response"),
        ({"parts": [{"stimuli": {"kind": "smells"}, "response": "me.nc"}]}, "kind.*'smells'"),
        ({"parts": [{"stimuli": {"kind": "phantom"}, "response": "no.nc"}]}, "no.nc: no such file"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(place: Path, changes: dict, message: str):
    file = written(place, "wrong.yaml", **changes)
    with pytest.raises(ProtocolError, match=message) as error:
        read_training(file)
    assert str(error.value).startswith(f"{file}")


def test_a_head_alone_needs_a_trained_model(place: Path):
    with pytest.raises(ParameterError, match="needs a trained model"):
        train_encoder(written(place, "odd.yaml", model="tiny", learn="head"), place / "odd")


def test_a_scene_held_out_as_a_caption_is_not_trained_as_a_picture(place: Path):
    stimuli = {"kind": "phantom", "split": "train"}
    recording = {"kind": "phantom", "subject": 1, "space": "fsaverage5"}
    sizes = {"image": 30, "text": 20}
    parts = [
        {"stimuli": {**stimuli, "n": n, "modality": modality}, "recording": recording}
        for modality, n in sizes.items()
    ]
    training = read_training(written(place, "both.yaml", parts=parts))
    given = [given_by(part) for part in training.parts]
    taught, kept = lessons_of(training, given, MaryNanoModel.from_pretrained(place / "start"))
    learned, held = (
        {name for one in some for name in ids_of(one.shown.stimuli)} for some in (taught, kept)
    )
    assert not learned & held
    assert learned | held == set(ids_of(given[0][0]))
    assert all(len(one.shown) >= 0.1 * n for one, n in zip(kept, sizes.values(), strict=True))


def test_held_out_ids_depend_on_the_seed_and_leave_something_to_learn():
    ids = np.array([f"s{k}" for k in range(500)])
    first, half = held_out([ids], 0.1, 0), held_out([ids[:250]], 0.1, 0)
    assert len(first) == 50
    assert first != held_out([ids], 0.1, 1)
    assert first == held_out([ids[::-1]], 0.1, 0)
    assert len(half & first) >= 15
    with pytest.raises(ParameterError, match="1 stimuli are too few to hold out 0.1"):
        held_out([ids, ids[:1]], 0.1, 0)


@pytest.mark.parametrize(("model", "learn"), [("tiny", "all"), ("phantom", "head")])
def test_words_that_a_tokenizer_does_not_know_are_told(
    place: Path, capsys: pytest.CaptureFixture[str], model: str, learn: str
):
    ids = Scenes(split="train", n=N)()["stimulus"].values
    rows = [f"{name},a red zebra number {k % 3}" for k, name in enumerate(ids)]
    (place / "zebras.csv").write_text("\n".join(["id,caption", *rows]))
    captions = {"kind": "captions", "path": str(place / "zebras.csv")}
    parts = [{"stimuli": captions, "response": str(place / "me.nc")}]
    file = written(place, "words.yaml", parts=parts, model=model, learn=learn, steps=1)
    out = train_encoder(file, place / f"words-{model}")
    told = "5 of 7 words that it was trained on are one and the same to its tokenizer: 0, 1, 2, num"
    assert told in capsys.readouterr().err
    response = MaryNano(weights=str(out), subject="me")(Scenes(split="test", n=2)())
    assert told in response.attrs["note"]


def test_the_shipped_encoders_training_has_a_log_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    asked: list[dict] = []
    monkeypatch.setattr(mary_nano, "train", lambda folder, **more: asked.append(more))
    line = ["train", "encoder", "phantom", "--out", str(tmp_path), "--cache", str(tmp_path)]
    assert main(line) == 0
    assert asked[0]["log"] == tmp_path / "mary_nano" / "training.log"
    (tmp_path / "mary_nano").mkdir()
    (tmp_path / "mary_nano" / "model.safetensors").touch()
    assert main(line) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*line, "--overwrite"]) == 0
