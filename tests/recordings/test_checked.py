"""What `insilico check` and `insilico doctor` know of a copy of NSD before anything is computed."""

from __future__ import annotations

import sys

import h5py
import nsd_tree
import numpy as np
import pytest
from nsd_tree import SHAPE, TRIALS

from insilico.cli import main
from insilico.errors import RecordingError
from insilico.protocol.read import mistakes
from insilico.recordings.betas import check_head
from insilico.recordings.nsd import NSD

PROTOCOL = """\
title: Ceilings
seed: 0
stimuli: {{kind: nsd, root: {root}, split: test, n: 4, at_least: 3}}
recording: {{kind: nsd, root: {root}, betas: b2}}
statistics: {{ceiling: {{kind: noise_ceiling, space: voxels, n: 5}}}}
"""


@pytest.fixture
def mini(tmp_path):
    made = nsd_tree.write(tmp_path / "nsd")
    (tmp_path / "p.yaml").write_text(PROTOCOL.format(root=made.root))
    return made


@pytest.fixture
def told(tmp_path, mini):
    return lambda **changes: mistakes(tmp_path / "p.yaml", changes)


def session(mini, number=1):
    return mini.betas() / f"betas_session{number:02d}.hdf5"


def test_a_whole_copy_is_right(told):
    assert told() == []


def test_a_session_cut_short_is_told(told, mini):
    file = session(mini, 3)
    file.write_bytes(file.read_bytes()[:-200])
    (line,) = told()
    assert "session03.hdf5: cut short or damaged" in line
    assert "recording" in line


def test_betas_of_another_type_or_number_are_told_together(told, mini):
    for number, values in ((1, np.zeros((TRIALS, *SHAPE[::-1]), np.float32)), (2, None)):
        with h5py.File(session(mini, number), "w") as file:
            if values is not None:
                file["betas"] = values
            else:
                file["betas"] = np.zeros((TRIALS - 1, *SHAPE[::-1]), np.int16)
    (line,) = told()
    assert "session01.hdf5: holds float32; NSD's betas in the volume are int16" in line
    assert f"session02.hdf5: {TRIALS - 1} trials; sessions of this design have {TRIALS}" in line


def test_a_surface_cut_short_is_told(tmp_path):
    mini = nsd_tree.truth(tmp_path)
    nsd_tree.write_surface_session(mini, 1)
    file = mini.betas("fsaverage") / "lh.betas_session01.mgh"
    check_head(file, TRIALS)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RecordingError, match="lh.betas_session01.mgh: cut short"):
        check_head(file, TRIALS)


def test_too_few_repeats_in_the_sessions_asked_for_are_told(told):
    (line,) = told(**{"recording.sessions": [1, 3]})
    assert "of these 4 stimuli fewer than 3 times" in line
    assert "at_least: 3" in line
    assert told(**{"recording.n_repeats": 2}) == []


def test_a_missing_mask_is_no_question_of_sessions(mini):
    mini.roi("nsdgeneral").unlink()
    with pytest.raises(RecordingError, match="nsdgeneral.nii.gz") as error:
        NSD(root=mini.root, betas="b2").digests()
    assert "set sessions" not in str(error.value)
    session(mini, 2).unlink()
    with pytest.raises(RecordingError, match=r"2 files missing: .*set sessions: \[1, 3\]"):
        NSD(root=mini.root, betas="b2").digests()


def test_the_doctor_tells_of_presets_regions_and_types(mini, capsys):
    assert main(["doctor", "--nsd", str(mini.root)]) == 0
    out = capsys.readouterr().out
    assert "recording.betas" not in out
    (regions,) = [line for line in out.splitlines() if "subject 1 regions" in line]
    assert "part" in regions
    assert "prf-visualrois" in regions.split("not here:")[0]
    assert "prf-eccrois" in regions.split("not here:")[1]
    mini.betas().rename(mini.betas(version="betas_fithrf_GLMdenoise_RR"))
    with h5py.File(mini.betas(version="betas_fithrf_GLMdenoise_RR") / session(mini).name, "w") as f:
        f["betas"] = np.zeros((TRIALS, *SHAPE[::-1]), np.float32)
    assert main(["doctor", "--nsd", str(mini.root)]) == 1
    out = capsys.readouterr().out
    assert "the presets of NSD read b2: get betas_fithrf, or --set recording.betas=b3" in out
    assert "holds float32" in out


@pytest.mark.parametrize(
    ("score", "needed"),
    [("meteor", True), ("{kind: bleu4, words: ptb}", True), ("bleu4", False), ("rouge1", False),
     ("{kind: rouge1, stem: true}", True)],
)  # fmt: skip
def test_a_package_that_a_score_lacks_is_told(monkeypatch, tmp_path, score, needed):
    monkeypatch.setitem(sys.modules, "nltk", None)
    (tmp_path / "p.yaml").write_text(
        "title: T\npreset: phantom\nseed: 0\nstimuli: {n: 2}\nconditions: {intact: {}}\n"
        f"scores: [{score}]\n"
    )
    found = mistakes(tmp_path / "p.yaml")
    assert ["needs nltk: pip install 'insilico[words]'" in line for line in found] == [
        True
    ] * needed
