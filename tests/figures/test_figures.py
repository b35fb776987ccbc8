from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PathCollection

from insilico import figures
from insilico.errors import SchemaError
from insilico.figures.grid import reconstruction_grid
from insilico.figures.lesions import lesion_effects
from insilico.figures.networks import network_gap
from insilico.figures.surface import WALL, estimate_map, surface_gap, vertex_colours
from insilico.schema import sample
from insilico.spaces import atlases, fsaverage5

ATTRS = {
    "interval": "95 % percentile",
    "test": "permutation",
    "null": "spin",
    "correction": "maximum",
    "unit_of_inference": "stimulus",
    "source": "phantom (simulated)",
    "note": "phantom7 in place of yeo7",
}
LESION = {"lesion": "Nothing propagates to other areas."}


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text)).replace("\n", " ")


@pytest.fixture
def accuracy():
    atlas, r = atlases.load("phantom7"), np.linspace(0.2, 0.6, 7)
    rows = {"effect": r, "ci_low": r - 0.02, "ci_high": r + 0.03, "ceiling": r + 0.1}
    rows |= {"p": r * 0, "p_corrected": np.where(r > 0.5, 0.2, 0.01), "n": np.full(7, 42)}
    rows |= {"p_spin_corrected": np.array([0.01] + [0.9] * 6)}
    rows |= {"gap_against_elsewhere": np.array([-0.3] + [0.1] * 6)}
    gap = np.where(fsaverage5.medial_wall(), np.nan, fsaverage5.mesh("pial")[0][:, 1] / 100)
    return xr.Dataset(
        {name: ("contrast", values) for name, values in rows.items()}
        | {"gap_map": ("vertex", gap)},
        coords={
            "contrast": list(atlas.regions),
            "colour": ("contrast", list(atlas.colours)),
        },
        attrs=ATTRS,
    )


@pytest.fixture
def lesions():
    rng = np.random.default_rng(0)
    effect = rng.uniform(-0.3, 0, (3, 2))
    rows = {"effect": effect, "ci_low": effect - 0.1, "ci_high": effect + 0.1}
    rows |= {
        "control_effect": effect + 0.2,
        "control_low": effect + 0.1,
        "control_high": effect + 0.3,
    }
    rows |= {"p_corrected": np.array([[0.01, 0.9]] * 3), "n": np.full((3, 2), 20)}
    rows |= {"p_corrected_control": np.array([[0.01, 0.9], [0.9, 0.9], [0.9, 0.9]])}
    return xr.Dataset(
        {name: (("contrast", "metric"), values) for name, values in rows.items()},
        coords={
            "contrast": ["Vis", "Limbic", "Default"],
            "colour": ("contrast", ["#781286", "#dcf8a4", "#cd3e4e"]),
            "metric": ["pixcorr", "bleu1"],
        },
        attrs=ATTRS | LESION,
    )


def test_network_gap_draws_the_estimate(accuracy):
    figure = network_gap(accuracy)
    axes = figure.axes[0]
    heights = [bar.get_height() for bar in axes.containers[0]]
    np.testing.assert_allclose(heights, accuracy["effect"])
    ticks = axes.collections[1].get_segments()
    np.testing.assert_allclose([tick[0, 1] for tick in ticks], accuracy["ceiling"])
    marks = [c for c in axes.collections if isinstance(c, PathCollection)]
    worse, better, unshown = (len(mark.get_offsets()) for mark in marks)
    assert (worse, better, unshown) == (1, 0, int((accuracy["effect"] > 0.5).sum()))


@pytest.mark.parametrize("draw", [network_gap, surface_gap])
def test_footer_says_n_null_source_and_note(draw, accuracy):
    said = words(draw(accuracy))
    for part in (
        "n = 42 stimuli",
        "spin",
        "95 % percentile",
        "simulated",
        "phantom7 in place of yeo7",
    ):
        assert part in said


