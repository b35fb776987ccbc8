"""The memory on the command line: plans, measurements, and how a run is computed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))

from toy_world import install

from insilico import cli
from insilico.cli.parser import parser
from insilico.measuring import beside, measure
from insilico.measuring.stages import needs
from insilico.measuring.tables import budget
from insilico.weights import records
from insilico.weights.memory import plan
from insilico.weights.writing import written


@pytest.fixture
def study(monkeypatch, tmp_path):
    return install(monkeypatch, tmp_path)


def test_a_plan_is_printed_for_the_published_sizes(capsys):
    assert cli.main(["weights", "plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "published sizes, fp16, cuda; counted, nothing is loaded"
    assert lines[1].split() == ["stage", "weights", "an", "item", "batch", "held", "peak"]
    rows = {line.split("  ")[0]: line for line in lines[2:]}
    assert {"brain", "prior", "blurry", "unclip", "captioner", "refiner"} <= set(rows)
    assert "5.34 GB" in rows["unclip"]
    assert "in turn" in rows["unclip"]
    assert "memory 16.00 GB, peak 15.81 GB, of which 1.00 GB for the device itself" in lines
    assert "beside the decoder, each alone while it computes (fp32)" in lines
    sizes = {"encoder: MARY-Nano, a picture": "1.11 GB", "image tokens: bigG": "7.37 GB"}
    sizes |= {"sound: AudioLDM2, 10 s": "4.47 GB", "score: clip_l14": "1.71 GB"}
    assert all(size in rows[name] for name, size in sizes.items())


def test_what_fits_beside_the_decoder_is_told_network_by_network(capsys):
    assert cli.main(["weights", "plan", "--memory", "5GB", "--beams", "4"]) == 0
    rows = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert rows["sound: AudioLDM2, 10 s"][-3:] == ["none", "from", "5.6GB"]
    assert rows["image tokens: bigG"][-3:] == ["none", "from", "8.5GB"]
    assert rows["score: alexnet"][-3] == "32"
    captioner = next(row for row in rows.values() if row[:1] == ["captioner"])
    assert captioner[3:5] == ["236", "MB"]  # 65.4 MB with one beam, converter included


def tables(page):
    """Return the cells of every line of a page's tables."""
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_shows_what_is_planned():
    page = Path(__file__).parents[2] / "docs" / "weights.md"
    rows = {row[0]: row for row in reversed(tables(page))}  # the first of a name counts
    decoder = needs("full", "fp16")
    for column, memory in enumerate((5, 16, 24, 40), 3):
        made = plan(decoder, memory * 10**9)
        for share in made.shares:
            name, weights, item, batch, how, _ = share.row
            assert rows[name][1:3] == [weights, item]
            assert rows[name][column] == f"{batch} {how}"
        assert rows["peak"][column] == written(made.peak)
    for column, memory in ((3, 5), (4, 16)):
        for line in beside.table(memory * 10**9, "cuda").splitlines()[1:]:
            name, weights, item, batch, peak = re.split(r"  +", line)
            assert rows[name][1:3] == [weights, item]
            assert rows[name][column] == (peak if batch == "none" else batch)


def test_the_page_shows_what_is_counted():
    rows = {row[0]: row[1:] for row in tables(Path(__file__).parents[2] / "docs" / "weights.md")}
    for line in budget().splitlines()[1:]:
        name, *cells = re.split(r"  +", line)
        assert rows[name] == cells


def test_too_little_memory_for_any_plan_says_the_least_that_works(capsys):
    assert cli.main(["weights", "plan", "--memory", "3GB"]) == 2
    said = capsys.readouterr().err
    assert said.count("error:") == 1
    assert (
        "stage 'brain' takes 4.52 GB with one item at a time; the least that works is 4.6GB" in said
    )
    assert cli.main(["weights", "plan", "--memory", "lots"]) == 2
    assert "memory is 'lots'; write it with a unit, such as 24GB" in capsys.readouterr().err


def test_measuring_says_that_it_is_reduced_and_compares_results(capsys):
    assert cli.main(["weights", "measure", "--n", "2", "--only", "brain", "captioner"]) == 0
    said = capsys.readouterr().out
    assert "size: small (REDUCED, not the published networks)" in said
    assert "device: cpu (no GPU: no speed of a GPU is shown)" in said
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line}
    assert rows["brain"][1] == "3,903,772"
    assert float(rows["brain"][2]) < 1e-5
    assert float(rows["captioner"][2]) < 1e-5
    reported = next(line for line in said.splitlines() if line.startswith("Ridge"))
    assert reported.split()[-7:] == ["8.91", "2.16B", "2.227B", "8.91", "GB", "4.46", "GB"]
    assert "4.495B  17.98 GB" in said


def test_every_stage_is_measured_the_same_in_both_settings():
    rows, _ = measure(n=2, only=("prior", "blurry"))
    assert [row.name for row in rows] == ["prior", "blurry"]
    for row in rows:
        assert row.difference < 1e-2, row.name
        assert row.authors.weights == row.ours.weights
        assert row.authors.weights < row.authors.peak <= row.ours.peak
        assert row.authors.seconds > 0
        assert row.batch == 2


@pytest.mark.slow
def test_the_whole_chain_is_measured():
    rows, _ = measure(n=2)
    assert len(rows) == 8
    assert all(row.difference < 1e-2 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["weights", "measure", "--only", "unclop"], "unknown stage 'unclop'; one of:"),
        (["weights", "measure", "--device", "tpu"], "device 'tpu' is not here"),
        (["translate", "a dog", "--memory", "9kB"], "memory 9 kB is too little: stage"),
        (["run", "STUDY", "--memory", "0GB"], "memory is '0GB'; write it with a unit"),
    ],
)
def test_mistakes_are_told_before_any_work(
    arguments,
    message,
    study,
    tmp_path,
    capsys,
    monkeypatch,
):
    monkeypatch.chdir(tmp_path)
    given = [str(study) if word == "STUDY" else word for word in arguments]
    assert cli.main(given) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.nc"))


def test_how_a_run_is_computed_is_said_on_its_line():
    for command in (["run", "x.yaml"], ["translate", "a dog"]):
        given = parser().parse_args([*command, "--batch", "4", "--compile", "--memory", "24GB"])
        assert (given.batch, given.compile, given.memory) == (4, True, "24GB")
        plain = parser().parse_args(command)
        assert (plain.batch, plain.compile, plain.memory) == (None, False, None)


def test_a_large_file_tells_how_far_its_digest_is(tmp_path, monkeypatch):
    from hashlib import sha256

    from insilico.step import computing

    content, heard = bytes(range(256)) * 40_000, []
    (tmp_path / "last.pth").write_bytes(content)
    monkeypatch.setattr(records, "PART", 4_000_000)
    with computing(progress=lambda *news: heard.append(news)):
        assert records.sha256(tmp_path / "last.pth") == sha256(content).hexdigest()
        assert heard == []
        monkeypatch.setattr(records, "LARGE", 10_000_000)
        records.sha256(tmp_path / "last.pth")
    what = "digest of last.pth (MB)"
    assert heard == [(what, 4, 10), (what, 8, 10), (what, 10, 10)]
