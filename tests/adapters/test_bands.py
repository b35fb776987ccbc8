"""Banded ridge on the real mesh: few stimuli, all vertices."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from made_pairs import response

from insilico.adapters.bands import Bands
from insilico.adapters.ridge import Ridge
from insilico.errors import ParameterError, RegionError, SpaceError
from insilico.spaces import atlases, fsaverage5

GRID = (10.0, 1e3, 1e5)


@pytest.fixture(scope="module")
def pair() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset, np.ndarray]:
    """Return pairs, new responses and their truth: voxels 0-3 follow Vis, 4-7 Default."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70, fsaverage5.N_VERTICES)).astype(np.float32)
    x[:, fsaverage5.medial_wall()] = 0
    atlas = atlases.load("phantom7")
    truth = np.zeros((70, 8))
    for region, voxels in (("Vis", slice(0, 4)), ("Default", slice(4, 8))):
        latent = rng.standard_normal((70, 4))
        x[:, atlas.mask(region)] += latent @ rng.standard_normal((4, atlas.mask(region).sum()))
        truth[:, voxels] = latent
    attrs = {"units": "z", "hemodynamic_offset_s": 0.0, "source": "test", "subject": "x"}
    ids = [f"test-{k:03d}" for k in range(70)]
    source, new = (fsaverage5.response(x[s], ids[s], **attrs) for s in (slice(50), slice(50, 70)))
    noisy = truth[:50] + 0.3 * rng.standard_normal((50, 8))
    return source, response(noisy, "voxel"), new, truth[50:]


def banded(**more: object) -> Ridge:
    return Ridge(alphas=GRID, bands={"atlas": "phantom7", "candidates": 6, **more})


def test_it_finds_the_band_that_a_voxel_follows(pair):
    source, target, new, truth = pair
    fitted = banded(candidates=12).fit(source, target)
    names = fitted["band_name"].values.tolist()
    weight = fitted["band_weight"].values
    vis, default = (weight[names.index(name)] for name in ("Vis", "Default"))
    assert (vis[:4] > default[:4]).mean() >= 0.75
    assert (default[4:] > vis[4:]).mean() >= 0.75
    plain = Ridge(alphas=GRID)
    errors = [
        ((step(new, step.fit(source, target))["bold"].values - truth) ** 2).mean()
        for step in (banded(candidates=12), plain)
    ]
    assert errors[0] < errors[1]


def test_both_forms_give_the_same(pair):
    source, target, new, _ = pair
    dual, primal = (
        Ridge(alphas=GRID, choose="gcv", form=form, bands={"atlas": "phantom7", "candidates": 4})
        for form in ("dual", "primal")
    )
    made = [step(new, step.fit(source, target))["bold"].values for step in (dual, primal)]
    np.testing.assert_allclose(made[0], made[1], atol=1e-3)


def test_bands_are_regions_groups_and_the_rest(pair):
    live = ~fsaverage5.medial_wall()
    atlas = atlases.load("phantom7")
    found = Bands(atlas="phantom7", groups={"seeing": ("Vis",), "resting": ("Default", "Cont")}).of(
        pair[0], live
    )
    assert found.names == ("seeing", "resting", "elsewhere")
    np.testing.assert_array_equal(found.band == 0, atlas.mask("Vis") & live)
    assert (found.band[~live] == -1).all()
    assert (found.weights[0] == 1).all()
    np.testing.assert_allclose(found.weights.mean(1), 1, rtol=1e-4)
    assert not found.gammas[1][~live].any()


def test_bands_that_cannot_be_made_are_refused(pair):
    source, target, _, _ = pair
    with pytest.raises(RegionError, match="unknown region of phantom7 'Visible'"):
        banded(groups={"a": ["Visible"]}).digests()
    with pytest.raises(SpaceError, match="need all 20484 vertices"):
        banded().fit(source.isel(vertex=slice(0, 100)), target)
    still = source.copy(deep=True)
    still["bold"].values[:, ~atlases.load("phantom7").mask("Vis")] = 0
    with pytest.raises(ParameterError, match="one band"):
        banded().fit(still, target)
