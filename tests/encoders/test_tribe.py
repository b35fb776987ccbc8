"""TRIBE v2: predictions from files keep their times; a live run hands over the same files."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_elsewhere import python_with

import insilico as isi
from insilico.encoders import KINDS
from insilico.errors import (
    InsilicoError,
    MissingPackage,
    ParameterError,
    SchemaError,
    SpaceError,
    StoreError,
)
from insilico.schema import check
from insilico.spaces import fsaverage5
from insilico.spaces.presented import events
from insilico.spaces.responses.rows import at_acquisition, mean_rows

WALL = fsaverage5.medial_wall()


def preds(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 20484)).astype(np.float32)


def segments(*timelines):
    """TRIBE's list of segments: (name, first start, rows) each."""
    return [
        SimpleNamespace(timeline=name, start=first + k, duration=1.0, events=pd.DataFrame())
        for name, first, n in timelines
        for k in range(n)
    ]


def saved(folder, bold, listed):
    np.save(folder / "preds.npy", bold)
    rows = [{"timeline": s.timeline, "start": s.start, "duration": s.duration} for s in listed]
    pd.DataFrame(rows).to_csv(folder / "segments.csv", index=False)
    return folder


def stimuli(*ids):
    image = np.random.default_rng(0).integers(0, 255, (len(ids), 8, 8, 3), np.uint8)
    split = ("stimulus", ["test"] * len(ids))
    variables = {"image": (("stimulus", "y_pixel", "x_pixel", "rgb"), image)}
    return xr.Dataset(variables, {"stimulus": list(ids), "split": split}, {"source": "test"})


# --- times ----------------------------------------------------------------------------------------


def test_the_first_row_is_at_the_first_event_and_windows_break_every_100_s():
    found = isi.from_tribe(preds(240), segments(("words", 12.213, 205), ("film", 0.0, 35)))
    assert found["bold"].dims == ("row", "vertex")
    words = found.isel(row=found["timeline"] == "words")
    np.testing.assert_allclose(words["time"], 12.213 + np.arange(205))
    assert words["window"].values.tolist() == [0] * 100 + [1] * 100 + [2] * 5
    assert found["window"].values[205:].tolist() == [0] * 35
    check(found, "response", space="fsaverage5", rows=True)


def test_values_are_those_of_predict_and_the_wall_is_zero():
    bold = preds(3)
    found = isi.from_tribe(bold, segments(("a", 0, 3)))["bold"].values
    assert (found[:, ~WALL] == bold[:, ~WALL]).all()
    assert (found[:, WALL] == 0).all()


def test_the_offset_is_recorded_not_applied_and_applied_once():
    found = isi.from_tribe(preds(3), segments(("a", 2.5, 3)))
    assert found.attrs["hemodynamic_offset_s"] == 5.0
    assert found["time"].values.tolist() == [2.5, 3.5, 4.5]
    assert at_acquisition(found)["time"].values.tolist() == [7.5, 8.5, 9.5]
    with pytest.raises(SchemaError, match="applied before"):
        at_acquisition(at_acquisition(found))


def test_gaps_inside_a_timeline_are_kept():
    listed = segments(("a", 0, 5))
    found = isi.from_tribe(preds(3), [listed[0], listed[1], listed[4]])
    assert found["time"].values.tolist() == [0, 1, 4]


def test_what_it_is_is_said():
    attrs = isi.from_tribe(preds(2), segments(("a", 0, 2))).attrs
    assert attrs["subject"] == "group head"
    assert attrs["units"] == "run z"
    assert attrs["context_window_s"] == 100
    assert "TRIBE v2" in attrs["source"]


