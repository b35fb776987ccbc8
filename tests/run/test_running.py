from __future__ import annotations

import json

import pytest
import xarray as xr
from PIL import Image
from toy_world import calls, install

from insilico.errors import InsilicoError, ParameterError, StoreError
from insilico.job import walk
from insilico.protocol.plan import plan
from insilico.protocol.read import read
from insilico.report import experiment
from insilico.report.experiment import missing, run
from insilico.run import runner
from insilico.run.store import Store, read_entry

COUNTS = {
    "Shapes.call": 3,
    "Encoder.call": 3,
    "Recording.call": 4,
    "Adapter.fit": 1,
    "Silence.call": 6,
    "Adapter.call": 7,
    "Decoder.call": 8,
    "Brightness.call": 8,
    "Accuracy.call": 1,
    "Difference.call": 1,
}


@pytest.fixture
def study(monkeypatch, tmp_path):
    return install(monkeypatch, tmp_path)


def counted(folder):
    made = calls(folder)
    return {name: made.count(name) for name in dict.fromkeys(made)}


def entries(folder):
    return {path.stem: path for path in (folder / "store").rglob("*.nc")}


def test_every_job_is_computed_once(study, tmp_path):
    results = run(study, out=tmp_path / "out")
    assert results.failures == ()
    assert counted(tmp_path) == COUNTS
    assert len(results.computed) == len(entries(tmp_path)) == sum(COUNTS.values()) + 1  # join


def test_a_second_run_computes_nothing(study, tmp_path):
    first = run(study, out=tmp_path / "out")
    assert run(study, out=tmp_path / "out").computed == ()
    elsewhere = run(study, out=tmp_path / "elsewhere")
    assert elsewhere.computed == ()
    assert elsewhere.summary == first.summary
    assert counted(tmp_path) == COUNTS


def test_a_stopped_run_goes_on(study, tmp_path, monkeypatch):
    real, left = runner.obtain, [40]

    def stops(job, store):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real(job, store)

    monkeypatch.setattr(runner, "obtain", stops)
    with pytest.raises(KeyboardInterrupt):
        run(study, out=tmp_path / "out")
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]
    monkeypatch.setattr(runner, "obtain", real)
    run(study, out=tmp_path / "out")
    assert counted(tmp_path) == COUNTS


def test_a_change_computes_only_what_it_touches(study, tmp_path):
    run(study, out=tmp_path / "out")
    results = run(study, set={"adapter.alpha": 2.0}, out=tmp_path / "other")
    assert not [name for name in results.computed if name.startswith(("encode", "record", "pert"))]
    assert len([name for name in results.computed if name.startswith("decode")]) == 7


def test_a_damaged_entry_is_computed_again(study, tmp_path):
    first = run(study, out=tmp_path / "out").open("reconstruction")
    jobs = {job.name: job for job in walk(plan(read(study).protocol).targets())}
    for name in ("decode intact", "encode train 6"):
        path = entries(tmp_path)[jobs[name].key]
        path.write_bytes(path.read_bytes()[:-100])
    again = run(study, out=tmp_path / "again").open("reconstruction")
    xr.testing.assert_identical(first, again)
    assert counted(tmp_path)["Decoder.call"] == COUNTS["Decoder.call"] + 1


def test_changed_outputs_are_written_again(study, tmp_path):
    run(study, out=tmp_path / "out")
    (tmp_path / "out" / "estimates.csv").write_text("half")
    run(study, out=tmp_path / "out")
    assert (tmp_path / "out" / "estimates.csv").read_text().startswith("statistic,contrast")


def test_a_failing_job_fails_alone(study, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_FAIL", "1")
    results = run(study, out=tmp_path / "out")
    assert {failure.job for failure in results.failures} == {
        "perturb silenced/Limbic",
        "perturb matched/Limbic/0",
        "perturb matched/Limbic/1",
    }
    assert "perturb silenced/Limbic: toy: Limbic is not to be silenced here" in results.summary
    kept = results.open("reconstruction")["condition"].values
    assert len(kept) == 5
    assert "silenced/Limbic" not in kept
    assert results.open("score").sizes["condition"] == 5
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]
    monkeypatch.delenv("TOY_FAIL")
    mended = run(study, out=tmp_path / "out")
    assert mended.failures == ()
    assert len([name for name in mended.computed if name.startswith("decode")]) == 3


