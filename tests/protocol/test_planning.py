from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))

from toy_steps import Decoder, Shapes
from toy_world import install

from insilico.errors import ProtocolError
from insilico.job import Job, walk
from insilico.protocol.expand import statistic
from insilico.protocol.model import Protocol
from insilico.protocol.plan import plan
from insilico.protocol.read import read


@pytest.fixture
def planned(monkeypatch, tmp_path):
    path = install(monkeypatch, tmp_path, "each")

    def planned(**changes):
        return plan(read(path, {k.replace("__", "."): v for k, v in changes.items()}).protocol)

    return planned


def by_name(work):
    return {job.name: job for job in walk(work.targets())}


def test_the_graph_of_the_gap(planned):
    work = planned()
    jobs = by_name(work)
    assert len(list(walk(work.targets()))) == 103
    silenced = jobs["decode silenced/Vis"]
    adapt = silenced.inputs[0]
    perturb, fit = adapt.inputs
    assert (adapt.name, perturb.name, fit.name) == (
        "adapt silenced/Vis",
        "perturb silenced/Vis",
        "fit toy",
    )
    assert fit.method == "fit"
    intact, training = perturb.inputs
    assert intact.key == jobs["decode intact"].inputs[0].inputs[0].key
    assert training.key == fit.inputs[0].key
    assert training.inputs[0].step == Shapes(split="train", n=6)
    assert jobs["decode measured"].inputs[0].step.repeats == "keep"
    assert jobs["statistics accuracy"].inputs[0].inputs[0].step.n == 8
    assert jobs["statistics gap"].inputs == (work.score,)


def test_atlases_are_bound_before_steps_are_built(planned):
    work = planned()
    jobs = by_name(work)
    assert work.note == "phantom7 in place of yeo7"
    assert jobs["perturb silenced/Vis"].step.atlas == "phantom7"
    assert jobs["statistics accuracy"].step.by == "phantom7"
    assert jobs["perturb silenced/Vis"].note == work.note
    assert planned(bindings={}).note == "phantom7 in place of yeo7"  # merged over the preset's


def test_the_seed_reaches_what_draws(planned):
    jobs = by_name(planned(seed=9))
    assert jobs["decode intact"].step == Decoder(seed=9)
    assert jobs["perturb matched/Vis/1"].step.seed == 9
    assert jobs["perturb matched/Vis/1"].step.control_index == 1
    assert jobs["statistics gap"].step.seed == 9
    assert by_name(planned(decoder={"kind": "toy", "seed": 3}))["decode intact"].step.seed == 3


def test_keys_are_stable_over_processes_and_time():
    job = Job("any", Decoder(seed=2), (Job("shapes", Shapes(n=3)),))
    assert job.key == "daa3153da54c563a43f913ced4065cbb"
    assert job.key == Job("other name", Decoder(seed=2, draws=1), (Job("s", Shapes(n=3)),)).key


class Newer(Decoder):
    version = 2


def test_keys_change_with_what_changes_results():
    shown = Job("shapes", Shapes(n=3))
    first = Job("decode", Decoder(), (shown,))
    others = [
        Job("decode", Decoder(seed=1), (shown,)),
        Job("decode", Newer(), (shown,)),
        Job("decode", Decoder(), (Job("shapes", Shapes(n=4)),)),
        Job("decode", Decoder(), (shown,), method="fit"),
        Job("decode", Decoder(), (shown,), digests={"weights": "x"}),
        Job("decode", Decoder(), (shown,), note="phantom7 in place of yeo7"),
    ]
    assert len({first.key, *(job.key for job in others)}) == 7


def test_changing_the_adapter_keeps_what_stands_before_it(planned):
    before, after = by_name(planned()), by_name(planned(adapter__alpha=2.0))
    kept = {name for name in before if before[name].key == after[name].key}
    assert {"perturb silenced/Vis", "encode train 6", "decode measured"} <= kept
    changed = set(before) - kept
    assert {"fit toy", "adapt intact", "decode silenced/Vis", "statistics gap"} <= changed


