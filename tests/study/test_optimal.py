"""Pictures made for regions: three ways, a second encoder, and the phantom's truth."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import insilico as isi
from insilico.decoders.ascend import Ascend, variation
from insilico.decoders.evolve import Evolve, Strategy, recombination, within
from insilico.decoders.optimal import goal_of
from insilico.encoders.linear import Linear
from insilico.encoders.mary_nano import MaryNano
from insilico.errors import ParameterError, SchemaError
from insilico.figures.optimal import optimal_pictures
from insilico.phantom.preferred import early, named
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.scenes import ATTRIBUTES
from insilico.phantom.stimuli import Scenes
from insilico.protocol.read import mistakes, read
from insilico.spaces import atlases, regions
from insilico.statistics.picks import pick_test

WAYS = ("decoded", "ascended", "evolved")
PERTURBED = [f"{way}{suffix}" for way in WAYS for suffix in ("", " patches")]
FEW = {
    "adapter.pairs": 80,
    "decoder.draws": 2,
    "decoder.prior_steps": 2,
    "decoder.steps": 2,
    "stimuli.n": 30,
    "figures": [],
    "statistics.wanted.stimuli": {"n": 30},
    "statistics.wanted.encoder": {"kind": "linear", "pairs": 60, "grid": 4},
}
ASCENT = {"kind": "ascend", "steps": 4, "draws": 2}
EVOLUTION = {"kind": "evolve", "generations": 2, "population": 4, "axes": 16, "draws": 2}


def _few(regions):
    changes = {f"conditions.{one}.perturb.region": list(regions) for one in PERTURBED}
    changes |= {f"conditions.ascended{s}.decoder": ASCENT for s in ("", " patches")}
    changes |= {f"conditions.evolved{s}.decoder": EVOLUTION for s in ("", " patches")}
    return FEW | changes


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a run with two regions."""
    folder = tmp_path_factory.mktemp("optimal")
    few = _few(["V2", "place"])
    results = isi.run("roi_optimal", set=few, out=folder / "run", store=folder / "store")
    assert results.failures == ()
    return results


def test_every_way_gives_pictures_and_an_estimate(small):
    pictures, estimate = small.open("reconstruction"), small.open("estimate-wanted")
    assert pictures.sizes["condition"] == 12  # two regions, three ways, and a patch for each
    assert pictures.attrs["lesion"].startswith("A change here is made to what is read out")
    assert estimate["effect"].dims == ("contrast", "metric", "region")
    assert (estimate["n"] == 2).all()
    assert estimate.attrs["unit_of_inference"] == "restart"
    np.testing.assert_allclose(estimate["effect"].sel(metric="natural"), estimate["own"], atol=1e-6)
    others = estimate["own"] - estimate["others"]
    np.testing.assert_allclose(estimate["effect"].sel(metric="others"), others, atol=1e-6)
    assert "natural: " in small.summary
    assert "decoded/" in small.summary or "ascended/" in small.summary


def test_the_figure_says_n_interval_and_null(small):
    nouns = [small.open(name) for name in ("estimate-wanted", "reconstruction", "stimuli")]
    text = " ".join(t.get_text() for t in optimal_pictures(*nouns).findobj(mpl.text.Text))
    for word in (
        "n = 2 restarts",
        "Student's t",
        "null: a picture",
        "simulated",
        "Holm",
        "patches",
    ):
        assert word in text.replace("\n", " "), word


def test_a_script_gives_the_protocol_s_pictures_bit_by_bit_whatever_else_is_asked_for(small):
    """The script makes pictures of one region alone, anew: they do not come from the store."""
    few = {"adapter.pairs": 80, "decoder.draws": 2, "decoder.renormalise": True}
    few |= {"decoder.prior_steps": 2, "decoder.steps": 2, "decoder.captions": "none"}
    chain = isi.load_chain("phantom", seed=7, set=few, store=small.folder.parent / "store")
    raised = {"kind": "stimulate", "region": "place", "dose": 10, "unit": "sd"}
    pattern = chain.perturb(chain.rest(), atlas="areas", **raised)
    pictures = small.open("reconstruction")
    for way, made in (
        ("decoded", chain.decode(pattern)),
        ("ascended", chain.decode(pattern, **ASCENT)),
        ("evolved", chain.decode(pattern, **EVOLUTION)),
    ):
        same = pictures.sel(condition=f"{way}/place")["image"].values
        np.testing.assert_array_equal(made["image"].values, same, err_msg=way)
        assert (same[0, 0] != same[0, 1]).any(), way  # restarts differ


