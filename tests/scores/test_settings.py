"""Whole published settings under one name, in scripts and in protocols."""

from __future__ import annotations

import re

import numpy as np
import pytest
from made import pair

from insilico.chain import score
from insilico.errors import ParameterError, ProtocolError, WeightsError
from insilico.phantom.scenes import draw_scene, render
from insilico.protocol.read import mistakes, read
from insilico.scores import KINDS
from insilico.scores.settings import SETTINGS, WEIGHED, expanded

PUBLISHED = ["pixcorr", "ssim", "alexnet2_two_way", "alexnet5_two_way", "inception_two_way"]
PUBLISHED += ["clip_l14_two_way", "efficientnet_b1_distance", "swav_distance"]


def scenes(n):
    return np.stack([render(draw_scene(9, "test", k)) for k in range(n)])


@pytest.mark.parametrize("name", ["mindeye2", "brain-diffuser"])
def test_a_paper_stands_for_all_its_metrics(name):
    steps = [KINDS.build(spec) for spec in expanded({"protocol": name, "weights": "judges"})]
    assert [step.label for step in steps] == [f"{metric}@{name}" for metric in PUBLISHED]
    assert [step.direction for step in steps] == ["higher"] * 6 + ["lower"] * 2
    assert {step.weights for step in steps if step.kind in WEIGHED} == {"judges"}


def test_what_names_one_metric_is_left_alone():
    assert expanded("ssim") == [{"kind": "ssim"}]
    one = {"kind": "ssim", "protocol": "mindeye2"}
    assert expanded(one) == [one]


def test_the_phantoms_setting_runs_under_names_of_its_own():
    shown = scenes(5)
    stimuli, made = pair(shown, shown[None])
    found = score(made, stimuli, {"protocol": "phantom"})
    labels = found["metric"].values.tolist()
    assert labels == [KINDS.build(spec).label for spec in SETTINGS["phantom"]]
    assert not any(word in label for label in labels for word in ("alexnet", "inception", "swav"))
    perfect = np.where(found["direction"] == "lower", 0, 1)
    np.testing.assert_allclose(found["value"].mean(("stimulus", "draw")), perfect, atol=1e-6)
    chance = np.where(found["direction"] == "lower", -1, 1) * (found["chance"] - perfect)
    assert (chance < -0.05).all()  # chance is worse than a perfect reconstruction, by each metric


def protocol(tmp_path, scores):
    path = tmp_path / "it.yaml"
    text = "title: it\npreset: phantom\nstimuli: {split: test, n: 4}\nconditions: {intact: {}}\n"
    path.write_text(f"{text}scores:\n{scores}")
    return path


def test_a_protocol_file_is_expanded_in_place(tmp_path):
    path = protocol(tmp_path, "  - bleu1\n  - protocol: phantom\n  - clip_cosine\n")
    kinds = [s if isinstance(s, str) else s["kind"] for s in read(path).protocol.scores]
    middle = [spec["kind"] for spec in SETTINGS["phantom"]]
    assert kinds == ["bleu1", *middle, "clip_cosine"]


def test_missing_weights_of_a_paper_are_told_at_its_line(tmp_path):
    path = protocol(tmp_path, "  - bleu1\n  - protocol: mindeye2\n  - clip_cosines\n")
    found = mistakes(path)
    assert len(found) == 7
    assert all("it.yaml:7:" in line for line in found[:6])
    assert "alexnet-owt-7be5be79.pth (244 MB" in found[0]
    assert "it.yaml:8:" in found[6]
    with pytest.raises(ProtocolError, match=r"it\.yaml:7:.*weights: FOLDER"):
        read(path)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("protocol: mindeye", "unknown protocol 'mindeye'.*did you mean 'mindeye2'"),
        ("{protocol: mindeye2, weight: x}", "unknown key 'weight'.*did you mean 'weights'"),
        ("{kind: ssim, protocol: x}", "unknown value 'x'; one of: mindeye2, brain-diffuser"),
        ("{kind: ssim, variant: 3d}", "unknown value '3d'; one of: 2d, columns"),
        ("{kind: two_way}", "'features' is missing"),
        ("{kind: two_way, features: alexnet}", "unknown features 'alexnet'"),
        ("{kind: n_way, features: clip, n: 1}", "greater than or equal to 2"),
        ("pixcorr\n  - {kind: pixcorr, protocol: null}", "the score pixcorr is repeated"),
    ],
)
def test_mistakes_in_scores_are_one_line_each(tmp_path, entry, said):
    found = mistakes(protocol(tmp_path, f"  - {entry}\n"))
    assert len(found) == 1
    assert re.search(said, found[0]), found[0]


def test_a_script_meets_the_same_errors():
    stimuli, made = pair(scenes(2), scenes(2)[None])
    with pytest.raises((WeightsError, ProtocolError), match="alexnet-owt"):
        score(made, stimuli, {"protocol": "mindeye2"})
    with pytest.raises(ParameterError, match="unknown protocol 'mindeye3'"):
        score(made, stimuli, [{"protocol": "mindeye3"}])
