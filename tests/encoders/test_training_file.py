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
from insilico.errors import ParameterError, ProtocolError, SchemaError
from insilico.phantom.stimuli import Scenes
from insilico.spaces import fsaverage5
from insilico.training import as_lesson, read_training, train_encoder

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
    lines = [json.loads(line) for line in (out / "training.log").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 5, 6]
    assert "held out" in lines[0]
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


def test_a_killed_training_goes_on_and_another_one_is_refused(place: Path, monkeypatch):
    from insilico import training as room

    file, out, kept = written(place, "killed.yaml"), place / "killed", []
    learn = room.learn

    def killed(model, lessons, course, **more):
        course.steps, steps = 4, course.steps
        learn(model, lessons, course, **more)
        course.steps = steps
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "learn", killed)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(file, out)
    with pytest.raises(ParameterError, match="checkpoint of another training"):
        train_encoder(written(place, "other.yaml", batch=5), out)
    monkeypatch.setattr(
        room,
        "learn",
        lambda m, ls, course, **k: kept.append(course.step) or learn(m, ls, course, **k),
    )
    train_encoder(file, out)
    assert kept == [4]


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
    from insilico.stimuli.events import grid, write
    from insilico.stimuli.presented import events

    pytest.importorskip("av")
    table = events(Scenes(split="train", n=8)(), place / "media")
    write(table, place / "table.csv")
    in_rows(grid(table).sample(frac=1, random_state=0)).to_netcdf(place / "rows.nc")
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


def test_rows_of_a_response_are_matched_by_timeline_and_time():
    shown = Presentation(dataset("film", 2), TINY, tokenizer())
    response = xr.Dataset(
        {"bold": (("row", "vertex"), np.arange(4.0)[:, None] * np.ones(30))},
        coords={"timeline": ("row", ["test-1", "x", "test-0", "test-1"])},
    ).assign_coords(time=("row", [2.0, 0.0, 0.0, 1.0]))
    lesson = as_lesson(shown, response, np.ones(30, bool))
    assert lesson.at.tolist() == [[1, -1, -1, -1], [-1, 2, 0, -1]]
    assert lesson.responses[:, 0].tolist() == [0, 2, 3]
    with pytest.raises(SchemaError, match="2.5 s of timeline 'test-1'.* every 1 s from 0 to 3 s"):
        as_lesson(shown, response.assign_coords(time=("row", [2.5, 0, 0, 1])), np.ones(30, bool))
    with pytest.raises(SchemaError, match="no response to test-0"):
        as_lesson(shown, response.isel(row=[0, 3]), np.ones(30, bool))


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
