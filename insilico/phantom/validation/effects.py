"""Null experiments of every test of scores: stimuli, draws, subjects and conditions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import xarray as xr
from scipy.stats import binom

from insilico.phantom.validation.check import ALPHA, Check
from insilico.phantom.validation.made import scores
from insilico.statistics.discriminability import Discriminability
from insilico.statistics.effects import equivalence
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.interaction import Interaction
from insilico.statistics.levels import Levels
from insilico.statistics.mixed import Mixed
from insilico.statistics.paired import Paired
from insilico.statistics.prevalence import Prevalence
from insilico.statistics.scaling import Scaling, TwoByTwo
from insilico.statistics.shapley import Shapley
from insilico.statistics.stability import Stability

N = 10
"""Stimuli, unless said."""
ALL = 2**N
LEVEL = np.floor(ALPHA * ALL / 2) / (ALL / 2)
"""What all sign flips of so few stimuli attain: 25 of 512 differ in abs(t), .0488."""
Rng = np.random.Generator


def normal(rng: Rng, *shape: int) -> np.ndarray:
    """Return standard normal numbers."""
    return rng.standard_normal(shape)


def flips(count: int, rng: Rng) -> np.ndarray:
    """Test normal differences."""
    return sign_flip_test(normal(rng, N, count), ALL, rng)[0]


def flips_heavy(count: int, rng: Rng) -> np.ndarray:
    """Test differences with heavy tails."""
    return sign_flip_test(rng.standard_t(2, (N, count)), ALL, rng)[0]


def flips_tied(count: int, rng: Rng) -> np.ndarray:
    """Test differences of hits: many are zero, and most means tied."""
    return sign_flip_test(rng.integers(-1, 2, (N, count)).astype(float), ALL, rng)[0]


def flips_drawn(count: int, rng: Rng) -> np.ndarray:
    """Test by random flips, other ones for every experiment."""
    p = [sign_flip_test(normal(rng, 14, 1), 199, rng)[0][0] for _ in range(count)]
    return np.array(p)


def lesion(
    rng: Rng,
    n: int = N,
    draws: int = 1,
    regions: str = "A",
    names: tuple[str, ...] = ("silenced",),
    metrics: int = 1,
    common: float = 0.0,
) -> xr.Dataset:
    """Return scores of conditions without effects, or with the same effect of all regions.

    Where there are several draws, conditions differ in each of them, and in each stimulus, by
    chance.
    """
    base = normal(rng, n, draws, metrics)
    rows = {("intact", ""): base}
    for name in names:
        for region in regions:
            own = 0.5 * normal(rng, n, 1, metrics)
            own = own + 0.5 * (draws > 1) * normal(rng, 1, draws, metrics)
            rows[name, region] = base - common - own - 0.5 * normal(rng, n, draws, metrics)
    return scores(rows, [f"m{k}" for k in range(metrics)])


def _each(
    count: int, make: Callable[[], xr.Dataset], step: Callable[..., xr.Dataset], name: str = "p"
) -> np.ndarray:
    """Return the least p of each experiment: any of a corrected family counts."""
    return np.array([float(np.nanmin(step(make())[name].values)) for _ in range(count)])


def paired(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p over seven regions."""
    step = Paired(of="silenced", against="intact", n=ALL)
    return _each(count, lambda: lesion(rng, regions="ABCDEFG"), step, "p_corrected")


