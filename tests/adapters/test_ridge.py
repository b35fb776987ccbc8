from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr
from made_pairs import N_VERTICES, WALL, response

from insilico import adapters
from insilico.adapters.fitted import refuse_leakage
from insilico.adapters.pca import PCA
from insilico.adapters.ridge import Ridge
from insilico.adapters.scaling import mean_and_scale, standardized
from insilico.errors import InsilicoError, ParameterError, SchemaError, SpaceError
from insilico.job import Job
from insilico.run.runner import obtain
from insilico.run.store import Store
from insilico.schema import check
from insilico.step import Step, computing

GOLDEN = Path(__file__).parents[1] / "golden" / "stats" / "ridge.npz"


def test_kinds_are_built_by_name():
    assert isinstance(adapters.KINDS.build({"kind": "ridge", "alphas": [1, 10]}), Ridge)
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
    ridge = Ridge(alphas=(0.1, 1.0, 10.0), form="dual")
    fitted = ridge.fit(source, target)
    assert fitted["dual"].dims == ("pair", "voxel")
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
    with pytest.raises(ParameterError, match=r"test-000.*seen: allow"):
        Ridge()(source, fitted)
    assert refuse_leakage(fitted, new) is None
    assert Ridge(seen="allow")(source, fitted).sizes["stimulus"] == 70


def test_provenance_names_the_pairs(pair):
    source, target, _, _ = pair
    fitted = Ridge().fit(source, target.isel(stimulus=slice(0, 40)))
    assert fitted["stimulus"].values.tolist() == source["stimulus"].values[:40].tolist()
    said = json.loads(fitted.attrs["provenance"])
    assert said["n"] == 40
    assert said["target"]["subject"] == "phantom-subj01"
    other = target.copy(deep=True)
    other["bold"].values[0, 0, 0] += 1
    changed = json.loads(Ridge().fit(source, other).attrs["provenance"])
    assert (
        changed["digest"] != json.loads(Ridge().fit(source, target).attrs["provenance"])["digest"]
    )


@pytest.mark.parametrize("alphas", [None, (1.0, 30.0)])
def test_both_forms_give_the_same(pair, alphas):
    source, target, new, _ = pair
    dual, primal = (Ridge(form=form, alphas=alphas, choose="gcv") for form in ("dual", "primal"))
    kept, formed = dual.fit(source, target), primal.fit(source, target)
    assert "dual" in kept
    assert "weights" in formed
    assert not formed["weights"].values[WALL].any()
    np.testing.assert_allclose(dual(new, kept)["bold"], primal(new, formed)["bold"], atol=2e-4)


def test_auto_keeps_what_is_cheaper_to_apply():
    rng = np.random.default_rng(0)
    for n, p, t, form in ((20, 60, 40, "dual"), (30, 60, 40, "weights")):  # p t / (p + t) = 24
        x, y = response(rng.standard_normal((n, p)), "vertex"), rng.standard_normal((n, t))
        assert form in Ridge().fit(x, response(y, "voxel"))


def test_constant_voxels_keep_their_constant_and_are_said(pair):
    source, target, new, _ = pair
    whole = Ridge()(new, Ridge().fit(source, target))
    target["bold"].values[..., 4] = 1.5
    fitted = Ridge().fit(source, target)
    adapted = Ridge()(new, fitted)
    assert (adapted["bold"].values[:, 4] == 1.5).all()
    assert adapted["covered"].values.sum() == 11
    assert not adapted["covered"].values[4]
    assert adapted.attrs["adapter_vertices"] == WALL.start
    assert adapted.attrs["note"].startswith("1 of 12 voxels do not vary")
    others = np.arange(12) != 4
    np.testing.assert_allclose(adapted["bold"][:, others], whole["bold"][:, others], rtol=1e-5)


def test_a_grid_that_ends_too_early_is_noted(pair):
    source, target, _, _ = pair
    note = Ridge(alphas=(1e4, 1e5)).fit(source, target).attrs["adapter_note"]
    assert note.startswith("alpha at the edge of its grid in 12 of 12 voxels (12 at 10000")
    target["bold"].values[:] += 7 * np.random.default_rng(5).standard_normal((3, 70, 12))
    assert "adapter_note" not in Ridge(alphas=(1e-9, 30, 1e9)).fit(source, target).attrs