def test_a_condition_changes_its_own_chain_only(planned, tmp_path):
    text = (tmp_path / "study.yaml").read_text()
    text = text.replace(
        "  intact:   {}", "  intact:   {}\n  sharp: {adapter: {alpha: 3.0}, decoder: {seed: 3}}"
    )
    (tmp_path / "study.yaml").write_text(text)
    jobs = by_name(planned())
    assert jobs["adapt sharp"].step.alpha == 3.0
    assert jobs["decode sharp"].step.seed == 3
    assert jobs["adapt intact"].step.alpha == 1.0
    assert jobs["adapt sharp"].inputs[0].key == jobs["adapt intact"].inputs[0].key


def test_regions_in_a_list_and_by_alias(planned, tmp_path):
    text = (tmp_path / "study.yaml").read_text()
    text = text.replace("region: each, fill: mean}}", "region: [Visual, DMN], fill: mean}}", 1)
    (tmp_path / "study.yaml").write_text(text)
    names = [branch.row.name for branch in planned().branches]
    assert names[2:4] == ["silenced/Vis", "silenced/Default"]


def test_a_complement_is_not_taken_for_its_region(planned, tmp_path):
    text = (tmp_path / "study.yaml").read_text()
    text = text.replace("region: each, fill: mean}}", "region: [~Visual, Visual & lh]}}", 1)
    (tmp_path / "study.yaml").write_text(text)
    rows = [branch.row for branch in planned(statistics__gap__control=None).branches][2:4]
    assert [row.perturb["region"] for row in rows] == ["~Visual", "Visual & lh"]


def test_a_name_bound_to_itself_means_the_published_labels(planned, tmp_path):
    from insilico.protocol.regions import bound

    spec = {"kind": "ablate", "atlas": "yeo7", "region": "yeo7:Vis | lh"}
    assert bound(spec, {"yeo7": "yeo7"}) == (spec, [])


def test_another_adapter_keeps_the_pairs(planned):
    from insilico.protocol.document import merge

    below = {"adapter": {"kind": "ridge", "pairs": 500, "alpha": 10}}
    assert merge(below, {"adapter": {"kind": "pca"}}) == {"adapter": {"kind": "pca", "pairs": 500}}
    assert merge(below, {"adapter": "pca"}) == {"adapter": {"kind": "pca", "pairs": 500}}
    assert merge(below, {"adapter": {"alpha": 1}})["adapter"]["alpha"] == 1


def test_conditions_carry_the_colours_of_the_atlas(planned):
    from insilico.spaces.atlases import load

    step = planned().score.step
    colours = dict(zip(step.condition, step.colour, strict=True))
    atlas = load("phantom7")
    for region, colour in zip(atlas.regions, atlas.colours, strict=True):
        assert colours[f"silenced/{region}"] == colours[f"matched/{region}/0"] == colour
    assert colours["intact"] == "#777777"


def test_the_resolved_protocol_gives_the_same_keys(planned, tmp_path):
    from insilico.report.experiment import resolved

    work = planned()
    again = tmp_path / "resolved.yaml"
    again.write_text(resolved(work, "study.yaml"))
    assert plan(read(again).protocol).key == work.key


def test_statistics_take_maps_of_the_statistics_above_them(planned):
    maps = {"kind": "map_correlation", "first": "accuracy.r", "second": "measured.mean"}
    jobs = by_name(planned(statistics__maps=maps))
    first, second = jobs["statistics maps"].inputs
    assert first.key == jobs["statistics accuracy"].key
    assert second.step.repeats == "keep"


def test_a_statistic_that_is_not_above_is_refused(planned):
    with pytest.raises(ProtocolError, match="unknown source 'acuracy'.*did you mean 'accuracy'"):
        planned(statistics__maps={"kind": "map_correlation", "first": "acuracy.r"})
    with pytest.raises(ProtocolError, match="unknown source 'maps'"):
        planned(statistics__maps={"kind": "map_correlation", "first": "maps.effect"})


def test_a_map_of_subjects_needs_their_names(planned):
    maps = {"kind": "vertex_map", "first": "subjects", "second": None, "over": "subject"}
    with pytest.raises(ProtocolError, match="a list of 3 subjects or more"):
        planned(statistics__maps=maps)


NINE = ("Vis", "Limbic", "Default", "Cont", "SomMot")


