"""Sign-flip maps, cluster enhancement by area and false discovery rates, against brute force."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import ttest_1samp

from insilico.errors import ParameterError
from insilico.spaces import fsaverage5
from insilico.statistics import tfce
from insilico.statistics.flipped_maps import COLUMNS, flipped_map
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.multiplicity import adjusted
from insilico.statistics.tfce import Enhancement, enhanced

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "stats" / "fdr.npz")


def mesh(seed=0, side=6):
    """Return a small grid with diagonals, and uneven areas."""
    rng, rows = np.random.default_rng(seed), []
    for i, j in product(range(side), repeat=2):
        for a, b in ((0, 1), (1, 0), (1, 1)):
            if i + a < side and j + b < side:
                rows.append((i * side + j, (i + a) * side + j + b))
    one, other = np.array(rows + [(b, a) for a, b in rows]).T
    graph = csr_array((np.ones(len(one)), (one, other)), shape=(side**2, side**2))
    return graph, rng.uniform(1, 20, side**2), rng


def by_force(values, graph, areas, extent, height, step):
    """Sum over heights as the definition says, labelling the pieces at each."""
    found = np.zeros(len(values))
    for sign in (1, -1):
        own = np.where(np.isfinite(values), sign * values, 0)
        for k in range(1, int(own.max() / step + 1e-9) + 1):
            on = np.flatnonzero(own >= k * step * (1 - 1e-12))
            piece = connected_components(graph[on][:, on], directed=False)[1]
            area = np.bincount(piece, areas[on])[piece]
            found[on] += sign * area**extent * (k * step) ** height * step
    return found


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("extent", "height", "step"), [(0.5, 2.0, 0.1), (1.0, 1.0, 0.25)])
def test_steps_equal_brute_force(monkeypatch, compiled, extent, height, step):
    if compiled:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(tfce, "_compiled", lambda: tfce._join)
    graph, areas, rng = mesh()
    values = rng.standard_normal(36) * 2
    values[[3, 17]] = np.nan
    values[20:23] = 0.75  # ties, at a step
    found = enhanced(values, graph, areas, Enhancement(extent, height, step))
    assert np.isnan(found[[3, 17]]).all()
    known = np.isfinite(values)
    expected = by_force(values, graph, areas, extent, height, step)[known]
    np.testing.assert_allclose(found[known], expected, atol=1e-10)


def test_the_integral_is_the_limit_of_small_steps_and_exact_on_a_disc():
    graph, areas, rng = mesh(1)
    values = rng.standard_normal(36)
    exact = enhanced(values, graph, areas, Enhancement())
    fine = by_force(values, graph, areas, 0.5, 2.0, 0.002)
    np.testing.assert_allclose(exact, fine, atol=0.08)
    flat = np.zeros(36)
    flat[[0, 1, 7]] = 3.0  # one piece of one height: area^E h^(H+1) / (H+1)
    alone = enhanced(flat, graph, areas, Enhancement())
    assert alone[1] == pytest.approx(np.sqrt(areas[[0, 1, 7]].sum()) * 27 / 3)
    assert (alone[flat == 0] == 0).all()


def test_enhancement_goes_by_area_and_is_odd():
    graph, areas, rng = mesh(2)
    values = rng.standard_normal((3, 36))
    once = enhanced(values, graph, areas, Enhancement())
    np.testing.assert_allclose(enhanced(-values, graph, areas, Enhancement()), -once)
    np.testing.assert_allclose(enhanced(values, graph, 4 * areas, Enhancement()), 2 * once)
    np.testing.assert_allclose(enhanced(2 * values, graph, areas, Enhancement()), 8 * once)
    wall = fsaverage5.medial_wall()
    cap = np.where(wall, np.nan, (fsaverage5.mesh("sphere")[0][:, 1] < -85) * 2.0)
    piece = (cap == 2) & (fsaverage5.hemisphere() == "L")
    area = fsaverage5.areas()[piece].sum()
    assert Enhancement()(cap)[piece][0] == pytest.approx(np.sqrt(area) * 8 / 3)


def test_wrong_enhancements():
    with pytest.raises(ParameterError, match="above 0"):
        Enhancement(extent=0)
    with pytest.raises(ParameterError, match="dh = -0.1"):
        Enhancement(step=-0.1)
    with pytest.raises(ParameterError, match="5 places; 36"):
        enhanced(np.ones(5), *mesh()[:2], Enhancement())


# --- sign flips -----------------------------------------------------------------------------------


def test_all_flips_equal_enumeration_by_hand():
    graph, areas, rng = mesh()
    differences = rng.standard_normal((5, 36)) + 0.4
    flips = np.array(list(product([1, -1], repeat=5)))
    t = np.array([ttest_1samp(f[:, None] * differences, 0).statistic for f in flips])

    def enhance(maps):
        return enhanced(maps, graph, areas, Enhancement())

    for how in (None, enhance):
        found = flipped_map(differences, 32, np.random.default_rng(0), how)
        np.testing.assert_allclose(found.t, t[0])
        close = 1 - 1e-9
        np.testing.assert_allclose(found.p, (abs(t) >= abs(t[0]) * close).mean(0))
        shown = abs(t if how is None else how(t))
        largest = shown.max(1)[:, None]
        np.testing.assert_allclose(found.p_corrected, (largest >= shown[0] * close).mean(0))
    assert found.p.min() >= 2 / 32


def test_every_place_of_a_wide_map_is_tested():
    differences = np.random.default_rng(3).standard_normal((4, 2 * COLUMNS + 2)) + 1
    found = flipped_map(differences, 16, np.random.default_rng(0))
    alone, corrected = sign_flip_test(differences, 16, np.random.default_rng(0))
    np.testing.assert_array_equal(found.p, alone)
    np.testing.assert_array_equal(found.p_corrected, corrected)


def test_random_flips_equal_the_test_of_few_contrasts():
    rng = np.random.default_rng(0)
    differences = rng.standard_normal((20, 30)) + rng.uniform(-0.5, 0.5, 30)
    alone, corrected = sign_flip_test(differences, 400, np.random.default_rng(1))
    found = flipped_map(differences, 400, np.random.default_rng(1))
    np.testing.assert_allclose(found.p, alone)
    np.testing.assert_allclose(found.p_corrected, corrected)


def test_what_is_not_there_is_not_tested():
    rng = np.random.default_rng(0)
    differences = rng.standard_normal((8, 6))
    differences[3, 1], differences[:, 2] = np.nan, 0
    found = flipped_map(differences, 64, rng)
    assert np.isnan([found.t[1], found.p[1], found.p_corrected[1]]).all()
    assert found.t[2] == 0
    assert found.p[2] == found.p_corrected[2] == 1
    differences[:, 5] = 0.3
    with pytest.raises(ParameterError, match="same for all 8 items at 1 places \\(5\\)"):
        flipped_map(differences, 64, rng)
    with pytest.raises(ParameterError, match="two items"):
        flipped_map(differences[:1], 64, rng)
    with pytest.raises(ParameterError, match="all hold NaN"):
        flipped_map(np.full((4, 3), np.nan), 64, rng)


def test_error_rate_over_the_map_holds_and_an_extended_effect_is_found():
    graph, areas, rng = mesh()
    planted = np.zeros(36)
    planted[[0, 1, 6, 7, 8, 13]] = 0.9
    false, found = np.zeros(2), np.zeros(2)
    hows = (None, lambda maps: enhanced(maps, graph, areas, Enhancement()))
    for _ in range(40):
        noise = rng.standard_normal((12, 36))
        for k, how in enumerate(hows):
            false[k] += (flipped_map(noise, 99, rng, how).p_corrected <= 0.05).any()
            reached = flipped_map(noise + planted, 99, rng, how).p_corrected <= 0.05
            found[k] += reached[planted > 0].mean()
    assert (false <= 7).all()  # 2 are expected
    assert found[1] > 1.2 * found[0]  # what stands together gains
    assert found[1] > 13


# --- false discoveries ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["mixed", "ties", "edge", "one", "allnull"])
@pytest.mark.parametrize("method", ["bh", "by"])
def test_adjusted_p_equal_statsmodels_and_scipy(case, method):
    p = GOLDEN[f"{case}_p"]
    np.testing.assert_allclose(adjusted(p, method), GOLDEN[f"{case}_fdr_{method}"], atol=1e-12)
    holed = np.insert(p, 0, np.nan)
    assert np.isnan(adjusted(holed, method)[0])
    np.testing.assert_allclose(adjusted(holed, method)[1:], adjusted(p, method), atol=1e-15)


def test_wrong_p():
    assert np.isnan(adjusted(np.full(3, np.nan))).all()
    with pytest.raises(ParameterError, match="0 to 1 are allowed"):
        adjusted(np.array([0.1, 1.2]))
    with pytest.raises(ParameterError, match="one of: bh, by"):
        adjusted(np.array([0.1]), "holm")
