"""The search against brute force in NumPy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from insilico.decoders.nearest import search
from insilico.decoders.nearest.search import cosines, nearest, ranked, unit


def brute(query, gallery, k, without=()):
    """Cosines of all, sorted; of equals the first."""
    a, b = query.astype(np.float64), gallery.astype(np.float64)
    cosine = b @ a / np.sqrt((b**2).sum(1) * (a**2).sum())
    allowed = [row for row in range(len(b)) if row not in set(without)]
    order = sorted(allowed, key=lambda row: (-round(cosine[row], 12), row))[:k]
    return order, cosine[order]


@pytest.fixture(scope="module")
def gallery():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((700, 24)).astype(np.float32)
    rows[[5, 90, 333, 699]] = rows[17]  # ties across blocks
    return unit(rows)


@pytest.fixture(scope="module")
def queries(gallery):
    rng = np.random.default_rng(1)
    near = gallery[[17, 400]] + 0.1 * rng.standard_normal((2, 24))
    return unit(np.concatenate([near, rng.standard_normal((6, 24))]))


@pytest.mark.parametrize("k", [1, 3, 4, 50, 700])
def test_equals_brute_force_with_ties_across_blocks(gallery, queries, k, monkeypatch):
    monkeypatch.setattr(search, "BLOCK_BYTES", 4 * 24 * 64)
    found = nearest(queries, lambda rows: gallery[rows], len(gallery), k)
    for query, (positions, cosine) in zip(queries, found, strict=True):
        order, expected = brute(query, gallery, k)
        assert positions.tolist() == order
        np.testing.assert_allclose(cosine, expected, atol=1e-6)
    assert found[0][0][:k].tolist() == [5, 17, 90, 333, 699][:k] + found[0][0][5:k].tolist()


def test_a_query_does_not_find_what_is_left_out(gallery, queries, monkeypatch):
    monkeypatch.setattr(search, "BLOCK_BYTES", 4 * 24 * 64)
    without = [np.array([17, 333])] + [np.empty(0, int)] * (len(queries) - 1)
    found = nearest(queries, lambda rows: gallery[rows], len(gallery), 20, without)
    assert found[0][0].tolist() == brute(queries[0], gallery, 20, [17, 333])[0]
    assert found[0][0][:3].tolist() == [5, 90, 699]
    assert found[1][0].tolist() == brute(queries[1], gallery, 20)[0]
    all_but_two = [np.arange(2, 700)] * len(queries)
    found = nearest(queries, lambda rows: gallery[rows], len(gallery), 20, all_but_two)
    assert all(sorted(positions) == [0, 1] for positions, _ in found)


def test_nearly_equal_rows_are_told_apart_in_double_precision():
    rng = np.random.default_rng(2)
    row = unit(rng.standard_normal(512))
    gallery = np.repeat(row[None], 40, 0)
    gallery[:, 0] += np.linspace(0, 2e-7, 40).astype(np.float32)
    query = unit(rng.standard_normal((1, 512)))
    found = nearest(query, lambda rows: gallery[rows], 40, 5)[0][0]
    assert found.tolist() == brute(query[0], gallery, 5)[0]


def test_reranking_is_by_all_tokens_and_zeros_are_nobody():
    rng = np.random.default_rng(3)
    tokens = rng.standard_normal((30, 60)).astype(np.float16)
    tokens[4] = 0
    query = tokens[9].astype(np.float32) + 0.2
    near = np.array([25, 4, 9, 1, 17])
    positions, cosine = ranked(query, lambda rows: tokens[rows], near, 3)
    expected = {row: brute(query, tokens[[row]], 1)[1][0] for row in near if row != 4} | {4: 0.0}
    best = sorted(expected, key=lambda row: -expected[row])[:3]
    assert positions.tolist() == best
    np.testing.assert_allclose(cosine, [expected[row] for row in best], atol=1e-12)
    assert best[0] == 9
    assert cosines(query, lambda rows: tokens[rows], np.array([4])).tolist() == [0.0]


def test_memory_does_not_grow_with_the_gallery(monkeypatch):
    monkeypatch.setattr(search, "BLOCK_BYTES", 400_000)
    rng = np.random.default_rng(4)
    row = unit(rng.standard_normal((500, 100)))

    def peak(n):
        tracemalloc.start()
        nearest(row[:4], lambda rows: row[rows % 500], n, 10)
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    small, large = peak(5_000), peak(50_000)
    assert large < 4 * 100 * 50_000 / 4
    assert large < small + 8_000_000
