"""Lesions whose cost is planted: read-outs of known networks from the phantom's responses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache

import numpy as np
import xarray as xr

from insilico.perturbations.ablate import Ablate
from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.stimuli import Scenes
from insilico.phantom.validation import effects
from insilico.phantom.validation.made import scores
from insilico.statistics.interaction import Interaction
from insilico.statistics.paired import Paired

N, OUTPUTS, FAR = 20, 60, 100_000
PLANTED = {"Vis": 1.2, "DorsAttn": 1.3, "Default": 1.4}
"""Networks that are read, and how much of the read-out each makes."""
NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")
Rng = np.random.Generator


@cache
def training() -> xr.Dataset:
    """Return the responses behind the mean that a lesion leaves."""
    return PhantomRecording()(Scenes(split="train", n=40)())


@lru_cache(maxsize=8)
def _readout(parts: tuple[tuple[str, float], ...]) -> np.ndarray:
    """Return weights (vertex, output) that read networks in these shares."""
    rng, shown = np.random.default_rng(0), training()["bold"].values
    weights = np.zeros((shown.shape[1], OUTPUTS), np.float32)
    for name, share in parts:
        own = anatomy.networks() == name
        drawn = rng.standard_normal((own.sum(), OUTPUTS)).astype(np.float32)
        weights[own] = share * drawn / (shown[:, own] @ drawn).std(0)
    return weights


def study(
    rng: Rng, readouts: Mapping[str, Mapping[str, float]], networks: tuple[str, ...]
) -> xr.Dataset:
    """Return the scores of one study: every network silenced, read out, and held against truth.

    Parameters
    ----------
    rng : Generator
        Of the scenes.
    readouts : dict of dict
        Metric to the shares of the networks that its read-out reads. The score is the correlation,
        over the outputs, with what the noise-free response gives.
    networks : list of str
        Silenced one by one.
    """
    scenes = Scenes(n=N, start=int(rng.integers(FAR)))()
    measured, cohort = PhantomRecording()(scenes), Cohort()
    clean = cohort.signal(scenes) * cohort.gain()
    weights = [_readout(tuple(parts.items())) for parts in readouts.values()]

    def scored(bold: np.ndarray) -> np.ndarray:
        each = [_correlated(bold @ one, clean @ one) for one in weights]
        return np.stack(each, 1)[:, None]

    rows = {("intact", ""): scored(measured["bold"].values)}
    for name in networks:
        lesion = Ablate(atlas="phantom7", region=name)(measured, training())
        rows["silenced", name] = scored(lesion["bold"].values)
    return scores(rows, list(readouts))


def _correlated(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlation of each row."""
    x, y = (one.astype(np.float64) - one.mean(1, keepdims=True) for one in (x, y))
    return (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))


def in_order(count: int, rng: Rng) -> np.ndarray:
    """Return whether sign, p and order are found, and all other lesions cost exactly nothing."""
    step, found = Paired(of="silenced", against="intact", n=999), []
    for _ in range(count):
        made = step(study(rng, {"content": PLANTED}, NETWORKS)).isel(metric=0)
        planted = made.sel(contrast=list(PLANTED))
        others = made.sel(contrast=[name for name in NETWORKS if name not in PLANTED])
        costs = (planted["effect"] < 0) & (planted["p_corrected"] <= 0.05)
        ordered = (np.diff(planted["effect"].values) > 0).all()
        found.append(bool(costs.all() and ordered and (others["effect"] == 0).all()))
    return np.array(found)


DISSOCIATED = {"early": {"Vis": 1.0, "Default": 0.3}, "meaning": {"Default": 1.0, "Vis": 0.3}}
ALIKE = {"early": {"Vis": 1.0, "Default": 1.0}, "meaning": {"Default": 1.0, "Vis": 1.0}}


def dissociated(count: int, rng: Rng, readouts: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """Return whether a double dissociation of two networks is said to be there."""
    step = Interaction(
        of="silenced", against="intact", regions=["Vis", "Default"], scores=list(readouts), n=999
    )
    made = (step(study(rng, readouts, ("Vis", "Default"))) for _ in range(count))
    return np.array([one.attrs["dissociation"] == "double" for one in made])


def at_the_boundary(count: int, rng: Rng) -> np.ndarray:
    """Return the same where one simple effect is strong and the other zero: the null's edge.

    A costs the first score four deviations more than B, the second as much: only the second simple
    effect, which must be positive, decides, and half of the two-sided false positives are.
    """
    step = Interaction(of="silenced", against="intact", regions=["A", "B"], scores=["m0", "m1"])

    def made() -> xr.Dataset:
        studied = effects.lesion(rng, regions="AB", metrics=2)
        studied["value"][{"condition": 1, "metric": 0}] -= 4
        return studied

    return np.array([step(made()).attrs["dissociation"] == "double" for _ in range(count)])
