"""Words, sounds and pictures of one scene meet in one cortex; what an own head gains."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.figures.convergence import convergence as drawn
from insilico.phantom.convergence import (
    CORTEX,
    above,
    by_network,
    category_found,
    convergence,
    found,
    readers,
    similarity,
)
from insilico.phantom.individual import written
from insilico.phantom.shares import Row

N = 60


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], Row]:
    return {(row.what, row.score): row for row in convergence(N)}


def scenes(objects: list[str], backgrounds: list[str]) -> xr.Dataset:
    coords = {"object": ("stimulus", objects), "background": ("stimulus", backgrounds)}
    return xr.Dataset(coords=coords)


def test_readers_guess_among_the_scenes_that_they_cannot_tell_apart():
    shown = scenes(["dog", "dog", "cat", "dog"], ["city", "beach", "city", "city"])
    assert readers(shown, ("object",)).tolist() == [1 / 3, 1 / 3, 1, 1 / 3]
    assert readers(shown, ("object", "background")).tolist() == [1 / 2, 1, 1, 1 / 2]


def test_what_all_scenes_share_tells_nothing():
    rng = np.random.default_rng(0)
    told, seen = rng.standard_normal((2, 30, 50))
    np.testing.assert_allclose(similarity(told + 7, seen - 3), similarity(told, seen), atol=1e-5)
    assert found(similarity(told, 2 * told + 5)).tolist() == [1] * 30
    assert found(similarity(told, seen)).mean() < 0.2


def test_retrieval_is_by_query():
    alike = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1], [0.1, 0.5, 0.5]])
    assert found(alike).tolist() == [1, 0, 0.5]
    assert category_found(alike, scenes(["dog", "dog", "cat"], ["city"] * 3)).tolist() == [1, 1, 0]


def test_a_verdict_needs_the_interval_above_the_oracle():
    row = Row("what", "score", 0.5, 0.4, 0.6, 10)
    assert above(row, 0.39).verdict == "target"
    assert above(row, 0.41).verdict == "BELOW"


@pytest.mark.parametrize("what", ["scene read", "scene heard"])
def test_modalities_converge_beyond_the_category(rows, what: str):
    hits = rows[what, f"its picture, top-1 of {N}"]
    category = rows["one who knows the category", f"its picture, top-1 of {N}"]
    told = rows[f"one who knows all that is told, {what}", f"its picture, top-1 of {N}"]
    assert hits.verdict == "target"
    assert hits.low > category.value
    assert hits.value > 0.9 * told.value
    assert rows[f"{what}, another's", f"its picture, top-1 of {N}"].verdict == "chance"
    assert rows[what, "object of the nearest picture"].value > 0.95


def test_figure_shows_retrieval_by_network():
    retrieval = by_network(20)
    assert retrieval["region"].values.tolist()[0] == CORTEX
    assert (retrieval["ci_low"] <= retrieval["effect"] + 1e-9).all()
    assert float(retrieval["truth"].sel(modality="text", region=CORTEX)) == 1
    figure = drawn(retrieval)
    read, heard = figure.axes
    points = read.containers[0].lines[0].get_ydata()
    np.testing.assert_allclose(points, retrieval["effect"].sel(modality="text"))
    levels = {round(line.get_ydata()[0], 6) for line in heard.lines if len(line.get_xdata()) == 2}
    assert round(1 / 20, 6) in levels
    texts = " ".join(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))
    assert "phantom (simulated)" in texts


def test_gains_of_an_own_head_are_a_table():
    dims = ("model", "region")
    found_ = xr.Dataset(
        {
            "r": (dims, [[0.1], [0.7]]),
            "negative": (dims, [[0.25], [0.0]]),
            "ceiling": ("region", [0.8]),
        },
        coords={"model": ["average", "own"], "region": ["V1-V4"]},
    )
    assert written(found_).splitlines()[-1] == "| V1-V4 | 0.100 | 0.700 | 0.800 | 25.0% | 0.0% |"
