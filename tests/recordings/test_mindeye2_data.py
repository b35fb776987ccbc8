"""MindEye2's files, written by hand from the specification, against their readers."""

from __future__ import annotations

import h5py
import nsd_tree
import numpy as np
import pytest
from test_nsd import shown

from insilico.cli import main
from insilico.errors import RecordingError
from insilico.recordings.mindeye2 import MindEye2Betas
from insilico.spaces.nsd.hub import TEST_TRIALS, Hub
from insilico.stimuli.nsd import NSDPictures


@pytest.fixture
def files(tmp_path):
    """Return the miniature, its hub folder, and the betas in it; marked as made up."""
    mini = nsd_tree.write(tmp_path / "nsd")
    betas = np.random.default_rng(5).standard_normal((24, int((mini.mask == 1).sum())))
    nsd_tree.write_hub(tmp_path / "hub", mini, betas)
    (tmp_path / "hub/insilico.json").write_text("{}")
    return mini, tmp_path / "hub", betas.astype(np.float32)


def step(files, **fields):
    return MindEye2Betas(root=files[1], nsd=files[0].root, **fields)


def test_rows_are_the_trials_of_the_tars(files):
    mini, _, betas = files
    pictures = np.unique(mini.pictures())
    response = step(files)(shown(pictures))
    wanted = [betas[mini.pictures() == p].mean(0) for p in pictures]
    np.testing.assert_allclose(response["bold"], wanted, atol=1e-6)
    assert (response["voxel"].values == np.flatnonzero(mini.mask == 1)).all()
    assert "floc-faces" in response.coords
    ahead = step(files).places()
    assert ahead.coords.to_dataset().equals(response.coords.to_dataset().drop_dims("stimulus"))


def test_repeats_are_padded_as_in_inference(files):
    """One repeat three times; of two the first twice: the specification's [a, a, b], averaged."""
    mini, _, betas = files
    pictures = np.unique(mini.pictures())
    bold = step(files, repeats="keep")(shown(pictures))["bold"].values
    for k, picture in enumerate(pictures):
        rows = betas[mini.pictures() == picture]
        pattern = {1: [0, 0, 0], 2: [0, 0, 1], 3: [0, 1, 2]}[len(rows)]
        np.testing.assert_allclose(bold[:, k].mean(0), rows[pattern].mean(0), atol=1e-6)
        np.testing.assert_array_equal(bold[: len(rows), k], rows)  # the real ones come first
    with pytest.raises(RecordingError, match="fewer than 3 times"):
        step(files, repeats="keep", uneven="refuse")(shown(pictures))


def test_pictures_and_splits_of_the_hub(files):
    mini, hub, _ = files
    bright = np.random.default_rng(2).random((nsd_tree.PICTURES, 3, 12, 12)).astype(np.float16)
    with h5py.File(hub / "coco_images_224_float16.hdf5", "w") as file:
        file["images"] = bright
    stimuli = NSDPictures(layout="mindeye2", hub=hub)()
    assert list(stimuli["stimulus"].values) == [f"coco73k-{p:05d}" for p in (2, 4, 7, 8)]
    wanted = np.round(bright[[2, 4, 7, 8]].astype(np.float32).transpose(0, 2, 3, 1) * 255)
    np.testing.assert_array_equal(stimuli["image"].values, wanted)
    train = NSDPictures(layout="mindeye2", hub=hub, split="train", root=mini.root)()
    alike = NSDPictures(root=mini.root, split="train")()
    assert (train["stimulus"].values == alike["stimulus"].values).all()
    assert Hub(hub, 1).shared().tolist() == [2, 4, 7, 8]
    nsd_tree.write_tar(hub / "wds/subj01/train/0.tar", np.arange(3), mini)  # shared pictures
    with pytest.raises(RecordingError, match=r"3 pictures of train are in shared1000\.npy"):
        NSDPictures(layout="mindeye2", hub=hub, split="train", root=mini.root)()


def test_published_sizes_hold_away_from_made_up_files(files):
    mini, hub, _ = files
    (hub / "insilico.json").unlink()
    with pytest.raises(RecordingError, match=r"12 trials; subject 1's new_test has 3000"):
        step(files)(shown(mini.pictures()[:1]))
    assert [TEST_TRIALS["new_test"][s] for s in range(1, 9)] == (
        [3000, 3000, 2371, 2188, 3000, 2371, 3000, 2188]
    )
    assert [TEST_TRIALS["test"][s] for s in (1, 3, 4)] == [2770, 2113, 1985]


def test_a_tar_of_another_subject_is_refused(files):
    mini, hub, _ = files
    other = nsd_tree.truth(mini.root, subject=2)
    nsd_tree.write_tar(hub / "wds/subj01/train/1.tar", np.arange(3), other)
    with pytest.raises(RecordingError, match=r"1\.tar: trials of subject 2"):
        step(files)(shown(mini.pictures()[:1]))


def test_a_tar_with_pickled_behaviour_is_refused(files):
    mini, hub, _ = files
    import io
    import tarfile

    stream = io.BytesIO()
    np.save(stream, np.array([[{"a": 1}]], object), allow_pickle=True)
    with tarfile.open(hub / "wds/subj01/new_test/0.tar", "w") as tar:
        member = tarfile.TarInfo("sample000000000.behav.npy")
        member.size = stream.tell()
        stream.seek(0)
        tar.addfile(member, stream)
    with pytest.raises(RecordingError, match=r"behav\.npy cannot be read"):
        step(files)(shown(mini.pictures()[:1]))


def test_betas_of_another_subject_are_refused(files):
    mini, hub, betas = files
    with h5py.File(hub / "betas_all_subj01_fp32_renorm.hdf5", "w") as file:
        file["betas"] = betas[:, :-1]
    with pytest.raises(RecordingError, match="are they of two subjects"):
        step(files)(shown(mini.pictures()[:1]))
    (hub / "insilico.json").unlink()
    with pytest.raises(RecordingError):
        step(files)(shown(mini.pictures()[:1]))


def test_missing_files_are_named_with_where_to_get_them(files):
    hub = files[1]
    (hub / "betas_all_subj01_fp32_renorm.hdf5").unlink()
    with pytest.raises(RecordingError, match=r"subj01_fp32_renorm\.hdf5.*pscotti/mindeyev2"):
        step(files).digests()


def test_the_doctor_tells_which_of_them_are_usable(files, capsys):
    hub = files[1]
    assert main(["doctor", "--weights", str(hub)]) == 0
    told = capsys.readouterr().out
    voxels = int((files[0].mask == 1).sum())
    assert f"ok   subject 1 betas              24 trials of {voxels} voxels" in told
    assert "12 trials" in told
    (hub / "insilico.json").unlink()
    assert main(["doctor", "--weights", str(hub)]) == 1
    assert "subject 1's new_test has 3000" in capsys.readouterr().out
