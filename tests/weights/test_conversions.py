"""Conversions are made once, whole or not at all, of files that nobody changed."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from tiny_networks import RUN, tiny_mindeye2, with_last

from insilico.errors import WeightsError
from insilico.weights.authors import place
from insilico.weights.folders import folder, source, used


def test_a_changed_file_is_told_and_can_be_accepted(hub):
    from insilico.weights.inventory import examined

    path = with_last(hub, tiny_mindeye2())
    before = used(str(hub), "mindeye2")
    os.utime(path, ns=(1, 1))  # copied anew: another time, the same content
    assert used(str(hub), "mindeye2") == before
    with_last(hub, tiny_mindeye2([12]))
    with pytest.raises(WeightsError, match="was changed since it was first used .* --accept"):
        used(str(hub), "mindeye2")
    name = f"train_logs/{RUN}/last.pth"
    assert "changed" in next(f.damage for f in examined(hub) if f.row.path == name)
    assert not any(found.damage for found in examined(hub, (name,)))
    assert used(str(hub), "mindeye2") != before


def test_settings_are_part_of_the_identity(hub):
    path = with_last(hub, tiny_mindeye2())
    before = used(str(hub), "mindeye2")
    path.with_suffix(".json").write_text('{"blurry": {"groups": 2}}')
    assert used(str(hub), "mindeye2") != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ('["groups"]', "write settings as"),
        ('{"blury": {}}', r"last\.json: unknown part 'blury'.* \(did you mean 'blurry'\?\)"),
        ('{"blurry": {"groups": 3}}', "divisible by num_groups"),
    ],
)
def test_settings_that_are_wrong_are_told(hub, text, message):
    with_last(hub, tiny_mindeye2()).with_suffix(".json").write_text(text)
    with pytest.raises(WeightsError, match=message):
        folder(str(hub), "mindeye2")


def test_a_conversion_is_made_once(hub):
    with_last(hub, tiny_mindeye2())
    made = folder(str(hub), "mindeye2")
    stamp = (made / "model.safetensors").stat().st_mtime_ns
    assert folder(str(hub), "mindeye2") == made
    assert (made / "model.safetensors").stat().st_mtime_ns == stamp


def test_what_a_killed_conversion_left_is_cleared(hub):
    path = with_last(hub, tiny_mindeye2())
    target = place(hub, "mindeye2", path)
    left = target.parent / f".{target.name}.x1.part"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    assert folder(str(hub), "mindeye2") == target
    assert not left.exists()


def test_no_space_is_one_error_and_leaves_nothing(hub, monkeypatch):
    with_last(hub, tiny_mindeye2())
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 1000))
    with pytest.raises(WeightsError, match=r"needs .*B in .*no space \(1 kB are free\); make room"):
        folder(str(hub), "mindeye2")
    monkeypatch.undo()
    assert folder(str(hub), "mindeye2").is_dir()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_disk_that_fills_up_is_one_error_and_leaves_nothing(hub, monkeypatch):
    from insilico.weights import authors, writing

    with_last(hub, tiny_mindeye2())
    monkeypatch.setattr(
        authors,
        "write_tensors",
        lambda path, tensors: writing.write_tensors(Path("/dev/full"), tensors),
    )
    with pytest.raises(WeightsError, match="no space"):
        folder(str(hub), "mindeye2")
    assert not list((hub / "converted").glob("mindeye2*"))


def test_conversions_go_where_they_are_told(hub, tmp_path, monkeypatch):
    with_last(hub, tiny_mindeye2())
    monkeypatch.setenv("INSILICO_CONVERTED", str(tmp_path / "elsewhere"))
    made = folder(str(hub), "mindeye2")
    assert made.is_relative_to(tmp_path / "elsewhere")
    assert not (hub / "converted").exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INSILICO_CONVERTED", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="cannot be written to .* INSILICO_CONVERTED"):
        folder(str(hub), "mindeye2")


def test_missing_files_say_what_how_large_and_where(hub):
    with pytest.raises(
        WeightsError, match=r"put train_logs/final_subj01.*/last\.pth \(.*8\.91 GB; from https.*hub"
    ):
        source(str(hub), "mindeye2")
    with pytest.raises(WeightsError, match=r"put unclip6_.*\.ckpt \(.*17\.98 GB; from https"):
        source(str(hub), "unclip")
    with pytest.raises(WeightsError, match=r"put git-large-coco/ .*huggingface\.co/microsoft"):
        source(str(hub), "captioner")


def test_published_weights_are_those_of_the_environment(hub, monkeypatch):
    with_last(hub, tiny_mindeye2())
    monkeypatch.setenv("INSILICO_WEIGHTS", str(hub))
    assert source("published", "mindeye2") == hub / "train_logs" / RUN / "last.pth"


def test_a_record_that_is_none_is_told(hub):
    with_last(hub, tiny_mindeye2())
    (hub / "insilico-digests.json").write_text("[1]")
    with pytest.raises(WeightsError, match="no record of digests"):
        used(str(hub), "mindeye2")
