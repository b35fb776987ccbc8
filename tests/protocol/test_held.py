"""What a file of responses lacks is seen before anything runs, and own files fit everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import insilico as isi
from insilico.errors import ParameterError, ProtocolError
from insilico.job import walk
from insilico.protocol.first import First
from insilico.protocol.plan import plan
from insilico.protocol.read import mistakes, read
from insilico.schema import sample
from insilico.stimuli import KINDS

PROTOCOL = """\
preset: phantom
stimuli: {kind: images, path: pictures}
encoder: %s
conditions: {intact: {}}
"""
SHOWN = ("a.png", "b.png", "c.png")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name in SHOWN:
        Image.new("RGB", (9, 9)).save(tmp_path / "pictures" / name)
    return tmp_path


def written(place, encoder, more=""):
    (place / "p.yaml").write_text(PROTOCOL % encoder + more)
    return place / "p.yaml"


def a_file(kind, ids):
    """Write responses to these ids as the kind takes them; return its spec."""
    if kind == "tribe":
        np.save("preds.npy", np.zeros((len(ids), 20484), np.float32))
        rows = "".join(f"{name},0,1\n" for name in ids)
        Path("segments.csv").write_text("timeline,start,duration\n" + rows)
        return "{kind: tribe, file: .}"
    if kind == "berg":
        np.savez("r.npz", lh=np.zeros(1), rh=np.zeros(1))
        Path("ids.txt").write_text("\n".join(ids))
        model = "model: fmri-nsd_fsaverage-vit_b_32, subject: 1"
        return f"{{kind: berg, {model}, file: r.npz, stimuli: ids.txt}}"
    bold = np.random.default_rng(0).standard_normal((len(ids), 20484)).astype(np.float32)
    said = {"units": "session z", "subject": "s", "hemodynamic_offset_s": 0.0}
    response = isi.from_array(bold, order="lh,rh", stimuli=ids, source="made", **said)
    isi.write_response(response, "r.npy")
    return "{kind: precomputed, file: r.npy}"


@pytest.mark.parametrize("kind", ["tribe", "berg", "precomputed"])
def test_check_sees_which_responses_a_file_lacks(place, kind):
    adapter = "adapter: {encoder: {kind: mary_nano}}\n"
    (message,) = mistakes(written(place, a_file(kind, ["a.png", "z.png"]), adapter))
    assert message == (
        f"{place}/p.yaml:3:encoder: encode images: there is no response to 2 of 3 stimuli: "
        "b.png, c.png; the file has a.png, z.png"
    )
    assert mistakes(written(place, a_file(kind, [*SHOWN, "z.png"]), adapter)) == []


@pytest.mark.parametrize(("kind", "name"), [("tribe", "preds.npy"), ("precomputed", "r.npy")])
def test_check_sees_that_an_array_has_another_size(place, kind, name):
    adapter = "adapter: {encoder: {kind: mary_nano}}\n"
    file = written(place, a_file(kind, SHOWN), adapter)
    np.save(name, np.zeros((3, 400), np.float32))
    (message,) = mistakes(file)
    assert f"{name}: an array on the cortex has 20484 columns" in message
    assert message.endswith("this one has 400")
    np.save(name, np.zeros((2, 20484), np.float32))
    (message,) = mistakes(file)
    assert f"{name}: 2 rows, and 3 are named" in message
    np.save(name, np.array([{}], object), allow_pickle=True)
    (message,) = mistakes(file)
    assert "holds pickled Python objects" in message


def test_a_file_that_an_adapter_is_fitted_on_needs_the_training_stimuli(place):
    file = written(place, a_file("tribe", SHOWN))
    (message,) = mistakes(file)
    assert "encode train 2000: there is no response to 2000 of 2000 stimuli" in message
    assert "adapter: {encoder: {kind: mary_nano}}" in message
    with pytest.raises(ProtocolError, match="no response to 2000 of 2000"):
        read(file)


def test_a_file_of_one_condition_is_looked_into_there(place):
    spec = a_file("tribe", ["a.png"])
    file = written(place, "mary_nano", "")
    file.write_text(file.read_text().replace("{intact: {}}", f"{{theirs: {{encoder: {spec}}}}}"))
    found = mistakes(file, {"adapter.encoder": "{kind: mary_nano}"})
    assert [line.partition(": ")[0] for line in found] == [f"{file}:4:conditions.theirs.encoder"]


def test_a_file_that_names_no_stimuli_is_refused(place):
    np.save("bare.npy", np.zeros((3, 20484), np.float32))
    (message,) = mistakes(written(place, "{kind: precomputed, file: bare.npy}"))
    assert "bare.npy: nothing says whose responses these are; bare.npy.response.json" in message


def test_a_statistic_shows_own_files_as_they_are(place):
    gap = "statistics:\n  fit: {kind: encoding_accuracy, by: phantom7, null: spin, n: 10}\n"
    work = plan(read(written(place, "mary_nano", gap)).protocol)
    prediction = next(job for job in work.statistics["fit"].inputs if job.name.startswith("enc"))
    assert prediction.inputs[0].step == work.stimuli.step
    wrong = gap.replace("n: 10}", "n: 10, stimuli: {n: 5}}")
    with pytest.raises(ProtocolError, match=r"fit\.stimuli\.n: unknown key 'n'; one of: path"):
        read(written(place, "mary_nano", wrong))


def test_an_adapter_takes_its_first_pairs_of_own_files(place):
    rows = "".join(f"{name[0]},pictures/{name}\n" for name in SHOWN)
    (place / "own.csv").write_text("id,image\n" + rows)
    training = "training: {kind: table, path: own.csv}\nadapter: {kind: ridge, pairs: %d}\n"
    work = plan(read(written(place, "mary_nano", training % 2)).protocol)
    jobs = {job.name: job for job in walk(work.targets())}
    for needed in jobs["fit ridge"].inputs:
        assert needed.inputs[0].step == First(n=2)
        assert needed.inputs[0].inputs[0].step.kind == "table"
    table = KINDS.build({"kind": "table", "path": "own.csv"})()
    assert First(n=2)(table)["stimulus"].values.tolist() == ["a", "b"]
    with pytest.raises(ProtocolError, match=r"adapter\.pairs: asks for 9 pairs, and 'training'"):
        read(written(place, "mary_nano", training % 9))
    with pytest.raises(ParameterError, match="shows 4 stimuli; write pairs: 4"):
        First(n=9)(sample("stimuli", 4))


def test_stimuli_say_their_ids_before_they_are_made(place):
    (place / "t.txt").write_text("a cat\na dog\n")
    (place / "t.csv").write_text("id,image\nx,pictures/a.png\n")
    (place / "e.csv").write_text(
        "timeline,type,start,duration,filepath\nx,Image,0,1,pictures/a.png"
    )
    for spec in (
        {"kind": "images", "path": "pictures"},
        {"kind": "captions", "path": "t.txt"},
        {"kind": "captions", "text": ["one", "two"]},
        {"kind": "table", "path": "t.csv"},
        {"kind": "events", "path": "e.csv"},
        {"kind": "phantom", "n": 3},
    ):
        step = KINDS.build(spec)
        assert list(step.ids()) == step()["stimulus"].values.tolist()
    assert KINDS.build({"kind": "images", "path": "pictures", "broken": "skip"}).ids() is None