def test_statistics_of_conditions_that_worked_are_computed(study, tmp_path, monkeypatch):
    """A condition that fails takes with it what names it, and nothing else."""
    lost = {"perturb": {"kind": "toy", "atlas": "yeo7", "region": ["Vis", "Default"]}}
    loss = {"kind": "paired", "of": "lost", "against": "intact", "n": 99}
    changes = {"conditions.lost": lost, "statistics.loss": loss, "figures": []}
    whole = run(study, set=changes, out=tmp_path / "whole")
    monkeypatch.setenv("TOY_FAIL", "1")
    results = run(study, set=changes, out=tmp_path / "out", store=tmp_path / "another")
    assert all("Limbic" in failure.job for failure in results.failures)
    assert not (tmp_path / "out" / "estimate-gap.nc").exists()
    found, same = results.open("estimate-loss"), whole.open("estimate-loss")
    xr.testing.assert_equal(found, same)
    assert "without silenced/Limbic, matched/Limbic/0, matched/Limbic/1" in found.attrs["note"]
    assert "without" not in same.attrs["note"]
    again = run(study, set=changes, out=tmp_path / "out", store=tmp_path / "another")
    assert (again.computed, again.summary) == ((), results.summary)


def test_a_full_disk_ends_the_run(study, tmp_path, monkeypatch):
    def full(self, key, dataset, name=""):
        raise StoreError("no space left on the disk of /x; free some")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(StoreError, match="no space left"):
        run(study, out=tmp_path / "out")


def test_processes_give_what_one_process_gives(study, tmp_path):
    here = run(study, out=tmp_path / "here", store=tmp_path / "store")
    there = run(study, out=tmp_path / "there", store=tmp_path / "other", jobs=2)
    assert there.failures == ()
    assert sorted(here.computed) == sorted(there.computed)
    one = {path.stem: path.read_bytes() for path in (tmp_path / "store").rglob("*.nc")}
    other = {path.stem: path.read_bytes() for path in (tmp_path / "other").rglob("*.nc")}
    assert one.keys() == other.keys()
    assert [key for key in one if one[key] != other[key]] == []


