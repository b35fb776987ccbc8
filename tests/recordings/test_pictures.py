"""NSD's pictures and captions, from NSD's own files and from MindEye2's."""

from __future__ import annotations

import csv
import json

import h5py
import nsd_tree
import numpy as np
import pytest

from insilico.errors import ParameterError, RecordingError, StimulusError
from insilico.spaces.nsd.design import Design
from insilico.spaces.nsd.layout import CAPTIONS
from insilico.stimuli.nsd import NSDPictures


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    return nsd_tree.write(tmp_path_factory.mktemp("nsd"))


@pytest.fixture
def fresh(tmp_path):
    return nsd_tree.write(tmp_path / "nsd")


def pixels_of(mini):
    with h5py.File(mini.root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5") as file:
        return file["imgBrick"][:]


def test_shared_pictures_are_named_and_read_by_their_place(mini):
    stimuli = NSDPictures(root=mini.root)()
    places = [2, 4, 7, 8]  # subjectim's first four are 5, 3, 9, 8
    assert list(stimuli["stimulus"].values) == [f"coco73k-{p:05d}" for p in places]
    np.testing.assert_array_equal(stimuli["image"].values, pixels_of(mini)[places])
    assert stimuli["caption"].values.tolist() == [f"picture {p}" for p in places]
    assert set(stimuli["split"].values) == {"test"}


def test_train_is_the_rest_of_the_subjects_and_disjoint(mini):
    train = NSDPictures(root=mini.root, split="train")()
    shown = np.unique(mini.pictures())
    wanted = np.setdiff1d(shown, [2, 4, 7, 8])
    assert list(train["stimulus"].values) == [f"coco73k-{p:05d}" for p in wanted]


def test_pictures_are_not_read_before_they_are_indexed(fresh):
    stimuli = NSDPictures(root=fresh.root)()
    with h5py.File(fresh.root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", "r+") as file:
        file["imgBrick"][2] = 7
    assert (stimuli["image"][0].values == 7).all()


def test_a_size_makes_squares_of_it(mini):
    stimuli = NSDPictures(root=mini.root, n=2, size=16)()
    assert stimuli["image"].shape == (2, 16, 16, 3)
    assert stimuli["image"].values.dtype == np.uint8


def test_how_often_the_subject_must_have_seen_a_picture(mini):
    train = NSDPictures(root=mini.root, split="train", at_least=3)()
    shown, counts = np.unique(mini.pictures(), return_counts=True)
    wanted = np.setdiff1d(shown[counts >= 3], [2, 4, 7, 8])
    assert list(train["stimulus"].values) == [f"coco73k-{p:05d}" for p in wanted]
    assert len(wanted) == 1
    first = NSDPictures(root=mini.root, sessions=(1,))()
    assert list(first["stimulus"].values) == [f"coco73k-{p:05d}" for p in (2, 4, 7, 8)]
    with pytest.raises(ParameterError, match="saw 1 of it at least 3"):
        NSDPictures(root=mini.root, split="train", at_least=3, n=4)()


def test_the_splits_of_a_design_of_published_size():
    """515, 982 and 1000 by their definitions, on a made-up order of published size."""
    rng = np.random.default_rng(0)
    order = rng.permutation(np.repeat(np.arange(10_000), 3))
    pictures = np.stack([np.r_[:1000, 1000 + 9000 * s : 10_000 + 9000 * s] for s in range(8)])
    design = Design(order, pictures, np.arange(1000), 40)
    assert design.published
    within = {s: order[: 750 * s] for s in (30, 37)}
    thrice = [p for p in range(1000) if (within[30] == p).sum() == 3]
    once = np.intersect1d(within[37], np.arange(1000))
    every = tuple(range(1, 41))
    assert design.split("515", 1, every).tolist() == thrice
    assert design.split("982", 1, every).tolist() == once.tolist()
    assert design.split("test", 1, every).tolist() == list(range(1000))
    assert design.completed(3) == tuple(range(1, 33))
    train = design.split("train", 2, every)
    assert train.min() >= 10_000
    assert len(train) == 9000


def test_captions_from_cocos_annotations(fresh):
    (fresh.root / CAPTIONS).unlink()
    assert "caption" not in NSDPictures(root=fresh.root)()
    table = fresh.root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
    with table.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["", "cocoId", "cocoSplit", "cropBox", "loss", "nsdId"])
        for p in range(nsd_tree.PICTURES):
            rows.writerow([p, 9000 + p, "val2017" if p % 2 else "train2017", "(0, 0)", 0.1, p])
    folder = fresh.root / "nsddata_stimuli/stimuli/nsd/annotations"
    folder.mkdir()
    for part, odd in (("train2017", 0), ("val2017", 1)):
        said = [
            {"image_id": 9000 + p, "id": 10 * p + k, "caption": f"caption {k} of {p}\n"}
            for k in (1, 0)
            for p in range(odd, nsd_tree.PICTURES, 2)
        ]
        (folder / f"captions_{part}.json").write_text(json.dumps({"annotations": said}))
    words = NSDPictures(root=fresh.root)()["caption"].values.tolist()
    assert words == [f"caption 0 of {p}" for p in (2, 4, 7, 8)]


def test_captions_that_are_python_objects_are_not_unpickled(fresh):
    words = np.load(fresh.root / CAPTIONS).astype(object)
    np.save(fresh.root / CAPTIONS, words, allow_pickle=True)
    with pytest.raises(StimulusError, match=r"pickle.*write it once more as text"):
        NSDPictures(root=fresh.root)()


@pytest.mark.parametrize("damage", ["cut", "key", "few", "gone"])
def test_a_file_of_pictures_that_is_none(fresh, damage):
    file = fresh.root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    pixels = pixels_of(fresh)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:500])
    elif damage == "gone":
        file.unlink()
    else:
        with h5py.File(file, "w") as held:
            held["imgBrick" if damage == "few" else "images"] = pixels[:5]
    with pytest.raises((StimulusError, RecordingError), match=r"nsd_stimuli\.hdf5"):
        NSDPictures(root=fresh.root)()
