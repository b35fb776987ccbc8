from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import ParameterError, SchemaError
from insilico.schema import check
from insilico.statistics import KINDS
from insilico.statistics.levels import Levels


def scores(n=12):
    rng = np.random.default_rng(5)
    rows = {
        "seen": 0.8 + 0.05 * rng.standard_normal(n),
        "read": 0.2 + 0.05 * rng.permutation(np.linspace(-1, 1, n)),
        "measured": 1.4 + 0.05 * rng.standard_normal(n),
    }
    value = np.stack(list(rows.values()))[:, :, None, None]
    return xr.Dataset(
        {"value": (("condition", "stimulus", "draw", "metric"), value)},
        coords={
            "condition": list(rows),
            "name": ("condition", list(rows)),
            "stimulus": [f"s{k}" for k in range(n)],
            "draw": [0],
            "metric": ["m"],
            "definition": ("metric", ["d"]),
            "direction": ("metric", ["higher"]),
            "chance": ("metric", [0.2]),
            "chance_of_condition": (("condition", "metric"), [[0.2], [0.2], [0.2]]),
        },
    )


def test_levels_against_chance_and_reference():
    given = scores()
    step = KINDS.build(
        {"kind": "levels", "of": ["seen", "read"], "against": ["measured", "measured"], "n": 4096}
    )
    estimate = check(step(given), "estimate").sel(metric="m")
    seen, read = (estimate.sel(contrast=name) for name in ("seen", "read"))
    truth = given["value"].mean(("stimulus", "draw")).sel(metric="m")
    assert seen["effect"].item() == pytest.approx(truth.sel(condition="seen").item())
    assert seen["p_corrected"].item() == pytest.approx(2 / 4096)
    assert seen["ci_low"] < seen["effect"] < seen["ci_high"]
    assert read["p"] > 0.5  # at chance
    expected = (truth.sel(condition="seen") - 0.2) / (truth.sel(condition="measured") - 0.2)
    assert seen["ratio"].item() == pytest.approx(expected.item())
    assert seen["ratio_low"] < seen["ratio"] < seen["ratio_high"]
    assert estimate["against"].values.tolist() == ["measured", "measured"]
    raw = truth.sel(condition="seen") / truth.sel(condition="measured")
    assert seen["raw_ratio"].item() == pytest.approx(raw.item())
    assert seen["raw_ratio_low"] < seen["raw_ratio"] < seen["raw_ratio_high"]


def test_the_ratio_above_chance_does_not_depend_on_the_direction():
    given = scores()
    turned = given.assign(value=1 - given["value"]).assign_coords(
        direction=("metric", ["lower"]),
        chance_of_condition=1 - given["chance_of_condition"],
    )
    step = Levels(of=("seen",), against=("measured",))
    for name in ("ratio", "ratio_low", "ratio_high"):
        np.testing.assert_allclose(step(turned)[name], step(given)[name], rtol=1e-9)


def test_without_chance_of_each_condition_it_is_the_metrics():
    given, step = scores(), Levels(of=("seen", "read"), n=99)
    plain = step(given.drop_vars("chance_of_condition"))
    xr.testing.assert_identical(plain, step(given))


def test_levels_answer_mistakes():
    with pytest.raises(ParameterError, match="'against' must name 2 conditions"):
        KINDS.build({"kind": "levels", "of": ["seen", "read"], "against": ["measured"]})
    with pytest.raises(ParameterError, match=r"unknown condition 'reed'.*did you mean 'read'"):
        Levels(of=("reed",))(scores())
    with pytest.raises(SchemaError, match="levels: at least two stimuli"):
        Levels(of=("seen",))(scores().isel(stimulus=[0]))
