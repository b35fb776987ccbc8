from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from made_pairs import response

import insilico as isi
from insilico import adapters
from insilico.adapters.adapter import Adapter
from insilico.adapters.saved import Saved
from insilico.errors import ParameterError, WeightsError

KINDS = {
    "ridge": {"alphas": (0.5, 5.0), "form": "dual"},
    "pca": {"frames": "pairs", "sigma": 2.0, "projection": "dense"},
    "mlp": {"hidden": (8, 4), "epochs": 2},
    "bottleneck": {"hidden": (6,), "epochs": 2},
}


def made(kind: str) -> Adapter:
    return adapters.KINDS.build({"kind": kind, **KINDS[kind]})


@pytest.fixture
def saved(pair, tmp_path: Path) -> Path:
    return isi.save_adapter(made("ridge").fit(*pair[:2]), tmp_path / "saved")


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_is_exact_and_applies_elsewhere(pair, tmp_path, kind):
    source, target, new, _ = pair
    fitted = made(kind).fit(source, target)
    folder = isi.save_adapter(fitted, tmp_path / "a" / kind)
    assert sorted(p.name for p in folder.iterdir()) == ["adapter.json", "adapter.safetensors"]
    again = isi.load_adapter(folder)
    xr.testing.assert_identical(again, fitted)
    step = adapters.KINDS.build({"kind": "saved", "file": str(folder)})
    xr.testing.assert_identical(step(new, step.load()), made(kind)(new, fitted))


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_was_fitted_with_counts(pair, kind):
    source, target, new, _ = pair
    fitted = made(kind).fit(source, target)
    xr.testing.assert_identical(type(made(kind))()(new, fitted), made(kind)(new, fitted))


def test_what_was_in_the_store_can_be_saved(pair, tmp_path):
    fitted = made("ridge").fit(*pair[:2])
    fitted.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    stored = xr.load_dataset(tmp_path / "a.nc", engine="h5netcdf")
    again = isi.load_adapter(isi.save_adapter(stored, tmp_path / "b"))
    xr.testing.assert_equal(again, fitted)
    assert json.loads(again.attrs["provenance"])["n"] == 70


def test_stimuli_of_the_fit_are_refused_elsewhere_too(pair, saved):
    step = Saved(file=str(saved))
    with pytest.raises(ParameterError, match="test-000"):
        step(pair[0], step.load())
    meant = Saved(file=str(saved), seen="allow")
    assert meant(pair[0], meant.load()).sizes["stimulus"] == 70
    assert step.fitted_on() == [f"test-{k:03d}" for k in range(70)]


def test_digest_changes_with_the_numbers(pair, saved, tmp_path):
    before = Saved(file=str(saved)).digests()
    assert before == Saved(file=str(saved)).digests()
    changed = isi.load_adapter(saved)
    changed["dual"].values[0, 0] += 1
    isi.save_adapter(changed, saved, overwrite=True)
    assert before != Saved(file=str(saved)).digests()


def spoil(folder: Path, what: str) -> None:
    about, numbers = folder / "adapter.json", folder / "adapter.safetensors"
    said = json.loads(about.read_text())
    if what == "nothing":
        about.unlink()
    elif what == "no numbers":
        numbers.unlink()
    elif what == "cut":
        numbers.write_bytes(numbers.read_bytes()[:-100])
    elif what == "not json":
        about.write_text("{")
    elif what == "another format":
        about.write_text(json.dumps(said | {"format": 9}))
    elif what == "dimensions":
        said["dims"]["dual"] = ["pair"]
        about.write_text(json.dumps(said))
    elif what == "a list":
        about.write_text("[]")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("nothing", "adapter.json is missing"),
        ("no numbers", "damaged adapter"),
        ("cut", "damaged adapter"),
        ("not json", "not what save_adapter wrote"),
        ("a list", "not what save_adapter wrote"),
        ("another format", "format 9"),
        ("dimensions", "damaged adapter"),
    ],
)
def test_a_damaged_folder_gives_one_clear_error(saved, what, words):
    spoil(saved, what)
    with pytest.raises(WeightsError, match=words):
        isi.load_adapter(saved)


def test_what_cannot_be_saved_or_used_is_refused(pair, saved, tmp_path):
    fitted = made("ridge").fit(*pair[:2])
    with pytest.raises(ParameterError, match="overwrite=True"):
        isi.save_adapter(fitted, saved)
    with pytest.raises(ParameterError, match="what an adapter's fit returned"):
        isi.save_adapter(pair[0], tmp_path / "x")
    assert not (tmp_path / "x").exists()
    old = json.loads(fitted.attrs["step"]) | {"version": 1}
    with pytest.raises(ParameterError, match="another version of 'ridge'"):
        made("ridge")(pair[2], fitted.assign_attrs(step=json.dumps(old)))
    strange = isi.save_adapter(fitted.assign_attrs(adapter="magic"), tmp_path / "strange")
    with pytest.raises(ParameterError, match="kind 'magic'; known are pca, ridge"):
        Saved(file=str(strange)).digests()


def test_repeats_and_conditions_pass_through(pair):
    source, target, _, _ = pair
    fitted = made("ridge").fit(source, target)
    bold = np.random.default_rng(0).standard_normal((2, 5, 60))
    adapted = made("ridge")(response(bold, "vertex", 700), fitted)
    assert adapted["bold"].dims == ("repeat", "stimulus", "voxel")
