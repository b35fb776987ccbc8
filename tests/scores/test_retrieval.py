from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import SchemaError
from insilico.protocol.join import side_by_side, stacked
from insilico.schema import check, sample
from insilico.scores.retrieval import BrainFromImage, ImageFromBrain
from insilico.scores.score import n_way
from insilico.spaces.tokens import ImageTokens, image_tokens

FORMS = ("items", "pools")
DIMS = ("stimulus", "token", "channel")


def tokens(images, brains, draws=1):
    n = len(images)
    stimuli = sample("stimuli", n).assign(tokens=(DIMS, images))
    made = sample("reconstruction", n).isel(draw=[0] * draws).assign_coords(draw=range(draws))
    return made.assign(tokens_voxels=(DIMS, brains)), stimuli


def noisy(n=40, noise=2.0, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((n, 3, 4)).astype(np.float32)
    return images, (images + noise * rng.standard_normal(images.shape)).astype(np.float32)


def test_every_pool_counts_once():
    given = np.random.default_rng(1).standard_normal((7, 7)).round(1)
    given[2, 5] = given[2, 2]  # a tie
    shares = []
    for i in range(7):
        hits = []
        for others in combinations(sorted({*range(7)} - {i}), 3):
            row = given[i, list(others)]
            hits.append(0 if (row > given[i, i]).any() else 1 / (1 + (row == given[i, i]).sum()))
        shares.append(np.mean(hits))
    np.testing.assert_allclose(n_way(given.T[None], 4)[:, 0], shares, atol=1e-12)


def test_directions_are_what_their_names_say():
    # brain 0 lies nearest to image 1; image 0's nearest brain is its own
    images = np.eye(3, dtype=np.float32)[:, None]
    brains = np.array([[[0.6, 0.8, 0]], [[0, 0.9, 0.1]], [[0, 0, 1]]], np.float32)
    made, stimuli = tokens(images, brains)
    image_from_brain = ImageFromBrain(pool=3)(made, stimuli)
    brain_from_image = BrainFromImage(pool=3)(made, stimuli)
    np.testing.assert_allclose(image_from_brain["value"].values.ravel(), [0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(brain_from_image["value"].values.ravel(), [1, 1, 1], atol=1e-12)
    assert "'bwd'" in image_from_brain["definition"].item()
    assert "'fwd'" in brain_from_image["definition"].item()


def test_drawn_pools_agree_with_all_pools():
    made, stimuli = tokens(*noisy())
    items = check(ImageFromBrain(pool=10)(made, stimuli), "score")
    assert items["chance"].item() == 0.1

    def pools(**how):
        return check(ImageFromBrain(pool=10, form="pools", **how)(made, stimuli), "score")

    many = pools(draws=400)
    assert many["value"].dims == ("draw", "metric")
    assert many["metric"].item() == "retrieval_image_from_brain_pools"
    assert many["value"].item() == pytest.approx(items["value"].mean().item(), abs=0.02)
    assert many.identical(pools(draws=400))
    assert many["value"].item() != pools(draws=400, seed=1)["value"].item()
    several = [pools(seed=seed) for seed in range(60)]  # 30 pools each, as published
    spread = np.std([one["value"].item() for one in several], ddof=1)
    assert np.mean([one["error"].item() for one in several]) == pytest.approx(spread, rel=0.3)


def test_what_is_drawn_for_each_condition_stays_apart():
    conditions = []
    for noise in (0.5, 4.0):
        made, stimuli = tokens(*noisy(noise=noise))
        both = (ImageFromBrain, BrainFromImage)
        found = [kind(pool=10, form=form)(made, stimuli) for kind in both for form in FORMS]
        conditions.append(side_by_side(found))
    joined = stacked(conditions, ["near", "far"])
    value = joined["set_value"].sel(set_metric="retrieval_image_from_brain_pools").squeeze()
    assert value.sel(condition="near") > 0.9 > 0.5 > value.sel(condition="far")
    assert (joined["set_error"].sel(condition="far") > 0).all()


def test_noise_is_at_chance():
    rng = np.random.default_rng(2)
    images, brains = rng.standard_normal((2, 200, 2, 8))
    score = ImageFromBrain(pool=20)(*tokens(images, brains))
    assert score["value"].mean().item() == pytest.approx(1 / 20, abs=0.03)


def test_scale_and_draws_do_not_matter():
    images, brains = noisy()
    one = ImageFromBrain(pool=10)(*tokens(images, brains))["value"]
    many = ImageFromBrain(pool=10)(*tokens(images * 7, brains * 0.01, draws=3))["value"]
    assert many.shape == (40, 3, 1)
    np.testing.assert_allclose(many, np.repeat(one.values, 3, 1), atol=1e-12)


def test_too_few_stimuli_are_refused():
    made, stimuli = tokens(*noisy(40))
    with pytest.raises(
        SchemaError, match=r"pool of 300 needs .* there are 40: .*pool to 40 or less"
    ):
        ImageFromBrain()(made, stimuli)


def test_tokens_that_tell_nothing_are_refused():
    images, brains = noisy(5)
    broken = brains.copy()
    broken[3] = np.nan
    score = BrainFromImage(pool=2)
    with pytest.raises(
        SchemaError, match="tokens_voxels: not finite, or all zero, in sample-000003"
    ):
        score(*tokens(images, broken))
    with pytest.raises(SchemaError, match="12 numbers are held against tokens_voxels of 8"):
        score(*tokens(images, brains[:, :2]))
    with pytest.raises(SchemaError, match=r"holds no tokens_voxels; .*keep: \[clip_voxels\]"):
        score(sample("reconstruction", 5), tokens(images, brains)[1])
    flat = xr.Dataset({"tokens": (("stimulus", "token"), images[:, 0])})
    with pytest.raises(SchemaError, match=r"tokens must be \(stimulus, token, channel\)"):
        score(tokens(images, brains)[0], sample("stimuli", 5).assign(flat))


def test_pictures_without_tokens_are_embedded():
    stimuli = sample("stimuli", 5)
    images = image_tokens(stimuli["image"].values)
    made, ready = tokens(images, images[[0, 2, 1, 3, 4]])
    for shown in (ready, stimuli):
        value = ImageFromBrain(pool=5)(made, shown)["value"]
        np.testing.assert_allclose(value.values.ravel(), [1, 0, 0, 1, 1], atol=1e-12)
    assert ImageFromBrain().digests() == ImageTokens().digests()
