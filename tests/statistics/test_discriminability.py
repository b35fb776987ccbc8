"""Same-stimulus against different-stimulus similarity, held against what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from insilico.errors import SchemaError
from insilico.schema import check, sample
from insilico.spaces.tokens import image_tokens
from insilico.statistics import KINDS
from insilico.statistics.discriminability import Discriminability

N = 12


def made(seed, draws=1, noise=1.0, n=N):
    """Return a reconstruction whose stages hold a stimulus' own vector and noise."""
    rng, own = np.random.default_rng(seed), np.random.default_rng(99)
    base = sample("reconstruction", n=n).isel(draw=[0] * draws)
    base = base.assign_coords(draw=np.arange(draws)).assign_attrs(seed=seed)
    ridge, prior = own.standard_normal((n, 40)), own.standard_normal((n, 1, 5, 8))
    return base.assign(
        tokens_ridge=(("stimulus", "hidden"), (ridge + rng.normal(0, noise, (n, 40)))),
        tokens_prior=(
            ("stimulus", "draw", "token", "channel"),
            prior + rng.normal(0, noise, (n, draws, 5, 8)),
        ),
    )


def stages(of, *reconstructions, **parameters):
    return check(Discriminability(of=of, n=200, **parameters)(*reconstructions), "estimate")


def test_numbers_are_cosines_of_pairs():
    a, b = made(1), made(2)
    found = stages(("a", "b"), a, b)
    assert found["contrast"].values.tolist() == ["ridge", "prior", "image"]
    x, y = (
        r["tokens_ridge"].values / np.linalg.norm(r["tokens_ridge"], axis=1)[:, None]
        for r in (a, b)
    )
    cosine = x @ y.T
    apart = ~np.eye(N, dtype=bool)
    row = found.sel(contrast="ridge")
    np.testing.assert_allclose(row["same"], cosine.diagonal().mean(), atol=1e-6)
    np.testing.assert_allclose(row["different"], cosine[apart].mean(), atol=1e-6)
    np.testing.assert_allclose(row["effect"], row["same"] - row["different"], atol=1e-9)
    both = []
    for table in (cosine, cosine.T):
        each = [np.mean([table[i, j] < table[j, j] for i in range(N) if i != j]) for j in range(N)]
        both.append(np.mean(each))
    np.testing.assert_allclose(row["two_way"], np.mean(both), atol=1e-9)
    assert row["ci_low"] < row["effect"] < row["ci_high"]
    assert (row["n"], row["pairs"]) == (N, 1)


def test_expected_cosine_of_signal_and_noise_is_recovered():
    found = stages(("a", "b"), made(1, n=200), made(2, n=200)).sel(contrast="ridge")
    np.testing.assert_allclose(found["same"], 0.5, atol=0.03)  # half the variance is the stimulus'
    np.testing.assert_allclose(found["different"], 0.0, atol=0.03)
    assert found["p"] < 0.01


def test_equal_versions_are_one_and_unrelated_ones_at_chance():
    same = stages(("a", "b"), made(1), made(1).assign_attrs(seed=2))
    np.testing.assert_allclose(same["same"], 1, atol=1e-6)
    np.testing.assert_allclose(same["two_way"], 1)
    far = stages(("a", "b"), made(1, noise=1e3), made(2, noise=1e3)).sel(
        contrast=["ridge", "prior"]
    )
    assert (np.abs(far["effect"]) < 0.15).all()
    assert (np.abs(far["two_way"] - 0.5) < 0.2).all()
    assert (far["p"] > 0.01).all()
    assert far["chance"].values.tolist() == [0, 0]
    assert far["two_way_chance"].values.tolist() == [0.5, 0.5]


def test_draws_of_one_condition_are_compared_where_there_are_draws():
    one = made(3, draws=3)
    found = stages(("a",), one)
    assert found["contrast"].values.tolist() == ["prior", "image"]
    assert found["pairs"].values.tolist() == [3, 3]
    unit = one["tokens_prior"].values.reshape(N, 3, -1)
    unit = unit / np.linalg.norm(unit, axis=-1, keepdims=True)
    expected = np.mean(
        [(unit[:, i] * unit[:, j]).sum(1).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    )
    np.testing.assert_allclose(found["same"][0], expected, atol=1e-6)
    assert found.attrs["versions"] == "draws of a, each with its own noise"


def test_equal_draws_of_conditions_share_their_noise_and_are_left_out():
    a, b = made(1, draws=2), made(1, draws=2)
    b["tokens_prior"] = b["tokens_prior"] + 0.0
    shared = stages(("a", "b"), a, b).sel(contrast="prior")
    assert shared["pairs"] == 2  # 0 with 1 and 1 with 0
    assert shared["same"] < 0.9
    apart = stages(("a", "b"), a, b.assign_attrs(seed=5)).sel(contrast="prior")
    assert apart["pairs"] == 4
    one = stages(("a", "b"), made(1), made(1))
    assert "the same noise" in one.attrs["versions"]


def test_pictures_are_compared_by_their_clip_tokens():
    a, b = made(1), made(2)
    b["image"] = b["image"].copy(data=255 - b["image"].values)
    x, y = (image_tokens(r["image"].values[:, 0]).reshape(N, -1) for r in (a, b))
    cosine = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    found = stages(("a", "b"), a, b).sel(contrast="image")
    np.testing.assert_allclose(found["same"], cosine.mean(), atol=1e-5)


def test_wrong_input_is_told():
    a = made(1)
    with pytest.raises(SchemaError, match=r"2 conditions are named \(a, b\) and 1 reconstructions"):
        stages(("a", "b"), a)
    with pytest.raises(SchemaError, match="'b' has other stimuli than 'a'"):
        stages(("a", "b"), a, a.isel(stimulus=slice(None, None, -1)))
    with pytest.raises(SchemaError, match="at least two stimuli"):
        stages(("a", "b"), a.isel(stimulus=[0]), a.isel(stimulus=[0]))
    with pytest.raises(SchemaError, match="no stage is there in two versions"):
        stages(("a",), a)
    broken = a.copy(deep=True)
    broken["tokens_ridge"][2] = np.nan
    with pytest.raises(
        SchemaError, match="NaN or nothing but zeros in tokens_ridge of sample-000002"
    ):
        stages(("a", "b"), a, broken)


def test_it_is_a_kind_of_statistic_that_knows_its_weights():
    step = KINDS.build({"kind": "discriminability", "of": ["a", "b"]})
    assert set(step.digests()) == {"clip"}
