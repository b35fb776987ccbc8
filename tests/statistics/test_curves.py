"""Curves: planted slopes, crossings and labels are found; what is no curve is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from insilico.errors import InsilicoError
from insilico.schema import sample
from insilico.statistics.crossing import Crossing, passing
from insilico.statistics.curves import DoseResponse
from insilico.statistics.multilabel import MultilabelAuc, cross_areas

N = 12


def scores(conditions, metrics=("a", "b")):
    """Return scores of (name, region, level, values (stimulus, metric)) a condition."""
    name, region, level, values = zip(*conditions, strict=True)
    many = len(metrics)
    value = np.stack(values)[:, :, None]
    assert value.shape[-1] == many
    return xr.Dataset(
        {"value": (("condition", "stimulus", "draw", "metric"), value)},
        coords={
            "condition": [
                f"{n}/{r}/{k}" for k, (n, r) in enumerate(zip(name, region, strict=True))
            ],
            "name": ("condition", list(name)),
            "region": ("condition", list(region)),
            "level": ("condition", [np.nan if one is None else one for one in level]),
            "stimulus": [f"s{k}" for k in range(N)],
            "draw": [0],
            "metric": list(metrics),
            "definition": ("metric", ["made"] * many),
            "direction": ("metric", ["higher"] * many),
            "chance": ("metric", [0.1] * many),
        },
    )


@pytest.fixture
def noise():
    return np.random.default_rng(1).standard_normal((N, 2)) * 0.01


def stimulated(noise, slopes=(0.5, 0.2)):
    """Two areas, three doses; the own metric of each rises by a slope a rank, controls do not."""
    found = [("intact", "", None, noise)]
    for k, area in enumerate(("face", "place")):
        for rank, dose in enumerate((1, 2, 8), 1):
            rise = np.zeros(2)
            rise[k] = slopes[k] * rank
            found.append(("raised", f"{area}, dose {dose}", dose, noise + rise))
            found.append(("held", f"{area}, dose {dose}", dose, noise[::-1]))
    return scores(found)


OWN = {"face": "a", "place": "b"}


def test_planted_slopes_are_found_area_by_area(noise):
    step = DoseResponse(of="raised", against="intact", control="held", scores=OWN)
    found = step(stimulated(noise)).isel(metric=0)
    assert found["contrast"].values.tolist()[:3] == ["face, 1", "face, 2", "face, 8"]
    np.testing.assert_allclose(found["effect"], [0.5, 1, 1.5, 0.2, 0.4, 0.6], atol=1e-9)
    np.testing.assert_allclose(found["trend"], [0.5] * 3 + [0.2] * 3, atol=1e-9)
    np.testing.assert_allclose(found["trend_control"], found["trend"], atol=0.01)
    np.testing.assert_allclose(found["base"], [noise[:, 0].mean()] * 3 + [noise[:, 1].mean()] * 3)
    assert (found["p_corrected_control"] < 0.01).all()
    np.testing.assert_allclose(found["chance_level"], 0.1)
    assert found.attrs["unit_of_inference"] == "stimulus"
    assert found["score"].values.tolist() == ["a"] * 3 + ["b"] * 3
    value = stimulated(noise)["value"]
    assert found["least"] <= noise.min() < noise.max() <= found["most"] <= value.max()


def test_without_a_base_the_lowest_level_is_zero(noise):
    from_lowest = DoseResponse(of="raised", scores=OWN)(stimulated(noise)).isel(metric=0)
    assert from_lowest["level"].values.tolist() == [2, 8, 2, 8]
    np.testing.assert_allclose(from_lowest["effect"], [0.5, 1, 0.2, 0.4], atol=1e-9)
    np.testing.assert_allclose(from_lowest["trend"], [0.5, 0.5, 0.2, 0.2], atol=1e-9)
    beyond = DoseResponse(of="raised", control="held", scores=OWN)(stimulated(noise))
    np.testing.assert_allclose(beyond["effect_control"][:, 0], [0.5, 1, 0.2, 0.4], atol=1e-9)
    every = DoseResponse(of="raised", against="intact")(stimulated(noise))
    assert every["metric"].values.tolist() == ["a", "b"]
    np.testing.assert_allclose(every["effect"].sel(metric="b")[:3], 0, atol=1e-9)


def test_scores_of_masks_are_averaged_within_a_stimulus(noise):
    rows = [("intact", "", None, noise)]
    rows += [("masked", "fraction 0.5", 0.5, noise - drop) for drop in (0.1, 0.2, 0.6)]
    rows += [("masked", "fraction 1", 1.0, noise - 1)]
    found = DoseResponse(of="masked", against="intact")(scores(rows))
    np.testing.assert_allclose(found["effect"], [[-0.3] * 2, [-1] * 2], atol=1e-9)
    np.testing.assert_allclose(found["spread"][0], np.std([0.1, 0.2, 0.6], ddof=1))
    assert np.isnan(found["spread"][1]).all()
    assert (found["n"] == N).all()
    assert "levels are means of 3 conditions" in found.attrs["test"]
    single = DoseResponse(of="masked", against="intact")(scores([*rows[:2], rows[-1]]))
    assert "means" not in single.attrs["test"]


def test_where_nothing_changes_nothing_is_found(noise):
    found = DoseResponse(of="held", against="intact")(stimulated(noise, (0, 0)))
    assert (found["p_corrected"] > 0.05).all()
    same = DoseResponse(of="raised", against="intact", scores=OWN)(stimulated(noise, (0, 0)))
    assert (same["p"] == 1).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"of": "intact"}, "is no curve"),
        ({"of": "raised", "scores": {"face": "a"}}, "no metric for 'place'"),
        ({"of": "raised", "scores": {**OWN, "face": "c"}}, "unknown metric 'c'"),
        ({"of": "raised", "control": "intact"}, "is no curve"),
    ],
)
def test_what_is_no_curve_is_refused(noise, asked, message):
    with pytest.raises(InsilicoError, match=message):
        DoseResponse(**asked)(stimulated(noise))


WEIGHTS = np.linspace(0, 1, 11)


def between(shape, noise):
    rows = [
        ("between", f"weight {w:g}", w, noise + np.array([1 - shape(w), shape(w)])) for w in WEIGHTS
    ]
    return scores(rows)


def test_a_straight_line_crosses_in_the_middle_with_half_a_width(noise):
    step = Crossing(of="between", scores={"a": "b"})
    found = step(between(lambda w: w, noise - noise.mean(0))).isel(metric=0, contrast=0)
    np.testing.assert_allclose(found["crossing"], 0.5, atol=1e-9)
    np.testing.assert_allclose(found["width"], 0.5, atol=1e-9)
    np.testing.assert_allclose(found["falling"], -1)
    assert found["crossing_low"] < 0.5 < found["crossing_high"]


def test_a_jump_has_no_width_and_no_crossing_is_nan(noise):
    step, small = Crossing(of="between", scores={"a": "b"}), noise * 0.01
    jump = step(between(lambda w: float(w > 0.35), small)).isel(metric=0, contrast=0)
    np.testing.assert_allclose(jump["crossing"], 0.35, atol=0.01)
    assert jump["width"] < 0.06
    never = step(between(lambda w: 0.2 * w, small)).isel(metric=0)
    assert np.isnan(never["crossing"]).all()
    with pytest.raises(InsilicoError, match="three levels or more"):
        step(between(lambda w: w, noise).isel(condition=[0, 1]))


def test_a_curve_that_crosses_twice_is_told_by_its_first_crossing():
    curve = np.array([1.0, -1, 1, -3])[:, None]
    np.testing.assert_allclose(passing(curve, np.arange(4.0)), [0.5])


def test_areas_are_scikit_learns():
    rng = np.random.default_rng(2)
    truth, answers = rng.random((15, 7)) < 0.4, rng.standard_normal((15, 7)).round(1)
    truth[:, 0], truth[:, 1] = True, False
    found = np.diag(cross_areas(truth, answers)).mean()
    np.testing.assert_allclose(found, roc_auc_score(truth, answers, average="samples"))


def scenes(n, rng, kinds=4):
    stimuli = sample("stimuli", n=n)
    object_ = rng.integers(0, kinds, n)
    names = np.array(["cat", "dog", "cup", "car"])[object_]
    words = np.array([f"a {one} on the grass" for one in names])
    made = stimuli.assign(caption=("stimulus", words))
    return made.assign_coords(object=("stimulus", names)), np.eye(kinds)[object_]


def read(labels=True):
    rng = np.random.default_rng(3)
    (learned, known), (shown, asked) = scenes(80, rng), scenes(40, rng)
    weights = rng.standard_normal((4, 30))
    training, clear = known @ weights, asked @ weights
    levels = [clear, 0.0 * clear + training.mean(0)]
    data = [
        xr.Dataset({"tokens": (("stimulus", "feature"), one)}).assign_coords(
            stimulus=stimuli["stimulus"]
        )
        for one, stimuli in ((training, learned), (levels[0], shown), (levels[1], shown))
    ]
    changed = xr.concat(data[1:], "condition").assign_coords(level=("condition", [0.0, 1.0]))
    if not labels:
        learned, shown = learned.drop_vars("object"), shown.drop_vars("object")
    step = MultilabelAuc(of="masked", against="intact", training=80)
    return step, (learned, data[0], shown, changed)


@pytest.mark.parametrize("labels", [True, False])
def test_labels_are_read_where_they_are_and_at_chance_where_nothing_is(labels):
    step, given = read(labels)
    found = step(*given).isel(metric=0)
    assert found["metric"].item() == ("object" if labels else "words")
    np.testing.assert_allclose(found["effect"].values[0], 1)
    np.testing.assert_allclose(found["effect"].values[1], found["chance_level"].values[1])
    np.testing.assert_allclose(found["kept"], [1, 0], atol=1e-12)
    assert found["p_corrected"].values[0] < 0.01 < found["p_corrected"].values[1]


def test_masks_of_one_fraction_are_averaged_stimulus_by_stimulus():
    step, (learned, training, shown, changed) = read()
    rng = np.random.default_rng(5)
    masks = xr.concat([changed.isel(condition=[k]) for k in (0, 0, 0, 1)], "condition")
    masks["tokens"][1:3] += 6 * rng.standard_normal(masks["tokens"][1:3].shape)
    masks = masks.assign_coords(level=("condition", [0.0, 0.5, 0.5, 1.0]))
    found = step(learned, training, shown, masks)
    one, other = (step(learned, training, shown, masks.isel(condition=[0, k, 3])) for k in (1, 2))
    both = [each["effect"].sel(contrast="0.5").item() for each in (one, other)]
    assert abs(both[0] - both[1]) > 0.01
    assert found["contrast"].values.tolist() == ["0", "0.5", "1"]
    np.testing.assert_allclose(found["effect"].sel(contrast="0.5"), np.mean(both))
    np.testing.assert_allclose(found["spread"].sel(contrast="0.5"), np.std(both, ddof=1))
    assert np.isnan(found["spread"].sel(contrast=["0", "1"])).all()
    assert (found["n"] == 40).all()  # stimuli, not stimuli times masks
    assert "levels are means of 2 conditions" in found.attrs["test"]
    width, each = ((e["ci_high"] - e["ci_low"]).sel(contrast="0.5").item() for e in (found, one))
    assert width < each


def test_nothing_is_left_of_a_read_out_that_knew_nothing():
    step, (learned, training, shown, changed) = read()
    nothing = changed.isel(condition=[1, 1]).assign_coords(level=("condition", [0.0, 1.0]))
    found = step(learned, training, shown, nothing).isel(metric=0)
    np.testing.assert_allclose(found["effect"], found["chance_level"])
    assert np.isnan(found["kept"]).all()
    assert (found["p"] == 1).all()


def test_labels_that_cannot_be_read_are_refused():
    step, (learned, training, shown, changed) = read()
    with pytest.raises(InsilicoError, match="two of each are needed"):
        step(learned.assign_coords(object=("stimulus", ["one"] * 80)), training, shown, changed)
    with pytest.raises(InsilicoError, match="the same of both"):
        step(learned, training.isel(feature=slice(3)), shown, changed)
    bare = [one.drop_vars(["object", "caption"]) for one in (learned, shown)]
    with pytest.raises(InsilicoError, match="no labels and no captions"):
        step(bare[0], training, bare[1], changed)
