"""False positives of every test over 1,000 or more null experiments, in simultaneous bands."""

from __future__ import annotations

import numpy as np
import pytest
from made_scores import scores
from scipy import stats

from insilico.statistics.effects import equivalence
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.interaction import Interaction
from insilico.statistics.mixed import Mixed
from insilico.statistics.prevalence import Prevalence
from insilico.statistics.shapley import shapley_values
from insilico.statistics.stability import Stability

ALPHA, N = 0.05, 10
ALL = 2**N  # every sign flip


def normal(rng, *shape):
    return rng.standard_normal(shape)


def heavy(rng, *shape):
    return rng.standard_t(2, shape)


def flips_alone(count, rng, draw=normal):
    return sign_flip_test(draw(rng, N, count), ALL, rng)[0]


def flips_heavy(count, rng):
    return flips_alone(count, rng, heavy)


def flips_drawn(count, rng):
    """Random flips, other ones for every experiment."""
    return np.array([sign_flip_test(normal(rng, 14, 1), 199, rng)[0][0] for _ in range(count)])


def flips_of_families(count, rng, draw=normal):
    """Return the least corrected p over seven contrasts that share noise."""
    found = []
    for _ in range(count):
        shared = draw(rng, N, 1)
        found.append(sign_flip_test(shared + draw(rng, N, 7), ALL, rng)[1].min())
    return np.array(found)


def flips_of_draws(count, rng):
    """Draws of a stimulus agree: they are averaged, not counted."""
    values = normal(rng, N, 1, count) + 0.3 * normal(rng, N, 8, count)
    return sign_flip_test(values.mean(1), ALL, rng)[0]


def equivalence_at_the_bound(count, rng):
    values = 0.1 + 0.05 * normal(rng, 20, count)
    return equivalence(values, np.full(count, 0.1))[0]


def shares(count, rng):
    """Return the least corrected p of the values of three regions in combined null lesions."""
    sets = [frozenset(s) for s in ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))]
    found = []
    for _ in range(count):
        own = normal(rng, N, 3)
        worth = {s: own[:, sorted(s)].sum(1) + 0.3 * bool(s) * normal(rng, N) for s in sets}
        found.append(sign_flip_test(shapley_values(worth, 3).T, ALL, rng)[1].min())
    return np.array(found)


LEVEL = np.floor(ALPHA * ALL / 2) / (ALL / 2)  # what so few flips can attain
QUICK = {
    "sign flips": (flips_alone, LEVEL),
    "sign flips, heavy tails": (flips_heavy, LEVEL),
    "random sign flips": (flips_drawn, ALPHA),
    "maximum over contrasts": (flips_of_families, LEVEL),
    "draws are no stimuli": (flips_of_draws, LEVEL),
    "equivalence at its bound": (equivalence_at_the_bound, ALPHA),
    "Shapley values": (shares, LEVEL),
}


def lesion(rng, n=N, draws=3, regions="A", names=("silenced",), metrics=1, common=0.0):
    """Return scores of conditions without effects, or with the same effect of all regions.

    Where there are several draws, conditions differ in each of them by chance.
    """
    base = normal(rng, n, draws, metrics)
    rows = {("intact", ""): base}
    for name in names:
        for region in regions:
            own = 0.5 * normal(rng, n, 1, metrics)
            own = own + 0.5 * (draws > 1) * normal(rng, 1, draws, metrics)
            rows[name, region] = base - common - own - 0.5 * normal(rng, n, draws, metrics)
    return scores(rows, [f"m{k}" for k in range(metrics)])


def mixed(count, rng, df="satterthwaite", **own):
    step = Mixed(of="silenced", against="intact", df=df)
    return np.array([step(lesion(rng, **own))["p"].item() for _ in range(count)])


def mixed_of_eight_draws(count, rng):
    return mixed(count, rng, n=20, draws=8)


def interaction(count, rng, common=0.0):
    step = Interaction(of="silenced", against="intact", regions=["A", "B"], scores=["m0", "m1"])
    tables = (lesion(rng, draws=1, regions="AB", metrics=2, common=common) for _ in range(count))
    return np.array([step(table)["p"].values[0] for table in tables])


def interaction_of_strong_lesions(count, rng):
    return interaction(count, rng, common=2.0)


def stability(count, rng):
    step = Stability(of=("x", "y", "z"), against=("intact",), n=199)
    tables = (lesion(rng, draws=1, regions="ABCDE", names="xyz") for _ in range(count))
    return np.array([step(table)["p"].values[0, 0] for table in tables])


SLOW = {
    "mixed model, eight draws": (mixed_of_eight_draws, ALPHA),
    "interaction": (interaction, LEVEL),
    "interaction of strong lesions": (interaction_of_strong_lesions, LEVEL),
    "stability": (stability, ALPHA),
}


def band(level, experiments):
    """Return how many false positives fit, all tests together at 99.9 %."""
    each = 0.001 / (len(QUICK) + len(SLOW))
    return stats.binom.ppf([each / 2, 1 - each / 2], experiments, level)


@pytest.mark.parametrize("name", QUICK)
def test_quick(name):
    experiment, level = QUICK[name]
    found = (experiment(1000, np.random.default_rng(0)) <= ALPHA).sum()
    low, high = band(level, 1000)
    assert low <= found <= high


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_slow(name):
    experiment, level = SLOW[name]
    found = (experiment(1000, np.random.default_rng(1)) <= ALPHA).sum()
    low, high = band(level, 1000)
    assert low <= found <= high


@pytest.mark.slow
def test_prevalence():
    """Counts are few: the rate is that of the binomial test, which lies below alpha."""
    step = Prevalence(
        of=tuple("uvwxyz"), against=tuple("intact " + name for name in "uvwxyz"), n=ALL
    )
    rng = np.random.default_rng(2)
    found = []
    for _ in range(1000):
        rows = {}
        for name in "uvwxyz":
            rows[name, "A"] = normal(rng, N, 1, 1)
            rows["intact " + name, ""] = normal(rng, N, 1, 1)
        found.append(step(scores(rows))["p"].item())
    counts = np.arange(7)
    p = stats.binom.sf(counts - 1, 6, ALPHA)
    level = stats.binom.pmf(counts, 6, LEVEL)[p <= ALPHA].sum()
    low, high = band(level, 1000)
    assert low <= (np.array(found) <= ALPHA).sum() <= high