def test_failures_come_back_from_processes(study, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_FAIL", "1")
    results = run(study, out=tmp_path / "out", jobs=2)
    assert len({failure.job for failure in results.failures}) == 3
    assert results.open("score").sizes["condition"] == 5


def test_outputs_open_with_xarray_and_say_what_they_are(study, tmp_path):
    results = run(study, out=tmp_path / "out")
    names = {path.name for path in results.folder.iterdir()}
    nouns = {"stimuli.nc", "response.nc", "reconstruction.nc", "score.nc"}
    estimates = {"estimate-accuracy.nc", "estimate-gap.nc", "estimates.csv"}
    others = {"protocol.yaml", "summary.txt", "methods.txt", "manifest.json"}
    assert names == nouns | estimates | others | {"toy_figure.pdf", "toy_figure.png"}
    for name in sorted(nouns | estimates - {"estimates.csv"}):
        with xr.open_dataset(results.folder / name, engine="h5netcdf") as opened:
            assert "phantom7 in place of yeo7" in opened.attrs["note"]
    response = results.open("response")
    assert response["bold"].dims == ("condition", "stimulus", "vertex")
    assert response["bold"].dtype == "float32"
    assert response["region"].values[2] == "Vis"
    assert "phantom7 in place of yeo7" in results.summary
    assert "Nothing propagates to other areas" in results.summary
    with pytest.raises(InsilicoError, match=r"holds no estimate-gop.nc; it holds .*estimate-gap"):
        results.open("estimate-gop")


def test_device_and_processes_are_not_in_keys(study, tmp_path):
    run(study, out=tmp_path / "out", device="cpu")
    assert run(study, out=tmp_path / "other", device="meta", jobs=2).computed == ()


def changed(study):
    """Return another protocol: one statistic and no figures."""
    other = "".join(line for line in study.read_text().splitlines(True) if "gap:" not in line)
    study.with_name("other.yaml").write_text(other.replace("[toy_figure]", "[]"))
    return study.with_name("other.yaml")


def test_the_folder_of_another_run_is_refused_before_any_work(study, tmp_path):
    out = tmp_path / "out"
    first = run(study, out=out)
    before = calls(tmp_path)
    with pytest.raises(ParameterError, match=r"out holds another run; .* add --overwrite"):
        run(changed(study), out=out)
    assert calls(tmp_path) == before
    assert run(study, out=out).computed == ()
    assert (out / "summary.txt").read_text() == first.summary


def test_files_of_no_run_are_not_written_over(study, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "estimates.csv").write_text("my own")
    (tmp_path / "mine" / "manifest.json").write_text('{"files": {"estimates.csv": "x"}}')
    with pytest.raises(ParameterError, match="holds files of no run"):
        run(study, out=tmp_path / "mine")
    assert (tmp_path / "mine" / "estimates.csv").read_text() == "my own"
    (tmp_path / "empty").mkdir()
    assert run(study, out=tmp_path / "empty").failures == ()


def test_overwriting_removes_the_outputs_of_the_former_and_nothing_else(study, tmp_path):
    out = tmp_path / "out"
    run(study, out=out)
    (out / "notes.txt").write_text("the user's own")
    assert (out / "estimate-gap.nc").exists()
    run(changed(study), out=out, overwrite=True)
    assert not (out / "estimate-gap.nc").exists()
    assert (out / "notes.txt").read_text() == "the user's own"
    listed = json.loads((out / "manifest.json").read_text())["files"]
    assert {path.name for path in out.iterdir()} == {*listed, "manifest.json", "notes.txt"}


FILES = """\
preset: toy.yaml
stimuli: {kind: images, path: %s, size: 8}
conditions: {intact: {}}
scores: [brightness]
"""


@pytest.fixture
def pictures(study, tmp_path):
    """A protocol over three pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(3):
        Image.new("RGB", (9, 9), (80 * k, 0, 0)).save(folder / f"{k}.png")
    path = tmp_path / "files.yaml"
    path.write_text(FILES % folder)
    return path


@pytest.mark.parametrize("jobs", [1, 2])
def test_stimuli_in_files_are_read_and_not_stored(pictures, tmp_path, jobs):
    results = run(pictures, out=tmp_path / "out", jobs=jobs)
    assert results.failures == ()
    kept = {read_entry(path).attrs.get("source") for path in entries(tmp_path).values()}
    assert "images" not in kept
    shown = results.open("stimuli")
    assert shown["stimulus"].values.tolist() == ["0.png", "1.png", "2.png"]
    assert shown["image"].values[:, 4, 4, 0].tolist() == [0, 80, 160]
    assert run(pictures, out=tmp_path / "again").computed == ()
    assert missing(plan(read(pictures).protocol)) == []


def test_what_would_be_too_large_to_write_is_left_in_its_files(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "LARGEST_BYTES", 500)
    shown = run(pictures, out=tmp_path / "out").open("stimuli")
    assert "image" not in shown
    assert shown["path"].values[1].endswith("1.png")
    assert "image left out here for size" in shown.attrs["note"]


def test_a_broken_file_fails_once_and_by_its_name(pictures, tmp_path):
    broken = tmp_path / "pictures" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-20])
    results = run(pictures, out=tmp_path / "out")
    assert {failure.job for failure in results.failures} == {"stimuli images"}
    assert "1.png: truncated" in results.failures[0].message
    skipping = run(pictures, out=tmp_path / "less", set={"stimuli.broken": "skip"})
    assert skipping.open("score")["stimulus"].values.tolist() == ["0.png", "2.png"]
