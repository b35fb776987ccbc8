"""The least p of every test, and that every statistic that permutes says it."""

from __future__ import annotations

import importlib
import inspect
import math

import numpy as np
import pytest
import xarray as xr
from made_scores import scores

from insilico.report.summary import _floor
from insilico.statistics import KINDS
from insilico.statistics.attainable import of_differences, of_draws, of_flips, of_orders
from insilico.statistics.discriminability import Discriminability
from insilico.statistics.mixed import Mixed
from insilico.statistics.paired import Paired
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


def test_a_difference_of_zero_has_no_sign():
    """Of 12 differences 9 are zero: the 3 others have 8 arrangements of signs."""
    values = np.zeros((12, 1, 2))
    values[:3, 0, 0], values[:, 0, 1] = (1, 2, 3), np.arange(1, 13)
    rows = {("intact", ""): np.zeros((12, 1, 2)), ("lost", ""): values}
    made = Paired(of="lost", against="intact")(scores(rows, ("tied", "whole")))
    assert made["p"].values.tolist() == made["smallest_p"].values.tolist() == [[1 / 4, 2**-11]]
    assert made.attrs["smallest_p"] == 2**-11
    assert of_differences(values[:, 0], 99).tolist() == [1 / 4, 1 / 100]
    assert of_differences(np.zeros((12, 1)), 99).tolist() == [1.0]
    summary = _floor(made)[0]
    assert (
        "below 0.000488 (0.25 where most differences are zero) here, before correction; 2 of 2"
        in summary
    )


@pytest.mark.parametrize(
    ("stimuli", "least", "covers"), [(3, "0.25", "0.75"), (5, "0.0625", "0.938")]
)
def test_what_few_stimuli_cannot_give_is_said(stimuli, least, covers):
    rng = np.random.default_rng(0)
    rows = {(name, ""): rng.standard_normal((stimuli, 1, 1)) for name in ("intact", "lost")}
    said = Paired(of="lost", against="intact")(scores(rows)).attrs["caution"]
    assert f"{stimuli} stimuli: sign flips have no p below {least}: nothing is sig" in said
    assert f"covers {covers} of the time at most; show 6 or more" in said
    by_t = Paired(of="lost", against="intact", interval="studentised")(scores(rows))
    assert "covers" not in by_t.attrs["caution"]
    # the truth of it: the sample of a symmetric mean holds it no more often
    held = rng.standard_normal((20_000, stimuli))
    assert ((held < 0).any(1) & (held > 0).any(1)).mean() == pytest.approx(float(covers), abs=0.01)


def test_enough_stimuli_have_no_caution_and_one_draw_has():
    rows = {(name, ""): np.random.default_rng(1).standard_normal((6, 1, 1)) for name in "ab"}
    assert "caution" not in Paired(of="a", against="b")(scores(rows)).attrs
    assert "one draw: nothing tells" in Mixed(of="a", against="b")(scores(rows)).attrs["caution"]