@pytest.mark.parametrize("name", ["segments.csv", "segments.tsv", "segments.json"])
def test_files_give_what_the_call_gives(tmp_path, name):
    bold, listed = preds(5), segments(("007", 1 / 3, 3), ("nan", 0.1, 2))
    expected = isi.from_tribe(bold, listed)
    saved(tmp_path, bold, listed)
    table = pd.DataFrame([{k: v for k, v in vars(s).items() if k != "events"} for s in listed])
    if name.endswith("json"):
        (tmp_path / name).write_text(json.dumps(table.to_dict("records")))
    else:
        table.to_csv(tmp_path / name, sep="\t" if name.endswith("tsv") else ",", index=False)
    found = isi.from_tribe(tmp_path / "preds.npy", tmp_path / name)
    xr.testing.assert_equal(found, expected)
    xr.testing.assert_equal(isi.from_tribe(tmp_path), expected)
    np.savez(tmp_path / "p.npz", lh=bold[:, :10242], rh=bold[:, 10242:])
    xr.testing.assert_equal(isi.from_tribe(tmp_path / "p.npz"), expected)


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bold", "listed", "error", "message"),
    [
        (preds(3), None, ParameterError, "predictions without segments have no times"),
        (preds(3), segments(("a", 0, 4)), SchemaError, "bold has 3 items, but there are 4"),
        (preds(3), [], SchemaError, "bold has 3 items, but there are 0"),
        (preds(2), segments(("a", 0, 1), ("a", 0, 1)), SchemaError, "two timelines are called a"),
        (
            preds(3),
            segments(("a", 0, 1), ("b", 0, 1), ("a", 5, 1)),
            SchemaError,
            "two timelines are called a",
        ),
        (preds(3), segments(("a", 0, 1), ("a", 1.4, 2)), SchemaError, "lines 1, 2 do not"),
        (preds(2), [1, 2], SchemaError, "objects with timeline, start, duration"),
        (preds(2), pd.DataFrame({"start": [0, 1]}), SchemaError, "column timeline, duration miss"),
        (preds(3)[:, :-1], segments(("a", 0, 3)), SpaceError, "this one has 20483"),
        (preds(3) * np.nan, segments(("a", 0, 3)), SchemaError, "NaN or infinite"),
        (preds(3).astype(object), segments(("a", 0, 3)), SchemaError, "is object"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(bold, listed, error, message):
    with pytest.raises(error, match=message):
        isi.from_tribe(bold, listed)


def test_rows_of_another_length_are_refused():
    listed = segments(("a", 0, 3))
    listed[1].duration = 1.49
    with pytest.raises(SchemaError, match=r"rows last 1 s, but lines 1 last 1.49 s"):
        isi.from_tribe(preds(3), listed)
    listed[1].duration = "long"
    with pytest.raises(SchemaError, match="duration is no number in lines 1"):
        isi.from_tribe(preds(3), listed)


def test_swapped_hemispheres_are_refused_where_the_wall_is_masked():
    bold = preds(3)
    bold[:, WALL] = 0
    isi.from_tribe(bold, segments(("a", 0, 3)))
    with pytest.raises(SpaceError, match="wrong hemisphere order"):
        isi.from_tribe(np.roll(bold, 10242, axis=1), segments(("a", 0, 3)))
    isi.from_tribe(np.roll(bold, 10242, axis=1), segments(("a", 0, 3)), order="rh,lh")


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(StoreError, match=r"preds\.npy: no such file; predictions of TRIBE v2 are"):
        isi.from_tribe(tmp_path)
    np.save(tmp_path / "preds.npy", preds(2))
    with pytest.raises(StoreError, match=r"segments\.csv: no such file"):
        isi.from_tribe(tmp_path)
    for text in ("", "a\n1,2\n3,4,5,6"):
        (tmp_path / "segments.csv").write_text(text)
        with pytest.raises(StoreError, match=r"segments\.csv: cannot be read as segments"):
            isi.from_tribe(tmp_path)
    (tmp_path / "segments.csv").write_text("timeline,start\na,0\na,1\n")
    with pytest.raises(SchemaError, match=r"preds\.npy: segments: column duration missing"):
        isi.from_tribe(tmp_path)


def test_pickled_predictions_are_refused(tmp_path):
    saved(tmp_path, preds(2), segments(("a", 0, 2)))
    np.save(tmp_path / "preds.npy", np.array([{"preds": 1}], dtype=object))
    with pytest.raises(StoreError, match="pickled Python objects"):
        isi.from_tribe(tmp_path)


# --- the step -------------------------------------------------------------------------------------


def test_the_step_finds_responses_by_stimulus(tmp_path):
    listed = segments(("s1", 0, 2), ("s2", 3, 3), ("s3", 0, 2))
    saved(tmp_path, bold := preds(7), listed)
    step = KINDS.build({"kind": "tribe", "file": str(tmp_path)})
    found = step(stimuli("s3", "s2"))
    assert found["stimulus"].values.tolist() == ["s3", "s2"]
    expected = np.stack([bold[5:].mean(0, dtype=float), bold[2:5].mean(0, dtype=float)])
    np.testing.assert_allclose(found["bold"][:, ~WALL], expected[:, ~WALL], rtol=1e-6, atol=1e-7)
    kept = KINDS.build({"kind": "tribe", "file": str(tmp_path), "rows": "keep"})(stimuli("s2"))
    assert kept["time"].values.tolist() == [3, 4, 5]
    with pytest.raises(SchemaError, match="no response to 1 of 2 stimuli: s9; it has s1, s2, s3"):
        step(stimuli("s1", "s9"))


def test_the_digests_follow_the_files(tmp_path):
    step = KINDS.build({"kind": "tribe", "file": str(tmp_path)})
    saved(tmp_path, preds(2), segments(("a", 0, 2)))
    before = step.digests()
    saved(tmp_path, preds(2), segments(("a", 1, 2)))
    assert step.digests()["preds"] == before["preds"]
    assert step.digests()["segments"] != before["segments"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"file": "a", "python": "b"}, "either file .predictions. or python"),
        ({"segments": "a"}, "segments belong to a file of predictions"),
        ({"path": "a"}, "unknown parameter 'path'"),
        ({"file": "a", "rows": "max"}, "tribe.rows"),
    ],
)
def test_a_mistaken_spec_is_named(spec, message):
    with pytest.raises(ParameterError, match=message):
        KINDS.build({"kind": "tribe", **spec})


