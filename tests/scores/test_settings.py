"""Whole published settings under one name, in scripts and in protocols."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from made import pair

from insilico import cli
from insilico.errors import ParameterError, ProtocolError, WeightsError
from insilico.phantom.scenes import draw_scene, render
from insilico.protocol.read import mistakes, read
from insilico.run.store import read_entry
from insilico.scores import KINDS
from insilico.scores.settings import REGIONS, SETTINGS, expanded
from insilico.scoring import score
from insilico.weights.folders import digest, folder

PUBLISHED = ["pixcorr", "ssim", "alexnet2_two_way", "alexnet5_two_way", "inception_two_way"]
PUBLISHED += ["clip_l14_two_way", "efficientnet_b1_distance", "swav_distance"]


def scenes(n):
    return np.stack([render(draw_scene(9, "test", k)) for k in range(n)])


@pytest.mark.parametrize("name", ["mindeye2", "brain-diffuser"])
def test_a_paper_stands_for_all_its_metrics(name):
    steps = [KINDS.build(spec) for spec in expanded({"protocol": name, "weights": "judges"})]
    assert [step.label for step in steps] == [f"{metric}@{name}" for metric in PUBLISHED]
    assert [step.direction for step in steps] == ["higher"] * 6 + ["lower"] * 2
    assert {step.weights for step in steps if "features" in type(step).model_fields} == {"judges"}


def test_the_caption_table_names_its_networks_and_pairs_each_metric():
    steps = [KINDS.build(s) for s in expanded({"protocol": "mindeye2-captions"})]
    assert [step.label.removeprefix("caption_pairings of ") for step in steps] == [
        "meteor_exact_stem",
        "rouge1",
        "rouge_l",
        "sentence_cosine",
        "clip_text_cosine (clip-vit-base-patch32)",
        "clip_text_cosine",
    ]
    mine = expanded({"protocol": "mindeye2-captions", "weights": "/j", "wordnet": "/w"})
    assert mine[0]["of"] == {"kind": "meteor", "wordnet": "/w"}
    assert [one["of"].get("weights") for one in mine[3:]] == [
        "/j/all-MiniLM-L6-v2",
        "/j/clip-vit-base-patch32",
        "/j/clip-vit-large-patch14",
    ]


def test_retrieval_and_brain_correlation_are_the_published_ones():
    both = [KINDS.build(s) for s in expanded({"protocol": "mindeye2-retrieval", "weights": "/j"})]
    assert [step.given for step in both] == ["brain", "image"] * 2
    assert [step.form for step in both] == ["pools"] * 2 + ["items"] * 2
    for step in both:
        found = (step.pool, step.draws, step.weights, step.preprocessing, step.through)
        assert found == (300, 30, "/j", "mindeye2", 256)
    (brain,) = expanded({"protocol": "mindeye2-brain", "weights": "/j"})
    assert KINDS.build(brain).regions == REGIONS
    assert (brain["weights"], brain["masks"], brain["through"]) == ("/j", "/j", 256)


def test_networks_of_the_caption_table_are_looked_for_in_the_weights_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSILICO_WEIGHTS", str(tmp_path))
    sentence = KINDS.build(expanded({"protocol": "mindeye2-captions"})[3])
    wanted = r"no all-MiniLM-L6-v2/ in .*: put it there \(.*90.9 MB; from https://hugg"
    with pytest.raises(WeightsError, match=wanted):
        sentence.digests()
    shutil.copytree(folder("phantom", "judge_clip"), tmp_path / "all-MiniLM-L6-v2")
    assert sentence.digests()["sentence_encoder"] == digest(folder("phantom", "judge_clip"))


def test_the_phantoms_captions_and_retrieval_run(tmp_path, capsys):
    path = tmp_path / "it.yaml"
    path.write_text(
        "title: it\npreset: phantom\nstimuli: {split: test, n: 4}\n"
        "conditions: {measured: {source: recording}}\n"
        "decoder: {prior_steps: 4, steps: 2, keep: [clip_voxels]}\ncaptioner: git\n"
        "scores:\n  - protocol: phantom-captions\n  - {protocol: phantom-retrieval, pool: 4}\n"
    )
    where = ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    assert cli.main(["run", str(path), *where]) == 0
    found = read_entry(tmp_path / "out" / "score.nc")
    named = found["metric"].values.tolist()
    pairs = ("img_ref", "brain_ref", "brain_img", "relative")
    words = ("meteor_exact_stem", "rouge1", "rouge_l", "phantom_text_cosine")
    assert named[:16] == [f"{word} {pair}" for word in words for pair in pairs]
    assert named[16:] == ["retrieval_image_from_brain", "retrieval_brain_from_image"]
    assert found["value"].sel(metric=named[16:]).notnull().all()
    assert found["set_metric"].values.tolist() == [f"{name}_pools" for name in named[16:]]


def test_what_a_table_needs_of_the_decoder_is_told_by_check(tmp_path):
    path = protocol(tmp_path, "  - {protocol: phantom-retrieval, pool: 4}\n")
    wanted = "reads tokens that the decoder must keep: set decoder.keep: [clip_voxels]"
    assert [wanted in line for line in mistakes(path)] == [True, True]  # each direction once
    text = path.read_text().replace("pool: 4", "pool: 5")
    path.write_text(text + "decoder: {keep: [clip_voxels]}\n")
    wanted = "has a pool of 5, and 'stimuli' shows 4: show more, or set pool to 4"
    assert [wanted in line for line in mistakes(path)] == [True, True]


def rows():
    """Return the rows of the tables of metrics and of published settings, by their first cells."""
    docs = Path(__file__).parents[2] / "docs"
    text = "".join((docs / name).read_text("utf-8") for name in ("scores.md", "scores-words.md"))
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {name: cells for cells in lines for name in re.findall("`([^`]+)`", cells[0])}


def test_every_metric_has_its_definition_source_variant_and_chance_on_a_page():
    known = rows()
    asides = {"caption_pairings"}  # metrics of their own: `meteor… img_ref`
    numbered = {"bleu2": "bleu1", "bleu3": "bleu1"}
    for kind in KINDS.kinds:
        name = numbered.get(kind, "FEATURES_N_way" if kind == "n_way" else kind)
        name = name if name in known else f"FEATURES_{name}"
        name = "brain_correlation <region>" if kind == "brain_correlation" else name
        if kind not in asides:
            assert len(known[name]) >= 6, kind
            assert all(cell.strip() for cell in known[name][1:3]), kind
    assert set(SETTINGS) <= set(known)
    pairs = ("img_ref", "brain_ref", "brain_img", "relative")
    assert {f"meteor… {pair}" for pair in pairs} <= set(known)


def test_what_names_one_metric_is_left_alone():
    assert expanded("ssim") == [{"kind": "ssim"}]
    one = {"kind": "ssim", "protocol": "mindeye2"}
    assert expanded(one) == [one]


def test_the_phantoms_setting_runs_under_names_of_its_own():
    shown = scenes(5)
    stimuli, made = pair(shown, shown[None])
    found = score(made, stimuli, {"protocol": "phantom"})
    labels = found["metric"].values.tolist()
    assert labels == [KINDS.build(spec).label for spec in expanded({"protocol": "phantom"})]
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
    middle = [spec["kind"] for spec in expanded({"protocol": "phantom"})]
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
