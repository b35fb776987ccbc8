"""The least p of every test, and that every statistic that permutes says it."""

from __future__ import annotations

import importlib
import inspect
import math

import numpy as np
import pytest
import xarray as xr
from made_scores import scores

from insilico.statistics import KINDS
from insilico.statistics.attainable import of_draws, of_flips, of_orders
from insilico.statistics.discriminability import Discriminability
from insilico.statistics.stability import Stability

WITHOUT = {  # t tests, and estimates without a test
    "mixed", "scaling", "two_by_two", "sweep", "split_half", "draw_reliability",
    "voxelwise_accuracy",
}  # fmt: skip


def test_orders_draws_and_flips():
    assert of_orders(2000, 4) == pytest.approx(1 / 24)
    assert of_orders(2000, 3, 2) == pytest.approx(1 / 36)
    assert of_orders(2000, 4, alike=[2, 2]) == pytest.approx(1 / 6)
    assert of_orders(2000, 1000) == of_draws(2000) == 1 / 2001
    assert of_draws(2000, 4**2) == 1 / 16
    assert of_flips(5, 2**5) == 1 / 16


@pytest.mark.parametrize("kind", sorted(set(KINDS) - WITHOUT))
def test_every_statistic_that_permutes_says_it(kind):
    module = importlib.import_module(KINDS.addresses()[kind].partition(":")[0])
    assert "smallest_p" in inspect.getsource(module)


def test_no_p_lies_below_it():
    rng, names = np.random.default_rng(0), ("x", "y")
    rows = {("intact", ""): np.zeros((12, 1, 1))}
    for name in names:
        for k, region in enumerate("ABCDEF"):
            rows[name, region] = k + 0.1 * rng.standard_normal((12, 1, 1))
    made = Stability(of=names, against=("intact",), n=199)(scores(rows))
    assert made["p"].min().item() == made.attrs["smallest_p"] == 1 / 200


def test_four_stimuli_have_24_orders():
    tokens = np.repeat(np.random.default_rng(1).standard_normal((4, 1, 2, 8)), 2, axis=1)
    made = xr.Dataset(
        {"tokens_ridge": (("stimulus", "draw", "token", "width"), tokens.astype(np.float32))}
        | {"caption": (("stimulus", "draw"), np.full((4, 2), "simulated"))},
        {"stimulus": list("abcd"), "draw": [0, 1]},
        {"decoder": "simulated", "seed": 0},
    )
    found = Discriminability(of=("one",), n=999)(made)
    assert found.attrs["smallest_p"] == pytest.approx(1 / math.factorial(4))
    assert found["p"].item() == pytest.approx(1 / 24, abs=0.025)
