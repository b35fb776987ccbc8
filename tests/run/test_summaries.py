"""What a summary says of controls, bounds and p: all that was tested, and nothing that was not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "statistics"))

from made_scores import scores

from insilico.errors import SchemaError
from insilico.figures.area_lesions import area_lesions
from insilico.figures.baseline import score_spread
from insilico.figures.dissociation import dissociation
from insilico.figures.doses import dose_curves
from insilico.figures.lesions import lesion_effects
from insilico.figures.network_lesions import network_lesions
from insilico.report.nouns import table
from insilico.report.summary import _estimate, _scores
from insilico.statistics.curves import DoseResponse
from insilico.statistics.interaction import Interaction
from insilico.statistics.levels import Levels
from insilico.statistics.paired import Paired
from insilico.statistics.stability import Stability

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


def ordered(tied=False):
    """Return scores of three regions, done twice; `tied`: the second time none matters."""
    rng = np.random.default_rng(2)
    base = rng.normal(size=(12, 1, 1))
    rows = {("intact", ""): base}
    for name in ("lost", "again"):
        for k, region in enumerate("abc"):
            noise = rng.normal(0, 0.01, base.shape)
            rows[name, region] = base if tied and name == "again" else base - 0.1 * k + noise
    return scores(rows, ("m",))


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


def test_an_order_is_told_by_its_w_first():
    step = Stability(of=("lost", "again"), against=("intact",), n=50)
    *_, whole, other = lines("order", step(ordered()))
    assert whole.startswith("  m: all variants              W 1.000 (range")
    assert re.search(r"\), p 0\.\d+$", whole)
    assert "again and lost" in other
    assert "rho 1.000" in other
    *_, whole, other = lines("order", step(ordered(tied=True)))
    assert whole.endswith("no W: all regions are tied in again")
    assert "nan" not in whole + other


def dosed():
    """Return scores over doses, of two areas; m of `a` rises, and patches stay as they were."""
    rng = np.random.default_rng(3)
    base, rows, levels = rng.uniform(0, 1, (10, 1, 2)), {}, []
    for name in ("raised", "patch"):
        for area in "ab":
            for dose in (0, 4):
                rise = 0.2 * dose * (name == "raised" and area == "a")
                noise = rng.normal(0, 0.01, base.shape)
                rows[name, f"{area}, dose {dose}"] = base + noise + np.array([rise, 0])
                levels.append(float(dose))
    return scores(rows, ("m", "k")).assign_coords(level=("condition", levels))


def test_scores_over_doses_and_their_trend_are_told():
    assert _scores(dosed())[0] == "Scores, mean over stimuli (and over regions and doses)"
    assert _scores(ordered())[0] == "Scores, mean over stimuli (and over regions)"
    masked = dosed().assign_coords(region=("condition", ["fraction 0.5"] * 8))
    assert _scores(masked)[0] == "Scores, mean over stimuli (and over fractions)"
    step = DoseResponse(of="raised", control="patch", scores={"a": "m", "b": "k"})
    estimate = step(dosed())
    told = lines("curve", estimate)
    at = next(k for k, line in enumerate(told) if "m: a, trend a step" in line)
    assert f"{estimate['trend'].values[0, 0]:+.3f} [" in told[at]
    assert f"{estimate['trend_control'].values[0, 0]:+.3f} [" in told[at + 1]
    assert any("k: b, trend a step" in line for line in told)


def test_curves_have_a_row_for_every_score_and_name_it():
    named = DoseResponse(of="raised", control="patch", scores={"a": "m", "b": "k"})(dosed())
    first, second = dose_curves(named).axes
    assert "score: m" in first.get_title(loc="left")
    assert "score: k" in second.get_title(loc="left")
    every = DoseResponse(of="raised", control="patch")(dosed())
    figure = dose_curves(every)
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes] == [
        "score: m", "score: m", "score: k", "score: k"
    ]  # fmt: skip
    assert "share of captions" not in words(figure)
    grey = [line.get_xydata() for line in figure.axes[0].lines if line.get_color() == "#777777"]
    curve = next(line for line in grey if len(line) == 2)
    assert any(np.allclose(line[-1], curve[-1]) for line in grey if line is not curve)
    both = dose_curves(every.assign_attrs(name="one"), {"two": named.assign_attrs(name="two")})
    assert len(both.axes) == 6
    assert "statistics 'one', 'two'" in words(both)


def test_doses_of_a_score_that_falls_are_drawn_as_it_is():
    falls = dosed().assign_coords(direction=("metric", ["lower", "higher"]))
    axes = dose_curves(DoseResponse(of="raised", control="patch")(falls)).axes[0]
    mean = falls["value"].sel(metric="m", condition="raised/a, dose 4").mean().item()
    red = next(line for line in axes.lines if line.get_color() == "#8e1b1b")
    assert red.get_ydata()[-1] == pytest.approx(mean)


def test_open_marks_of_a_dissociation_are_not_significant(made):
    sides = {"regions": ["a", "b"], "scores": ["m", "k"]}
    cross = Interaction(of="lost", against="intact", **sides)(made)
    axes = dissociation(cross).axes[0]
    open_marks = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    losses = cross["p"].values[3:]
    assert sum(len(line.get_xdata()) for line in open_marks) == (losses >= 0.05).sum() > 0
    assert dissociation(cross).get_figwidth() < 4
    assert dissociation(cross, dict.fromkeys("bcd", cross)).get_figwidth() > 7


def test_stimuli_of_a_list_of_regions_are_spread_over_their_mean(made):
    step = Levels(of=("intact", "lost"))
    figure = score_spread(step(made), made)
    dots = figure.axes[0].collections[0].get_offsets()
    assert len(dots) == 12
    value = made["value"].sel(metric="m").isel(draw=0)
    lost = value.sel(condition=["lost/a", "lost/b"]).mean("condition").values
    every = [c.get_offsets()[:, 0] for c in figure.axes[0].collections if len(c.get_offsets()) > 9]
    assert any(np.allclose(one, lost) for one in every)
    assert "lost: mean over 2 conditions" in words(figure)


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


def test_rows_of_areas_ask_what_their_perturbation_asks(made):
    gap = Paired(**CONTROLLED)(made).assign_attrs(perturbation="ablate", fill="mean", name="gap")
    kept = gap.assign_attrs(perturbation="keep_only", name="alone")
    said = words(area_lesions(gap, {"alone": kept}))
    assert "necessary? the score without it" in said
    assert "sufficient? the score with it alone" in said
    assert "statistics 'gap', 'alone'" in said
    said = words(area_lesions(gap, {"other": gap.assign_attrs(fill="zero", name="other")}))
    assert "fill: mean" in said
    assert "fill: zero" in said
    assert "sufficient?" not in said
    said = words(area_lesions(gap, {"raised": gap.assign_attrs(perturbation="stimulate")}))
    assert "sufficient?" not in said
    other = gap.assign_attrs(null="symmetric; against 'far': no more", name="far one")
    assert "against 'far': no more ('far one')" in words(area_lesions(gap, {"far": other}))
    with pytest.raises(SchemaError, match="rows of other areas: a, b, then b, a"):
        area_lesions(gap, {"turned": gap.isel(contrast=[1, 0])})


def test_rows_of_networks_are_effects_and_their_marks_kinds_of_controls(made):
    """No name of a statistic says anything: fill and control are attributes."""
    order = Stability(of=("lost", "again"), against=("intact",), n=50)(ordered())
    order = order.sel(metric=["m"])
    gap = Paired(**CONTROLLED)(made).assign_attrs(fill="mean", control="patch")
    spun = gap.assign_attrs(control="spin")
    said = words(network_lesions(order, {"one over it": gap, "second": spun}))
    assert said.count("fill: mean") == 1
    assert "controls: patch (mean, range)" in said
    assert "controls: spin (mean, range)" in said
    assert "differs from all kinds of controls" in said
    alone = words(network_lesions(order, {"one over it": gap}))
    assert "differs from its controls" in alone
    assert "each kind tested alone" not in alone


def test_a_second_row_of_other_intervals_says_so(made):
    gap = Paired(**CONTROLLED)(made)
    other = Paired(**CONTROLLED, interval="studentised")(made)
    said = words(area_lesions(gap, {"other": other}))
    assert "bars: 95 % BCa" in said
    assert "resamples of stimuli (the first); 95 % bootstrap-t" in said
    assert "('other')" in said
    assert "the first" not in words(area_lesions(gap, {"same": gap}))


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


def test_a_table_has_one_row_for_each_estimate():
    """What is of every stimulus or label stays in the file of the estimate."""
    rows = {"effect": (("contrast", "metric"), np.ones((2, 3)))}
    beside = {
        "answer": (("contrast", "stimulus"), np.full((2, 9), "a")),
        "truth": ("stimulus", list("abcdefghi")),
    }
    parts = {"part": (("contrast", "label"), np.ones((2, 2)))}
    labels = {"contrast": ["x", "y"], "metric": ["a", "b", "c"], "label": ["l", "m"]}
    made = table({"naming": xr.Dataset({**rows, **beside, **parts}, labels)})
    assert len(made) == 6
    assert not {"answer", "truth", "part", "stimulus", "label"} & {*made.columns}