def test_without_tribe_an_error_says_what_to_install_and_what_to_hand_over():
    with pytest.raises(
        MissingPackage, match=r"needs tribev2: .*pip install 'tribev2 @.*file: FOLD"
    ):
        KINDS.build("tribe").digests()
    with pytest.raises(ParameterError, match="no/such/python is no program"):
        KINDS.build({"kind": "tribe", "python": "no/such/python"}).digests()


def test_a_python_without_tribe_is_named(tmp_path):
    python = python_with(tmp_path)
    with pytest.raises(MissingPackage, match=f"in {python} needs tribev2"):
        KINDS.build({"kind": "tribe", "python": python}).digests()


def with_words():
    shown = stimuli("cat", "dog").drop_vars("image")
    words = ["a cat sits on the mat", "a dog runs"]
    return shown.assign(caption=("stimulus", words)).assign_attrs(modality="text")


def with_sound():
    wave = np.random.default_rng(0).standard_normal((2, 40000)).astype(np.float32)
    shown = stimuli("bell", "bark").drop_vars("image")
    shown = shown.assign(sound=(("stimulus", "sample"), wave))
    shown = shown.assign_coords(n_samples=("stimulus", [16000, 40000]))
    return shown.assign_attrs(modality="sound", sampling_rate_hz=16000)


def name_of(path):
    return path.rpartition("/")[2]


