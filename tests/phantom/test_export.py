"""The phantom in NSD's layout, through the reader of NSD."""

from __future__ import annotations

import numpy as np
import pytest

from insilico.adapters.ridge import Ridge
from insilico.chain import load_chain
from insilico.cli import main
from insilico.decoders.mindeye2.step import MindEye2
from insilico.errors import ParameterError, RecordingError, StoreError
from insilico.phantom.export import export
from insilico.phantom.families import region_names
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.stimuli import Scenes
from insilico.recordings.nsd import NSD
from insilico.stimuli.nsd import NSDPictures

N = 4
HALF_A_STEP = 1 / 600
"""int16 holds percent times 300."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return export(tmp_path_factory.mktemp("phantom") / "nsd", n_test=N, n_train=8, subjects=(1, 3))


@pytest.fixture(scope="module")
def pictures(tree):
    return NSDPictures(root=tree)()


def test_the_pictures_are_the_scenes(pictures):
    scenes = Scenes(split="test", n=N)()
    np.testing.assert_array_equal(pictures["image"].values, scenes["image"].values)
    assert (pictures["caption"].values == scenes["caption"].values).all()
    assert pictures.attrs["source"] == "phantom (simulated)"


def test_subjects_differ_and_share_the_order_of_presentation(tree, pictures):
    read = NSD(root=tree, subject=3, zscore="none")(pictures)
    own = PhantomRecording(subject=3, space="voxels")(Scenes(split="test", n=N)())
    np.testing.assert_allclose(read["bold"], own["bold"], atol=HALF_A_STEP + 1e-5)
    assert read.attrs["space"] == "phantom-subj03"
    with pytest.raises(RecordingError, match=r"subject 2.*missing"):
        NSD(root=tree, subject=2)(pictures)


@pytest.mark.parametrize("space", ["voxels", "fsaverage5"])
@pytest.mark.parametrize("repeats", ["keep", "mean"])
def test_responses_are_the_phantoms_own_up_to_rounding(tree, pictures, space, repeats):
    fields = {"space": space, "repeats": repeats}
    read = NSD(root=tree, zscore="none", **fields)(pictures)
    own = PhantomRecording(**fields)(Scenes(split="test", n=N)())
    tolerance = HALF_A_STEP + 1e-5 if space == "voxels" else 1e-6
    np.testing.assert_allclose(read["bold"], own["bold"], atol=tolerance)
    assert (read["hemi"].values == own["hemi"].values).all()
    assert read.attrs["source"] == own.attrs["source"]
    assert read.attrs["space"] == own.attrs["space"]


def test_session_z_is_over_all_scenes_of_a_session(tree, pictures):
    read = NSD(root=tree, repeats="keep", space="fsaverage5")(pictures)
    scenes = [Scenes(split="test", n=N)(), Scenes(split="train", n=8)()]
    own = [PhantomRecording(repeats="keep")(part)["bold"].values for part in scenes]
    whole = np.concatenate(own, axis=1)  # every session shows every scene once
    spread = whole.std(1, keepdims=True)
    spread[spread == 0] = 1
    wanted = ((whole - whole.mean(1, keepdims=True)) / spread)[:, :N]
    kept = read["bold"].values
    for stimulus in range(N):  # repeats come in the order of sessions
        np.testing.assert_allclose(kept[:, stimulus], wanted[:, stimulus], atol=1e-4)


def test_the_decoder_reads_what_was_exported(tree, pictures):
    decoder = MindEye2(captions="none", prior_steps=3, steps=3)
    two = pictures.isel(stimulus=[0, 1])
    read = NSD(root=tree, zscore="none", repeats="keep")(two)
    scenes = Scenes(split="test", n=2)()
    own = PhantomRecording(space="voxels", repeats="keep")(scenes)
    own = own.assign_coords(stimulus=read["stimulus"].values)  # item noise goes by id
    apart = decoder(read)["image"].values.astype(float) - decoder(own)["image"].values
    assert np.abs(apart).mean() < 0.5  # of 255


def test_the_chain_runs_through_the_files(tree):
    """Preset phantom-nsd: the adapter is that of the phantom's own pairs, up to rounding."""
    roots = {f"{section}.root": str(tree) for section in ("stimuli", "training", "recording")}
    changes = {
        **roots,
        "stimuli.n": 2,
        "recording.zscore": "none",
        "adapter.pairs": 8,
        "adapter.alpha": 1e4,
    }
    chain = load_chain("phantom-nsd", set=changes)
    shown = chain.stimuli()
    adapted = chain.adapt(chain.encode(shown))
    assert adapted.attrs["space"] == "phantom-subj01"
    train = Scenes(split="train", n=8)()
    source = chain.encode(train)
    target = PhantomRecording(space="voxels")(train)
    ridge = Ridge(alpha=1e4)
    own = ridge(chain.encode(shown), ridge.fit(source, target))
    np.testing.assert_allclose(adapted["bold"], own["bold"], atol=0.02)
    assert own["bold"].values.std() > 0.2


def test_regions_are_where_the_phantom_has_them(tree, pictures):
    read = NSD(root=tree)(pictures)
    own = PhantomRecording(space="voxels")(Scenes(n=2)())
    for family, names in region_names(own).items():
        assert (read[family].values == names).all()
    assert ((read["floc-faces"] == "FFA-1").values == (own["roi"] == "face").values).all()
    assert (read["prf-visualrois"] == "V1v").any()


def test_the_exported_ceiling_is_the_true_one(tree):
    from insilico.phantom.cohort import Cohort

    for space in ("voxels", "fsaverage5"):
        ceiling = NSD(root=tree, space=space).noise_ceiling(n=3)
        vertex = ceiling["vertex"].values if space == "fsaverage5" else None
        truth = Cohort().ceiling()
        truth = truth if vertex is not None else truth[Cohort().voxels()["vertex"].values]
        np.testing.assert_allclose(ceiling["effect"][0], truth, atol=1e-5)


def test_nothing_is_overwritten_and_nothing_half_written_left(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").touch()
    with pytest.raises(StoreError, match="not empty"):
        export(tmp_path / "there")
    with pytest.raises(ParameterError, match="subject: 1 to 8, got 9"):
        export(tmp_path / "new", subjects=(1, 9))
    monkeypatch.setattr("insilico.phantom.export._write_masks", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(tmp_path / "new", n_test=2, n_train=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there"]


def test_the_doctor_finds_it_and_what_is_broken(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("INSILICO_NSD", raising=False)
    monkeypatch.delenv("INSILICO_WEIGHTS", raising=False)
    assert main(["doctor", "--nsd", str(tree)]) == 0
    told = capsys.readouterr().out
    assert "ok   subject 1 voxels b3" in told
    assert "3 of 3 sessions" in told
    session = next(tree.glob("nsddata_betas/ppdata/subj01/func1pt8mm/*/betas_session02.hdf5"))
    whole = session.read_bytes()
    session.write_bytes(whole[:300])
    assert main(["doctor", "--nsd", str(tree)]) == 1
    told = capsys.readouterr().out
    session.write_bytes(whole)
    assert "BAD  subject 1 voxels b3" in told
    assert "2 of 3 sessions; set sessions: [1, 3]" in told
    assert main(["doctor"]) == 0
    assert "INSILICO_NSD" in capsys.readouterr().out
