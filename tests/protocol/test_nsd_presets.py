"""The presets of NSD: right where the files are, one clear list where they are not."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "weights"))
from authors_layout import write_hub

from insilico.errors import InsilicoError
from insilico.phantom.export import export
from insilico.protocol.plan import plan
from insilico.protocol.read import complete, find, mistakes, presets, read
from insilico.stimuli.nsd import NSDPictures
from insilico.weights.catalogue import published
from insilico.weights.folders import folder

BAD = """\
preset: nsd-subj01
conditions: {intact: {}, measured: {source: recording}}
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("exported") / "nsd", n_test=3, n_train=4)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    for name in ("INSILICO_NSD", "INSILICO_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "p.yaml"
    file.write_text(BAD)
    return file


@pytest.mark.parametrize("subject", [1, 2, 5, 7])
def test_a_preset_is_of_one_subject(subject):
    name = f"nsd-subj{subject:02d}"
    assert name in presets()
    data = complete(find("yeo7_gap"), {"preset": name}).data
    assert {data[s]["subject"] for s in ("stimuli", "training", "recording")} == {subject}
    assert data["decoder"]["weights"] == "published"
    assert published(f"train_logs/{data['decoder']['model']}/last.pth").holds.endswith(
        f"subject {subject}, fine-tuned on 40 sessions"
    )


def test_what_is_missing_is_one_list_each_thing_once(bare):
    told = mistakes(bare)
    assert len(told) == len({line.split(": ", 1)[1] for line in told}) == 5
    nsd, encoder, *decoder = told
    assert "set INSILICO_NSD" in nsd
    assert "data-use agreement" in nsd
    assert nsd.count("the same at") == 1  # stimuli, training and recording say it once
    assert "INSILICO_TRIBE is not set" in encoder
    assert "preds.npy" in encoder
    wanted = ("train_logs/final_subj01_pretrained_40sess_24bs/last.pth", "unclip6", "git-large")
    assert all(name in line for name, line in zip(wanted, decoder, strict=True))


def test_three_variables_are_all_that_a_preset_takes(exported, tmp_path, monkeypatch):
    """The README's recipe: networks, NSD and predictions where the variables say, nothing set."""
    root = exported
    shown = [NSDPictures(root=root, split=split)() for split in ("test", "train")]
    ids = [str(name) for part in shown for name in part["stimulus"].values]
    tribe, hub = tmp_path / "tribe", tmp_path / "hub"
    tribe.mkdir()
    bold = np.random.default_rng(0).standard_normal((len(ids), 20484)).astype(np.float32)
    np.save(tribe / "preds.npy", bold)
    rows = "".join(f"{name},0.0,1.0\n" for name in ids)
    (tribe / "segments.csv").write_text("timeline,start,duration\n" + rows)
    write_hub(folder("phantom", "mindeye2").parent, hub, "final_subj01_pretrained_40sess_24bs")
    for name, place in (("NSD", root), ("TRIBE", tribe), ("WEIGHTS", hub)):
        monkeypatch.setenv(f"INSILICO_{name}", str(place))
    smaller = {  # what the exported phantom has less of than NSD
        "stimuli.n": 3,
        "adapter.pairs": 4,
        "recording.betas": "b3",
        "bindings.yeo7": "phantom7",
        "statistics.accuracy.stimuli": "{split: test, n: 3}",
    }
    assert mistakes(find("yeo7_gap"), {"preset": "nsd-subj01", **smaller}) == []
    monkeypatch.setenv("INSILICO_TRIBE", str(hub))
    told = mistakes(find("yeo7_gap"), {"preset": "nsd-subj01", **smaller})
    assert len(told) == 1
    assert f"{hub / 'preds.npy'}: no such file" in told[0]


def test_a_region_of_nsd_is_known_by_name(bare):
    lesion = "{source: recording, perturb: {kind: ablate, atlas: floc-faces, region: FFA-7}}"
    told = mistakes(bare, {"conditions.lesion": lesion})
    assert any("unknown region of floc-faces 'FFA-7'; one of: OFA, FFA-1" in t for t in told)
    right = lesion.replace("FFA-7", "FFA-1")
    assert not any("floc-faces" in t for t in mistakes(bare, {"conditions.lesion": right}))


STATISTICS = {
    "labels of a recording's own": ("{kind: noise_ceiling, by: floc-faces}", None),
    "none of all subjects": ("{kind: cross_subject, by: floc-faces, subjects: [1, 2, 3]}",
                             "unknown atlas 'floc-faces'"),
    "voxels": ("{kind: noise_ceiling, space: voxels}", None),
    "no such space": ("{kind: noise_ceiling, space: mni}", "unknown space 'mni'"),
    "nothing to do with space": ("{kind: encoding_accuracy, by: phantom7, space: voxels}", "takes no space"),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "words"), STATISTICS.values(), ids=STATISTICS)
