"""What results say of themselves: the least p, what is known to be wrong, what an array lacks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import insilico as isi
from insilico.errors import SchemaError
from insilico.report.summary import _estimate
from insilico.statistics import KINDS
from insilico.statistics.ceilings import VARIANTS, ceiling, variances
from insilico.statistics.noise_ceiling import NoiseCeiling
from insilico.statistics.repeats import summed

ROOT = Path(__file__).parents[2]
SAID = {"units": "session z", "subject": "me", "hemodynamic_offset_s": 0.0}


def measured(images, signal=1.0, places=200):
    rng = np.random.default_rng(0)
    shown = signal * rng.standard_normal((1, images, places))
    bold = (shown + rng.standard_normal((3, images, places))) / np.hypot(signal, 1)
    ids = [f"{k:03d}" for k in range(images)]
    return isi.from_array(bold, space="mine", stimuli=ids, **SAID)


def told(images, variant="anova", n=20, **more):
    return NoiseCeiling(variant=variant, n=n)(measured(images, **more))


def test_a_p_at_its_floor_is_told_with_the_floor():
    few, many = (_estimate("c", told(20, n=n)) for n in (9, 199))
    assert any("no p can lie below 0.1 here, before correction; 1 of 1 lie there" in x for x in few)
    assert any("no p can lie below 0.005 here, before correction; 1 of 1" in x for x in many)
    silent = told(20, n=199)
    silent["p"].values[:] = 0.5
    assert not any("no p can" in line for line in _estimate("c", silent))
    assert any("no p can lie below 0.1 here" in x for x in _estimate("c", told(20, n=9, signal=0)))


def test_a_bias_that_is_known_is_a_caution():
    low = told(40)
    assert "2 (1 - ceiling) / 40" in low.attrs["caution"]
    assert any("caution: with 40 images" in line for line in _estimate("c", low))
    assert "caution" not in told(60).attrs
    assert "caution" not in told(40, "anova_corrected").attrs
    assert "total minus noise" in told(40, "nsd").attrs["caution"]
    wrong = told(80, "laion")
    assert "noise is 0.67 of what it is" in wrong.attrs["caution"]
    truth = 1 / (1 + 1 / 3)
    assert wrong["effect"].item() > truth + 0.05


def test_the_caution_holds_what_it_says():
    """The bias of anova at 40 images is that of the formula, at little signal too."""
    rng, truth = np.random.default_rng(1), 0.12
    noise = 3 * (1 / truth - 1)
    shown = rng.standard_normal((1, 40, 20000))
    bold = shown + np.sqrt(noise) * rng.standard_normal((3, 40, 20000))
    images = np.tile(np.arange(40), 3)
    found = ceiling(*variances(summed(bold, images)), 3).mean()
    assert abs(found - (truth - 2 * (1 - truth) / 40)) < 0.01


def test_repeats_side_by_side_are_the_same_as_one_after_the_other():
    bold = measured(30)["bold"].values
    images = np.tile(np.arange(30), 3)
    one = variances(summed(bold, images))
    other = variances(summed([bold.reshape(90, -1)], images))
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("blocks", "images", "words"),
    [
        ([np.zeros((3, 8, 5))], np.arange(24), r"shape \(3, 8, 5\).*np.tile\(np.arange\(8\), 3\)"),
        (np.zeros((24, 5)), np.arange(24), r"shape \(5,\).*in a list: summed\(\[betas\], images\)"),
        ([np.zeros((24, 5))], np.arange(8), "24 trials or more, and 8 images are named"),
        ([np.zeros((8, 5))], np.arange(24), "8 trials were read, and 24 images"),
    ],
)
def test_an_array_of_repeats_that_is_wrong_is_answered(blocks, images, words):
    with pytest.raises(SchemaError, match=words):
        summed(blocks, images)


def test_variances_of_an_array_are_refused():
    with pytest.raises(SchemaError, match=r"got ndarray: variances\(summed\(\[betas\], images\)\)"):
        variances(np.zeros((24, 5)))


def test_the_page_says_of_every_statistic_whether_p_is_one_sided():
    page = (ROOT / "docs" / "protocols.md").read_text("utf-8")
    table = page.split("### p of each statistic")[1].split("\n\n[")[0]
    named = re.findall(r"`([a-z_]+)`", "\n".join(row.split("|")[1] for row in _rows(table)))
    assert sorted(set(named)) == sorted(KINDS.kinds)
    two = {name for row in _rows(table) if "two-sided" in row.split("|")[2] for name in _of(row)}
    assert {"paired", "levels", "mixed"} <= two
    assert not {"noise_ceiling", "discriminability", "cross_subject"} & two


def _rows(table):
    return [line for line in table.splitlines() if line.startswith("| `")]


def _of(row):
    return re.findall(r"`([a-z_]+)`", row.split("|")[1])


def test_the_heading_counts_the_recipes():
    page = (ROOT / "docs" / "ceilings.md").read_text("utf-8")
    (word,) = re.findall(r"## (\w+) recipes", page)
    assert ["Seven", "Eight", "Nine"].index(word) + 7 == len(VARIANTS)
