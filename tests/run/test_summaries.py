"""What a summary says of controls, bounds and p: all that was tested, and nothing that was not."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "statistics"))

from made_scores import scores

from insilico.figures.area_lesions import area_lesions
from insilico.figures.dissociation import dissociation
from insilico.figures.lesions import lesion_effects
from insilico.report.summary import _estimate
from insilico.statistics.interaction import Interaction
from insilico.statistics.paired import Paired

CONTROLLED = {"of": "lost", "against": "intact", "control": "patch"}


@pytest.fixture(scope="module")
def made():
    """Return scores of which `a` loses 0.5 of m, `b` hardly anything, and patches nothing."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(12, 1, 2))

    def less(*by):
        return base - np.array(by) + rng.normal(0, 0.01, base.shape)

    rows = {("intact", ""): base, ("lost", "a"): less(0.5, 0), ("lost", "b"): less(0.001, 0)}
    rows |= {("patch", "a"): less(0, 0), ("patch", "b"): less(0, 0)}
    return scores(rows, ("m", "k"))


def lines(name, estimate):
    return [line for line in _estimate(name, estimate) if line.startswith("  ")]


def test_the_test_against_controls_stands_below_the_effect(made):
    estimate = Paired(**CONTROLLED, equivalent_within={"m": 0.1})(made)
    told = lines("gap", estimate)
    first = next(k for k, line in enumerate(told) if "m: a" in line)
    effect, beyond, bound = told[first : first + 3]
    assert "(largest of 2), p corrected" in effect
    assert effect.endswith("with p < .05: 1 below zero, 0 above")
    less = estimate["effect_control"].sel(contrast="a", metric="m").item()
    assert beyond.startswith(f"    less its controls          {less:+.3f} [")
    assert beyond.endswith("with p < .05: 1 below zero, 0 above")
    assert bound == "    within the bound: b (of 2)"


def test_a_bound_that_was_not_set_is_not_told(made):
    told = lines("gap", Paired(**CONTROLLED, equivalent_within={"m": 0.1})(made))
    assert sum("within the bound" in line for line in told) == 1
    assert not any("within the bound" in line for line in lines("gap", Paired(**CONTROLLED)(made)))
    plain = lines("gap", Paired(of="lost", against="intact")(made))
    assert not any("controls" in line for line in plain)


def test_p_is_called_corrected_only_where_it_is(made):
    sides = {"regions": ["a", "b"], "scores": ["m", "k"]}
    told = lines("cross", Interaction(of="lost", against="intact", **sides)(made))
    assert any("], p 0" in line for line in told)
    assert not any("p corrected" in line for line in told)
    assert any("p corrected" in line for line in lines("gap", Paired(**CONTROLLED)(made)))


def words(figure):
    texts = [text.get_text() for text in figure.findobj(mpl.text.Text)]
    return " ".join(" ".join(texts).split())


def test_figures_name_their_statistic(made):
    sides = {"regions": ["a", "b"], "scores": ["m", "k"]}
    cross = Interaction(of="lost", against="intact", **sides)(made)
    assert "cross: " in words(dissociation(cross.assign_attrs(name="cross")))
    assert "planted" not in words(dissociation(cross))
    gap = Paired(**CONTROLLED)(made)
    assert "statistic 'gap'; n = 12" in words(lesion_effects(gap.assign_attrs(name="gap")))


def test_a_second_row_of_other_intervals_says_so(made):
    gap = Paired(**CONTROLLED)(made)
    other = Paired(**CONTROLLED, interval="studentised")(made)
    said = words(area_lesions(gap, {"other": other}))
    assert "bars: 95 % BCa" in said
    assert "second row, bars: 95 % bootstrap-t" in said
    assert "second row" not in words(area_lesions(gap, {"same": gap}))


def test_labels_of_two_areas_do_not_overlap(made):
    gap = Paired(**CONTROLLED)(made)
    figure = area_lesions(gap, {"alone": gap})
    figure.draw_without_rendering()
    first, second = (axes.yaxis.label.get_window_extent() for axes in figure.axes[::2])
    assert not first.overlaps(second)


def test_a_star_stands_beside_its_effect(made):
    far = Paired(**CONTROLLED)(made)
    far["control_low"] = xr.full_like(far["control_low"], -5.0)
    axes = lesion_effects(far).axes[0]
    stars = [text.xy[0] for text in axes.texts if text.get_text() == "*"]
    assert stars == [pytest.approx(far["ci_low"].sel(contrast="a", metric="m").item())]
