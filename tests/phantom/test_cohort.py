from __future__ import annotations

import pickle

import numpy as np
import pytest

from insilico import schema
from insilico.errors import ParameterError, StimulusError
from insilico.phantom import anatomy
from insilico.phantom.cohort import CEILINGS, Cohort
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.stimuli import Scenes
from insilico.phantom.tuning import SHARED, patches, receptive_fields
from insilico.recordings import KINDS as RECORDINGS
from insilico.stimuli import KINDS as STIMULI


@pytest.fixture(scope="module")
def cohort():
    return Cohort(n_subjects=3)


@pytest.fixture(scope="module")
def scenes():
    return Scenes(split="train", n=300, start=2000)()


def correlation(a, b):
    a, b = (x - x.mean(0) for x in (a, b))
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


def in_network(name, n=80):
    free = (anatomy.ventral() <= 0.5) & (anatomy.retinotopy().area == 0)
    return np.flatnonzero((anatomy.networks() == name) & free)[::7][:n]


def test_registries_build_the_phantom():
    assert RECORDINGS["phantom"] is PhantomRecording
    assert STIMULI["phantom"] is Scenes


def test_same_seed_same_brain_and_other_seed_another(cohort, scenes):
    few = scenes.isel(stimulus=slice(4))
    first = cohort.measure(few, 1)
    np.testing.assert_array_equal(first, Cohort(n_subjects=5).measure(few, 1))
    other = Cohort(seed=1, n_subjects=3).signal(few, 1)
    assert abs(np.corrcoef(other.ravel(), cohort.signal(few, 1).ravel())[0, 1]) < 0.5


def test_an_item_does_not_depend_on_the_others(cohort, scenes):
    alone = cohort.measure(scenes.isel(stimulus=[7]), 2, places=np.array([5, 9000, 15000]))
    beside = cohort.measure(scenes.isel(stimulus=[3, 7, 1]), 2, repeats=4)
    np.testing.assert_allclose(alone[:, 0], beside[:3, 1, [5, 9000, 15000]], atol=1e-4)


def test_mean_is_the_mean_of_the_repeats(cohort, scenes):
    few = scenes.isel(stimulus=slice(3))
    kept, mean = cohort.measure(few, 1), cohort.measure(few, 1, mean=True)
    np.testing.assert_allclose(kept.mean(0), mean, atol=1e-5)


