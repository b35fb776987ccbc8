"""Read-outs of regions against laws and planted truths: cycles, names, weights, words."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import ParameterError, SchemaError
from insilico.schema import sample
from insilico.spaces import atlases, fsaverage5
from insilico.spaces.naming import classes, fields, sentences_of
from insilico.statistics.cycle import Cycle
from insilico.statistics.guesses import exact_interval, hits, shuffled_test
from insilico.statistics.region_weights import RegionWeights, random_patches
from insilico.statistics.region_words import RegionWords, log_odds, words_in
from insilico.statistics.strength import Ridges, patches, percentiles
from insilico.statistics.zero_shot import ZeroShot

N = 12
RNG = np.random.default_rng(0)


def response(bold, ids):
    bold = np.where(fsaverage5.medial_wall(), 0, bold).astype(np.float32)
    attrs = {"units": "z", "subject": "made", "hemodynamic_offset_s": 0.0, "source": "made"}
    return fsaverage5.response(bold, np.array(ids), **attrs)


@pytest.fixture(scope="module")
def first():
    return response(RNG.standard_normal((N, 20484)), [f"s{k:02d}" for k in range(N)])


def again(first, bold):
    return response(bold, [f"{name} decoded" for name in first["stimulus"].values])


CYCLE = Cycle(of=("a",), by="phantom7", n=200)


def test_a_perfect_picture_comes_back_whole(first):
    found = CYCLE(first, first, again(first, first["bold"].values)).sel(metric="a")
    np.testing.assert_allclose(found["effect"], 1, atol=1e-6)
    np.testing.assert_allclose(found["p_corrected"], 1 / 201)
    cortex = fsaverage5.cortex()
    np.testing.assert_allclose(found["r"].values[cortex], 1, atol=1e-5)


def test_agreement_is_the_correlation_over_a_network_s_vertices(first):
    second = again(first, first["bold"].values + RNG.standard_normal((N, 20484)))
    found = CYCLE(first, first, second).sel(metric="a", contrast="Limbic")
    mask = atlases.load("phantom7").mask("Limbic") & ~fsaverage5.medial_wall()
    mean, sd = (getattr(first["bold"].values, how)(0) for how in ("mean", "std"))
    one, two = (((r["bold"].values - mean)[:, mask] / sd[mask]) for r in (first, second))
    each = np.corrcoef(one, two)[:N, N:]
    np.testing.assert_allclose(found["effect"], each.diagonal().mean(), atol=1e-5)
    mismatched = (each.sum() - each.trace()) / (N * (N - 1))
    np.testing.assert_allclose(found["chance_level"], mismatched, atol=1e-5)


def test_a_decoder_that_draws_one_picture_agrees_with_none(first):
    one = np.tile(first["bold"].values[:1], (N, 1)) + 0.01 * RNG.standard_normal((N, 20484))
    found = CYCLE(first, first, again(first, one)).sel(metric="a")
    assert (found["p_corrected"] > 0.05).all()
    assert (found["apart"] > 0.9).all()
    assert (found["above_apart_high"] < 0).all()


@pytest.mark.parametrize(("change", "message"), [
    (lambda first, second: (first, second.isel(stimulus=slice(None, None, -1))), "another order"),
    (lambda first, second: (first,), "2 in all; 1 are given"),
    (lambda *both: [one.isel(stimulus=[0, 1]) for one in both], "3 or more"),
])  # fmt: skip
def test_a_cycle_of_other_stimuli_is_refused(first, change, message):
    with pytest.raises(SchemaError, match=message):
        CYCLE(first, *change(first, again(first, first["bold"].values)))


# --- names ---


def test_ties_share_the_places_that_are_left():
    similar = np.array([[3.0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 2, 3]])
    own = np.array([0, 2, 0])
    np.testing.assert_allclose(hits(similar, own, 1), [1, 0.25, 0])
    np.testing.assert_allclose(hits(similar, own, 2), [1, 0.5, 0])
    assert hits(np.zeros((1, 50)), np.array([3]), 5) == pytest.approx(0.1)


def test_the_interval_of_a_share_is_clopper_and_pearson_s():
    from scipy.stats import binomtest

    for count in (0, 3, 20):
        expected = binomtest(count, 20).proportion_ci(method="exact")
        np.testing.assert_allclose(exact_interval(count, 20), expected)


def test_shuffled_labels_are_the_null_of_a_biased_answerer():
    """One who always says the most frequent class is right often, and knows nothing."""
    own = np.array([0] * 14 + [1] * 3 + [2] * 3)
    always = np.tile([1.0, 0, 0], (20, 1))
    p, _, guessed = shuffled_test([always], own, (1,), 500, np.random.default_rng(0))
    assert guessed == pytest.approx(0.7)
    assert p == pytest.approx(1)
    knows = np.eye(3)[own]
    p, corrected, _ = shuffled_test([knows], own, (1,), 500, np.random.default_rng(0))
    assert p == corrected == pytest.approx(1 / 501)


def test_prompts_name_the_class():
    shown = sample("stimuli").assign_coords(
        object=("stimulus", list("abab")), colour=("stimulus", list("xxyy"))
    )
    prompts = ("a {colour} {object}", "the {object}, {colour}")
    known = classes(shown, fields(prompts))
    assert known.tolist() == ["x|a", "x|b", "y|a", "y|b"]
    assert sentences_of(known[1:2], prompts) == [["a x b", "the b, x"]]


@pytest.mark.parametrize(("prompts", "message"), [
    (("a thing",), "name no class"),
    (("a {object}", "a {colour}"), "all prompts of a class name the same"),
    (("a {object",), "cannot be read"),
    (("a {0}",), "one word"),
])  # fmt: skip
def test_prompts_that_name_nothing_are_refused(prompts, message):
    with pytest.raises(ParameterError, match=message):
        ZeroShot(of=("a",), prompts=prompts)


# --- weights ---


@pytest.fixture(scope="module")
def planted():
    """Return stimuli and a response: left voxels see colours, half of the right ones see words."""
    n, rng = 120, np.random.default_rng(1)
    from insilico.phantom.stimuli import Scenes

    shown = Scenes(split="train", n=n)()
    objects = np.unique(shown["object"].values, return_inverse=True)[1]
    looks = shown["image"].values.reshape(n, 8, 8, 8, 8, 3).mean((2, 4)).reshape(n, -1) / 255
    low = looks @ rng.standard_normal((looks.shape[1], 60))
    high = np.eye(12)[objects] @ rng.standard_normal((12, 20))
    signal = np.concatenate([low, high, np.zeros((n, 40))], 1)
    signal = (signal - signal.mean(0)) / (signal.std(0) + 1e-9)
    bold = (signal + 0.7 * rng.standard_normal(signal.shape)).astype(np.float32)
    places = rng.uniform(-50, 50, (3, 120))
    coords = {
        "stimulus": shown["stimulus"].values,
        "roi": ("voxel", ["early"] * 60 + ["late"] * 20 + ["none"] * 40),
        "hemi": ("voxel", ["L", "R"] * 60),
        **{axis: ("voxel", row) for axis, row in zip("xyz", places, strict=True)},
    }
    attrs = {**sample("response").attrs, "space": "made"}
    made = xr.Dataset({"bold": (("stimulus", "voxel"), bold)}, coords, attrs)
    return shown, made


def test_planted_weights_are_found_with_their_sign(planted):
    areas = {"early": "roi:early", "late": "roi:late", "none": "roi:none"}
    entry = xr.Dataset({"weight": (("hidden", "voxel"), np.ones((3, 120)) * np.arange(120))})
    found = RegionWeights(areas=areas, n=200)(*planted, entry)
    for metric in ("clip", "caption", "clip, patterns", "caption, patterns"):
        one = found.sel(metric=metric)
        assert one["effect"].sel(contrast="early") < one["chance_level"].sel(contrast="early")
        assert one["effect"].sel(contrast="late") > one["chance_level"].sel(contrast="late")
    late = found.sel(contrast="late", metric="caption")
    assert late["p_corrected"] < 0.05
    assert late["ci_low"] > 0
    entered = found["effect"].sel(metric="entry")
    assert entered.sel(contrast="early") == pytest.approx(30 / 60 - 1)  # ranks 1 to 60 of 120
    for name in ("ci_low", "n"):  # it is given: nothing was estimated from stimuli
        assert np.isnan(found[name].sel(metric="entry")).all()
    assert (found["n"].drop_sel(metric="entry") == 120).all()


def test_a_voxel_without_information_has_weight_and_no_pattern():
    """Haufe's example: one voxel sees signal and noise, the other the noise alone."""
    rng = np.random.default_rng(2)
    signal, noise = rng.standard_normal((2, 4000))
    voxels = np.stack([signal + noise, noise, rng.standard_normal(4000)], 1)
    used, seen = Ridges(voxels).strengths(signal[:, None])
    assert used[1] > 0.5 * used[0]
    assert seen[1] < 0.1 * seen[0]


