"""A table of error rates that would notice: broken tests are caught, cut runs go on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from insilico.cli import main
from insilico.errors import ParameterError
from insilico.phantom import validation
from insilico.phantom.validation import checks, effects, lesions, made, validate
from insilico.phantom.validation.check import ALPHA, Check
from insilico.phantom.validation.effects import LEVEL
from insilico.phantom.validation.planted import at_the_boundary
from insilico.phantom.validation.table import as_csv, read, remaining, rows, written
from insilico.scores import KINDS
from insilico.statistics import KINDS as STATISTICS
from insilico.statistics import spins
from insilico.statistics.gains import swap_test
from insilico.statistics.interaction import Interaction
from insilico.statistics.nulls import SPINS
from insilico.statistics.permutations import unit_columns

DOCS = Path(__file__).parents[2] / "docs"
QUICK = (
    "sign flips",
    "equivalence",
    "spin, spread 4 x",
    "against elsewhere",
    "encoding_accuracy, r > 0",
    "crossing",
    "cycle",
)
TESTED_ELSEWHERE = {  # statistics without a test of their own
    "voxelwise_accuracy", "split_half", "draw_reliability", "sweep",
}  # fmt: skip


@pytest.fixture(scope="module")
def short():
    return checks("short")


# --- the package ----------------------------------------------------------------------------------


def test_quick_tests_hold_their_rates_over_1000_experiments(short):
    found = validate(short, only=QUICK)
    assert min(row.n for row in found) == 1000
    assert [row.check.name for row in found if row.failed] == []
    as_stated = {row.check.name for row in found if row.verdict == "as stated"}
    assert as_stated <= {"sign flips, ties"}


@pytest.mark.slow
@pytest.mark.parametrize("table", validation.TABLES)
def test_every_row(table):
    assert [r.check.name for r in validate(checks(table), table) if r.failed] == []


def test_every_statistic_and_every_null_has_a_row(short):
    named = {check.name.partition(",")[0] for check in short}
    assert set(STATISTICS) - TESTED_ELSEWHERE <= named | {"paired"}
    assert {*SPINS, "variogram"} <= named


def test_two_processes_find_what_one_does(short):
    asked = {"only": ["sign flips, ties", "cycle"], "n": 150}
    one, two = (validate(short, jobs=jobs, **asked) for jobs in (1, 2))
    assert [(row.n, row.found) for row in one] == [(row.n, row.found) for row in two]


def test_names_are_those_of_one_row_each():
    for table in validation.TABLES:
        names = [check.name for check in checks(table)]
        assert len(set(names)) == len(names)


def test_every_score_is_held_against_a_stuck_decoder_or_left_out_for_a_reason():
    tried = {m if isinstance(m, str) else m["kind"] for m in lesions.METRICS}
    assert tried | set(lesions.WITHOUT) == set(KINDS)
    assert not tried & set(lesions.WITHOUT)
    row = next(check for check in lesions.CHECKS if check.name == "collapsed decoder")
    assert row.n == len(lesions.METRICS)


@pytest.mark.parametrize(
    "metric",
    ["pixcorr", "bleu2", "caption_object", {"kind": "retrieval_brain_from_image", "pool": 20}],
)
def test_a_stuck_decoder_is_at_chance_and_a_seeing_one_is_not(metric):
    from insilico.phantom.stimuli import Scenes

    shown = Scenes(n=20, start=55, sounds=True)()
    made = lesions.stuck(shown, 3)
    assert lesions.at_chance(metric, made, shown)
    seeing = made.assign(
        image=(made["image"].dims, shown["image"].values[:, None]),
        caption=(made["caption"].dims, shown["caption"].values[:, None]),
        tokens_voxels=(made["tokens_voxels"].dims, _tokens(shown)),
    )
    assert not lesions.at_chance(metric, seeing, shown)


def _tokens(shown):
    from insilico.spaces.tokens import ImageTokens

    return ImageTokens()(shown)["tokens"].values


def test_fields_that_are_not_stationary_change_to_the_front():
    where, rng = made.patched(60), np.random.default_rng(0)
    at = np.concatenate([spins.sphere(hemi) for hemi in "LR"])[where.middle]
    front, back = at[:, 1] > 0.7, at[:, 1] < -0.7
    grown = np.stack([made.spread(where, rng, 4) for _ in range(400)]).std(0)
    assert grown[front].mean() / grown[back].mean() == pytest.approx(4**0.85, rel=0.1)
    even = np.stack([made.smoother(where, rng, 4) for _ in range(400)])
    assert even.std(0)[front].mean() / even.std(0)[back].mean() == pytest.approx(1, rel=0.1)
    left = where.hemi == "L"
    rough, smooth = (np.corrcoef(even[:, part & left].T).mean() for part in (back, front))
    assert smooth > rough + 0.2


def test_models_that_share_their_places_errors_are_not_told_apart():
    """Sign flips of products of standardised responses found a gain in a fifth of such pairs."""
    rng, p = np.random.default_rng(0), []
    places = rng.standard_normal((2, 60))
    for _ in range(200):
        shown, *errors = rng.standard_normal((3, 14, 2)) @ places
        one, other = (unit_columns(shown + error) for error in errors)
        measured = unit_columns(shown + rng.standard_normal(shown.shape))
        p.append(swap_test(one, other, measured, [np.ones(60, bool)], 99, rng)[0][0])
    assert (np.array(p) <= 0.05).sum() <= binom.isf(1e-4, 200, 0.05)
    better = unit_columns(shown + 0.1 * errors[0])
    assert swap_test(one, better, measured, [np.ones(60, bool)], 99, rng)[0][0] <= 0.05


def test_a_lesion_of_everything_could_be_found_wanting():
    assert 2.0 ** (1 - lesions.SHOWN) < 0.001  # the p that it must not have


# --- the table ------------------------------------------------------------------------------------


def ignores_ties(count, rng):
    """A sign test whose p counts only what lies beyond the observed: ties are not."""
    values = rng.integers(-1, 2, (count, 8)).astype(float)
    signs = rng.choice([-1, 1], (99, 1, 8))
    beyond = (np.abs((signs * values).sum(2)) > np.abs(values.sum(1))).sum(0)
    return (1 + beyond) / 100


def fair(count, rng):
    return rng.random(count)


def halves(count, rng):
    return rng.random(count) < 0.5


PLANTED = (Check("broken", "ties", ignores_ties, 1000), Check("fair", "uniform", fair, 1000))


def test_a_broken_test_is_caught():
    broken, good = validate(PLANTED, "planted")
    assert (broken.verdict, good.verdict) == ("OUTSIDE", "holds")
    assert broken.found / broken.n > 0.1


def test_bands_are_simultaneous_and_binomial():
    low, high = PLANTED[0].band(1000, 40)
    tail = 0.001 / 40 / 2
    assert binom.cdf(low - 1, 1000, ALPHA) < tail <= binom.cdf(low, 1000, ALPHA)
    assert binom.sf(high, 1000, ALPHA) <= tail < binom.sf(high - 1, 1000, ALPHA)
    assert PLANTED[0].band(1000, 1)[1] < high
    assert Check("level", "", fair, rate=LEVEL).band(1000, 40)[0] <= low


@pytest.mark.parametrize(
    ("stated", "measured", "verdict"),
    [
        (None, False, "OUTSIDE"),
        ((0.4, 0.6), False, "as stated"),
        ((0.4, 0.6), True, "holds"),
        ((0.0, 0.3), False, "OUTSIDE"),
        ((0.0, 0.3), True, "OUTSIDE"),
    ],
)
def test_what_is_stated_is_allowed_and_no_more(stated, measured, verdict):
    check = Check("half", "", halves, 1000, stated=stated, measured=measured)
    assert validate([check], "planted")[0].verdict == verdict


def test_all_rows_grow_alike():
    left = remaining(PLANTED, "planted", 0, [])
    assert [(check.name, batch) for check, batch, _ in left[:4]] == [
        ("broken", 0), ("fair", 0), ("broken", 1), ("fair", 1)
    ]  # fmt: skip
    assert len(left) == 20


def test_a_cut_run_goes_on_where_it_was_and_ends_as_an_uncut_one():
    kept: list = []

    def cut(batches):
        kept[:] = batches
        if len(batches) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        validate(PLANTED, "planted", keep=cut)
    kept = read(as_csv(kept), "kept")
    made: list = []
    found = validate(PLANTED, "planted", done=kept, keep=lambda batches: made.append(batches[-1]))
    assert len(made) == 20 - 7
    whole = validate(PLANTED, "planted")
    assert [(r.n, r.found) for r in found] == [(r.n, r.found) for r in whole]


def test_rows_say_how_many_experiments_were_done():
    part = validate(PLANTED, "planted", n=20)
    assert [row.n for row in part] == [20, 20]
    assert "| fair | uniform | 20 |" in written(part)


def test_what_cannot_be_validated(short):
    with pytest.raises(ParameterError, match="did you mean 'shapley'"):
        validate(short, only=["shaply"])
    with pytest.raises(ParameterError, match="one of: short, full"):
        checks("long")
    with pytest.raises(ParameterError, match="no table of batches"):
        read("a,b\n1,2\n", "x.csv")
    with pytest.raises(ParameterError, match=r"x\.csv, line 2"):
        read(as_csv([]) + "short,fair,0,0,many,3,1.0\n", "x.csv")
    twenty: list = []
    validate(
        PLANTED, "planted", n=20, keep=lambda batches: twenty.__setitem__(slice(None), batches)
    )
    with pytest.raises(ParameterError, match="done with 20 experiments, 100 are asked for"):
        validate(PLANTED, "planted", done=twenty)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setattr(validation, "checks", lambda table: PLANTED)


def test_the_command_fails_where_a_test_is_broken(planted, capsys):
    assert main(["validate", "--jobs", "1", "--only", "fair"]) == 0
    assert main(["validate", "--jobs", "1"]) == 1
    said = capsys.readouterr()
    assert "| broken | ties | 1,000 |" in said.out
    assert "OUTSIDE" in said.out
    assert "[ 20/20]" in said.err


def test_the_page_and_the_batches_beside_it(planted, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- insilico validate: short -->\nstale\n<!-- end: short -->\nafter\n"
    )
    assert main(["validate", "--jobs", "1", "--n", "20", "--out", str(page)]) in (0, 1)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale" not in text
    assert "| fair |" in text
    assert len(read((tmp_path / "page.csv").read_text(), "page.csv")) == 2
    capsys.readouterr()
    main(["validate", "--jobs", "1", "--n", "20", "--out", str(page)])
    assert capsys.readouterr().err == ""  # nothing was left to do
    main(["validate", "--jobs", "1", "--n", "20", "--only", "fair", "--out", str(page)])
    assert page.read_text() == text  # a page shows all that was done


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--only", "spinn"], "did you mean 'spin'"),
        (["--out", "table.txt"], "name a file .md"),
        (["--out", "{}/no.md", "--only", "equivalence", "--n", "20"], "no place for the table"),
    ],
)
def test_mistakes_of_the_command(given, told, tmp_path, capsys):
    (tmp_path / "no.md").write_text("a page of something else")
    assert main(["validate", *(one.format(tmp_path) for one in given)]) == 2
    assert told in capsys.readouterr().err


# --- the docs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", validation.TABLES)
def test_the_page_shows_what_the_batches_hold(table):
    batches = read((DOCS / "validation.csv").read_text(), "validation.csv")
    found = rows(checks(table), table, 0, batches)
    text = (DOCS / "validation.md").read_text()
    shown = re.search(f"<!-- insilico validate: {table} -->\n\n(.*?)\n<!-- end", text, re.S)[1]
    assert shown == written(found)
    assert [row.check.name for row in found if row.failed] == []


def test_the_short_table_is_whole(short):
    batches = read((DOCS / "validation.csv").read_text(), "validation.csv")
    assert {row.check.name: row.n for row in rows(short, "short", 0, batches)} == {
        check.name: check.n for check in short
    }


@pytest.mark.parametrize("table", validation.TABLES)
def test_the_page_says_what_rows_of_planted_effects_pass(table):
    text = " ".join((DOCS / "validation.md").read_text().split())
    told = re.search(r"Of the short table's 300 (.*?); of the full table's 600 (.*?) Where", text)
    every = {check.name: check for check in checks(table) if check.group == "known truth"}
    ends = []
    for name in ("planted lesions", "double dissociation", "no dissociation"):
        check = every[name]
        assert (check.n, check.batch) == ({"short": 300, "full": 600}[table], 100)
        ends += [100 * end / check.n for end in check.allowed(check.n, len(every))]
    shown = [float(one) for one in re.findall(r"\d+\.?\d*", told[1 + (table == "full")])]
    assert shown == [round(ends[k], 1) for k in (0, 1, 2, 5)]
    assert (ends[3], ends[4]) == (100, 0)


def test_the_null_of_a_dissociation_ends_where_one_simple_effect_is_strong():
    found = at_the_boundary(60, np.random.default_rng(0))
    assert found.sum() <= binom.isf(1e-4, 60, LEVEL / 2)
    study = effects.lesion(np.random.default_rng(1), regions="AB", metrics=2)
    study["value"][{"condition": 1, "metric": 0}] -= 4
    step = Interaction(of="silenced", against="intact", regions=["A", "B"], scores=["m0", "m1"])
    assert step(study).attrs["dissociation"] == "single"


def test_few_experiments_are_said_to_say_little():
    from insilico.phantom.validation import validate
    from insilico.phantom.validation.check import Check
    from insilico.phantom.validation.table import caution, written

    def mine(count, rng):
        return rng.uniform(size=count)

    made = [Check("mine", "uniform p", mine, stated=(0, 0.07))]
    few, many = validate(made, n=50, seed=1), validate(made, n=1000)
    assert "only 50 experiments of 'mine': it would pass with up to" in caution(few)
    assert caution(many) == ""
    truth = [Check("half", "", halves, 1000, "known truth", 0.5)]
    assert caution(validate(truth, "planted")) == ""
    told = caution(validate(truth, "planted", n=20))
    assert re.search(r"'half' \(20 of 1000\) with 15 to 85 %$", told)
    assert "| mine | uniform p | 1,000 |" in written(many)  # a test of one's own, as the page says


@pytest.mark.parametrize(
    ("given", "met"),
    [
        (lambda n: None, "object of shape ()"),
        (lambda n: 0.3, "float64 of shape ()"),
        (lambda n: np.ones(n - 1), "float64 of shape (99,)"),
        (lambda n: np.ones(n, int), "int64 of shape (100,)"),
        (lambda n: np.full(n, np.nan), "NaN, or beyond 0 to 1"),
        (lambda n: np.full(n, 3.0), "NaN, or beyond 0 to 1"),
    ],
)
def test_a_check_gives_one_p_an_experiment_or_is_refused(given, met):
    mine = Check("mine", "normals", lambda count, rng: given(count))
    allowed = "allowed: 100 p values from 0 to 1 without NaN, or as many booleans"
    with pytest.raises(ParameterError, match=re.escape(f"gave {met}; {allowed}")):
        validate([mine], n=100)
    assert validate([Check("mine", "x", lambda n, rng: [0.5] * n)], n=100)[0].found == 0