def test_signal_has_unit_variance_and_one_trial_is_session_z(cohort, scenes):
    places = np.concatenate([in_network(name, 40) for name in ("Vis", "Default", "SomMot")])
    assert np.mean(cohort.signal(scenes, 1, places).var(0)) == pytest.approx(1, abs=0.06)
    assert np.mean(cohort.measure(scenes, 1, places)[0].var(0)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("network", [name for name in CEILINGS if name != "ventral"])
def test_repeats_give_back_the_ceiling_that_was_set(cohort, scenes, network):
    trials = cohort.measure(scenes, 1, in_network(network))
    within = trials.var(0, ddof=1).mean()
    between = 3 * trials.mean(0).var(0, ddof=1).mean()
    assert 1 - within / between == pytest.approx(CEILINGS[network], abs=0.035)


def test_ceilings_are_a_parameter_and_checked(scenes):
    raised = Cohort(n_subjects=2, ceilings={"Limbic": 0.5})
    assert raised.ceiling()[in_network("Limbic")] == pytest.approx(0.5)
    assert raised.ceiling()[in_network("Default")] == pytest.approx(CEILINGS["Default"])
    with pytest.raises(ParameterError, match=r"did you mean 'Limbic'"):
        Cohort(ceilings={"limbik": 0.5})
    with pytest.raises(ParameterError, match="between 0 and 1"):
        Cohort(ceilings={"Vis": 1.5})
    with pytest.raises(ParameterError, match="subject: 1 to 2, got 3"):
        raised.signal(scenes, 3)
    with pytest.raises(ParameterError, match="at least 2"):
        Cohort(n_subjects=1)
    with pytest.raises(ParameterError, match="individuality: 0 or more"):
        Cohort(individuality=-1)
    assert pickle.loads(pickle.dumps(raised)) == raised
    assert hash(raised) != hash(Cohort(n_subjects=2))


def test_visual_ceiling_is_the_highest_and_ventral_cortex_is_reliable(cohort):
    ceiling, network = cohort.ceiling(), anatomy.networks()
    means = {name: ceiling[network == name].mean() for name in CEILINGS if name != "ventral"}
    assert max(means, key=means.get) == "Vis"
    assert ceiling[anatomy.ventral() > 0.5].min() >= 0.6 - 1e-6


def test_the_medial_wall_is_silent(cohort, scenes):
    wall = ~anatomy.cortex()
    few = scenes.isel(stimulus=slice(3))
    assert wall.sum() > 300
    for bold in (cohort.measure(few, 1), cohort.signal(few, 2), cohort.average_signal(few, True)):
        assert not bold[..., wall].any()
        assert (bold[..., ~wall].std(-2) > 0).all()


def test_the_left_visual_field_drives_the_right_hemisphere(cohort, scenes):
    few = scenes.isel(stimulus=slice(20))
    changed = few.copy(deep=True)
    changed["image"][:, :, :32] = 255 - changed["image"][:, :, :32]
    change = np.abs(cohort.signal(changed, 1) - cohort.signal(few, 1)).mean(0)
    fields = receptive_fields(cohort.individual(1))
    lateral = np.abs(fields.x) > 2 * fields.sigma
    v1 = (anatomy.retinotopy().area[fields.vertex] == 1) & lateral
    right = anatomy.is_right()[fields.vertex]
    driven = change[fields.vertex]
    assert driven[v1 & right].mean() > 8 * driven[v1 & ~right].mean()
    assert change[anatomy.retinotopy().area == 0].max() == 0


def test_upper_field_lies_below_the_calcarine(cohort):
    fields = receptive_fields(cohort.individual(1))
    early = anatomy.retinotopy().area[fields.vertex] < 4
    height = anatomy.coordinates()[fields.vertex, 2]
    upper, lower = (height[early & (sign * fields.angle > 20)].mean() for sign in (1, -1))
    assert upper < lower - 8


def test_a_spot_drives_the_receptive_fields_that_hold_it(cohort, scenes):
    blank = scenes.isel(stimulus=[0]).copy(deep=True)
    blank["image"][:] = 128
    spot = blank.copy(deep=True)
    spot["image"][:, 40:44, 48:52] = 255  # 2.36° right, 1.31° below the middle
    fields = receptive_fields(cohort.individual(1))
    change = np.abs(cohort.signal(spot, 1) - cohort.signal(blank, 1))[0, fields.vertex]
    best = np.argsort(change)[-20:]
    away = np.hypot(fields.x[best] - 2.36, fields.y[best] + 1.31)
    assert (away < 2 * fields.sigma[best] + 0.5).all()
    assert not anatomy.is_right()[fields.vertex[best]].any()


@pytest.mark.parametrize("individuality", [0.5, 1.0, 2.0])
def test_association_cortex_shares_what_it_should(scenes, individuality):
    cohort = Cohort(n_subjects=2, individuality=individuality)
    places = in_network("Default", 500)
    shared = SHARED["meaning"]
    law = shared / (shared + individuality**2 * (1 - shared))
    seen = correlation(cohort.signal(scenes, 1, places), cohort.signal(scenes, 2, places))
    assert seen.mean() == pytest.approx(law, abs=0.06)


def test_without_individuality_all_subjects_are_alike(scenes):
    clones = Cohort(n_subjects=2, individuality=0.0)
    few = scenes.isel(stimulus=slice(10))
    np.testing.assert_allclose(clones.signal(few, 1), clones.signal(few, 2), atol=1e-5)


def test_the_average_predicts_visual_cortex_worst_for_its_ceiling(cohort, scenes):
    others, own = cohort.average_signal(scenes), cohort.measure(scenes, 1, mean=True)
    cortex = anatomy.cortex()
    ratio = np.full(len(cortex), np.nan)
    r = correlation(others[:, cortex], own[:, cortex])
    ratio[cortex] = r / np.sqrt(cohort.ceiling()[cortex])
    names = set(CEILINGS) - {"ventral"}
    networks = {name: ratio[anatomy.networks() == name].mean() for name in names}
    assert min(networks, key=networks.get) == "Vis"
    assert ratio[anatomy.retinotopy().area == 1].mean() < 0.45 < 0.7 < networks["Default"]


def test_noisy_average_is_the_average_and_noise(cohort, scenes):
    few = scenes.isel(stimulus=slice(40))
    clean, noisy = cohort.average_signal(few), cohort.average_signal(few, noisy=True)
    measured = np.mean([cohort.measure(few, s, mean=True) for s in (2, 3)], axis=0)
    np.testing.assert_allclose(noisy, measured, atol=1e-4)
    expected = cohort.spread()[anatomy.cortex()] ** 2 / 6
    seen = (noisy - clean)[:, anatomy.cortex()].var(0)
    assert seen.mean() == pytest.approx(expected.mean(), rel=0.05)


def test_voxels_know_their_vertex(cohort):
    voxels = cohort.voxels(1)
    vertex = voxels["vertex"].values
    assert 3000 <= len(vertex) <= 5000
    assert len(np.unique(vertex)) == len(vertex)
    assert anatomy.cortex()[vertex].all()
    place = np.stack([voxels[axis].values for axis in "xyz"], axis=1)
    away = np.linalg.norm(place - anatomy.coordinates()[vertex], axis=1)
    assert 0 < away.min() <= away.max() <= 1
    assert place[:, 1].max() < -30
    np.testing.assert_array_equal(voxels["hemi"] == "R", anatomy.is_right()[vertex])


def test_rois_hold_what_they_say(cohort, scenes):
    voxels = cohort.voxels(1)
    roi, counts = np.unique(voxels["roi"], return_counts=True)
    least = {"V1": 300, "V2": 200, "V3": 150, "V4": 100, "face": 50, "body": 50, "word": 20}
    least |= {"place": 50, "food": 20, "other": 500}
    found = dict(zip(roi.tolist(), counts.tolist(), strict=True))
    assert set(found) == set(least)
    assert all(found[name] >= n for name, n in least.items()), found
    early = np.isin(voxels["roi"], ["V1", "V2", "V3", "V4"])
    np.testing.assert_array_equal(np.isfinite(voxels["eccentricity"]), early)
    np.testing.assert_array_equal(voxels["eccentricity_band"] != "none", early)


@pytest.mark.parametrize(("roi", "thing"), [("face", "face"), ("place", "house"), ("word", "word")])
def test_category_areas_prefer_their_category(cohort, scenes, roi, thing):
    voxels = cohort.voxels(1)
    bold = cohort.signal(scenes, 1, voxels["vertex"].values[voxels["roi"].values == roi]).mean(1)
    by_object = {name: bold[scenes["object"] == name].mean() for name in np.unique(scenes.object)}
    assert max(by_object, key=by_object.get) == thing
    assert by_object[thing] > 0.5 + np.median(list(by_object.values()))


def test_patches_are_bilateral_and_jittered(cohort):
    one, two = (patches(cohort.individual(subject)) for subject in (1, 2))
    right = anatomy.is_right()
    assert (one[:, right].max(1) > 0.3).all()
    assert (one[:, ~right].max(1) > 0.3).all()
    moved = anatomy.coordinates()[one.argmax(1)] - anatomy.coordinates()[two.argmax(1)]
    assert 1 < np.median(np.linalg.norm(moved, axis=1)) < 15


@pytest.mark.parametrize("space", ["fsaverage5", "voxels"])
@pytest.mark.parametrize("repeats", ["mean", "keep"])
def test_recordings_are_responses(scenes, space, repeats):
    response = PhantomRecording(space=space, repeats=repeats)(scenes.isel(stimulus=slice(3)))
    schema.check(response, "response")
    assert ("repeat" in response.dims) == (repeats == "keep")
    assert response.attrs["space"] == {"voxels": "phantom-subj01"}.get(space, space)
    assert response.attrs["source"] == "phantom (simulated)"


def test_voxels_and_vertices_are_the_same_measurement(scenes):
    few = scenes.isel(stimulus=slice(3))
    voxels = PhantomRecording(space="voxels")(few)
    surface = PhantomRecording()(few)["bold"].values[:, voxels["vertex"].values]
    np.testing.assert_allclose(voxels["bold"], surface, atol=1e-4)


def test_only_phantom_scenes_were_measured():
    with pytest.raises(StimulusError, match="no measured responses exist for sample-000000 and 3"):
        PhantomRecording()(schema.sample("stimuli"))


def test_scenes_start_anywhere_and_may_sound():
    all_of_them, later = Scenes(n=6)(), Scenes(n=2, start=4, sounds=True)()
    np.testing.assert_array_equal(all_of_them["image"][4:], later["image"])
    assert later["sound"].shape == (2, 16000)
    assert later.attrs["sampling_rate_hz"] == 16000
    assert all_of_them["held_out"].values.tolist() == [False, True] * 3
