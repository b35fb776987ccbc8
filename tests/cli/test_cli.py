from __future__ import annotations

import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))

from toy_world import install

from insilico import cli
from insilico.cli import commands
from insilico.errors import counted
from insilico.report import experiment


@pytest.fixture
def study(monkeypatch, tmp_path):
    return install(monkeypatch, tmp_path)


def test_help_is_quick_and_light():
    script = (
        "import sys, insilico.cli as c\n"
        "try: c.main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'xarray', 'pydantic', 'matplotlib', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
    assert time.perf_counter() - start < 2  # 0.05 s on an idle machine


def test_run_prints_the_summary_and_where_it_is(study, tmp_path, capsys):
    assert cli.main(["run", str(study), "--out", str(tmp_path / "out"), "--set", "seed=8"]) == 0
    said = capsys.readouterr().out
    assert "A toy study" in said
    assert "Simulated" in said
    assert "phantom7 in place of yeo7" in said
    assert f"43 jobs computed; results in {tmp_path / 'out'}" in said
    assert (tmp_path / "out" / "summary.txt").read_text().strip() in said
    assert cli.main(["run", str(study), "--out", str(tmp_path / "out"), "--set", "seed=8"]) == 0
    assert "nothing to compute" in capsys.readouterr().out


def test_the_default_folder_is_named_by_protocol_and_key(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", str(study)]) == 0
    assert [path.name[:6] for path in (tmp_path / "runs").iterdir()] == ["study-"]


def test_failures_give_status_2_and_one_line_each(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOY_FAIL", "1")
    assert cli.main(["run", str(study), "--out", str(tmp_path / "out")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert lines[0] == "error: perturb silenced/Limbic: toy: Limbic is not to be silenced here"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "error: nowhere.yaml: no such file; give a path, or one of"),
        (["run", "STUDY", "--set", "sed=1"], "error: --set sed: unknown key 'sed'; one of:"),
        (["run", "STUDY", "--set", "seed"], "error: --set seed: write it as key=value, such as"),
        (["run", "STUDY", "--device", "tpu"], "error: device 'tpu' is not here; there are: cpu"),
        (["run", "STUDY", "--out", "STUDY"], "is a file; name a folder"),
        (["run", "STUDY", "--out", "/proc/x/y"], "error: /proc/x/y cannot be written ("),
        (["run", "STUDY", "--store", "/proc/x/y"], "cannot be written ("),
        (["translate", "nowhere.jpg"], "error: nowhere.jpg: no such file; if these are words"),
        (["translate", "STUDY"], "study.yaml: not a picture, a sound, a film or a text (.txt)"),
        (["translate", ""], "error: the text: an empty caption; write one or take it out"),
        (["translate", "a dog", "--set", "decoder"], "error: --set decoder: write it as"),
        (["phantom", "train", "clop"], "error: unknown network 'clop'; one of: clip,"),
        (
            ["fetch", "atlases", "yeo8"],
            "error: unknown atlas 'yeo8'; one of: areas,",
        ),
        (
            ["fetch", "atlases", "phantom7"],
            "error: phantom7 ships with insilico, or is yours",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments, message, study, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = [str(study) if word == "STUDY" else word for word in arguments]
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if line.startswith("error: ")] == said.splitlines()[
        -1:
    ]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "stopped; what was done is kept"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x"),
            2,
            "no space left on the disk: /x",
        ),
    ],
)
def test_what_ends_a_run_from_outside(error, status, message, study, monkeypatch, capsys):
    def ends(*args, **kwargs):
        raise error

    monkeypatch.setattr(experiment, "run", ends)
    assert cli.main(["run", str(study)]) == status
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_the_traceback(place):
    command = ["run", "nowhere.yaml"]
    command = ["--debug", *command] if place == "before" else [*command, "--debug"]
    with pytest.raises(Exception, match="no such file"):
        cli.main(command)


@pytest.mark.parametrize("words", [["run"], ["run", "x", "--jobs", "0"], ["list", "atlasses"], []])
def test_wrong_usage_is_status_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2
    assert "usage: insilico" in capsys.readouterr().err


def test_numbers_agree_with_their_nouns():
    assert [counted(n, "job") for n in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    assert (counted(1, "stimulus"), counted("3-4", "vertex")) == ("1 stimulus", "3-4 vertices")


def test_check_says_what_would_run(study, capsys, tmp_path):
    assert cli.main(["check", str(study)]) == 0
    said = capsys.readouterr().out
    assert "8 conditions, 2 statistics" in said
    assert "43 jobs to compute" in said
    study.write_text(study.read_text().replace("silenced,", "silent,").replace("[brig", "[bring"))
    assert cli.main(["check", str(study)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[2] for line in lines] == ["10", "13"]


def test_list_names_everything(capsys):
    assert cli.main(["list"]) == 0
    said = capsys.readouterr().out
    for word in (
        "yeo7_gap: Where synthetic",
        "phantom (phantom7 in place of yeo7; phantom_areas in place of areas",
        "mary_nano",
        "ablate",
        "pca, ridge",
        "mindeye2",
        "pixcorr",
        "encoding_accuracy",
        "network_gap",
        "Vis, SomMot, DorsAttn, SalVentAttn, Limbic, Cont, Default",
    ):
        assert word in said
    assert cli.main(["list", "adapters"]) == 0
    said = capsys.readouterr().out
    assert "\n  ridge: " in said
    assert "\n    alpha = 1000" in said
    assert cli.main(["list", "figures"]) == 0
    said = capsys.readouterr().out
    assert "\n    of\n    beside\n" in said.partition("  area_lesions: ")[2]
    assert "\n    n = 6\n" in said.partition("  reconstruction_grid: ")[2]


def test_phantom_train_calls_each_network_in_order(monkeypatch, tmp_path, capsys):
    called = []

    def train(folder, *, cache, seed=3, device="cpu"):
        called.append((folder, cache, seed, device))

    monkeypatch.setattr(commands, "_named", lambda address: train)
    words = ["phantom", "train", "unclip", "clip", "--folder", "f", "--cache", "c", "--seed", "5"]
    assert cli.main(words) == 0
    assert called == [(Path("f"), Path("c"), 5, "cpu")] * 2
    assert capsys.readouterr().err.split() == ["training", "clip", "training", "unclip"]