def test_ridges_are_those_of_scikit_learn():
    from sklearn.linear_model import Ridge

    from insilico.statistics import strength

    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((40, 9)), rng.standard_normal((40, 4))
    ridges = Ridges(x)
    x, y = strength.standardised(x), strength.standardised(y)
    found = ridges.strengths(y)[0]
    alphas = [share * ridges.values.mean() for share in strength.SHARES]
    weights = [np.abs(Ridge(alpha=alpha).fit(x, y).coef_).sum(0) for alpha in alphas]
    assert min(np.abs(one - found).max() for one in weights) < 1e-9


def test_patches_have_each_area_s_size_in_either_hemisphere():
    rng = np.random.default_rng(4)
    places, right = rng.uniform(-40, 40, (300, 3)), np.arange(300) % 3 == 0
    counts = np.array([[20, 5], [0, 40]])
    made = patches(places, right, counts, np.array([[1, 0], [2, 3]]))
    np.testing.assert_array_equal((made & ~right).sum(1), counts[:, 0])
    np.testing.assert_array_equal((made & right).sum(1), counts[:, 1])
    assert percentiles(np.array([3.0, 1, 1, 2])).tolist() == [87.5, 25, 25, 62.5]


def test_patches_of_equal_areas_lie_in_different_places():
    """Around the same centres they would be one, and a maximum over areas correct for nothing."""
    rng = np.random.default_rng(5)
    places, right = rng.uniform(-40, 40, (400, 3)), np.arange(400) >= 200
    masks = np.zeros((3, 400), bool)
    for k, mask in enumerate(masks):
        mask[20 * k : 20 * k + 10] = mask[200 + 20 * k : 210 + 20 * k] = True
    drawn = np.stack(list(random_patches(masks, places, right, 50, rng)))
    assert (drawn.sum(2) == 20).all()
    shared = (drawn[:, 0] & drawn[:, 1]).sum(1).mean()
    assert shared < 5