def paired_with_controls(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of lesions that cost as much as their controls."""
    step = Paired(of="silenced", against="intact", control="matched", n=ALL)
    names = ("silenced", "matched#1", "matched#2")
    make = lambda: lesion(rng, regions="ABCDEFG", names=names, common=1.0)  # noqa: E731
    return _each(count, make, step, "p_corrected_control")


def draws_averaged(count: int, rng: Rng) -> np.ndarray:
    """Test eight draws of each stimulus, which agree: no more evidence than one."""
    step = Paired(of="silenced", against="intact", n=ALL)

    def make() -> xr.Dataset:
        base = normal(rng, N, 8, 1)
        own = normal(rng, N, 1, 1) + 0.3 * normal(rng, N, 8, 1)
        return scores({("intact", ""): base, ("silenced", "A"): base - own})

    return _each(count, make, step)


def at_the_bound(count: int, rng: Rng) -> np.ndarray:
    """Return p of equivalence where the true effect lies at the bound, 20 stimuli."""
    return equivalence(0.1 + 0.05 * normal(rng, 20, count), np.full(count, 0.1))[0]


def levels(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of three conditions at chance."""
    step = Levels(of=("x", "y", "z"), n=ALL)
    return _each(count, lambda: lesion(rng, names=("x", "y", "z")), step, "p_corrected")


def mixed(count: int, rng: Rng, draws: int = 8, n: int = 20) -> np.ndarray:
    """Return p of a model in which conditions differ by stimulus and by draw."""
    step = Mixed(of="silenced", against="intact")
    return _each(count, lambda: lesion(rng, n, draws), step)


def mixed_of_few_draws(count: int, rng: Rng) -> np.ndarray:
    """Return the same with two draws."""
    return mixed(count, rng, 2)


def interaction(count: int, rng: Rng, common: float = 0.0) -> np.ndarray:
    """Return p of the interaction of two regions and two scores."""
    step = Interaction(of="silenced", against="intact", regions=["A", "B"], scores=["m0", "m1"])
    make = lambda: lesion(rng, regions="AB", metrics=2, common=common)  # noqa: E731
    return np.array([step(make())["p"].values[0] for _ in range(count)])


def interaction_of_strong_lesions(count: int, rng: Rng) -> np.ndarray:
    """Return the same where both lesions cost two standard deviations of either score."""
    return interaction(count, rng, 2.0)


def shapley(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of three regions whose combined lesions cost nothing."""
    step = Shapley(of="silenced", against="intact", regions=("A", "B", "C"), n=ALL)

    def make() -> xr.Dataset:
        base, own = normal(rng, N, 1, 1), dict(zip("ABC", normal(rng, 3, N, 1, 1), strict=True))
        rows = {("intact", ""): base}
        for some in ("A", "B", "C", "AB", "AC", "BC", "ABC"):
            lost = sum(own[one] for one in some) + 0.3 * normal(rng, N, 1, 1)
            rows["silenced", " | ".join(some)] = base - lost
        return scores(rows)

    return _each(count, make, step, "p_corrected")


SUBJECTS = tuple("uvwxyz")


def prevalence(count: int, rng: Rng) -> np.ndarray:
    """Return p that any of six subjects shows an effect."""
    intact = tuple(f"intact {name}" for name in SUBJECTS)
    step = Prevalence(of=SUBJECTS, against=intact, n=ALL)

    def make() -> xr.Dataset:
        rows = {(name, "A"): normal(rng, N, 1, 1) for name in SUBJECTS}
        return scores(rows | {(name, ""): normal(rng, N, 1, 1) for name in intact})

    return _each(count, make, step)


def prevalence_level() -> float:
    """Return what a binomial test of six subjects attains."""
    k = np.arange(len(SUBJECTS) + 1)
    reached = binom.sf(k - 1, len(SUBJECTS), ALPHA) <= ALPHA
    return float(binom.pmf(k, len(SUBJECTS), LEVEL)[reached].sum())


def stability(count: int, rng: Rng) -> np.ndarray:
    """Return p that three variants agree, where no region has an effect of its own.

    They see the same stimuli: their noise is correlated by 0, .5 and .8 in turn.
    """
    names, found = ("x", "y", "z"), []
    step = Stability(of=names, against=("intact",), n=199)
    for k in range(count):
        shared = (0, 0.5, 0.8)[k % 3]
        base, common = normal(rng, N, 1, 1), normal(rng, 5, N, 1, 1)
        rows = {("intact", ""): base}
        for name, (i, region) in product(names, enumerate("ABCDE")):
            noise = np.sqrt(shared) * common[i] + np.sqrt(1 - shared) * normal(rng, N, 1, 1)
            rows[name, region] = base - noise
        found.append(step(scores(rows))["p"].values[0, 0])
    return np.array(found)


def _of_pairs(rng: Rng, name: str, n: int, draws: int) -> dict[tuple[str, str], np.ndarray]:
    """Return scores at one number of pairs: stimuli and draws of pairs both by chance."""
    both = normal(rng, n, 1, 1, 1) + 0.5 * normal(rng, 1, draws, 1, 1)
    each = both + 0.7 * normal(rng, n, draws, 1, 1)
    return {(f"{name}#{k}", ""): each[:, k] for k in range(draws)}


def scaling(count: int, rng: Rng, n: int = 20, draws: int = 5) -> np.ndarray:
    """Return p that an adapter differs from a reference, five draws of its pairs."""
    step = Scaling(of=("ridge",), against="measured")

    def make() -> xr.Dataset:
        rows = {("measured", ""): normal(rng, n, 1, 1)} | _of_pairs(rng, "ridge", n, draws)
        own = {"pairs": [0] + [500] * draws, "pairs_draw": [0, *range(draws)]}
        return scores(rows, **own)

    return _each(count, make, step)


def two_by_two(count: int, rng: Rng, n: int = 20, draws: int = 5) -> np.ndarray:
    """Return the least of three Holm-corrected p: pairs, adapters and both."""
    step = TwoByTwo(of=("ridge", "mlp"), pairs=(500, 2000))
    cells = [(name, pairs) for name in ("ridge", "mlp") for pairs in (500, 2000)]

    def make() -> xr.Dataset:
        rows: dict[tuple[str, str], np.ndarray] = {}
        for name, pairs in cells:
            rows |= _of_pairs(rng, f"{name}#{pairs}", n, draws)
        size = np.repeat([pairs for _, pairs in cells], draws)
        return scores(rows, pairs=size, pairs_draw=np.tile(np.arange(draws), len(cells)))

    return _each(count, make, step, "p_corrected")


def discriminability(count: int, rng: Rng, n: int = 12) -> np.ndarray:
    """Return p that two versions of a stimulus agree, of tokens that have nothing in common."""
    step = Discriminability(of=("one", "other"), n=199)

    def made() -> xr.Dataset:
        tokens = rng.standard_normal((n, 1, 2, 8)).astype(np.float32)
        return xr.Dataset(
            {"tokens_ridge": (("stimulus", "draw", "token", "width"), tokens)}
            | {"caption": (("stimulus", "draw"), np.full((n, 1), "simulated"))},
            coords={"stimulus": [f"s{k}" for k in range(n)], "draw": [0]},
            attrs={"decoder": "simulated", "seed": 0},
        )

    return np.array([step(made(), made())["p"].item() for _ in range(count)])


CHECKS = (
    Check("sign flips", "10 stimuli, all 512 flips attain .0488", flips, rate=LEVEL),
    Check("sign flips, heavy tails", "t with 2 df", flips_heavy, rate=LEVEL),
    Check("sign flips, ties", "-1, 0 or 1", flips_tied, rate=LEVEL, stated=(0.01, LEVEL)),
    Check("sign flips, drawn", "14 stimuli, 199 random flips", flips_drawn),
    Check("paired, maximum", "7 regions that share the intact scores", paired, rate=LEVEL),
    Check(
        "paired, controls", "7 lesions as costly as two patches", paired_with_controls, rate=LEVEL
    ),
    Check("paired, draws", "8 draws that agree are one stimulus", draws_averaged, rate=LEVEL),
    Check("equivalence", "effect at the bound, 20 stimuli", at_the_bound),
    Check("levels", "3 conditions at chance, maximum", levels, rate=LEVEL),
    Check("mixed", "20 stimuli × 8 draws, slopes of both", mixed),
    Check("mixed, 2 draws", "20 stimuli", mixed_of_few_draws, stated=(0.05, 0.15)),
    Check("interaction", "2 regions × 2 scores", interaction, rate=LEVEL),
    Check(
        "interaction, strong", "two equal strong lesions", interaction_of_strong_lesions, rate=LEVEL
    ),
    Check("shapley", "3 regions, maximum", shapley, rate=LEVEL),
    Check("prevalence", "6 subjects", prevalence, rate=prevalence_level()),
    Check("stability", "5 regions; noise of 3 variants shared, r 0, .5, .8", stability),
    Check("scaling", "20 stimuli × 5 draws of pairs", scaling),
    Check("two_by_two", "3 effects, Holm", two_by_two),
    Check("discriminability", "12 stimuli, 199 permutations", discriminability),
)
