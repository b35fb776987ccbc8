from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from insilico import adapters
from insilico.adapters.pca import PCA
from insilico.adapters.ridge import Ridge, refuse_leakage
from insilico.adapters.solvers import (
    DualRidge,
    mean_and_scale,
    principal_axes,
    random_projection,
    standardized,
)
from insilico.errors import InsilicoError, ParameterError, SchemaError, SpaceError
from insilico.schema import check

GOLDEN = Path(__file__).parents[1] / "golden" / "ridge.npz"
N_VERTICES, N_VOXELS = 60, 12
WALL = slice(50, 60)


def response(bold: np.ndarray, place: str, first: int = 0, **attrs: object) -> xr.Dataset:
    n = bold.shape[-1]
    dims = ("repeat", "stimulus", place)[-bold.ndim :]
    coords = {axis: (place, np.arange(n) + 0.5) for axis in "xyz"}
    hemi = ["L"] * (n // 2) + ["R"] * (n - n // 2)
    if place == "voxel":
        coords["roi"] = (place, ["V1"] * n)
    given = {
        "space": "fsaverage5" if place == "vertex" else "phantom-subj01",
        "units": "session z",
        "subject": "average" if place == "vertex" else "phantom-subj01",
        "hemodynamic_offset_s": 0.0,
        "source": "test",
    }
    ids = [f"test-{k:03d}" for k in range(first, first + bold.shape[-2])]
    return xr.Dataset(
        {"bold": (dims, bold.astype(np.float32))},
        coords={"stimulus": ids, place: np.arange(n), "hemi": (place, hemi), **coords},
        attrs=given | attrs,
    )


@pytest.fixture
def pair() -> tuple[xr.Dataset, xr.Dataset, xr.Dataset, np.ndarray]:
    """Return source, target, new source and what the voxels would truly answer to it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((90, N_VERTICES))
    x[:, WALL] = 0
    weights = rng.standard_normal((N_VERTICES, N_VOXELS))
    y = x @ weights
    source, new = response(x[:70], "vertex"), response(x[70:], "vertex", 70)
    noisy = y[:70] + 0.1 * rng.standard_normal((3, 70, N_VOXELS))
    return source, response(noisy, "voxel"), new, y[70:]


def test_kinds_are_built_by_name():
    assert isinstance(adapters.KINDS.build({"kind": "ridge", "alpha": [1, 10]}), Ridge)
    assert isinstance(adapters.KINDS.build("pca"), PCA)
    with pytest.raises(ParameterError, match="alpha"):
        adapters.KINDS.build({"kind": "ridge", "alpha": -1})


def test_golden_standardised_ridge():
    golden = np.load(GOLDEN)
    x, y, new = (golden[key] for key in ("Xtr", "Ytr", "Xte"))
    source, target = response(x, "vertex"), response(y, "voxel")
    adapted = Ridge(alpha=1000)(response(new, "vertex", 500), Ridge(alpha=1000).fit(source, target))
    expected = golden["std_pred"]
    assert np.abs(adapted["bold"] - expected).max() < 1e-3 * np.abs(expected).max()


def test_golden_leave_one_out_penalties():
    golden = np.load(GOLDEN)
    x, y, new = (golden[key].astype(np.float32) for key in ("Xtr", "Ytr", "Xte"))
    x_mean, y_mean = x.mean(0), y.mean(0)
    dual, alpha = DualRidge(x - x_mean, y - y_mean).best(golden["alphas"])
    assert np.isclose(alpha, golden["skcv_loo_alpha"]).all()
    made = (new - x_mean) @ ((x - x_mean).T @ dual) + y_mean
    assert np.abs(made - golden["skcv_pred"]).max() < 1e-3 * np.abs(golden["skcv_pred"]).max()


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_leave_one_out_is_what_leaving_one_out_gives(shape: tuple[int, int]):
    from sklearn.linear_model import Ridge as Reference

    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(np.float32)
    y = rng.standard_normal((shape[0], 3)).astype(np.float32)
    ours = DualRidge(x - x.mean(0), y - y.mean(0)).leave_one_out(2.0)
    errors = []
    for row in range(len(x)):
        rest = np.arange(len(x)) != row
        model = Reference(alpha=2.0).fit(x[rest], y[rest])
        errors.append((model.predict(x[[row]])[0] - y[row]) ** 2)
    np.testing.assert_allclose(ours, np.mean(errors, 0), rtol=1e-3)


def test_ridge_agrees_with_sklearn_pipeline(pair):
    from sklearn.linear_model import Ridge as Reference

    source, target, new, _ = pair
    adapted = Ridge(alpha=5.0)(new, Ridge(alpha=5.0).fit(source, target))
    x, y = source["bold"].values, target["bold"].mean("repeat").values
    live = np.arange(N_VERTICES) < WALL.start
    x_mean, x_sd = x[:, live].mean(0), x[:, live].std(0)
    model = Reference(alpha=5.0).fit((x[:, live] - x_mean) / x_sd, (y - y.mean(0)) / y.std(0))
    made = model.predict((new["bold"].values[:, live] - x_mean) / x_sd) * y.std(0) + y.mean(0)
    np.testing.assert_allclose(adapted["bold"], made, rtol=1e-3, atol=1e-3)


def test_ridge_result_is_a_labelled_response(pair):
    source, target, new, truth = pair
    ridge = Ridge(alpha=(0.1, 1.0, 10.0))
    fitted = ridge.fit(source, target)
    assert fitted["dual"].dims == ("stimulus", "voxel")
    assert set(fitted["alpha"].values) <= {np.float32(a) for a in (0.1, 1, 10)}
    adapted = check(ridge(new, fitted), "response", space="phantom-subj01")
    assert (adapted["roi"] == target["roi"]).all()
    assert adapted.attrs["subject"] == "average"
    assert adapted.attrs["adapted_to"] == "phantom-subj01"
    assert np.corrcoef(adapted["bold"].values.ravel(), truth.ravel())[0, 1] > 0.95


def test_fitted_survives_a_file(pair, tmp_path: Path):
    source, target, new, _ = pair
    for step in (Ridge(), PCA()):
        fitted = step.fit(source, target)
        fitted.to_netcdf(tmp_path / f"{step.kind}.nc", engine="h5netcdf")
        again = xr.load_dataset(tmp_path / f"{step.kind}.nc", engine="h5netcdf")
        xr.testing.assert_identical(step(new, fitted), step(new, again))


def test_items_do_not_depend_on_their_batch(pair):
    source, target, new, _ = pair
    for step in (Ridge(), PCA()):
        fitted = step.fit(source, target)
        whole = step(new, fitted)["bold"]
        alone = step(new.isel(stimulus=[3]), fitted)["bold"]
        np.testing.assert_allclose(whole[[3]], alone, atol=1e-4)


def test_order_of_stimuli_does_not_matter(pair):
    source, target, new, _ = pair
    turned = Ridge().fit(source, target.isel(stimulus=slice(None, None, -1)))
    given = Ridge().fit(source, target)
    np.testing.assert_allclose(Ridge()(new, turned)["bold"], Ridge()(new, given)["bold"], rtol=1e-4)


def test_medial_wall_has_no_say(pair):
    source, target, new, _ = pair
    fitted = Ridge().fit(source, target)
    assert (fitted["source_scale"].values[WALL] == 0).all()
    other = new.copy(deep=True)
    other["bold"].values[:, WALL] = 7
    np.testing.assert_array_equal(Ridge()(new, fitted)["bold"], Ridge()(other, fitted)["bold"])


def test_stimuli_of_the_fit_are_refused(pair):
    source, target, new, _ = pair
    fitted = Ridge().fit(source, target)
    with pytest.raises(ParameterError, match="test-000"):
        Ridge()(source, fitted)
    assert refuse_leakage(fitted, new) is None


def broken(pair, what: str) -> tuple[xr.Dataset, xr.Dataset]:
    source, target = pair[0].copy(deep=True), pair[1].copy(deep=True)
    if what == "nan":
        target["bold"].values[0, 0, 0] = np.nan
    elif what == "constant voxel":
        target["bold"].values[..., 4] = 1.5
    elif what == "constant source":
        source["bold"].values[:] = 1.5
    elif what == "strangers":
        target = target.assign_coords(stimulus=[f"other-{k}" for k in range(70)])
    elif what == "space":
        source.attrs["space"] = "fsaverage6"
    elif what == "vertices":
        target = target.rename(voxel="vertex")
    return source, target


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("nan", SchemaError, "test-000"),
        ("constant voxel", ParameterError, "1 of 12 voxels"),
        ("constant source", ParameterError, "does not vary"),
        ("strangers", ParameterError, "share 0"),
        ("space", SpaceError, "fsaverage5 is needed"),
        ("vertices", SpaceError, "must lie in voxels"),
    ],
)
def test_bad_pairs_give_one_clear_error(pair, what: str, error: type[InsilicoError], words: str):
    with pytest.raises(error, match=words):
        Ridge().fit(*broken(pair, what))


def test_parameters_of_another_adapter_are_refused(pair):
    source, target, new, _ = pair
    with pytest.raises(ParameterError, match="'ridge' are needed, got those of 'pca'"):
        Ridge()(new, PCA().fit(source, target))


def test_wrong_vertex_count_is_refused(pair):
    source, target, new, _ = pair
    with pytest.raises(SpaceError, match="60 vertices"):
        Ridge()(new.isel(vertex=slice(0, 40)), Ridge().fit(source, target))


def test_random_projection_is_orthogonal_and_fixed():
    matrix = random_projection(np.eye(40, dtype=np.float32), 25, seed=3)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(25), atol=1e-5)
    np.testing.assert_array_equal(matrix, random_projection(np.eye(40, dtype=np.float32), 25, 3))
    assert np.abs(matrix - random_projection(np.eye(40, dtype=np.float32), 25, 4)).max() > 0.1


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


def test_more_voxels_than_vertices_cannot_be_projected(pair):
    source, _, _, _ = pair
    target = response(np.random.default_rng(0).standard_normal((70, 61)), "voxel")
    with pytest.raises(ParameterError, match="61 voxels"):
        PCA().fit(source, target)


def test_constant_columns_are_left_out():
    values = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    mean, scale = mean_and_scale(values)
    assert scale.tolist() == [1.0, 0.0]
    assert standardized(values, mean, scale).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