# --- words ---


def test_log_odds_are_those_of_their_paper():
    counts = np.array([[10.0, 30], [20, 20]])
    pseudo = 8 * counts.sum(0) / counts.sum()
    one, other = counts[0] + pseudo, counts[1] + pseudo
    delta = np.log(one / (one.sum() - one)) - np.log(other / (other.sum() - other))
    found, z = log_odds(counts, 8)
    np.testing.assert_allclose(found[0], delta)
    np.testing.assert_allclose(z[0], delta / np.sqrt(1 / one + 1 / other))
    np.testing.assert_allclose(found[1], -delta)


def _spoken(texts):
    captions = np.array(texts)[..., None]
    dims = ("condition", "stimulus", "draw")
    names = [f"alone/r{k}" for k in range(len(captions))]
    return xr.Dataset(
        {"caption": (dims, captions)},
        {
            "condition": names,
            "name": ("condition", ["alone"] * len(names)),
            "region": ("condition", [f"r{k}" for k in range(len(names))]),
            "stimulus": [f"s{k}" for k in range(captions.shape[1])],
        },
    )


def test_a_planted_word_is_found_and_an_unplanted_one_is_not():
    rng = np.random.default_rng(5)
    texts = [[f"a {rng.choice(['red', 'blue'])} dog" for _ in range(20)] for _ in range(3)]
    texts[1] = [text.replace("dog", "house") if k % 2 else text for k, text in enumerate(texts[1])]
    found = RegionWords(of=("alone",), n=300)(_spoken(texts))
    assert found["top"].values.tolist() == ["", "house", ""]
    assert found["said"].sel(contrast="r1", metric="house") == pytest.approx(0.5)
    assert found["elsewhere"].sel(contrast="r1", metric="house") == 0
    assert found["ci_low"].sel(contrast="r1", metric="house") > 0


def test_words_of_the_strongest_stimuli_are_those_of_the_region():
    n, rng = 60, np.random.default_rng(6)
    kinds = np.arange(n) % 3
    caption = np.array([f"a {('face', 'house', 'cup')[k]}" for k in kinds])[:, None]
    spoken = xr.Dataset(
        {"caption": (("stimulus", "draw"), caption)}, {"stimulus": [f"s{k}" for k in range(n)]}
    )
    bold = rng.standard_normal((2, n, 8)).astype(np.float32)
    bold[0, kinds == 0, :4] += 4  # the first repeat alone knows
    made = sample("response", n=n).drop_vars("bold")
    made = made.assign(bold=(("repeat", "stimulus", "voxel"), bold))
    made = made.assign_coords(stimulus=spoken["stimulus"], roi=("voxel", list("aaaabbbb")))
    areas = {"a": "roi:a", "b": "roi:b"}
    first, second = (
        RegionWords(of=("x",), areas=areas, repeat=k, share=0.2, n=300)(spoken, made)
        for k in (1, 2)
    )
    assert first["top"].values.tolist() == ["face", ""]
    assert second["top"].values.tolist() == ["", ""]


def test_words_that_name_nothing_are_left_out():
    known, table = words_in(np.array(["A dog on the road.", "a dog", "the cat"]), 1)
    assert known == ["cat", "dog", "road"]
    assert table.tolist() == [[False, True, True], [False, True, False], [True, False, False]]


@pytest.mark.parametrize(("texts", "message"), [
    ([["a dog"] * 5], "two or more regions"),
    ([["a b"], ["a c"]], "no word stands in 3 captions"),
])  # fmt: skip
def test_too_little_text_is_refused(texts, message):
    with pytest.raises(SchemaError, match=message):
        RegionWords(of=("alone",), n=10)(_spoken(texts))


@pytest.mark.parametrize(("changes", "message"), [
    ({"areas": {"a": "roi:a"}}, "two or more are compared"),
    ({"areas": {"a": "roi:a", "b": "roi:b"}, "of": ("x", "y")}, "on one condition"),
    ({"repeat": 1}, "there are none"),
])  # fmt: skip
def test_areas_are_compared_on_one_condition(changes, message):
    with pytest.raises(ParameterError, match=message):
        RegionWords(**{"of": ("x",), **changes})
