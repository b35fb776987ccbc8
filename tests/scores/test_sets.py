"""Scores of sets: Frechet and kernel distances."""

from __future__ import annotations

import numpy as np
import pytest
from made import pair
from scipy.linalg import sqrtm

from insilico.errors import SchemaError
from insilico.phantom.scenes import draw_scene, render
from insilico.protocol.join import side_by_side
from insilico.schema import check
from insilico.scores import KINDS
from insilico.scores.sets import Fid, Kid, frechet, kernel_distance
from insilico.scoring import score


def scenes(n, start=0):
    return np.stack([render(draw_scene(9, "seen", start + k)) for k in range(n)])


@pytest.fixture(scope="module")
def sets():
    shown, other = scenes(120), scenes(120, 500)
    dark = (other * 0.4).astype(np.uint8)
    return pair(shown, np.stack([other, dark]))


@pytest.mark.parametrize(("n", "m", "p"), [(50, 40, 6), (12, 10, 30), (9, 30, 9)])
def test_frechet_equals_the_formula_with_sqrtm(n, m, p):
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((n, p)), rng.standard_normal((m, p)) @ rng.standard_normal((p, p))
    first, second = np.cov(a.T) + 0.0, np.cov(b.T)
    eigenvalues = np.linalg.eigvals(first @ second)
    shared = np.sqrt(np.maximum(eigenvalues.real, 0)).sum()
    if p < min(n, m):
        assert shared == pytest.approx(np.trace(sqrtm(first @ second)).real, rel=1e-8)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second) - 2 * shared
    assert frechet(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_known_normals():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4000, 5))
    assert frechet(a, a + 3) == pytest.approx(45, rel=1e-9)  # 5 × 3²
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    # (1 - 2)² for each of 5 dimensions, up to the sample
    assert frechet(a, 2 * rng.standard_normal((4000, 5))) == pytest.approx(5, rel=0.1)


def test_kernel_distance_equals_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 4)), rng.standard_normal((6, 4)) + 1

    def k(x, y):
        return (sum(u * v for u, v in zip(x, y, strict=True)) / 4 + 1) ** 3

    within = [
        np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j])
        for s in (a, b)
    ]
    between = np.mean([k(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(sum(within) - 2 * between, rel=1e-12)


def test_kernel_distance_is_unbiased():
    rng = np.random.default_rng(1)
    drawn = [kernel_distance(*rng.standard_normal((2, 10, 6))) for _ in range(400)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / 20
    assert min(drawn) < 0


@pytest.mark.parametrize("kind", ["fid", "kid"])
def test_sets_are_scored_draw_by_draw(kind, sets):
    stimuli, made = sets
    found = check(KINDS.build({"kind": kind, "features": "phantom_late"})(made, stimuli), "score")
    assert found["value"].dims == ("draw", "metric")
    good, dark = found["value"].values[:, 0]
    assert dark > 2 * abs(good)
    assert found["direction"].item() == "lower"
    assert not found["warning"].item()
    again = KINDS.build({"kind": kind, "features": "phantom_late"})(made, stimuli)
    np.testing.assert_array_equal(found["value"], again["value"])
    assert np.isfinite(found["error"]).all() == (kind == "kid")


def test_too_small_sets_are_refused_or_carry_a_warning(sets):
    stimuli, made = sets
    few = {"stimulus": slice(30)}
    with pytest.raises(SchemaError, match="30 pictures are too few, 97 are needed: covariances"):
        Fid(features="phantom_late")(made.isel(few), stimuli)
    with pytest.raises(SchemaError, match="30 pictures are too few, 100 are needed: subsets of 50"):
        Kid(features="phantom_late")(made.isel(few), stimuli)
    for kind in (Fid, Kid):
        found = kind(features="phantom_late", allow_small=True)(made.isel(few), stimuli)
        assert "30 pictures are too few" in found["warning"].item()
        assert np.isfinite(found["value"]).all()
    with pytest.raises(SchemaError, match="too few"):
        Fid(features="phantom_late", allow_small=True)(made.isel(stimulus=slice(2)), stimuli)


def test_small_subsets_carry_a_warning_however_many_pictures_there_are(sets):
    stimuli, made = sets
    kid = Kid(features="phantom_late", subset=5)(made, stimuli)
    assert "subsets of 5 pictures, fewer than 50" in kid["warning"].item()
    few = {"stimulus": slice(8)}
    both = Kid(features="phantom_late", subset=5, allow_small=True)(made.isel(few), stimuli)
    assert "8 pictures are too few, 10 are needed" in both["warning"].item()
    assert "; subsets of 5 pictures" in both["warning"].item()
    assert not Kid(features="phantom_late", subset=50)(made, stimuli)["warning"].item()


def test_extrapolation_takes_the_bias_of_small_samples_away():
    rng = np.random.default_rng(0)
    plain, endless = [], []
    for _ in range(4):
        a, b = rng.standard_normal((2, 160, 12))
        plain.append(Fid(features="clip").between(a, b, 0)[0])
        endless.append(Fid(features="clip", infinity=True).between(a, b, 0)[0])
    assert np.mean(plain) > 0.5  # the truth is 0
    assert abs(np.mean(endless)) < 0.3 * np.mean(plain)
    assert Fid(features="clip", infinity=True).label == "clip_fid_infinity"


def test_scores_of_sets_stand_beside_scores_of_items(sets):
    stimuli, made = sets
    few = {"stimulus": slice(12)}
    fid = {"kind": "fid", "features": "phantom_late", "allow_small": True}
    joined = check(score(made.isel(few), stimuli, ["pixcorr", fid, "clip_cosine"]), "score")
    assert joined["value"].dims == ("stimulus", "draw", "metric")
    assert joined["metric"].values.tolist() == ["pixcorr", "clip_cosine"]
    assert joined["set_value"].dims == ("draw", "set_metric")
    assert joined["set_metric"].values.tolist() == ["phantom_late_fid"]
    assert joined["set_direction"].item() == "lower"
    assert "too few" in joined["set_warning"].item()
    alone = score(made.isel(few), stimuli, [fid])
    assert alone["value"].dims == ("draw", "metric")
    with pytest.raises(SchemaError, match="two scores are called phantom_late_fid"):
        side_by_side([alone, alone])
