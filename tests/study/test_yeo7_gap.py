"""The first protocol, whole, with the shipped networks: few stimuli, two networks."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import insilico as isi
from insilico.phantom.cohort import Cohort
from insilico.schema import NOUNS, check

ROOT = Path(__file__).parents[2]
SMALL = {
    "stimuli.n": 8,
    "adapter.pairs": 400,
    "conditions.silenced.perturb.region": ["Vis", "SomMot"],
    "conditions.matched.perturb.region": ["Vis", "SomMot"],
    "conditions.matched.perturb.n": 1,
    "statistics.accuracy.n": 200,
}
FIGURES = ("network_gap", "lesion_effects", "reconstruction_grid", "surface_gap")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def results(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("gap") / "out"
    return isi.run("yeo7_gap", set=SMALL, out=out, store=store)


@pytest.fixture(scope="module")
def accuracy(results):
    return results.open("estimate-accuracy")


def test_the_folder_is_whole(results):
    assert results.failures == ()
    names = {path.name for path in results.folder.iterdir()}
    expected = {"protocol.yaml", "estimates.csv", "summary.txt", "manifest.json"}
    expected |= {f"{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "png")}
    assert expected <= names


def test_the_methods_say_what_was_done_and_what_a_lesion_is(results):
    said = " ".join((results.folder / "methods.txt").read_text().split())
    assert "All responses are simulated" in said
    assert "A lesion here takes information from the read-out; nothing propagates" in said
    lesions = results.open("score")
    for name in dict.fromkeys(lesions["name"].values):
        assert f"Condition '{name}'." in said
    for metric, what in zip(lesions["metric"].values, lesions["definition"].values, strict=True):
        assert f"Score '{metric}'. {' '.join(str(what).split())}" in said
    for path in results.folder.glob("estimate-*.nc"):
        made = results.open(path.stem).attrs
        told = said.partition(f"Statistic '{path.stem.removeprefix('estimate-')}'.")[2]
        for key in ("test", "null", "correction", "interval"):
            assert " ".join(str(made.get(key, "")).split()) in told
    assert "Condition 'matched'. Predicted responses; ablate, atlas phantom7" in said
    assert "control patch, n 1; matched controls of Vis; SomMot." in said
    assert "as set: paired (of silenced, against intact, control matched" in said


def test_the_methods_name_no_stage_that_was_not_used(store, tmp_path):
    out = tmp_path / "out"
    isi.run("noise_ceiling", set={"stimuli.n": 8, "figures": []}, out=out, store=store)
    said = (out / "methods.txt").read_text()
    assert "Recording. phantom" in said
    assert not any(word in said for word in ("Decoder.", "Adapter.", "Encoder."))


@pytest.mark.parametrize("stem", ["stimuli", "response", "reconstruction", "score"])
def test_nouns_open_with_xarray_and_say_what_they_are(results, stem):
    with xr.open_dataset(results.folder / f"{stem}.nc") as noun:
        check(noun.load(), stem)
        assert "phantom (simulated)" in noun.attrs["source"]
        if stem != "stimuli":
            assert "phantom7 in place of yeo7" in noun.attrs["note"].split("; ")


def test_estimates_carry_intervals_and_corrected_p(results):
    for stem in ("estimate-accuracy", "estimate-gap"):
        estimate = results.open(stem)
        assert set(NOUNS["estimate"].variables) <= set(estimate.data_vars)
        assert (estimate["ci_low"] <= estimate["effect"]).all()
        assert (estimate["effect"] <= estimate["ci_high"]).all()
        assert (estimate["p_corrected"] >= estimate["p"]).all()


def test_what_is_built_in_comes_out(accuracy):
    """Ceilings are those of the cohort; Vis falls furthest short of its ceiling."""
    truth = Cohort().ceiling()
    stored, labels = accuracy["noise_ceiling"].values, accuracy["region_label"].values
    for k, region in enumerate(accuracy["contrast"].values, start=1):
        inside = labels == k
        assert stored[inside].mean() == pytest.approx(truth[inside].mean(), abs=0.01), region
    assert (stored[labels > 0] < 0).any()  # not clipped
    np.testing.assert_array_equal(np.isnan(stored), labels == 0)
    assert (accuracy["effect"] < accuracy["ceiling"]).all()
    ratio = accuracy["effect"] / accuracy["ceiling"]
    assert ratio.idxmin("contrast") == "Vis"
    assert accuracy["gap_against_elsewhere"].sel(contrast="Vis") < 0
    assert accuracy["p_spin_corrected"].sel(contrast="Vis") < 0.05


def test_a_lesion_of_vision_costs_and_one_of_movement_does_not(results):
    gap = results.open("estimate-gap")["effect"].sel(metric="pixcorr")
    assert gap.sel(contrast="Vis") < -0.02
    assert abs(gap.sel(contrast="SomMot")) < abs(gap.sel(contrast="Vis")) / 3


def test_lesions_touch_their_region_alone(results):
    bold = results.open("response")["bold"]
    same = (bold.sel(condition="silenced/Vis") == bold.sel(condition="intact")).all("stimulus")
    from insilico.spaces import regions

    np.testing.assert_array_equal(~same.values, regions.mask("Vis", atlas="phantom7"))


def test_decoding_is_far_above_chance(results):
    score = results.open("score")["value"].isel(draw=0)
    assert score.sel(condition="measured", metric="clip_two_way").mean() > 0.9
    assert score.sel(condition="intact", metric="pixcorr").mean() > 0.5


def test_again_nothing_is_computed(results, store, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in results.folder.iterdir()}
    assert isi.run("yeo7_gap", set=SMALL, out=results.folder, store=store).computed == ()
    assert {path: path.stat().st_mtime_ns for path in results.folder.iterdir()} == before
    assert isi.run("yeo7_gap", set=SMALL, out=tmp_path / "new", store=store).computed == ()
    assert (tmp_path / "new" / "score.nc").exists()


def test_the_resolved_protocol_is_the_same_study(results, store, tmp_path):
    again = isi.run(results.folder / "protocol.yaml", out=tmp_path / "again", store=store)
    assert again.computed == ()
    xr.testing.assert_identical(again.open("score"), results.open("score"))


def test_figures_are_drawn_again_from_the_folder(results, tmp_path):
    script = runpy.run_path(str(ROOT / "figures" / "yeo7_gap.py"))
    script["main"](str(results.folder), str(tmp_path))
    for name in FIGURES:
        first = mpl.image.imread(results.folder / f"{name}.png")
        np.testing.assert_array_equal(mpl.image.imread(tmp_path / f"{name}.png"), first)


def test_the_readme_s_study_runs(store, monkeypatch, capsys):
    monkeypatch.setenv("INSILICO_STORE", str(store))
    study = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    small = study.replace("n=20", "n=4").replace(
        'load_chain("phantom")', 'load_chain("phantom", seed=7, set={"adapter.pairs": 400})'
    )
    assert small.count("n=4") == 1
    assert "400" in small
    scope: dict = {}
    exec(compile(small, "README.md", "exec"), scope)
    assert "pixcorr" in capsys.readouterr().out
    loss = scope["loss"].sel(metric="pixcorr").mean()
    assert -0.5 < loss < 0


def test_the_python_study_is_the_protocol(results, store):
    chain = isi.load_chain("phantom", seed=7, set={"adapter.pairs": 400}, store=store)
    lesioned = chain.ablate(chain.encode(chain.stimuli(n=8)), atlas="yeo7", region="Visual")
    made = chain.decode(lesioned)
    stored = results.open("reconstruction").sel(condition="silenced/Vis")
    np.testing.assert_array_equal(made["image"].values, stored["image"].values)
    assert made["caption"].values.tolist() == stored["caption"].values.tolist()
