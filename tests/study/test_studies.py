"""The studies of ceilings, subjects, baseline, scaling and gaps: small, against known truth."""

from __future__ import annotations

import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import insilico as isi
from insilico.errors import ParameterError
from insilico.figures import baseline
from insilico.figures.gains import encoding_gap
from insilico.figures.scaling import scaling_curves
from insilico.figures.subjects import cross_subject
from insilico.phantom.cohort import Cohort
from insilico.protocol.plan import plan
from insilico.protocol.read import mistakes, read
from insilico.report.folder import Folder
from insilico.spaces import atlases

FEW = {"stimuli.n": 60}
QUIET: dict = {"figures": []}
BESIDE = ("corrected", "nsd", "glmsingle", "one_trial")
NETWORKS = [f"statistics.{name}.n" for name in ("ceiling", *BESIDE)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return what runs a shipped protocol into one store that all share."""
    folder = tmp_path_factory.mktemp("protocols")

    def run(name, **changes):
        results = isi.run(name, set=changes, out=folder / name, store=folder / "store")
        assert results.failures == ()
        return results

    return run


@pytest.fixture(scope="module")
def ceilings(ran):
    few = dict.fromkeys(NETWORKS, 2) | {"statistics.ceiling.n": 12, "statistics.halves.n": 5}
    return ran("noise_ceiling", **FEW, **few, **{"statistics.halves.splits": 2})


def _words(figure):
    found = figure.findobj(mpl.text.Text)
    return " ".join(text.get_text() for text in found).replace("\n", " ")


def test_ceilings_are_those_of_the_cohort(ceilings):
    found, truth = ceilings.open("estimate-ceiling"), Cohort().ceiling()
    atlas = atlases.load("phantom7")
    for name in atlas.regions:
        one, mean = found.sel(contrast=name), truth[atlas.mask(name)].mean()
        expected = 1 - (1 - mean) * 59 / 57  # 1 / MSB of 60 stimuli is too large by that
        assert one["ci_low"] < expected < one["ci_high"], name
        assert one["p"] < 0.1, name  # of 12 permutations none
        mended = ceilings.open("estimate-corrected")["effect"].sel(contrast=name)
        assert mended == pytest.approx(1 - (1 - one["effect"].item()) * 57 / 59, abs=1e-6), name
    alone = ceilings.open("estimate-one_trial")["effect"]
    assert (alone < found["effect"]).all()


def test_a_study_without_conditions_decodes_nothing(ceilings):
    names = {path.name for path in ceilings.folder.iterdir()}
    assert {"stimuli.nc", "ceilings.pdf", "ceilings.png", "estimates.csv"} <= names
    assert not names & {"score.nc", "reconstruction.nc", "response.nc"}
    assert "60 stimuli, nothing is decoded." in ceilings.summary


def test_the_prediction_reaches_what_an_endless_group_would(ran):
    changes = {"statistics.between.n": 2, **FEW} | QUIET
    estimate = ran("cross_subject", **changes).open("estimate-between")
    words = _words(cross_subject(estimate))
    assert "grey in the map" in words
    assert "n = 4 subjects;" in words
    assert "60 stimuli each of " in words
    assert words.count("mean of endlessly many subjects") == 2  # in the legend, at the colour bar
    assert estimate.attrs["unit_of_inference"] == "subject"
    found = estimate["effect"]
    expected, reached = (found.sel(metric=name) for name in ("corrected", "prediction"))
    assert (found.sel(metric="leave_one_out") < expected).all()
    assert np.abs(reached - expected).max() < 0.08
    assert np.abs(reached - expected).mean() < 0.04


def test_the_subject_s_own_model_regains_most_in_visual_cortex(ran):
    few = {"statistics.gain.n": 20, "statistics.accuracy.n": 20} | QUIET
    results = ran("encoding_gap", **FEW, **few, **{"adapter.pairs": 150})
    gain = results.open("estimate-gain")
    vis = gain.sel(contrast="Vis")
    assert "calibrated by ridge on 150 pairs" in _words(encoding_gap(gain))
    assert gain["effect"].idxmax("contrast") == "Vis"
    assert vis["ci_low"] > 0.1
    assert vis["p_corrected"] < 0.05
    assert (gain["subject"] < gain["ceiling"] + 0.02).all()
    assert vis["subject_negative"] < vis["average_negative"]
    np.testing.assert_allclose(gain["effect"], gain["subject"] - gain["average"], atol=1e-6)
    same = results.open("estimate-accuracy")["effect"]
    np.testing.assert_allclose(gain["average"], same, atol=1e-6)


SCALING = {
    "stimuli.n": 3,
    "training.n": 100,
    "decoder.captions": "none",
    "decoder.prior_steps": 5,
    "conditions.ridge.adapter.pairs": [20, "all"],
    "conditions.ridge.adapter.draw": [1, 2],
    "conditions.mlp.adapter.pairs": [20, "all"],
    "conditions.mlp.adapter.draw": [1, 2],
    "conditions.mlp.adapter.hidden": [8],
    "conditions.mlp.adapter.epochs": 2,
    "statistics.factors.pairs": [20, 100],
}


def test_more_pairs_are_better_and_all_pairs_have_one_draw(ran):
    results = ran("adapter_scaling", **SCALING, **QUIET)
    scaling = results.open("estimate-scaling")
    assert "percent of measured" in _words(scaling_curves(scaling))
    scaling = scaling.sel(metric="pixcorr")
    ridge = scaling.isel(contrast=scaling["adapter"].values == "ridge")
    assert ridge["pairs"].values.tolist() == [20, 100]
    few, many = ridge["effect"].values
    assert few < many < ridge["reference"].values[0]
    assert (ridge["raw_ratio_low"] < ridge["raw_ratio"]).all()
    np.testing.assert_allclose(ridge["raw_ratio"], ridge["effect"] / ridge["reference"])
    value = results.open("score")["value"]
    np.testing.assert_array_equal(*(value.sel(condition=f"ridge/100/{k}") for k in (1, 2)))
    assert (value.sel(condition="ridge/20/1") != value.sel(condition="ridge/20/2")).any()
    effects = results.open("estimate-factors")["effect"].sel(metric="pixcorr")
    assert effects.sel(contrast="mlp minus ridge") < 0
    assert effects.sel(contrast="100 minus 20 pairs") > 0


def test_the_baseline_finds_the_stimulus_at_every_stage(ran):
    results = ran("baseline", **{"stimuli.n": 5, "decoder.prior_steps": 5}, **QUIET)
    stages = results.open("estimate-stages")
    assert "two-way" in _words(baseline.stages(stages))
    spread = baseline.score_spread(results.open("estimate-levels"), results.open("score"))
    assert "first repeat" in _words(spread)
    expected = ["ridge", "backbone", "clip voxels", "prior", "image"]
    assert stages["contrast"].values.tolist() == expected
    assert (stages["effect"] > 0.1).all()
    levels = results.open("estimate-levels").sel(metric="pixcorr")
    assert levels["effect"].sel(contrast="measured") > levels["effect"].sel(contrast="first repeat")
    value = results.open("score")["value"].sel(metric="pixcorr", condition="measured")
    np.testing.assert_allclose(levels["sd"].sel(contrast="measured"), value.std(ddof=1))


# --- what a protocol may say ---


def test_draws_of_pairs_lie_in_each_other():
    changes = {"training.n": 50, "statistics.factors.pairs": [20, 50]}
    work = plan(read("adapter_scaling", SCALING | changes).protocol)
    fits = {job.name: job for job in _jobs(work) if job.method == "fit"}
    assert fits
    names = {branch.row.name for branch in work.branches}
    assert {"measured", "ridge/20/1", "ridge/50/2", "mlp/20/2"} <= names
    from insilico.protocol.draws import Drawn
    from insilico.schema import sample

    response = sample("response", n=30)
    few, more = (Drawn(n=n, seed=1)(response)["stimulus"].values for n in (5, 12))
    assert set(few) < set(more)
    assert set(few) != set(Drawn(n=5, seed=2)(response)["stimulus"].values)


def _jobs(work):
    from insilico.job import walk

    return walk(work.targets())


ALONE = "preset: phantom\nstatistics: {ceiling: {kind: noise_ceiling}}\n"
MISTAKES = {
    "nothing asked": (ALONE.replace("statistics: {ceiling: {kind: noise_ceiling}}", "seed: 1"),
                      "none, and no statistics"),
    "scores of nothing": (ALONE + "scores: [pixcorr]\n", "there are none: add conditions"),
    "no recording": (ALONE.replace("preset: phantom", "stimuli: phantom"), "needs measured"),
    "no encoder": ("stimuli: phantom\nrecording: phantom\nstatistics: {a: {kind: "
                   "explained_variance}}\n", "needs predicted responses"),
    "no decoder": ("stimuli: phantom\nrecording: phantom\nconditions: {a: {source: recording}}\n",
                   "it needs 'decoder'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_study_without_conditions_is_checked(text, message, tmp_path):
    (tmp_path / "p.yaml").write_text(text)
    assert any(message in line for line in mistakes(tmp_path / "p.yaml"))


SIZES = {
    "more than there are": ({"conditions.ridge.adapter.pairs": [20, 9000]}, "training' shows 3000"),
    "twice": ({"conditions.ridge.adapter.pairs": [3000, "all"]}, "names a number twice"),
    "one pair": (
        {"conditions.ridge.adapter.pairs": [1, 20]},
        "a whole number of pairs, at least 2",
    ),
    "a list outside": ({"adapter.pairs": [20, 40]}, "a whole number of pairs, at least 2"),
    "a draw twice": ({"conditions.ridge.adapter.draw": [1, 1]}, "a list of different ones"),
    "draws outside": ({"adapter.draw": [1, 2]}, "write it in a condition"),
}


@pytest.mark.parametrize(("changes", "message"), SIZES.values(), ids=SIZES)
def test_numbers_and_draws_of_pairs_are_checked(changes, message):
    assert any(message in line for line in mistakes("adapter_scaling", changes))


def test_only_what_is_used_must_be_there():
    """Weights of a decoder that nothing is decoded with may be missing; its name must be right."""
    away = {"decoder.weights": "/nowhere"}
    assert mistakes("noise_ceiling", away) == []
    assert mistakes("baseline", away)
    assert any("unknown key" in line for line in mistakes("noise_ceiling", {"decoder.weigths": 1}))


def test_a_figure_is_drawn_again_from_its_folder(ceilings, tmp_path):
    files = isi.draw(ceilings.folder, out=tmp_path)
    assert [file.name for file in files] == ["ceilings.pdf", "ceilings.png"]
    again, before = (plt.imread(where / "ceilings.png") for where in (tmp_path, ceilings.folder))
    assert np.array_equal(again, before)
    with pytest.raises(ParameterError, match="unknown figure 'ceiling'; one of: ceilings"):
        isi.draw(ceilings.folder, "ceiling")
    with pytest.raises(ParameterError, match="name the output folder of a run"):
        isi.draw(tmp_path)
    for name in ("protocol.yaml", "manifest.json"):
        (tmp_path / name).write_bytes((ceilings.folder / name).read_bytes())
    with pytest.raises(ParameterError, match="does not hold what its figures show"):
        isi.draw(tmp_path)


def test_a_run_whose_figure_was_drawn_again_is_still_whole(ceilings):
    isi.draw(ceilings.folder, "ceilings")
    manifest = json.loads((ceilings.folder / "manifest.json").read_text())
    assert Folder(ceilings.folder).complete(manifest["key"])