def test_whose_regions_and_which_space_a_statistic_may_take(spec, words):
    told = mistakes("noise_ceiling", {"statistics.more": spec})
    assert [words in line for line in told] == ([True] if words else []), told


def test_a_statistic_in_voxels_is_given_voxels_and_what_the_adapter_makes():
    spec = "{kind: explained_variance, space: voxels, stimuli: {split: test, n: 5}}"
    work = plan(read("noise_ceiling", {"statistics.more": spec}).protocol)
    adapted, measured = work.statistics["more"].inputs
    assert adapted.name == "adapt test 5"
    assert (measured.name, measured.step.space) == ("record voxels test 5", "voxels")


def test_each_region_of_a_family_is_a_condition(exported, bare, tmp_path):
    """On a made-up tree with the phantom's encoder and decoder, the plan is whole."""
    root = shutil.copytree(exported, tmp_path / "nsd")
    phantom = {
        "preset": "phantom",
        "stimuli": f"{{kind: nsd, root: {root}, n: 3}}",
        "training": f"{{kind: nsd, root: {root}, split: train}}",
        "recording": f"{{kind: nsd, root: {root}}}",
        "adapter.pairs": 4,
        "conditions.face": "{source: recording, perturb: "
        "{kind: ablate, atlas: floc-faces, region: [FFA-1, floc-bodies:EBA]}}",
    }
    work = plan(read(bare, phantom).protocol)
    for space, words in (("voxels", []), ("fsaverage5", ["no files of floc-faces for fsaverage5"])):
        faces = f"{{kind: noise_ceiling, by: floc-faces, space: {space}}}"
        told = mistakes(bare, {**phantom, "statistics.faces": faces})
        said = [line for line in told if "no files of" in line]
        assert [words[0] in line for line in said] == [True] * len(words), told
    names = [branch.row.name for branch in work.branches]
    assert names == ["intact", "measured", "face/FFA-1", "face/floc-bodies:EBA"]
    assert work.branches[1].response is not None  # fsaverage betas are there
    for file in root.glob("nsddata_betas/ppdata/subj01/fsaverage/*/*.mgh"):
        file.unlink()
    work = plan(read(bare, phantom).protocol)
    assert work.branches[1].response is None  # voxels can be decoded without them
    spec = "{kind: encoding_accuracy, by: phantom7, stimuli: {split: test, n: 3}}"
    with pytest.raises(InsilicoError, match=r"lh\.betas_session01\.mgh"):
        read(bare, {**phantom, "statistics.accuracy": spec})


def test_a_recording_without_a_surface_cannot_feed_a_statistic_of_it(bare):
    changes = {
        "recording": "{kind: mindeye2}",
        "statistics.accuracy": "{kind: encoding_accuracy, by: phantom7}",
    }
    told = mistakes(bare, changes)
    assert any("statistics.accuracy: unknown value 'fsaverage5'; one of: voxels" in t for t in told)
