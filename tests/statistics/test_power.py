"""Numbers of stimuli: statsmodels, simulation, and the command on a pilot's folder."""

from __future__ import annotations

import numpy as np
import pytest
from made_scores import scores
from scipy import stats
from statsmodels.stats.power import TTestPower

from insilico.cli import main
from insilico.errors import ParameterError
from insilico.run.store import write_entry
from insilico.statistics.power import (
    cautious,
    enough,
    flips_for,
    looked_for,
    needed,
    power_of_t,
    simulated,
)


@pytest.mark.parametrize("d", [0.2, -0.5, 1.3])
def test_power_equals_statsmodels(d):
    for n in (5, 20, 40):
        expected = np.nan_to_num(TTestPower().power(abs(d), n, 0.05), nan=1.0)
        assert power_of_t(d, n) == pytest.approx(expected, rel=1e-5)
    exact = TTestPower().solve_power(abs(d), power=0.8, alpha=0.05)
    assert needed(d) == int(np.ceil(exact))


def test_ends():
    assert needed(0.0) is None
    assert needed(np.nan) is None
    assert needed(np.inf) == 2
    assert power_of_t(50.0, 100) == 1
    assert power_of_t(0.0, 10) == pytest.approx(0.05)


def test_simulated_power_is_that_of_t_for_normal_differences():
    rng = np.random.default_rng(0)
    pilot = rng.standard_normal((4000, 2))
    pilot = (pilot - pilot.mean(0)) / pilot.std(0, ddof=1) + [0.6, 0.0]
    alone, corrected = simulated(pilot, 25, rng, studies=300, flips=299)
    assert alone[0] == pytest.approx(power_of_t(0.6, 25), abs=0.06)
    assert alone[1] < 0.1
    assert alone[0] > corrected[0] > 0.6


def test_a_small_pilot_varies_as_its_population():
    """Resamples of four stimuli vary by 3/4 of their variance: power would be .68."""
    pilot = np.array([[-1.5], [-0.5], [0.5], [1.5]])
    pilot = pilot / pilot.std(ddof=1) + 0.5
    alone, _ = simulated(pilot, 20, np.random.default_rng(0), studies=1500, flips=199)
    assert alone[0] == pytest.approx(power_of_t(0.5, 20), abs=0.05)


def test_many_stimuli_from_numpy():
    pilot = np.random.default_rng(3).standard_normal((10, 1)) + 1
    alone, _ = simulated(pilot, np.int64(64), np.random.default_rng(4), studies=5, flips=99)
    assert alone[0] == 1


def test_what_a_pilot_does_not_rule_out():
    pilot = np.random.default_rng(5).standard_normal((12, 1)) + 1
    own, given = cautious(pilot, None)[0], cautious(pilot, 1.0)[0]
    assert 0 < own < given < 1 / pilot.std(ddof=1)
    spread = pilot.std(ddof=1) * np.sqrt(11 / stats.chi2.ppf(0.025, 11))
    assert given == pytest.approx(1 / spread)


def test_between_sizes():
    assert enough(np.array([5, 10, 20]), np.array([0.1, 0.6, 0.9]), 0.75) == 15
    assert enough(np.array([5, 10]), np.array([0.1, 0.6]), 0.8) is None
    assert enough(np.array([5, 10]), np.array([0.9, 0.8]), 0.8) == 5


def test_an_effect_that_is_looked_for():
    given = np.random.default_rng(1).standard_normal((9, 2))
    assert looked_for(given, -0.5).mean(0) == pytest.approx([-0.5, -0.5])
    np.testing.assert_allclose(looked_for(given, -0.5).std(0), given.std(0))
    with pytest.raises(ParameterError, match="not zero"):
        looked_for(given, 0.0)


PROTOCOL = """\
title: pilot
statistics:
  gap: {kind: paired, of: silenced, against: intact}
  accuracy: {kind: encoding_accuracy, by: yeo7}
"""


@pytest.fixture
def run(tmp_path):
    rng = np.random.default_rng(2)
    base = rng.standard_normal((20, 1, 1))
    rows = {("intact", ""): base}
    for region, loss in (("A", 0.5), ("B", 0.0)):
        own = rng.standard_normal((20, 1, 1))
        rows["silenced", region] = base - loss - (own - own.mean()) / own.std(ddof=1)
    write_entry(scores(rows), tmp_path / "score.nc")
    (tmp_path / "protocol.yaml").write_text(PROTOCOL)
    return tmp_path


def test_command(run, capsys):
    assert main(["power", str(run), "--statistic", "gap", "--most", "60"]) == 0
    told = capsys.readouterr().out
    line = next(line.split() for line in told.splitlines() if " A " in line)
    assert line[2:5] == ["-0.5000", "-0.50", str(needed(0.5))]
    assert abs(int(line[6]) - needed(0.5)) < 9  # by flips, of the pilot's own stimuli
    assert int(line[7]) > int(line[6])  # corrected
    nothing = next(line.split() for line in told.splitlines() if " B " in line)
    assert nothing[4:] == ["-", "-", "-", "-"]
    assert main(["power", str(run), "--effect", "-1", "--contrast", "B", "--most", "20"]) == 0
    line = next(line.split() for line in capsys.readouterr().out.splitlines() if " B " in line)
    assert line[4] == str(needed(1.0))


def test_a_small_alpha_gets_flips_enough(run, capsys):
    """399 flips cannot go below .0025: power was 0 whatever the effect."""
    asked = ["power", str(run), "--alpha", "0.002", "--effect", "-1.5", "--contrast", "A"]
    assert main([*asked, "--most", "20"]) == 0
    line = next(line.split() for line in capsys.readouterr().out.splitlines() if " A " in line)
    assert abs(int(line[6]) - needed(1.5, alpha=0.002)) < 5
    assert (flips_for(0.05, 10_000), flips_for(0.002, 10_000), flips_for(1e-4, 10_000)) == (
        (399, 9999, 10_000)
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ["--statistic", "gab"],
            "unknown paired statistic 'gab'; one of: gap (did you mean 'gap'?)",
        ),
        (["--statistic", "accuracy"], "power knows paired: gap"),
        (["--metric", "k"], "unknown metric 'k'"),
        (["--contrast", "C"], "unknown contrast 'C'"),
        (["--power", "80"], "--power 80: allowed: between 0 and 1, such as 0.8"),
        (["--alpha", "0"], "--alpha 0: allowed: between 0 and 1, such as 0.05"),
        (
            ["--alpha", "0.00001"],
            "the least p of 10000 sign flips is 0.0001; allowed: that or more",
        ),
        (["--effect", "0"], "the smallest effect worth finding is not zero"),
    ],
)
def test_command_answers_mistakes(run, capsys, more, said):
    assert main(["power", str(run), *more]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""


def test_command_needs_a_run(tmp_path, capsys):
    assert main(["power", str(tmp_path)]) == 2
    assert "holds no protocol.yaml: name the output folder of a run" in capsys.readouterr().err
    (tmp_path / "protocol.yaml").write_text("title: t\n")
    (tmp_path / "score.nc").write_bytes(b"")
    assert main(["power", str(tmp_path)]) == 2
    assert "no statistic of kind paired" in capsys.readouterr().err
