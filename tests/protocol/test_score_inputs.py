from __future__ import annotations

import pytest
import torch

import insilico as isi
from insilico.errors import ProtocolError
from insilico.protocol.plan import plan
from insilico.protocol.read import mistakes, read

TEXT = """\
title: Scores that ask for more
preset: phantom
stimuli: {{n: 3}}
{more}
conditions:
  measured: {{source: recording}}
  intact: {{}}
scores:
  - bleu1
  - {{kind: caption_pairings, of: bleu1}}
  - {{kind: brain_correlation, weights: {gnet}, subject: 1}}
"""


@pytest.fixture
def write(tmp_path):
    torch.save({}, tmp_path / "gnet_multisubject.pt")  # digests alone are asked for
    (tmp_path / "gnet_multisubject.json").write_text("{}")

    def written(more="captioner: git", text=TEXT):
        path = tmp_path / "p.yaml"
        path.write_text(text.format(more=more, gnet=tmp_path))
        return path

    return written


def test_scores_get_what_their_call_names(write):
    made = plan(read(write()).protocol)
    for branch in made.branches:
        words, pairings, brain = branch.scores
        recon, shown = branch.reconstruction.key, branch.stimuli.key
        assert [job.key for job in words.inputs] == [recon, shown]
        assert [job.key for job in pairings.inputs[:2]] == [recon, shown]
        captioned = pairings.inputs[2]
        assert captioned.step.kind == "git"
        assert captioned.inputs[0].step.kind == "as_shown"
        assert captioned.inputs[0].inputs[0].key == shown
        recording = brain.inputs[2].step
        assert (recording.kind, recording.space, recording.repeats) == ("phantom", "voxels", "keep")
        assert brain.inputs[2].inputs[0].key == shown
    one, other = (branch.scores[1].inputs[2].key for branch in made.branches)
    assert one == other  # the captioner is asked once, not for every condition


def test_what_is_missing_is_found_before_anything_is_run(write):
    [found] = mistakes(write(more="seed: 1"))
    assert "p.yaml:10:scores.1: caption_pairings needs a captioner: add 'captioner'" in found
    assert "condition 'measured' has none" in found
    text = TEXT.replace("preset: phantom", "encoder: mary_nano\ndecoder: mindeye2")
    text = text.replace("stimuli: {{n: 3}}", "stimuli: {{kind: phantom, n: 3}}")
    text = text.replace("  measured: {{source: recording}}\n", "")
    [found] = mistakes(write(text=text))
    assert "scores.2: brain_correlation needs measured responses: add 'recording'" in found


def test_a_gnet_that_is_not_there_is_a_line_of_check(write, tmp_path):
    path = write()
    (tmp_path / "gnet_multisubject.pt").unlink()
    [found] = mistakes(path)
    assert "scores.2: brain_correlation: no GNet at" in found


def test_in_python_one_error_says_what_to_give(write, tmp_path):
    stimuli, made = isi.sample("stimuli"), isi.sample("reconstruction")
    asked = ["pixcorr", {"kind": "brain_correlation", "weights": str(tmp_path)}]
    write()
    with pytest.raises(ProtocolError, match="needs the measured response .*measured=chain.record"):
        isi.score(made, stimuli, asked)
