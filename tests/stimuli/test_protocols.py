"""Every kind of stimuli in a whole protocol."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from PIL import Image

from insilico.errors import ProtocolError
from insilico.job import walk
from insilico.protocol.plan import plan
from insilico.protocol.read import read

PROTOCOL = """\
title: A stranger's own files
preset: phantom
stimuli: {kind: %s, path: %s}
conditions:
  intact: {}
  silenced: {perturb: {kind: ablate, atlas: yeo7, region: Visual, fill: mean}}
scores: [bleu1]
"""


@pytest.fixture
def files(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    (tmp_path / "a.mp4").write_bytes(b"a film is looked into when it is shown")
    (tmp_path / "a.txt").write_text("a cat\n")
    (tmp_path / "a.csv").write_text("id,image,caption\nx,a.png,a cat\n")
    (tmp_path / "events.csv").write_text(
        "timeline,type,start,duration,filepath\nx,Image,0,1,a.png\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("images", "a.png"),
        ("images", ""),
        ("sounds", "a.wav"),
        ("films", "a.mp4"),
        ("captions", "a.txt"),
        ("captions", "a.csv"),
        ("table", "a.csv"),
        ("events", "events.csv"),
    ],
)
def test_a_protocol_of_own_files_plans(files, kind, name):
    path = files / "p.yaml"
    path.write_text(PROTOCOL % (kind, files / name))
    work = plan(read(path).protocol)
    assert work.stimuli.step.kind == kind
    names = [job.name for job in walk(work.targets())]
    assert {f"stimuli {kind}", f"encode {kind}", "decode silenced"} <= set(names)
    before = work.key
    file = files / (name or "a.png")
    file.write_bytes(file.read_bytes() + b"\n")
    assert plan(read(path).protocol).key != before


@pytest.mark.parametrize("kind", ["images", "sounds", "films", "captions", "table", "events"])
def test_a_missing_file_is_named_before_anything_runs(tmp_path, kind):
    path = tmp_path / "p.yaml"
    path.write_text(PROTOCOL % (kind, "/nowhere/gone.csv"))
    with pytest.raises(ProtocolError, match=r"p\.yaml:3:stimuli: /nowhere/gone\.csv: "):
        read(path)