def test_bands_of_eccentricity_run_and_a_script_makes_their_pictures(small, tmp_path):
    store = small.folder.parent / "store"
    few = _few(["ecc2", "ecc4plus"]) | {"adapter.pairs": 80}
    results = isi.run("eccentricity", set=few, out=tmp_path / "run", store=store)
    assert results.failures == ()
    estimate = results.open("estimate-wanted")
    assert estimate["region"].values.tolist() == ["ecc2", "ecc4plus"]
    assert np.isfinite(estimate["effect"]).all()
    chain = isi.load_chain("phantom", seed=7, set={"adapter.pairs": 80}, store=store)
    raised = {"kind": "stimulate", "region": "ecc2", "dose": 10, "unit": "sd"}
    pattern = chain.perturb(chain.rest(), atlas="eccentricity", **raised)
    climbed = chain.decode(pattern, **ASCENT)["image"].values
    pictures = results.open("reconstruction").sel(condition="ascended/ecc2")["image"].values
    np.testing.assert_array_equal(climbed, pictures)


# --- the searches ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    scenes = Scenes(split="train", n=60)()
    predicted = MaryNano()(scenes)
    rest = predicted.isel(stimulus=[0]).assign_coords(stimulus=["pattern"])
    mean = predicted["bold"].values.mean(0, dtype=np.float64).astype(np.float32)
    mask = regions.mask("ecc2", atlas="phantom_eccentricity")
    pattern = rest.assign(bold=(rest["bold"].dims, (mean + 5 * mask)[None].astype(np.float32)))
    return scenes, predicted, pattern.assign_attrs(perturbed="one band raised")


def test_the_goal_is_the_region_s_mean_response(world):
    _, predicted, pattern = world
    goal = goal_of(pattern, predicted)
    mask = regions.mask("ecc2", atlas="phantom_eccentricity")
    np.testing.assert_allclose(goal.weight[mask], 1 / mask.sum(), rtol=1e-4)
    assert not goal.weight[~mask].any()
    values = predicted["bold"].values[:, mask].mean(1)
    np.testing.assert_allclose([goal.mean, goal.spread], [values.mean(), values.std()], rtol=1e-3)


def test_answers_to_pictures_are_the_encoder_s(world):
    import torch

    scenes, predicted, _ = world
    weight = np.random.default_rng(0).standard_normal(20484).astype(np.float32)
    pixels = torch.from_numpy(scenes["image"].values[:8]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        found = MaryNano().answering(weight)(pixels).numpy()
    np.testing.assert_allclose(found, predicted["bold"].values[:8] @ weight, rtol=1e-3, atol=2e-2)


@pytest.fixture(scope="module")
def climbed(world):
    scenes, predicted, pattern = world
    return Ascend(steps=15, draws=2, contrast=0.2)(pattern, predicted, scenes)


def test_ascent_climbs_and_stays_within_its_limits(world, climbed):
    import torch

    (scenes, predicted, pattern), made = world, climbed
    goal = goal_of(pattern, predicted)
    usual = (predicted["bold"].values @ goal.weight - goal.mean) / goal.spread
    assert (made["reached"].values > np.quantile(usual, 0.95)).all()
    change = made["image"].values[0] / 255 - scenes["image"].values.mean(0) / 255
    assert (change.std((1, 2, 3)) < 0.2 + 0.01).all()
    rough = Ascend(steps=15, draws=1, contrast=0.2, smoothness=0)(pattern, predicted, scenes)
    both = [torch.from_numpy(x["image"].values[0, :1] / 255).movedim(-1, 1) for x in (made, rough)]
    assert variation(both[0]) < variation(both[1])


def test_the_true_response_rises_in_a_subject_who_was_never_asked(world, climbed):
    scenes, made = world[0], climbed["image"].values[0]
    mask = regions.mask("ecc2", atlas="phantom_eccentricity")[None]
    usual = early(scenes["image"].values, mask)
    assert (early(made, mask) > usual.mean() + usual.std()).all()


def test_evolution_finds_the_optimum_of_a_quadratic():
    rng, size, population = np.random.default_rng(1), 8, 12
    strategy, weights = Strategy(size, population), recombination(population)
    centre, path, length = np.full(size, 2.0), np.zeros(size), 1.0
    for _ in range(120):
        drawn = rng.standard_normal((population, size))
        worth = -((centre + length * drawn) ** 2).sum(1)
        move = weights @ drawn[np.argsort(-worth)[: len(weights)]]
        centre = centre + length * move
        path, length = strategy.adapted(path, length, move)
    assert np.linalg.norm(centre) < 1e-3
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.linalg.norm(within(np.eye(3) * 5, 2.0), axis=1), 2)


def test_longer_evolution_reaches_at_least_as_far(world):
    scenes, predicted, pattern = world
    short, long = (Evolve(draws=1, axes=16, population=6, generations=g) for g in (1, 6))
    latents = short.latents()(scenes)
    reached = [s(pattern, predicted, latents)["reached"].item() for s in (short, long)]
    assert reached[1] >= reached[0]  # the first generation is the same
    assert reached[1] > 0.5


# --- the second encoder ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    step, scenes = Linear(grid=8), Scenes(split="train", n=200)()
    return step, step.fit(scenes, PhantomRecording()(scenes))