def test_lesion_effects_draw_every_contrast(lesions):
    figure = lesion_effects(lesions)
    panels = figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["pixcorr", "bleu1"]
    dots = next(c for c in panels[0].collections if isinstance(c, PathCollection))
    expected = np.c_[lesions["effect"].values[:, 0], [2, 1, 0]]
    np.testing.assert_allclose(dots.get_offsets(), expected)
    assert sum(text.get_text() == "*" for text in panels[0].texts) == 1
    assert not panels[1].texts
    assert panels[1].get_xlabel() == "effect"
    assert "Nothing propagates to other areas" in words(figure)
    assert "n = 20 stimuli" in words(figure)


def test_lesions_have_the_colours_of_their_regions_and_a_reference(lesions):
    aside = lesions.assign(reference_effect=("metric", [0.07, 0.3]))
    aside.attrs["reference"] = "measured minus intact"
    figure = lesion_effects(aside)
    dots = next(c for c in figure.axes[0].collections if isinstance(c, PathCollection))
    found = [mpl.colors.to_hex(colour) for colour in dots.get_edgecolor()]
    assert found[0] == "#781286"
    assert found[2] == "#cd3e4e"
    assert mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(found[1]))[2] < 0.75  # Limbic shows on white
    for axes, place in zip(figure.axes, (0.07, 0.3), strict=True):
        assert any(list(line.get_xdata()) == [place, place] for line in axes.lines)
    assert "measured minus intact" in words(figure)


def test_vertex_colours_show_values_and_grey_wall():
    values = np.where(np.arange(fsaverage5.N_VERTICES) % 2, 1.0, -1.0)
    colours = vertex_colours(values, (-1, 1), "RdBu_r")
    wall = fsaverage5.medial_wall()
    np.testing.assert_allclose(colours[wall], np.broadcast_to(WALL, (wall.sum(), 3)))
    red, blue = colours[~wall & (values > 0)], colours[~wall & (values < 0)]
    assert (red[:, 0] > red[:, 2]).all()
    assert (blue[:, 0] < blue[:, 2]).all()


def test_grid_leaves_controls_out():
    stimuli = sample("stimuli", n=3)
    one = sample("reconstruction", n=3)
    labels = ["measured", "intact", "silenced/Vis", "matched/Vis/0"]
    made = xr.concat([one] * 4, "condition").assign_coords(
        condition=labels,
        name=("condition", [label.split("/")[0] for label in labels]),
        region=("condition", ["", "", "Vis", "Vis"]),
        control=("condition", [-1, -1, -1, 0]),
    )
    figure = reconstruction_grid(stimuli, made.assign_attrs(LESION), n=2)
    assert len(figure.axes) == 2 * 4  # shown, measured, intact, silenced
    shown = figure.axes[0].images[0].get_array()
    assert np.array_equal(shown, stimuli["image"].values[0])
    assert "matched" not in words(figure)
    assert "Nothing propagates to other areas" in words(figure)


def many_conditions(names, variant=None):
    one = sample("reconstruction", n=2)
    made = xr.concat([one] * len(names), "condition").assign_coords(
        condition=names,
        name=("condition", names),
        region=("condition", ["V1"] * len(names)),
        control=("condition", [-1] * len(names)),
    )
    return made if variant is None else made.assign_coords(variant=("condition", variant))


def test_grid_leaves_variants_out_and_says_how_many_conditions_it_shows():
    stimuli, names = sample("stimuli", n=2), ["mean", "mean alpha 10", "mean seed 1"]
    figure = reconstruction_grid(stimuli, many_conditions(names, ["", "alpha 10", "seed 1"]), n=1)
    assert len(figure.axes) == 2
    assert "left out: 2 variants of stability" in words(figure)
    figure = reconstruction_grid(
        stimuli, many_conditions([f"a lesion of number {k}" for k in range(13)]), n=1
    )
    assert len(figure.axes) == 11
    assert "the first 10 of 13 conditions are shown" in words(figure)
    figure.draw_without_rendering()
    heads = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(a.overlaps(b) for a, b in pairwise(heads))


