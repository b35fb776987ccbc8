"""Similarities of long vectors, and identification by them."""

from __future__ import annotations

import tracemalloc
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import correlation, cosine

from insilico.scores import similarity
from insilico.scores.score import n_way, top1, two_way
from insilico.scores.similarity import blocks, matched, similarities


@pytest.mark.parametrize("case", ["a", "b", "null", "perfect"])
@pytest.mark.parametrize("strict", [True, False])
def test_two_way_equals_the_published_script(case, strict):
    with np.load(Path(__file__).parents[1] / "golden" / "stats" / "twoway.npz") as data:
        shown, made = data[f"{case}_gt"], data[f"{case}_pred"]
        expected, swapped = data[f"{case}_perf_p"][0], data[f"{case}_perf_swapped"]
    found = two_way(similarities(shown, made)[None], strict=strict)
    assert found.mean() == pytest.approx(expected, abs=1e-12)
    other = two_way(similarities(made, shown)[None], strict=strict)
    assert other.mean() == pytest.approx(swapped, abs=1e-12)


def test_ties_share_the_credit_or_are_lost():
    assert two_way(np.zeros((1, 5, 5))) == pytest.approx(0.5)
    assert two_way(np.zeros((1, 5, 5)), strict=True) == pytest.approx(0)
    alike = np.array([[[0.9, 0.1, 0.5], [0.2, 0.4, 0.5], [0.9, 0.6, 0.7]]])
    # column 0: .2 below .9, .9 ties; column 1: .1 below .4, .6 above; column 2: both below .7
    assert two_way(alike)[:, 0].tolist() == [0.75, 0.5, 1.0]
    assert two_way(alike, strict=True)[:, 0].tolist() == [0.5, 0.5, 1.0]


def test_top1_shares_ties():
    assert top1(np.zeros((1, 4, 4)))[:, 0].tolist() == [0.25] * 4
    assert top1(np.zeros((1, 4, 4)), strict=True)[:, 0].tolist() == [0] * 4
    assert top1(np.eye(3)[None])[:, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_n_way_is_the_mean_over_all_choices_of_others(n, strict):
    alike = np.random.default_rng(3).integers(0, 4, (2, 7, 7)).astype(float)  # many ties

    def win(column, own):
        others = [i for i in range(7) if i != own]
        wins = []
        for chosen in combinations(others, n - 1):
            best = max(column[i] for i in chosen)
            ties = sum(column[i] == column[own] for i in chosen)
            lost = best > column[own] or (strict and ties)
            wins.append(0 if lost else 1 / (ties + 1))
        return np.mean(wins)

    expected = [[win(draw[:, j], j) for draw in alike] for j in range(7)]
    np.testing.assert_allclose(n_way(alike, n, strict=strict), expected, atol=1e-12)


def test_n_way_joins_two_way_and_top1():
    alike = np.random.default_rng(4).standard_normal((3, 40, 40))
    np.testing.assert_allclose(n_way(alike, 2), two_way(alike), atol=1e-12)
    np.testing.assert_allclose(n_way(alike, 40), top1(alike), atol=1e-12)
    assert n_way(np.zeros((1, 40, 40)), 10) == pytest.approx(1 / 10)


@pytest.mark.parametrize("centred", [True, False])
def test_similarities_equal_scipy_whatever_the_blocks(centred, monkeypatch):
    monkeypatch.setattr(similarity, "BLOCK", 120)  # blocks of two rows
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 50)) + 3, rng.standard_normal((7, 50))
    b[2] = 4.0  # without variance
    distance = correlation if centred else cosine
    expected = np.array([[1 - distance(x, y) if y.std() else 0 for y in b] for x in a])
    found = similarities(a, b.astype(np.float32), centred=centred)
    kept = [0, 1, 3, 4, 5, 6]
    np.testing.assert_allclose(found[:, kept], expected[:, kept], atol=1e-6)
    if centred:
        assert (found[:, 2] == 0).all()
    np.testing.assert_array_equal(found, similarities(a, blocks(np.float32(b)), centred=centred))


def test_similarities_need_no_more_than_blocks(monkeypatch):
    monkeypatch.setattr(similarity, "BLOCK", 2**18)  # 2 MB in double precision
    a = np.random.default_rng(0).standard_normal((60, 40_000), dtype=np.float32)
    parts = (a[k : k + 6] for k in range(0, 60, 6))
    tracemalloc.start()
    found = similarities(a, parts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == (60, 60)
    assert peak < 12e6  # the vectors in double precision would take 19 MB, twice


@pytest.mark.parametrize("centred", [True, False])
def test_matched_equals_the_whole_matrix(centred):
    rng = np.random.default_rng(1)
    shown, made = rng.standard_normal((5, 30)), rng.standard_normal((2, 5, 30)) + 1
    own, apart = matched(shown, made, lambda x: x, 2, centred=centred)
    whole = np.stack([similarities(shown, draw, centred=centred) for draw in made])
    np.testing.assert_allclose(own, np.einsum("dii->id", whole), atol=1e-12)
    assert apart == pytest.approx(whole[:, ~np.eye(5, dtype=bool)].mean(), abs=1e-12)
    assert np.isnan(matched(shown[:1], made[:, :1], lambda x: x, 2, centred=centred)[1])