def test_the_second_encoder_predicts_measured_responses(fitted):
    step, held = fitted
    scenes = Scenes(split="unseen", n=80)()
    made, measured = step(scenes, held), PhantomRecording()(scenes)
    for name, least in (("V3", 0.4), ("face", 0.5), ("place", 0.5)):
        mask = regions.mask(name, atlas="phantom_areas")
        pair = [one["bold"].values[:, mask].mean(1) for one in (made, measured)]
        assert np.corrcoef(*pair)[0, 1] > least, name
    assert made.attrs["subject"] == "phantom-subj01"
    assert set(step.digests()) == {"phantom_early", "phantom_late"}


def test_the_second_encoder_refuses_what_it_learned(fitted):
    step, held = fitted
    with pytest.raises(ParameterError, match="fitted on 2 of the stimuli shown"):
        step(Scenes(split="train", n=2)(), held)
    scenes = Scenes(n=3)()
    with pytest.raises(SchemaError, match="not to these stimuli"):
        step.fit(scenes, PhantomRecording()(scenes.isel(stimulus=[1, 0, 2])))


def test_it_is_fitted_on_other_stimuli_than_the_adapter():
    from insilico.job import walk
    from insilico.protocol.plan import plan

    work = plan(read("roi_optimal", _few(["V2", "place"])).protocol)
    jobs = list(walk(work.targets()))
    adapter = next(job for job in jobs if job.name == "fit ridge")
    second = next(job for job in jobs if job.name == "fit linear")
    of_adapter = adapter.inputs[0].inputs[0].step.ids()
    first = second.inputs[0].step
    assert (first.after, first.n) == (len(of_adapter), 60)


# --- statistics and truth -------------------------------------------------------------------------


def test_picks_are_exact_and_hold_their_level():
    values = np.array([[5.0, 1.0, 0.0], [4.0, 2.0, 1.0]])
    assert pick_test(values, 0, 99, np.random.default_rng(0)) == pytest.approx(1 / 9)
    assert pick_test(values, 2, 99, np.random.default_rng(0)) == 1.0
    rng = np.random.default_rng(2)
    p = [pick_test(rng.standard_normal((3, 5)), 1, 199, rng) for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.085


def test_the_judge_names_the_things_of_scenes():
    scenes = Scenes(split="unseen", n=40)()
    said = np.array(ATTRIBUTES["object"])[named(scenes["image"].values).argmax(1)]
    assert (said == scenes["object"].values).mean() > 0.95


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": ["pixcorr"]}, "a pattern shows nothing"),
        ({"conditions.seen": {}}, "write two protocols"),
        ({"conditions.plain": {"source": "pattern"}}, "add perturb"),
        ({"statistics.wanted.control": ["decoded patches"]}, "met 1 for 3"),
        ({"statistics.wanted.encoder": {"kind": "mary_nano"}}, "the chain's own encoder"),
        ({"statistics.wanted.encoder": {"kind": "linear", "features": ["nose"]}}, "phantom_early"),
    ],
)
def test_mistakes_are_told(changes, said):
    found = mistakes("roi_optimal", _few(["V2", "place"]) | changes)
    assert found
    assert said in "\n".join(found)


def test_a_search_in_a_condition_that_shows_stimuli_is_refused(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("preset: phantom\nconditions: {found: {decoder: {kind: ascend}}}\n")
    (line,) = mistakes(path)
    told = "ascend looks for the picture of a pattern, and stimuli are shown: add source: pattern"
    assert f":2:conditions.found.decoder: {told}" in line


def test_an_encoder_of_files_is_refused_for_searches():
    with pytest.raises(ParameterError, match="not any picture, and has no gradient.*mary_nano"):
        Ascend(encoder={"kind": "precomputed", "file": "response.npy"}).ready()


def test_patterns_that_ask_for_nothing_are_refused(world):
    scenes, predicted, pattern = world
    mean = predicted["bold"].values.mean(0, dtype=np.float64).astype(np.float32)[None]
    same = pattern.assign(bold=(pattern["bold"].dims, mean))
    with pytest.raises(ParameterError, match="training mean itself"):
        Ascend()(same, predicted, scenes)
    several = predicted.isel(stimulus=slice(6))
    with pytest.raises(ParameterError, match="picture of one pattern; met a response to 6 stimuli"):
        Ascend()(several, predicted, scenes)
    flat = predicted.assign(bold=xr.zeros_like(predicted["bold"]))
    with pytest.raises(ParameterError, match="no training response differs"):
        goal_of(pattern, flat)


def test_bands_are_the_chart_s():
    changes = {f"conditions.{one}.perturb.region": ["ecc2", "ecc4plus"] for one in PERTURBED}
    assert mistakes("eccentricity", changes) == []
    atlas = atlases.load("phantom_eccentricity")
    assert tuple(atlases.describe("eccentricity")["regions"]) == atlas.regions
    mask = np.any([atlas.mask(name) for name in atlas.regions], axis=0)
    areas = atlases.load("phantom_areas")
    early_areas = np.any([areas.mask(name) for name in ("V1", "V2", "V3", "V4")], axis=0)
    np.testing.assert_array_equal(mask, early_areas)
