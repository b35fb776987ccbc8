"""Pixel scores: against the published scripts' own libraries, and laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made import pair, pictures

from insilico.scores import KINDS
from insilico.scores.pixels import MOST_PAIRS, PixCorr, Ssim, ssim
from insilico.scores.preparation import at_size

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "scores" / "pixels.npz")


@pytest.mark.parametrize("side", [512, 64])
@pytest.mark.parametrize("protocol", ["mindeye2", "brain-diffuser"])
@pytest.mark.parametrize("kind", ["pixcorr", "ssim"])
def test_published_settings_give_the_published_scripts_numbers(kind, protocol, side):
    stimuli, made = pair(pictures(3, 425), pictures(3, side, shift=0.07)[None])
    score = KINDS.build({"kind": kind, "protocol": protocol})(made, stimuli)
    expected = GOLDEN[f"{protocol}_{side}_{kind}"]
    np.testing.assert_allclose(score["value"].values[:, 0, 0], expected, atol=2e-6)
    assert score["metric"].item() == f"{kind}@{protocol}"
    assert protocol in score["definition"].item()


@pytest.mark.parametrize(("variant", "axes"), [("2d", (-2, -1)), ("columns", (-2,))])
def test_ssim_equals_scikit_image(variant, axes):
    a, b = (pictures(2, 40, shift).mean(-1) / 255 for shift in (0.0, 0.2))
    np.testing.assert_allclose(ssim(a, b, axes), GOLDEN[f"grey_{variant}"], atol=1e-10)
    assert Ssim(variant=variant).axes == axes


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

    expected = [brute(p, q) for p, q in zip(a, b, strict=True)]
    np.testing.assert_allclose(ssim(a, b), expected, atol=1e-10)


def test_variants_have_names_of_their_own():
    labels = [Ssim().label, Ssim(variant="columns").label, Ssim(protocol="mindeye2").label]
    assert labels == ["ssim", "ssim_columns", "ssim@mindeye2"]
    assert Ssim(protocol="brain-diffuser").axes == (-2,)
    assert "scikit-image up to 0.19" in Ssim(protocol="brain-diffuser").described()[1]
    assert Ssim(name="mine").label == "mine"


def test_pixcorr_is_zero_for_a_constant():
    images = pictures(3, 16)
    made = images.copy()
    made[0] = 128
    stimuli, reconstruction = pair(images, made[None])
    value = PixCorr()(reconstruction, stimuli)["value"].values[:, 0, 0]
    np.testing.assert_allclose(value, [0, 1, 1], atol=1e-12)


@pytest.mark.parametrize("kind", ["pixcorr", "ssim"])
def test_chance_is_the_mean_over_mismatched_pairs_of_all_draws(kind):
    shown, made = pictures(4, 24), np.stack([pictures(4, 24, s) for s in (0.1, 0.3)])
    score = KINDS.build(kind)(*pair(shown, made)[::-1])

    def one(a, b):
        if kind == "pixcorr":
            return np.corrcoef(a.ravel(), b.ravel())[0, 1]
        grey = [x[None] / 255 @ [0.2125, 0.7154, 0.0721] for x in (a, b)]
        return ssim(*grey)[0]

    apart = [one(shown[i], draw[j]) for draw in made for i in range(4) for j in range(4) if i != j]
    assert score["chance"].item() == pytest.approx(np.mean(apart), abs=1e-12)
    own = [[one(shown[i], draw[i]) for draw in made] for i in range(4)]
    np.testing.assert_allclose(score["value"].values[..., 0], own, atol=1e-12)


def test_chance_of_ssim_uses_a_bounded_number_of_pairs(monkeypatch):
    n, counted = 60, []
    monkeypatch.setattr(Ssim, "_pairs", lambda self, a, b: counted.append(len(a)) or np.zeros(n))
    images = np.zeros((n, 12, 12, 3), np.uint8)
    Ssim().scored(*pair(images, images[None]))
    assert sum(counted) - n <= MOST_PAIRS
    assert len(counted) > 20


def test_resizing_does_not_smooth():
    dot = np.zeros((1, 9, 9, 3))
    dot[0, 4, 4] = 1
    assert at_size(dot, (3, 3))[0, :, :, 0].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