def with_sessions(pair, repeats: bool = True) -> tuple[xr.Dataset, xr.Dataset]:
    source, target = pair[:2]
    session = np.add.outer(np.zeros(3, int), np.arange(70) // 10)
    if not repeats:
        return source, target.mean("repeat", keep_attrs=True).assign_coords(
            session=("stimulus", session[0])
        )
    return source, target.assign_coords(session=(("repeat", "stimulus"), session))


def test_folds_hold_out_sessions_and_repeats_of_a_stimulus(pair):
    source, target = with_sessions(pair)
    ridge = Ridge(
        alphas=(0.1, 10.0, 1e3), choose="folds", folds=7, groups="session", repeats="single"
    )
    fitted = ridge.fit(source, target)
    assert fitted.attrs["pairs"] == 210
    assert ridge(pair[2], fitted)["bold"].shape == (20, 12)
    source, target = with_sessions(pair, repeats=False)
    assert Ridge(alphas=(1.0, 2.0), choose="folds", groups="session").fit(source, target)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"groups": "day"}, "no 'day' along its rows .*session"),
        ({"groups": "session", "folds": 9}, "9 folds cannot be made of 7 groups.*2 to 7"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(pair, parameters, words):
    source, target = with_sessions(pair, repeats=False)
    with pytest.raises(ParameterError, match=words):
        Ridge(alphas=(1.0, 2.0), choose="folds", **parameters).fit(source, target)


def test_leaving_one_repeat_out_is_refused():
    with pytest.raises(ParameterError, match="choose: folds"):
        adapters.KINDS.build(
            {"kind": "ridge", "alphas": [1.0, 2.0], "repeats": "single", "choose": "loo"}
        )


def broken(pair, what: str) -> tuple[xr.Dataset, xr.Dataset]:
    source, target = pair[0].copy(deep=True), pair[1].copy(deep=True)
    if what == "nan":
        target["bold"].values[0, 0, 0] = np.nan
    elif what == "constant target":
        target["bold"].values[:] = 1.5
    elif what == "subjects":
        target = target.expand_dims(subject=2).transpose("subject", ...)
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
        ("constant target", ParameterError, "not vary .* at any voxel"),
        ("subjects", SchemaError, "one condition and subject; has also subject"),
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


def test_constant_columns_are_left_out():
    values = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    mean, scale = mean_and_scale(values)
    assert scale.tolist() == [1.0, 0.0]
    assert standardized(values, mean, scale).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("form", ["dual", "primal"])
def test_on_a_torch_device_it_gives_the_same(pair, form):
    source, target, new, _ = pair
    ridge = Ridge(alphas=(0.5, 5.0, 50.0), choose="gcv", form=form)
    here = ridge(new, ridge.fit(source, target))
    with computing(device="cpu:0"):  # a torch device; "cpu" computes with numpy
        there = ridge(new, ridge.fit(source, target))
    np.testing.assert_allclose(here["bold"], there["bold"], atol=1e-4)


STORED = {
    "dual": {"form": "dual"},
    "primal": {"form": "primal"},
    "every repeat a row": {"form": "dual", "repeats": "single"},
}


@pytest.mark.parametrize("parameters", STORED.values(), ids=STORED)
def test_a_store_holds_no_copy_of_the_source_and_gives_the_same_fit(pair, parameters, tmp_path):
    step, (source, target, new, _) = Ridge(**parameters), pair
    target = target.isel(stimulus=slice(None, None, -1)).isel(stimulus=slice(5, None))
    given = [Job(name, Given(name=name)) for name in ("source", "target")]
    job = Job("fit", step, tuple(given), method="fit")
    Given.held = {"source": source, "target": target}
    fitted = obtain(job, Store(tmp_path))
    again = obtain(job, Store(tmp_path))  # from the files
    xr.testing.assert_identical(again, fitted)
    xr.testing.assert_equal(again, step.fit(source, target))
    xr.testing.assert_identical(step(new, again), step(new, fitted))
    with xr.open_dataset(Store(tmp_path).path(job.key), engine="h5netcdf") as held:
        assert "source" not in held
        assert "dual" in held or "weights" in held
    assert "left_out" not in again.attrs


class Given(Step):
    """Responses at hand, as a job."""

    kind: ClassVar[str] = "given"
    held: ClassVar[dict[str, xr.Dataset]] = {}
    name: str

    def __call__(self) -> xr.Dataset:
        return self.held[self.name]
