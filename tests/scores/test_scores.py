from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from insilico.errors import SchemaError, WeightsError
from insilico.phantom.scenes import ATTRIBUTES
from insilico.phantom.sounds import make_sound
from insilico.schema import check, sample
from insilico.scores import KINDS
from insilico.scores.embeddings import ClipTwoWay
from insilico.scores.pixels import PixCorr, Ssim, correlations, ssim_pairs
from insilico.scores.score import top1, two_way
from insilico.scores.words import bleu1, exact, same_object

OBJECTS = ("house", "dog", "face", "boat")
CAPTIONS = [f"a small red {name} on the left of a beach" for name in OBJECTS]
PIXELS = ("y_pixel", "x_pixel", "rgb")


@pytest.fixture
def stimuli():
    kinds = [ATTRIBUTES["object"].index(name) for name in OBJECTS]
    waves = np.stack([make_sound(kind, 0, seed) for seed, kind in enumerate(kinds)])
    return (
        sample("stimuli", n=4)
        .assign(caption=("stimulus", CAPTIONS), sound=(("stimulus", "sample"), waves))
        .assign_coords(object=("stimulus", list(OBJECTS)))
    )


def perfect(stimuli, draws=2):
    image = np.repeat(stimuli["image"].values[:, None], draws, axis=1)
    words = np.repeat(stimuli["caption"].values[:, None], draws, axis=1)
    waves = np.repeat(stimuli["sound"].values[:, None], draws, axis=1)
    return xr.Dataset(
        {
            "image": (("stimulus", "draw", *PIXELS), image),
            "caption": (("stimulus", "draw"), words),
            "sound": (("stimulus", "draw", "sample"), waves),
        },
        coords={"stimulus": stimuli["stimulus"].values, "draw": range(draws)},
        attrs={"decoder": "none", "seed": 0},
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_reconstruction_scores_one(kind, stimuli):
    score = check(KINDS.build(kind)(perfect(stimuli), stimuli), "score")
    assert score["value"].dims == ("stimulus", "draw", "metric")
    np.testing.assert_allclose(score["value"], 1, atol=1e-6)
    assert score["chance"].item() < 0.95
    assert str(score["definition"].item())


@pytest.mark.parametrize("kind", KINDS)
def test_items_keep_their_own_value(kind, stimuli):
    made = perfect(stimuli).isel(stimulus=[1, 0, 2, 3])
    made = made.assign_coords(stimulus=stimuli["stimulus"].values)  # the first two swapped
    value = KINDS.build(kind)(made, stimuli)["value"].values[:, 0, 0]
    assert (value[2:] > 0.999).all()
    assert (value[:2] < 0.999).all()


def test_ssim_equals_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (2, 2, 20, 22))
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2

    def brute(p, q):
        values = []
        for y in range(5, 15):
            for x in range(5, 17):
                u, v = p[y - 5 : y + 6, x - 5 : x + 6], q[y - 5 : y + 6, x - 5 : x + 6]
                mu, mv = (window * u).sum(), (window * v).sum()
                cov = (window * u * v).sum() - mu * mv
                var = (window * u * u).sum() - mu**2 + (window * v * v).sum() - mv**2
                values.append(
                    (2 * mu * mv + 1e-4) * (2 * cov + 9e-4) / (mu**2 + mv**2 + 1e-4) / (var + 9e-4)
                )
        return np.mean(values)

    expected = [[brute(p, q) for q in b] for p in a]
    np.testing.assert_allclose(ssim_pairs(a, b), expected, atol=1e-10)


def test_pixcorr_is_pearson_and_zero_for_a_constant(stimuli):
    made = perfect(stimuli, 1)
    made["image"][0] = 128
    value = PixCorr()(made, stimuli)["value"].values[:, 0, 0]
    assert value[0] == 0
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 3, 50))
    np.testing.assert_allclose(correlations(x, y), np.corrcoef(x, y)[:3, 3:], atol=1e-12)


def test_chance_is_the_mismatched_mean(stimuli):
    made = perfect(stimuli, 1)
    flat = stimuli["image"].values.reshape(4, -1).astype(float)
    pairs = np.corrcoef(flat)
    expected = pairs[~np.eye(4, dtype=bool)].mean()
    assert PixCorr()(made, stimuli)["chance"].item() == pytest.approx(expected)


@pytest.mark.parametrize("case", ["a", "b", "null", "perfect"])
def test_two_way_equals_the_published_script(case):
    with np.load(Path(__file__).parents[1] / "golden" / "stats" / "twoway.npz") as data:
        shown, made = data[f"{case}_gt"], data[f"{case}_pred"]
        expected, swapped = data[f"{case}_perf_p"][0], data[f"{case}_perf_swapped"]
    assert two_way(correlations(shown, made)[None]).mean() == pytest.approx(expected, abs=1e-12)
    assert two_way(correlations(made, shown)[None]).mean() == pytest.approx(swapped, abs=1e-12)


def test_two_way_gives_ties_half_credit():
    assert two_way(np.zeros((1, 5, 5))) == pytest.approx(0.5)
    alike = np.array([[[0.9, 0.1, 0.5], [0.2, 0.4, 0.5], [0.9, 0.6, 0.7]]])
    # column 0: .2 below .9, .9 ties; column 1: .1 below .4, .6 above; column 2: both below .7
    assert two_way(alike)[:, 0].tolist() == [0.75, 0.5, 1.0]


def test_top1_shares_ties():
    assert top1(np.zeros((1, 4, 4)))[:, 0].tolist() == [0.25] * 4
    assert top1(np.eye(3)[None])[:, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("said", "meant", "value"),
    [
        ("a b c", "a b c", 1.0),
        ("a a a", "a b c", 1 / 3),
        ("a b", "a b c d", np.exp(1 - 4 / 2)),
        ("", "a b", 0.0),
        ("A B x", "a b c", 2 / 3),
    ],
)
def test_bleu1(said, meant, value):
    assert bleu1(said, meant) == pytest.approx(value)


def test_words():
    assert same_object(CAPTIONS[0], CAPTIONS[0].replace("red", "blue")) == 1
    assert same_object(CAPTIONS[0], CAPTIONS[1]) == 0
    assert same_object("a cup", CAPTIONS[0]) == 0
    assert exact(CAPTIONS[0] + " ", CAPTIONS[0]) == 1


def test_mistakes_are_answered(stimuli):
    with pytest.raises(SchemaError, match="ssim: the stimuli hold no image; they hold caption"):
        Ssim()(perfect(stimuli), stimuli.drop_vars("image"))
    with pytest.raises(SchemaError, match="no stimuli for sample-000003"):
        Ssim()(perfect(stimuli), stimuli.isel(stimulus=slice(3)))
    with pytest.raises(WeightsError, match=r"no CLIP .* in nowhere"):
        ClipTwoWay(weights="nowhere")(perfect(stimuli), stimuli)
