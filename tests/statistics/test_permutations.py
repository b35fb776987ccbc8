"""Permutation tests over vertices against brute force, with and without compilation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from insilico.errors import ParameterError
from insilico.statistics import permutations
from insilico.statistics.permutations import of_one_regressor, of_vertices, orders, p_corrected


@pytest.fixture
def responses():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 23, 700)).astype(np.float32) + 5
    y[:, 3] = 7.0  # constant
    y[:, 9] += x[:, 9] * 4
    return x, y, orders(23, 6, rng)


@pytest.mark.parametrize("compiled", [True, False])
def test_vertices_equal_brute_force(responses, monkeypatch, compiled):
    x, y, permuted = responses
    if compiled:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(permutations, "_compiled", lambda: None)
    r, largest = of_vertices(x, y, permuted)
    assert r[3] == 0
    assert r[5] == pytest.approx(pearsonr(x[:, 5], y[:, 5])[0], abs=1e-5)
    for k in (0, 4):
        rest = [v for v in range(700) if v != 3]
        each = [abs(pearsonr(x[permuted[k], v], y[:, v])[0]) for v in rest]
        assert largest[k] == pytest.approx(max(each), abs=1e-5)


def test_one_regressor_equals_brute_force(responses):
    x, y, permuted = responses
    r, largest = of_one_regressor(x[:, 0], y, permuted)
    assert r[0] == pytest.approx(pearsonr(x[:, 0], y[:, 0])[0], abs=1e-5)
    rest = [v for v in range(700) if v != 3]
    each = [abs(pearsonr(x[permuted[2], 0], y[:, v])[0]) for v in rest]
    assert largest[2] == pytest.approx(max(each), abs=1e-5)


def test_p_counts_the_identity_and_ties():
    p = p_corrected(np.array([0.5, -0.9, 0.1, np.nan]), np.array([0.2, 0.5, 0.9]))
    np.testing.assert_allclose(p, [0.75, 0.5, 1.0, np.nan])


def test_planted_vertex_is_found_and_the_error_rate_holds():
    rng = np.random.default_rng(1)
    found, false = 0, 0
    for _ in range(60):
        x, y = rng.standard_normal((2, 20, 40)).astype(np.float32)
        y[:, 0] += 3 * x[:, 0]
        p = p_corrected(*of_vertices(x, y, orders(20, 99, rng)))
        found += p[0] <= 0.05
        false += (p[1:] <= 0.05).any()
    assert found >= 57
    assert false <= 9  # 3 are expected


def test_wrong_shapes():
    with pytest.raises(ParameterError, match="3 stimuli on one side and 4"):
        of_vertices(np.ones((3, 2)), np.ones((4, 2)), orders(3, 1, np.random.default_rng(0)))
    with pytest.raises(ParameterError, match="2 and 5 vertices"):
        of_vertices(np.ones((3, 2)), np.ones((3, 5)), orders(3, 1, np.random.default_rng(0)))
