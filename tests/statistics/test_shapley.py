"""Shapley values: laws, a known game, and regions that are redundant."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from made_scores import scores

from insilico.errors import ParameterError, SchemaError
from insilico.statistics.shapley import Shapley, shapley_values


def game(players, rng):
    sets = [frozenset(s) for size in range(players + 1) for s in combinations(range(players), size)]
    return {one: rng.standard_normal(3) if one else np.zeros(3) for one in sets}


def gains(worth, orders):
    """Return the mean gain of each player over orders of entry."""
    found = np.zeros((len(orders), 4, 3))
    for own, order in zip(found, orders, strict=True):
        for place, player in enumerate(order):
            own[player] = worth[frozenset(order[: place + 1])] - worth[frozenset(order[:place])]
    return found.mean(0)


def test_laws():
    rng = np.random.default_rng(0)
    worth, other = game(4, rng), game(4, rng)
    values = shapley_values(worth, 4)
    np.testing.assert_allclose(values.sum(0), worth[frozenset(range(4))])  # efficiency
    both = {one: worth[one] + 2 * other[one] for one in worth}
    np.testing.assert_allclose(
        shapley_values(both, 4), values + 2 * shapley_values(other, 4)
    )  # linearity
    np.testing.assert_allclose(gains(worth, list(permutations(range(4)))), values)
    lost = {s: worth[frozenset(range(4))] - worth[frozenset(range(4)) - s] for s in worth}
    np.testing.assert_allclose(shapley_values(lost, 4), values)  # kept or taken: the same


def test_the_glove_game():
    """One left glove and two right ones; a pair is worth 1: 2/3, 1/6, 1/6."""
    sets = [frozenset(s) for size in range(4) for s in combinations(range(3), size)]
    worth = {one: np.array(float(0 in one and len(one) > 1)) for one in sets}
    np.testing.assert_allclose(shapley_values(worth, 3), [2 / 3, 1 / 6, 1 / 6])


def made(n=15, seed=1):
    """Return lesions of A and B, which carry the same signal, C, which has its own, and D, none."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((n, 2, 1))
    shared, own = (rng.uniform(0.5, 1.5, (n, 1, 1)) for _ in range(2))
    rows = {("intact", ""): base}
    for size in range(1, 5):
        for names in combinations("ABCD", size):
            loss = shared * ({"A", "B"} <= set(names)) + own * ("C" in names)
            rows["silenced", " | ".join(names)] = base - loss
    return scores(rows), shared.mean(), own.mean()


def test_redundant_regions_share_what_neither_loses_alone():
    given, shared, own = made()
    found = Shapley(of="silenced", against="intact", regions=("A", "B", "C", "D"), n=999)(given)
    found = found.sel(metric="m")
    np.testing.assert_allclose(found["effect"], [-shared / 2, -shared / 2, -own, 0], atol=1e-12)
    np.testing.assert_allclose(found["alone"], [0, 0, -own, 0], atol=1e-12)
    np.testing.assert_allclose(found["last"], [-shared, -shared, -own, 0], atol=1e-12)
    assert found["effect"].sum().item() == pytest.approx(found["whole"].item())
    assert (found["p_corrected"].values[:3] < 0.01).all()
    assert found["p"].values[3] == 1


def test_mistakes():
    given, *_ = made()
    step = Shapley(of="silenced", against="intact", regions=("A", "B", "E"))
    with pytest.raises(SchemaError, match=r"no condition for E, A \| E.*combine: subsets"):
        step(given)
    with pytest.raises(ParameterError, match="name two or more, once"):
        step.model_copy(update={"regions": ("A", "A")})(given)