def test_a_bound_is_a_band_and_has_no_more_than_its_panel(lesions):
    bound = lesions.assign(bound=("metric", [0.05, np.nan]))
    bound.attrs["equivalence"] = "two one-sided t tests within pixcorr ±0.05"
    figure = lesion_effects(bound)
    first, second = (axes.patches[-1].get_extents() for axes in figure.axes)
    left, right = (figure.axes[0].transData.transform((x, 0))[0] for x in (-0.05, 0.05))
    assert (first.x0, first.x1) == (pytest.approx(left), pytest.approx(right))
    assert second.y1 - second.y0 < first.y1 - first.y0  # of controls
    assert "within the bound of equivalence" in words(figure)
    assert "within pixcorr ±0.05" in words(figure)
    assert "bound" not in words(lesion_effects(lesions))
    far = lesion_effects(lesions.assign(bound=("metric", [9.0, 9.0]))).axes[0]
    assert max(np.abs(far.get_xlim())) < 1


def test_an_interval_that_disagrees_with_its_test_is_explained(lesions):
    apart = lesions.assign(ci_high=lesions["effect"] + 0.001, ci_low=lesions["effect"] - 0.001)
    assert "the test decides" in words(lesion_effects(apart))
    same = apart.assign(p_corrected=lesions["p_corrected"] * 0)
    assert "the test decides" not in words(lesion_effects(same))
    few = apart.assign(n=lesions["n"] * 0 + 8)
    assert "256 patterns of signs" in words(lesion_effects(few))


def test_every_panel_has_three_ticks(lesions):
    wide = xr.concat([lesions] * 3, "metric").assign_coords(metric=list("abcdef"))
    for axes in lesion_effects(wide).axes:
        low, high = axes.get_xlim()
        assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 3
        assert sum(bool(text.get_text()) for text in axes.get_xticklabels()) >= 1


def test_a_map_names_its_statistic_and_that_it_has_no_p(accuracy):
    told = {"statistic": "change by each lesion", "name": "light"}
    estimate = accuracy.rename(gap_map="effect_map").assign_attrs(told)
    said = words(estimate_map(estimate))
    for part in ("change by each lesion", "'light'", "n = 42", "no p comes with", "simulated"):
        assert part in said
    tested = estimate.assign(p_map=abs(estimate["effect_map"]))
    assert "its p: the maps p_map" in words(estimate_map(tested))
    with pytest.raises(SchemaError, match="no map 'share_map' over vertices; maps: effect_map"):
        estimate_map(estimate, "share_map")


def test_drawing_leaves_the_settings_alone(accuracy, lesions, tmp_path):
    before = dict(mpl.rcParams)
    figures.save(network_gap(accuracy), tmp_path, "gap")
    lesion_effects(lesions)
    assert dict(mpl.rcParams) == before


def test_save_writes_pdf_and_png_the_same_each_time(accuracy, tmp_path):
    paths = figures.save(network_gap(accuracy), tmp_path / "new", "gap")
    assert sorted(path.suffix for path in paths) == [".pdf", ".png"]
    first = [path.read_bytes() for path in paths]
    assert [
        p.read_bytes() for p in figures.save(network_gap(accuracy), tmp_path / "new", "gap")
    ] == first
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["gap.pdf", "gap.png"]


def test_what_is_missing_is_named(accuracy, lesions):
    with pytest.raises(SchemaError, match="network_gap: ceiling missing; has"):
        network_gap(accuracy.drop_vars("ceiling"))
    with pytest.raises(SchemaError, match="lesion_effects: ci_low missing"):
        lesion_effects(lesions.drop_vars("ci_low"))
    with pytest.raises(SchemaError, match="surface_gap: gap_map missing"):
        surface_gap(accuracy.drop_vars("gap_map"))
