"""Null experiments of every test of responses: models and subjects that know nothing."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from insilico.phantom.validation.check import Check
from insilico.phantom.validation.made import field, response
from insilico.phantom.validation.maps import seeds
from insilico.statistics.accuracy import EncodingAccuracy, permutation_test, region_products
from insilico.statistics.explained import ExplainedVariance
from insilico.statistics.gains import EncodingGap, swap_test
from insilico.statistics.noise_ceiling import NoiseCeiling
from insilico.statistics.permutations import unit_columns
from insilico.statistics.places import vertices
from insilico.statistics.subjects import CrossSubject
from insilico.statistics.vertex_map import VertexMap

STIMULI, PLACES = 12, 140
Rng = np.random.Generator


def accuracy(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p that any of seven regions is predicted."""
    labels, found = np.repeat(np.arange(1, 8), PLACES // 7), []
    for _ in range(count):
        x, y = (unit_columns(_smooth(rng, PLACES)) for _ in range(2))
        found.append(permutation_test(region_products(x, y, labels, 7), 99, rng)[1].min())
    return np.array(found)


def _smooth(rng: Rng, places: int) -> np.ndarray:
    """Return responses that neighbours share, (stimulus, place)."""
    return np.cumsum(rng.standard_normal((STIMULI, places)), axis=1)


def _over_cortex(rng: Rng, stimuli: int = STIMULI, fields: int = 2) -> np.ndarray:
    """Return smooth responses over the vertices, of the same spread everywhere."""
    maps = np.stack([field(vertices(), rng, 0.4, 20) for _ in range(fields)])
    return rng.standard_normal((stimuli, fields)) @ maps / 5


def _repeated(rng: Rng, shown: np.ndarray) -> xr.Dataset:
    noise = rng.standard_normal((2, *shown.shape), np.float32)
    return response(shown + noise, repeat=[1, 2])


def gap_elsewhere(count: int, rng: Rng, n: int = 19) -> np.ndarray:
    """Return the least corrected p that a network falls short more than others do."""
    found = []
    for seed in seeds(count, rng):
        step = EncodingAccuracy(by="phantom7", n=n, seed=int(seed))
        measured = _repeated(rng, _over_cortex(rng))
        found.append(float(step(response(_over_cortex(rng)), measured)["p_spin_corrected"].min()))
    return np.array(found)


def gain(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p that either of two models, equally good, is the better."""
    regions, found = [np.arange(PLACES) // (PLACES // 7) == k for k in range(7)], []
    for _ in range(count):
        shown = _smooth(rng, PLACES)
        units = [unit_columns(shown + _smooth(rng, PLACES)) for _ in range(3)]
        one, other, measured = units
        found.append(swap_test(one, other, measured, regions, 99, rng)[1].min())
    return np.array(found)


def gain_over_cortex(count: int, rng: Rng) -> np.ndarray:
    """Return the same of `encoding_gap`, over the vertices."""
    step, found = EncodingGap(by="phantom7", n=99), []
    for seed in rng.integers(2**31, size=count):
        maps, own = np.stack([field(vertices(), rng, 0.4, 20) for _ in range(4)]) / 5, []
        for _ in range(3):
            shown = rng.standard_normal((STIMULI, 4)) @ maps
            own.append(shown)
        one, other = (response(own[0] + own[k]) for k in (1, 2))
        made = step.model_copy(update={"seed": int(seed)})
        found.append(float(made(one, other, _repeated(rng, own[0]))["p_corrected"].min()))
    return np.array(found)


def subjects(count: int, rng: Rng) -> np.ndarray:
    """Return p that four subjects share anything, of leave-one-out correlations."""
    step, found = CrossSubject(n=19), []
    for _ in range(count):
        bold = np.stack([_smooth(rng, 40) for _ in range(4)])
        made = step(response(bold, subject=["a", "b", "c", "d"]))
        found.append(made["p_corrected"].sel(metric="leave_one_out").item())
    return np.array(found)


def map_of_voxels(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of a map over forty voxels."""
    step, found = VertexMap(second=None, n=199), []
    for seed in rng.integers(2**31, size=count):
        made = step.model_copy(update={"seed": int(seed)})
        found.append(float(made(response(_smooth(rng, 40)))["p_corrected_map"].min()))
    return np.array(found)


def map_of_vertices(count: int, rng: Rng, correct: str = "max", n: int = 99) -> np.ndarray:
    """Return the least corrected p of a map over all vertices."""
    step, found = VertexMap(second=None, correct=correct, n=n), []  # type: ignore[arg-type]
    for seed in rng.integers(2**31, size=count):
        made = step.model_copy(update={"seed": int(seed)})
        shown = response(_over_cortex(rng, fields=4))
        found.append(float(np.nanmin(made(shown)["p_corrected_map"].values)))
    return np.array(found)


def explained(count: int, rng: Rng) -> np.ndarray:
    """Return p that a prediction explains anything."""
    step, found = ExplainedVariance(n=99), []
    for _ in range(count):
        bold = _smooth(rng, 40) + rng.standard_normal((2, STIMULI, 40))
        made = step(response(_smooth(rng, 40)), response(bold, repeat=[1, 2]))
        found.append(made["p"].item())
    return np.array(found)


def signal(count: int, rng: Rng) -> np.ndarray:
    """Return p that there is signal at all: repeats of a stimulus have nothing in common."""
    step, found = NoiseCeiling(n=99), []
    for _ in range(count):
        bold = np.stack([_smooth(rng, 40) for _ in range(3)])
        found.append(step(response(bold, repeat=[1, 2, 3]))["p"].item())
    return np.array(found)


CHECKS = (
    Check("encoding_accuracy, r > 0", "12 stimuli, 7 regions, maximum", accuracy),
    Check("encoding_accuracy, elsewhere", "7 networks of the gap's map, 19 spins", gap_elsewhere),
    Check("encoding_gap", "12 stimuli, 7 regions, maximum", gain),
    Check("explained_variance", "12 stimuli, 40 voxels", explained),
    Check("noise_ceiling, signal", "12 stimuli × 3 repeats, 40 voxels", signal),
    Check("cross_subject", "4 subjects, 12 stimuli, 19 permutations", subjects),
    Check("vertex_map, maximum", "12 stimuli, 40 voxels", map_of_voxels),
)
FULL = (
    Check(
        "encoding_accuracy, elsewhere", "20,484 vertices, 99 spins", partial(gap_elsewhere, n=99)
    ),
    Check("encoding_gap", "20,484 vertices, 7 networks", gain_over_cortex),
    Check("vertex_map, maximum", "20,484 vertices", map_of_vertices),
    Check("vertex_map, TFCE", "20,484 vertices", partial(map_of_vertices, correct="tfce")),
)