def combined(planned, **perturb):
    perturb = {"kind": "toy", "atlas": "yeo7", **perturb}
    conditions = {"intact": {}, "silenced": {"perturb": perturb}}
    work = planned(conditions=conditions, statistics={"gap": {"control": None}}, figures=[])
    return [branch.row for branch in work.branches if branch.row.base == "silenced"]


def test_regions_are_combined(planned):
    rows = combined(planned, region=["Vis", "Limbic", "Default & lh"], combine="subsets")
    three = ["Vis", "Limbic", "Default & lh"]
    pairs = ["Vis | Limbic", "Vis | (Default & lh)", "Limbic | (Default & lh)"]
    assert [row.region for row in rows] == [*three, *pairs, "Vis | Limbic | (Default & lh)"]
    assert rows[3].name == "silenced/Vis | Limbic"
    assert rows[3].perturb["region"] == "Vis | Limbic"
    rows = combined(planned, region="each", combine="pairs")
    assert len(rows) == 7 + 21
    assert len(combined(planned, region="each", combine="subsets")) == 127


@pytest.mark.parametrize(
    ("perturb", "said"),
    [
        ({"region": ["Vis", "Limbic"], "combine": "all"}, "unknown value 'all'; one of: subsets"),
        ({"region": "Vis", "combine": "pairs"}, "met region 'Vis'; allowed: a list of two or more"),
        (
            {
                "region": [f"{name} & {h}" for name in NINE for h in ("lh", "rh")][:9],
                "combine": "subsets",
            },
            "9 regions have 511 subsets; allowed: at most 8",
        ),
    ],
)
def test_regions_that_cannot_be_combined(planned, perturb, said):
    with pytest.raises(ProtocolError, match=said):
        combined(planned, **perturb)


@pytest.mark.parametrize(
    ("statistic", "said"),
    [
        (
            {
                "kind": "interaction",
                "regions": ["Vis", "Limbix"],
                "scores": {"a": "brightness", "b": "brightness"},
            },
            r"unknown region of 'silenced' 'Limbix'.*did you mean 'Limbic'",
        ),
        (
            {"kind": "interaction", "regions": ["Vis", "Limbic"], "scores": ["ssim", "brightness"]},
            "unknown score 'ssim'; one of: brightness",
        ),
        ({"kind": "paired", "equivalent_within": {"dark": 0.1}}, "unknown score 'dark'"),
        ({"kind": "paired", "equivalent_within": None}, "equivalence needs a bound"),
        ({"kind": "shapley", "regions": ["Vis", "Vos"]}, "unknown region of 'silenced' 'Vos'"),
    ],
)
def test_what_statistics_name_is_there(planned, statistic, said):
    named = {"of": "silenced", "against": "intact"}
    with pytest.raises(ProtocolError, match=said):
        planned(statistics={"it": {**statistic, **named}}, figures=[])


def test_discriminability_is_given_the_reconstructions_it_names(planned):
    spec = {"kind": "discriminability", "of": ["measured", "intact"]}
    work = planned(statistics__stages=spec)
    jobs = by_name(work)
    asked = jobs["statistics stages"].inputs
    assert [job.name for job in asked] == ["decode measured", "decode intact"]
    for name in ("silenced", "matched"):
        with pytest.raises(ProtocolError, match=f"'{name}' stands for .* conditions"):
            planned(statistics__stages={**spec, "of": ["intact", name]})
    with pytest.raises(ProtocolError, match="unknown condition 'intatc'.*did you mean 'intact'"):
        planned(statistics__stages={**spec, "of": ["intatc"]})


@pytest.mark.parametrize("kind", ["encoding_accuracy", "encoding_gap", "cycle"])
def test_an_atlas_that_is_a_default_is_bound_like_one_that_is_written(kind):
    spec = {"kind": kind, **({} if kind == "encoding_accuracy" else {"of": ["intact"]})}
    chain = {"stimuli": {"kind": "phantom"}, "bindings": {"yeo7": "phantom7"}}
    for given in (spec, {**spec, "by": "yeo7"}):
        protocol = Protocol.model_validate({**chain, "statistics": {"it": given}})
        meant, notes = statistic(protocol, "it")
        assert (meant["by"], notes) == ("phantom7", ["phantom7 in place of yeo7"])
    unbound = Protocol.model_validate({"stimuli": {}, "statistics": {"it": spec}})
    assert statistic(unbound, "it") == (spec, [])
