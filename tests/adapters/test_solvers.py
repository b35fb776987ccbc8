from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV

from insilico.adapters.selection import _free, _worth, dealt, generalised, left_out
from insilico.adapters.solve import Solution, solve
from insilico.adapters.spectrum import decompose

GOLDEN = Path(__file__).parents[1] / "golden" / "stats" / "ridge.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def centred(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(0)).astype(np.float32)


def solved(x: np.ndarray, y: np.ndarray, alphas: object, **how: object) -> Solution:
    return solve(x, lambda part: y[:, part], y.shape[1], alphas, **how)


def random(n: int, p: int, t: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    return centred(x), centred(x @ rng.standard_normal((p, t)) + 2 * rng.standard_normal((n, t)))


def rotated(x: np.ndarray, y: np.ndarray, alphas: list[float]) -> tuple:
    spectrum = decompose(x)
    return spectrum, y, spectrum.vectors.T @ y, np.array(alphas)


@pytest.mark.parametrize("choose", ["loo", "gcv"])
def test_golden_penalties_and_predictions(golden, choose):
    x, y = centred(golden["Xtr"]), centred(golden["Ytr"])
    found = solved(x, y, golden["alphas"], choose=choose)
    alike = np.isclose(found.alpha, golden["skcv_loo_alpha"])
    assert alike.mean() == 1 if choose == "loo" else alike.mean() > 0.8
    made = (golden["Xte"] - golden["Xtr"].mean(0)) @ (x.T @ found.dual) + golden["Ytr"].mean(0)
    near = np.abs(made - golden["skcv_pred"]).max(0) < 1e-3 * np.abs(golden["skcv_pred"]).max()
    assert near[alike].all()


def test_golden_folds(golden):
    x, y = centred(golden["Xtr"]), centred(golden["Ytr"])
    fold = np.arange(len(x)) * 5 // len(x)
    found = solved(x, y, golden["alphas"], choose="folds", fold=fold)
    assert np.isclose(found.alpha, golden["him_kernel_alpha"]).all()


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (20, 20)])
def test_leave_one_out_is_what_leaving_one_out_gives(shape):
    x, y = random(*shape)
    (_, ours, _), errors = left_out(*rotated(x, y, [2.0])), []
    for row in range(len(x)):
        rest = np.arange(len(x)) != row
        model = Ridge(alpha=2.0).fit(x[rest], y[rest])
        errors.append((model.predict(x[[row]])[0] - y[row]) ** 2)
    np.testing.assert_allclose(ours, np.mean(errors, 0), rtol=1e-3)


@pytest.mark.parametrize("shape", [(60, 25), (40, 90)])
def test_penalties_that_are_ruled_out_are_not_the_best(shape):
    x, y = random(*shape, t=300)
    y[:, ::2] = centred(np.random.default_rng(3).standard_normal(y[:, ::2].shape))
    alphas = [float(a) for a in np.logspace(-1, 5, 13)]
    parts = rotated(x, y, alphas)
    best, error, dual = left_out(*parts)
    each = np.array([left_out(*parts[:3], np.array([alpha]))[1] for alpha in alphas])
    np.testing.assert_array_equal(best, each.argmin(0))
    np.testing.assert_allclose(error, each.min(0), rtol=1e-6)
    assert len(np.unique(best)) > 4
    spectrum, _, turned, _ = parts
    shrunk = turned / (spectrum.values[:, None] + np.array(alphas)[best])
    np.testing.assert_allclose(dual, spectrum.vectors @ shrunk, rtol=2e-3, atol=1e-6)
    known = each.min(0) * len(x)
    wanted = sum(len(some) for _, some in _worth(*parts, _free(spectrum, parts[-1]), known))
    assert wanted < 0.7 * each.size  # the others were not computed


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_generalised_cross_validation_is_its_formula(shape):
    x, y = random(*shape)
    n, alpha = len(x), 3.0
    hat = x @ np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T) + 1 / n
    rss = ((y - hat @ y) ** 2).sum(0)
    expected = rss / n / (1 - np.trace(hat) / n) ** 2
    np.testing.assert_allclose(generalised(*rotated(x, y, [alpha]))[0], expected, rtol=1e-3)


@pytest.mark.parametrize("shape", [(60, 25), (40, 90)])
def test_agrees_with_ridgecv_per_target(shape):
    x, y = random(*shape, t=12)
    alphas = [0.1, 3.0, 100.0, 3000.0]
    found = solved(x, y, alphas)
    model = RidgeCV(alphas, alpha_per_target=True).fit(x, y)
    np.testing.assert_allclose(found.alpha, model.alpha_)
    np.testing.assert_allclose((x.T @ found.dual).T, model.coef_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
@pytest.mark.parametrize("choose", ["loo", "gcv", "folds"])
def test_torch_gives_what_numpy_gives(shape, choose):
    x, y = random(*shape)
    fold = np.arange(len(x)) % 4
    ours = solved(x, y, [0.5, 5.0, 50.0], choose=choose, fold=fold)
    there = solved(
        torch.from_numpy(x), torch.from_numpy(y), [0.5, 5.0, 50.0], choose=choose, fold=fold
    )
    np.testing.assert_array_equal(ours.alpha, there.alpha)
    np.testing.assert_allclose(x.T @ ours.dual, x.T @ there.dual, atol=1e-4)


def test_more_targets_than_a_block(monkeypatch):
    x, y = random(20, 30, t=7)
    whole = solved(x, y, [1.0, 10.0])
    monkeypatch.setattr("insilico.adapters.selection.BLOCK", 3)
    np.testing.assert_allclose(solved(x, y, [1.0, 10.0]).dual, whole.dual, atol=1e-6)


def test_weights_of_columns_are_penalties_of_their_own():
    x, y = random(40, 12)
    gamma = np.repeat([0.25, 4.0], 6)
    found = solved(x, y, [5.0], gammas=[gamma])
    model = Ridge(alpha=5.0, fit_intercept=False).fit(x * np.sqrt(gamma), y)
    np.testing.assert_allclose(
        (gamma * x).T @ found.dual, (model.coef_ * np.sqrt(gamma)).T, atol=1e-5
    )


def test_each_target_takes_the_weights_that_suit_it():
    rng = np.random.default_rng(0)
    x = centred(rng.standard_normal((60, 80)))
    truth = np.zeros((80, 2))
    truth[:40, 0], truth[40:, 1] = rng.standard_normal((2, 40))
    y = centred(x @ truth + rng.standard_normal((60, 2)))
    left = np.repeat([1.999, 0.001], 40)
    found = solved(x, y, [1.0, 10.0, 100.0], gammas=[None, left, left[::-1].copy()])
    assert found.candidate.tolist() == [1, 2]
    assert (found.error < solved(x, y, [1.0, 10.0, 100.0]).error).all()


def test_groups_go_to_one_fold_whatever_their_order():
    groups = np.array([f"s{k % 11}" for k in range(50)])
    fold = dealt(groups, 4, np.random.default_rng(0))
    assert len({(g, f) for g, f in zip(groups, fold, strict=True)}) == 11
    assert set(fold) == {0, 1, 2, 3}
    turned = dealt(groups[::-1], 4, np.random.default_rng(0))
    np.testing.assert_array_equal(turned[::-1], fold)
