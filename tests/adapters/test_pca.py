from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from made_pairs import N_VERTICES, response

from insilico.adapters.pca import PCA
from insilico.adapters.projection import (
    dense_projection,
    principal_axes,
    structured_projection,
)
from insilico.errors import ParameterError
from insilico.schema import check


def test_random_projection_is_orthogonal_and_fixed():
    matrix = structured_projection(np.eye(40, dtype=np.float32), 25, seed=3)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(25), atol=1e-5)
    np.testing.assert_array_equal(
        matrix, structured_projection(np.eye(40, dtype=np.float32), 25, 3)
    )
    assert np.abs(matrix - structured_projection(np.eye(40, dtype=np.float32), 25, 4)).max() > 0.1


def test_no_input_is_special_to_the_random_projection():
    """A constant is a single wave of the cosine transform: random signs come before it."""
    flat = np.full(400, 0.05, np.float32)
    made = np.array([structured_projection(flat, 400, seed) for seed in range(30)])
    np.testing.assert_allclose((made**2).sum(1), 1, rtol=1e-4)
    spread = np.abs(np.sort(made, axis=1))
    assert np.abs(spread[0] - spread[1]).max() > 0.02  # not one vector in another order
    assert (made**4).sum() * 400 / 30 == pytest.approx(3, abs=0.2)  # as of normal numbers


def test_principal_axes_hold_the_share():
    from sklearn.decomposition import PCA as Reference

    rng = np.random.default_rng(2)
    x = (rng.standard_normal((40, 10)) * np.logspace(0, -2, 10)).astype(np.float32)
    axes, held = principal_axes(x - x.mean(0), 0.99)
    reference = Reference(0.99, svd_solver="full").fit(x)
    assert len(axes) == reference.n_components_
    np.testing.assert_allclose(held, reference.explained_variance_ratio_, rtol=1e-3)
    np.testing.assert_allclose(np.abs(axes @ reference.components_.T), np.eye(len(axes)), atol=1e-3)


def test_pca_matches_the_spread_and_keeps_likeness(pair):
    source, target, new, _ = pair
    adapted = PCA(sigma=3.0)(new, PCA(sigma=3.0).fit(source, target))
    check(adapted, "response", space="phantom-subj01")
    np.testing.assert_allclose(adapted["bold"].std("voxel"), 3.0, rtol=1e-4)
    np.testing.assert_allclose(adapted["bold"].mean("voxel"), 0.0, atol=1e-5)
    assert adapted.attrs["adapter"] == "pca"


def test_pca_ignores_what_was_measured(pair):
    source, target, new, _ = pair
    other = target.assign(bold=-2 * target["bold"])
    xr.testing.assert_identical(
        PCA()(new, PCA().fit(source, target)), PCA()(new, PCA().fit(source, other))
    )


def in_rows(bold: np.ndarray, per: int) -> xr.Dataset:
    """Return frames as a response in rows, `per` of them a timeline."""
    one = response(bold, "vertex").rename(stimulus="row")
    ids = [f"film-{k // per}" for k in range(len(bold))]
    time = (np.arange(len(bold)) % per).astype(float)
    return one.drop_vars("row").assign_coords(timeline=("row", ids), time=("row", time))


@pytest.mark.parametrize("frames", [1, 2, 7, 59])
def test_centred_on_its_own_frames_it_gives_the_mean_back(pair, frames):
    source, target, _, _ = pair
    bold = np.random.default_rng(frames).standard_normal((3 * frames, N_VERTICES))
    shown = in_rows(bold, frames)
    fitted = PCA().fit(source, target)
    means = response(bold.reshape(3, frames, -1).mean(1), "vertex", 900)
    np.testing.assert_allclose(
        PCA()(shown, fitted)["bold"], PCA()(means, fitted)["bold"], atol=1e-4
    )


def test_uncentred_on_its_own_frames_it_is_a_truncated_svd(pair):
    source, target, _, _ = pair
    frames = np.random.default_rng(1).standard_normal((2, 10, N_VERTICES)) * np.logspace(0, 2, 60)
    step, means = PCA(centred=False, variance=0.8), []
    for own in frames:
        _, size, axes = np.linalg.svd(own, full_matrices=False)
        k = np.searchsorted(np.cumsum(size**2) / (size**2).sum(), 0.8) + 1
        assert k < 10
        means.append(own.mean(0) @ axes[:k].T @ axes[:k])
    made = step(in_rows(np.concatenate(frames), 10), step.fit(source, target))
    expected = PCA()(response(np.stack(means), "vertex", 900), PCA().fit(source, target))
    np.testing.assert_allclose(made["bold"], expected["bold"], atol=1e-3)


def test_uncentred_needs_frames(pair):
    source, target, new, _ = pair
    with pytest.raises(ParameterError, match="rows: keep"):
        PCA(centred=False)(new, PCA(centred=False).fit(source, target))


def test_frames_of_pairs_are_refused_and_own_frames_are_not(pair):
    source, target, _, _ = pair
    own, others = PCA(), PCA(frames="pairs")
    assert own.fit(source, target).sizes["pair"] == 0
    own(source, own.fit(source, target))
    fitted = others.fit(source, target)
    assert fitted["stimulus"].values.tolist() == source["stimulus"].values.tolist()
    with pytest.raises(ParameterError, match="test-000"):
        others(source, fitted)


@pytest.mark.parametrize("centred", [True, False])
def test_components_of_pairs_leave_out_what_they_do_not_hold(pair, centred):
    source, target, new, _ = pair
    step = PCA(frames="pairs", centred=centred, variance=0.6)
    fitted = step.fit(source, target)
    assert 1 < fitted.sizes["component"] < 40
    assert (np.abs(fitted["mean"].values).max() > 0) == centred
    assert (
        np.abs(step(new, fitted)["bold"] - PCA()(new, PCA().fit(source, target))["bold"]).max() > 1
    )


def test_dense_projection_is_orthonormal_and_uniform():
    matrix = dense_projection(40, 25, seed=3)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(25), atol=1e-5)
    np.testing.assert_array_equal(matrix, dense_projection(40, 25, 3))
    corners = [dense_projection(4, 2, seed)[0, 0] for seed in range(400)]
    assert abs(np.mean(corners)) < 0.1  # Householder's own signs would all be alike


@pytest.mark.parametrize("projection", ["structured", "dense"])
def test_projection_keeps_likeness(pair, projection):
    source, _, new, _ = pair
    step = PCA(projection=projection, sigma=1)
    whole = response(np.random.default_rng(0).standard_normal((70, N_VERTICES)), "voxel")
    adapted = step(new, step.fit(source, whole))["bold"].values
    bold = new["bold"].values / np.linalg.norm(new["bold"].values, axis=1, keepdims=True)
    np.testing.assert_allclose(np.corrcoef(adapted), bold @ bold.T, atol=0.1)


def test_more_voxels_than_vertices_cannot_be_projected(pair):
    source, _, _, _ = pair
    target = response(np.random.default_rng(0).standard_normal((70, 61)), "voxel")
    with pytest.raises(ParameterError, match="61 voxels"):
        PCA().fit(source, target)