@pytest.mark.parametrize(
    ("shown", "rows"),
    [(stimuli("x", "y"), [1, 1]), (with_words(), [2, 1]), (with_sound(), [1, 3])],
)
def test_a_live_run_hands_over_rows_of_every_stimulus(tmp_path, shown, rows):
    spec = {"kind": "tribe", "python": python_with(tmp_path, "tribev2"), "rows": "keep"}
    found = KINDS.build(spec)(shown)
    names = np.repeat(shown["stimulus"].values, rows).tolist()
    assert found["timeline"].values.tolist() == names
    assert found.attrs["source"] == "TRIBE v2, live"
    assert found.attrs["weights"] == "facebook/tribev2"
    assert len(np.unique(found["bold"].values[:, 0])) == len(names)  # every stimulus reached it
    expected = events(shown, tmp_path / "media")
    given = pd.read_csv(tmp_path / "site" / "tribev2.py.csv", keep_default_na=False)
    for column in ("type", "start", "duration", "timeline", "frequency", "offset", "text"):
        assert given[column].tolist() == expected[column].tolist()
    assert {*given["type"]} == {"Video", "Audio", "Word"}  # also of what is absent
    assert [*map(name_of, given["filepath"])] == [*map(name_of, expected["filepath"])]
    again = KINDS.build({**spec, "rows": "mean"})(shown.isel(stimulus=[1]))
    np.testing.assert_array_equal(again["bold"], mean_rows(found)["bold"][1:])


def test_a_live_run_gives_every_word_those_before_it(tmp_path):
    KINDS.build({"kind": "tribe", "python": python_with(tmp_path, "tribev2")})(with_words())
    given = pd.read_csv(tmp_path / "site" / "tribev2.py.csv", keep_default_na=False)
    words = given[(given["type"] == "Word") & (given["timeline"] == "cat")]
    assert words["context"].tolist()[:3] == ["a", "a cat", "a cat sits"]
    assert (given["context"] == "").sum() == 4  # black frames and silence of two


@pytest.mark.parametrize(
    ("package", "message"),
    [("broken", "status 1.*weights are gated"), ("idle", "left no preds.npy")],
)
def test_a_live_run_that_fails_says_its_last_words(tmp_path, package, message):
    python = python_with(tmp_path, "tribev2", package)
    with pytest.raises(StoreError, match=rf"(?s)kind 'tribe' run by .*{message}"):
        KINDS.build({"kind": "tribe", "python": python})(with_words())


def test_another_python_does_not_see_our_packages(tmp_path, monkeypatch):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "json.py").write_text("raise RuntimeError('ours')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "ours"))
    python = python_with(tmp_path, "tribev2")
    assert KINDS.build({"kind": "tribe", "python": python})(with_words()).sizes["stimulus"] == 2


# --- in a protocol --------------------------------------------------------------------------------


def test_a_chain_takes_its_responses_from_a_file(tmp_path):
    mary = isi.load_chain("phantom", store=tmp_path / "store")
    shown = mary.stimuli(split="test", n=3)
    response = mary.encode(shown)
    rows = np.repeat(response["bold"].values, 2, axis=0)
    ids = shown["stimulus"].values
    saved(tmp_path, rows, segments(*((name, 0.0, 2) for name in ids)))
    isi.write_response(response, tmp_path / "r.dscalar.nii")
    for spec in (
        {"kind": "tribe", "file": str(tmp_path)},
        {"kind": "precomputed", "file": str(tmp_path / "r.dscalar.nii")},
    ):
        chain = isi.load_chain("phantom", set={"encoder": spec}, store=tmp_path / "store")
        np.testing.assert_array_equal(chain.encode(shown)["bold"], response["bold"])
        with pytest.raises(SchemaError, match="holds no response to 2 of 5 stimuli"):
            chain.encode(chain.stimuli(split="test", n=5))
    with pytest.raises(InsilicoError, match=r"encoder: .*/x: no such file; predictions"):
        isi.load_chain("phantom", set={"encoder": {"kind": "tribe", "file": str(tmp_path / "x")}})


def test_a_protocol_says_what_does_not_fit_together(tmp_path):
    spec = {"kind": "tribe", "file": str(tmp_path), "python": "x"}
    with pytest.raises(InsilicoError, match="encoder: either file .predictions. or python") as info:
        isi.load_chain("phantom", set={"encoder": spec})
    assert "met {" not in str(info.value)
