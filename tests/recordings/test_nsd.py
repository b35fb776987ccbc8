"""The reader of NSD against miniature trees written from its layout documents."""

from __future__ import annotations

import re

import h5py
import nsd_tree
import numpy as np
import pytest
import xarray as xr
from nsd_tree import AFFINE, SHAPE, TRIALS

from insilico.errors import InsilicoError, ParameterError, RecordingError, RegionError
from insilico.perturbations.ablate import Ablate
from insilico.recordings.betas import voxels
from insilico.recordings.nsd import NSD
from insilico.schema import check
from insilico.spaces import fsaverage5, nsd
from insilico.statistics.noise_ceiling import NoiseCeiling


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    return nsd_tree.write(tmp_path_factory.mktemp("nsd"), surface=True)


@pytest.fixture
def fresh(tmp_path):
    return nsd_tree.write(tmp_path / "nsd")


def shown(pictures, split="test"):
    """Stimuli without pictures: the recording needs their ids only."""
    ids = [nsd.stimulus_id(int(p)) for p in pictures]
    return xr.Dataset(
        {"path": ("stimulus", ids)},
        coords={"stimulus": ids, "split": ("stimulus", [split] * len(ids))},
        attrs={"source": "test"},
    )


def zscored_by_hand(betas):
    """(trial, place) -> z within each session, with numpy in float64."""
    parts = np.split(betas.astype(np.float64), len(betas) // TRIALS)
    return np.concatenate([(p - p.mean(0)) / p.std(0) for p in parts])


def expected(mini, betas, pictures):
    shown_in = mini.pictures()
    return [betas[np.flatnonzero(shown_in == p)] for p in pictures]


def step(mini, **fields):
    return NSD(root=mini.root, subject=mini.subject, betas="b2", **fields)


@pytest.mark.parametrize("nifti", [False, True])
def test_voxels_are_the_c_order_of_the_mask_in_session_z(tmp_path, nifti):
    mini = nsd_tree.write(tmp_path, nifti=nifti)
    flat = mini.psc.reshape(len(mini.psc), -1)[:, (mini.mask == 1).ravel()]
    pictures = np.unique(mini.pictures())
    response = step(mini)(shown(pictures))
    wanted = [trials.mean(0) for trials in expected(mini, zscored_by_hand(flat), pictures)]
    np.testing.assert_allclose(response["bold"], wanted, atol=2e-5)
    counts = [len(trials) for trials in expected(mini, flat, pictures)]
    assert response["n_repeats"].values.tolist() == counts
    assert set(counts) == {1, 2, 3}  # uneven repeats are averaged over those there are
    assert response.attrs["space"] == "nsd-subj01"
    assert response.attrs["units"] == "session z"


def test_places_come_from_the_affine_and_hemispheres_from_their_masks(mini):
    response = step(mini)(shown(mini.pictures()[:2]))
    places = np.argwhere(mini.mask == 1)
    mm = places @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    for k, axis in enumerate("xyz"):
        np.testing.assert_allclose(response[axis], mm[:, k], atol=1e-5)
    assert (response["hemi"].values == np.where(places[:, 0] < 2, "L", "R")).all()
    assert response.attrs["hemispheres"] == "lh.nsdgeneral and rh.nsdgeneral"
    assert (response["voxel"].values == np.flatnonzero(mini.mask == 1)).all()


def test_hemispheres_by_the_sign_of_x_where_there_are_no_masks_of_them(fresh):
    for side in ("lh", "rh"):
        fresh.roi(f"{side}.nsdgeneral").unlink()
    response = step(fresh)(shown(fresh.pictures()[:2]))
    assert (response["hemi"].values == np.where(response["x"] < 0, "L", "R")).all()
    assert response.attrs["hemispheres"] == "sign of x"


def test_percent_signal_change_is_a_three_hundredth_of_what_is_stored(mini):
    response = step(mini, zscore="none")(shown(mini.pictures()[:1]))
    flat = mini.psc.reshape(len(mini.psc), -1)[:, (mini.mask == 1).ravel()]
    wanted = expected(mini, flat, mini.pictures()[:1])[0].mean(0)
    np.testing.assert_allclose(response["bold"][0], wanted, atol=1e-5)
    assert response.attrs["units"] == "percent signal change"


def test_fsaverage5_is_the_first_vertices_of_both_hemispheres(mini):
    pictures = mini.pictures()[:3]
    response = step(mini, space="fsaverage5")(shown(pictures))
    check(response, "response", space="fsaverage5")
    fsaverage5.check_order(response)
    flat = mini.surface.reshape(len(mini.surface), -1)
    wanted = np.stack([t.mean(0) for t in expected(mini, zscored_by_hand(flat), pictures)])
    wanted[:, fsaverage5.medial_wall()] = 0
    np.testing.assert_allclose(response["bold"], wanted, atol=2e-5)


def test_repeats_are_kept_in_the_order_of_presentation(mini):
    often = [4, 2, 8]  # subjectim 5, 3, 9: shown three times
    response = step(mini, repeats="keep")(shown(often))
    flat = mini.psc.reshape(len(mini.psc), -1)[:, (mini.mask == 1).ravel()]
    wanted = np.stack(expected(mini, zscored_by_hand(flat), often), 1)
    np.testing.assert_allclose(response["bold"], wanted, atol=2e-5)
    assert response["bold"].dims == ("repeat", "stimulus", "voxel")


def test_the_mean_of_kept_repeats_is_the_averaged_response(mini):
    kept = step(mini, repeats="keep")(shown([4, 2]))
    mean = step(mini)(shown([4, 2]))
    np.testing.assert_allclose(kept["bold"].mean("repeat"), mean["bold"], atol=1e-6)


def test_fewer_repeats_than_asked_are_refused_with_the_ways_out(mini):
    with pytest.raises(RecordingError, match=r"coco73k-000\d\d: 2.*at_least: 3.*uneven: pad"):
        step(mini, repeats="keep")(shown(np.unique(mini.pictures())))
    two = step(mini, repeats="keep", n_repeats=2)(shown([4, 2]))
    assert two.sizes["repeat"] == 2


def test_padding_is_that_of_mindeye2(mini):
    pictures = np.unique(mini.pictures())
    padded = step(mini, repeats="keep", uneven="pad")(shown(pictures))
    flat = mini.psc.reshape(len(mini.psc), -1)[:, (mini.mask == 1).ravel()]
    by_count = {len(t): t for t in expected(mini, zscored_by_hand(flat), pictures)}
    place = {n: padded["n_repeats"].values.tolist().index(n) for n in (1, 2)}
    bold = padded["bold"].values
    np.testing.assert_allclose(bold[:, place[1]], bold[[0, 0, 0], place[1]], atol=0)
    np.testing.assert_allclose(bold[0, place[2]], bold[2, place[2]], atol=0)
    assert not np.allclose(bold[0, place[2]], bold[1, place[2]])
    assert {1, 2} <= set(by_count)
    assert padded.attrs["padded_stimuli"] == (padded["n_repeats"] < 3).sum()


def test_only_sessions_with_asked_trials_are_read(fresh):
    session_3_only = [
        p
        for p in np.unique(fresh.pictures())
        if (np.flatnonzero(fresh.pictures() == p) >= 2 * TRIALS).all()
    ]
    assert session_3_only
    first = fresh.betas() / "betas_session01.hdf5"
    first.write_bytes(first.read_bytes()[:100])  # damaged, but not needed
    response = step(fresh)(shown(session_3_only))
    assert np.isfinite(response["bold"]).all()
    with pytest.raises(RecordingError, match=r"session01\.hdf5: cut short or damaged"):
        step(fresh)(shown(fresh.pictures()[:1]))


def test_a_missing_session_is_named_with_those_at_hand(fresh):
    (fresh.betas() / "betas_session02.hdf5").unlink()
    with pytest.raises(RecordingError, match=r"1 file missing: \S*session02.*sessions: \[1, 3\]"):
        step(fresh).digests()
    response = step(fresh, sessions=(1, 3))(shown(fresh.pictures()[:1]))
    assert response["n_repeats"].values.tolist() == [2]  # of three, one was in session 2


def test_sessions_that_do_not_exist_are_refused(mini):
    with pytest.raises(ParameterError, match="completed 1 to 3"):
        step(mini, sessions=(1, 4)).digests()


def test_pictures_of_another_subject_are_refused(mini):
    others = nsd_tree.truth(mini.root, subject=2).pictures()
    alien = np.setdiff1d(others, mini.pictures())
    with pytest.raises(RecordingError, match="never saw .* another subject"):
        step(mini)(shown(alien))


def test_a_session_of_another_shape_is_another_subjects(fresh):
    with h5py.File(fresh.betas() / "betas_session02.hdf5", "w") as file:
        file["betas"] = np.zeros((TRIALS, 4, 5, 7), np.int16)
    with pytest.raises(RecordingError, match="another subject's"):
        step(fresh)(shown(np.unique(fresh.pictures())))


def test_axes_that_were_not_reversed_are_refused(fresh):
    with h5py.File(fresh.betas() / "betas_session01.hdf5", "w") as file:
        file["betas"] = np.zeros((TRIALS, *SHAPE), np.int16)
    with pytest.raises(RecordingError, match=re.escape("(trial, k, j, i)")):
        step(fresh)(shown(fresh.pictures()[:1]))


def test_betas_that_are_not_int16_are_refused(fresh):
    with h5py.File(fresh.betas() / "betas_session01.hdf5", "w") as file:
        file["betas"] = np.zeros((TRIALS, *SHAPE[::-1]), np.float32)
    with pytest.raises(RecordingError, match="int16"):
        step(fresh)(shown(fresh.pictures()[:1]))


def test_a_session_without_data_is_refused_and_a_voxel_without_data_is_zero(fresh):
    dead = np.argwhere(fresh.mask == 1)[4]
    fresh.psc[(slice(None), *dead)] = 1.5
    for session in (1, 2, 3):
        nsd_tree.write_session(fresh, session)
    response = step(fresh)(shown(fresh.pictures()[:2]))
    assert (response["bold"][:, 4] == 0).all()
    assert response.attrs["places_without_data"] == 1
    fresh.psc[:TRIALS] = 0.5
    nsd_tree.write_session(fresh, 1)
    with pytest.raises(RecordingError, match="leave this session out"):
        step(fresh)(shown(fresh.pictures()[:2]))


def test_nan_in_some_trials_is_refused_and_nan_throughout_is_zero(tmp_path):
    mini = nsd_tree.truth(tmp_path)
    inside = np.flatnonzero(~fsaverage5.medial_wall()[:10_242])[10]
    mini.surface[:, 0, inside] = np.nan
    nsd_tree.write_design(tmp_path, mini.order, mini.subjectim, nsd_tree.SESSIONS)
    for session in (1, 2, 3):
        nsd_tree.write_surface_session(mini, session)
    response = step(mini, space="fsaverage5")(shown(mini.pictures()[:1]))
    assert response["bold"][0, inside] == 0
    assert response.attrs["places_without_data"] == 1
    mini.surface[2, 0, inside + 1] = np.nan
    nsd_tree.write_surface_session(mini, 1)
    with pytest.raises(RecordingError, match="NaN in 1 of 8 trials"):
        step(mini, space="fsaverage5")(shown(mini.pictures()[:1]))


def test_a_mask_with_other_values_is_refused(fresh):
    nsd_tree.save_volume(fresh.roi("nsdgeneral"), fresh.labels["floc-faces"].astype(np.int16))
    with pytest.raises(RecordingError, match=r"1 \(in\), 0 and -1 \(out\)"):
        step(fresh)(shown(fresh.pictures()[:1]))


def test_with_nsds_own_design_the_published_count_of_voxels_is_needed(fresh):
    order = np.resize(np.arange(1, 10_001), 30_000)
    pictures = np.stack([np.arange(1, 10_001)] * 8)
    nsd_tree.write_design(fresh.root, order, pictures, 40)
    for session in range(4, 41):
        (fresh.betas() / f"betas_session{session:02d}.hdf5").touch()
    with pytest.raises(RecordingError, match="subject 1 has 15724 voxels above 0; this file has"):
        step(fresh)(shown([1]))


def test_regions_are_labels_above_zero_by_name(mini):
    response = step(mini)(shown(mini.pictures()[:2]))
    labels = mini.labels["floc-faces"][mini.mask == 1]
    names = response["floc-faces"].values
    assert (names[labels <= 0] == "").all()
    assert (names[labels == 2] == "FFA-1").all()
    assert (
        response["prf-visualrois"].values[mini.labels["prf-visualrois"][mini.mask == 1] == 3]
        == "V2v"
    ).all()
    assert "Kastner2015" not in response.coords  # its file is not there
    assert step(mini).labels() == nsd_tree.FAMILIES
    assert step(mini, space="fsaverage5").labels() == ()


def test_a_region_of_nsd_can_be_ablated(mini):
    response = step(mini)(shown(np.unique(mini.pictures())[:5]))
    lesioned = Ablate(atlas="floc-faces", region="FFA-1", fill="zero")(response)
    hit = mini.labels["floc-faces"][mini.mask == 1] == 2
    assert (lesioned["bold"].values[:, hit] == 0).all()
    np.testing.assert_array_equal(lesioned["bold"][:, ~hit], response["bold"][:, ~hit])
    left = Ablate(region="floc-faces:FFA-1 & lh", fill="zero")(response)
    assert left.attrs["perturbed_places"] == (hit & (response["hemi"].values == "L")).sum()
    with pytest.raises(RegionError, match="carry those families"):
        Ablate(atlas="Kastner2015", region="V1v", fill="zero")(response)
    with pytest.raises(RegionError, match="FFA-9"):
        Ablate(atlas="floc-faces", region="FFA-9", fill="zero")(response)


def test_places_are_known_without_betas(fresh):
    response = step(fresh)(shown(np.unique(fresh.pictures())[:3]))
    for file in fresh.betas().iterdir():
        file.unlink()
    ahead = step(fresh).places()
    assert ahead.equals(response.coords.to_dataset().drop_dims("stimulus"))
    assert ahead.attrs["space"] == response.attrs["space"]


def test_a_lesion_of_nsd_has_a_matched_control(mini):
    response = step(mini)(shown(np.unique(mini.pictures())[:5]))
    region = {"region": "floc-faces:FFA-1", "fill": "zero", "seed": 1}
    hit, other = (
        (Ablate(**region, control=control)(response)["bold"].values == 0).all(0)
        for control in (None, "patch")
    )
    right = response["hemi"].values == "R"
    assert not (hit & other).any()
    assert (hit & right).sum() == (other & right).sum()
    assert hit.sum() == other.sum() > 0


def test_regions_of_a_hemisphere_each_are_joined(fresh):
    whole = step(fresh)(shown(fresh.pictures()[:2]))["floc-faces"].values
    labels = fresh.labels["floc-faces"]
    left = np.zeros(SHAPE, bool)
    left[:2] = True
    for side, half in (("lh", left), ("rh", ~left)):
        part = np.where(half, labels, -1).astype(np.int16)
        nsd_tree.save_volume(fresh.roi(f"{side}.floc-faces"), part)
    fresh.roi("floc-faces").unlink()
    assert (step(fresh)(shown(fresh.pictures()[:2]))["floc-faces"].values == whole).all()


def test_surface_labels_reach_fsaverage5_through_nsds_table(fresh):
    rng = np.random.default_rng(0)
    for session in (1, 2, 3):
        nsd_tree.write_surface_session(fresh, session)
    own = fresh.root / "nsddata/freesurfer/subj01/label"
    to = fresh.root / "nsddata/ppdata/subj01/transforms"
    truth = []
    for side in ("lh", "rh"):
        labels = rng.integers(0, 3, 500).astype(np.float32)
        nearest = rng.integers(1, 501, nsd_tree.FSAVERAGE).astype(np.float32)  # from 1
        nsd_tree.save_surface(own / f"{side}.floc-faces.mgz", labels)
        nsd_tree.save_surface(to / f"{side}.white-to-fsaverage.mgz", nearest)
        truth.append(labels[nearest.astype(int) - 1][:10_242])
        shared = np.zeros(nsd_tree.FSAVERAGE, np.float32)
        shared[:50] = 5
        group = fresh.root / "nsddata/freesurfer/fsaverage/label"
        nsd_tree.save_surface(group / f"{side}.streams.mgz", shared)
        nsd_tree.save_surface(group / f"{side}.floc-faces.mgz", shared)  # not this subject's
    assert step(fresh, space="fsaverage5").labels() == ("floc-faces", "streams")
    response = step(fresh, space="fsaverage5")(shown(fresh.pictures()[:2]))
    cortex = ~fsaverage5.medial_wall()
    ffa = (np.concatenate(truth) == 2) & cortex
    assert ((response["floc-faces"].values == "FFA-1") == ffa).all()
    ventral = np.flatnonzero(response["streams"].values == "ventral")
    first = np.r_[:50, 10_242:10_292]
    assert (ventral == first[cortex[first]]).all()


def test_nsds_ncsnr_gives_its_noise_ceiling(fresh):
    ratio = np.abs(np.random.default_rng(1).normal(0.5, 0.3, SHAPE))
    before = step(fresh).digests()["places"]
    nsd_tree.save_volume(fresh.betas() / "ncsnr.nii.gz", ratio)
    assert step(fresh).digests()["places"] != before
    carried = step(fresh)(shown(fresh.pictures()[:2]))["ncsnr"]
    np.testing.assert_allclose(carried, ratio[fresh.mask == 1], rtol=1e-6)
    ceiling = step(fresh).noise_ceiling(n=3)
    square = ratio[fresh.mask == 1] ** 2
    np.testing.assert_allclose(ceiling["effect"][0], square / (square + 1 / 3), rtol=1e-5)
    with pytest.raises(RecordingError, match=r"lh\.ncsnr\.mgh"):
        step(fresh, space="fsaverage5").noise_ceiling()
    for side in ("lh", "rh"):
        full = np.full(nsd_tree.FSAVERAGE, 1.0, np.float32)
        nsd_tree.save_surface(fresh.betas("fsaverage") / f"{side}.ncsnr.mgh", full)
    surface = step(fresh, space="fsaverage5").noise_ceiling(n=1)
    assert set(np.unique(surface["effect"])) == {0.0, 0.5}  # 0 on the medial wall


def test_the_place_of_nsd_comes_from_the_environment(mini, monkeypatch):
    monkeypatch.setenv("INSILICO_NSD", str(mini.root))
    there = NSD(betas="b2")(shown(mini.pictures()[:1]))
    assert there.identical(step(mini)(shown(mini.pictures()[:1])))
    monkeypatch.delenv("INSILICO_NSD")
    with pytest.raises(RecordingError, match="INSILICO_NSD.*data-use agreement"):
        NSD().digests()


@pytest.mark.parametrize("damage", ["cut", "no key", "from zero"])
def test_a_design_that_is_none(fresh, damage):
    file = fresh.root / "nsddata/experiments/nsd/nsd_expdesign.mat"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "no key":
        from scipy.io import savemat

        savemat(file, {"masterordering": np.ones((1, 3))})
    else:
        nsd_tree.write_design(fresh.root, fresh.order - 1, fresh.subjectim, 3)
    with pytest.raises(InsilicoError, match=r"nsd_expdesign\.mat"):
        step(fresh).digests()


@pytest.mark.parametrize("suffix", [".hdf5", ".nii.gz"])
def test_a_session_is_read_slice_by_slice(tmp_path, suffix):
    import tracemalloc

    rng = np.random.default_rng(0)
    whole = rng.integers(-900, 900, (200, 24, 24, 24), dtype=np.int16)  # (trial, i, j, k)
    inside = np.zeros(whole.shape[1:], bool)
    inside[2:6, 3:9, 5:20] = rng.random((4, 6, 15)) < 0.5
    file = tmp_path / f"betas_session01{suffix}"
    if suffix == ".hdf5":
        with h5py.File(file, "w") as held:
            held.create_dataset("betas", data=whole.transpose(0, 3, 2, 1), chunks=(200, 1, 24, 24))
    else:
        nsd_tree.save_volume(file, np.moveaxis(whole, 0, -1))
    np.testing.assert_allclose(voxels(file, inside), whole[:, inside] / 300, rtol=1e-6)
    tracemalloc.start()
    voxels(file, inside)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole.nbytes / 3


def test_a_ceiling_counts_real_repeats_only(mini):
    """Padded repeats come last, where the ceiling does not look: garbage there changes nothing."""
    padded = step(mini, repeats="keep", uneven="pad")(shown(np.unique(mini.pictures())))
    estimate = NoiseCeiling(n=3)
    real = np.arange(3)[:, None] < padded["n_repeats"].values
    garbled = padded.copy(deep=True)
    garbled["bold"] = padded["bold"].where(xr.DataArray(real, dims=("repeat", "stimulus")), 99.0)
    assert not np.array_equal(garbled["bold"], padded["bold"])
    np.testing.assert_array_equal(
        estimate(padded)["noise_ceiling"], estimate(garbled)["noise_ceiling"]
    )
