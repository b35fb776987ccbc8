"""Null experiments of what is read from decoded pictures and from weights, region by region."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import xarray as xr

from insilico.phantom.validation.check import ALPHA, Check
from insilico.phantom.validation.coverage import covers
from insilico.phantom.validation.made import SIMULATED, response
from insilico.spaces import regions
from insilico.statistics.cycle import agreements, matched_test
from insilico.statistics.guesses import exact_interval, hits, shuffled_test
from insilico.statistics.optimal import Optimal
from insilico.statistics.region_weights import differences, random_patches, unlike_patches
from insilico.statistics.region_words import RegionWords
from insilico.statistics.strength import percentiles

Rng = np.random.Generator
OPTIMISED = ("phantom7:Vis", "phantom7:SomMot", "phantom7:Default")
SCENES = 123


@cache
def _masks() -> np.ndarray:
    return np.stack([regions.mask(name) for name in OPTIMISED]).astype(np.float32)


def _levels(levels: np.ndarray) -> xr.Dataset:
    """Return a response over the vertices with levels (stimulus, region) in three regions."""
    made = response(levels.astype(np.float32) @ _masks())
    return made.assign_attrs(encoder="simulated")


def optimal(count: int, rng: Rng, metric: str, draws: int = 5, alike: bool = False) -> np.ndarray:
    """Return the least corrected p of pictures that do no more to their regions than others do.

    Parameters
    ----------
    metric : {"natural", "others", "control"}
    draws : int
        Restarts, which have something in common.
    alike : bool
        All restarts find one picture, which is as any scene.
    """
    step = Optimal(of=("way",), control=("patch",), n=242)
    names = np.repeat(OPTIMISED, draws)
    coords = {
        "way": ("stimulus", np.repeat(["way", "patch"], len(names))),
        "region": ("stimulus", np.tile(names, 2)),
    }
    found = []
    for seed in range(count):  # other picks for every experiment
        shared = rng.standard_normal((2, 3, 1, 3) if alike else (1, 1, draws, 3))
        own = 0 if alike else rng.standard_normal((2, 3, draws, 3))
        made = np.broadcast_to(shared + own, (2, 3, draws, 3)).reshape(-1, 3)
        answers, natural = _levels(made), _levels(rng.standard_normal((SCENES, 3)))
        pictures = xr.Dataset(coords=coords, attrs=SIMULATED)
        own_step = step.model_copy(update={"seed": seed})
        p = own_step(pictures, answers, natural, natural)["p_corrected"]
        found.append(float(p.sel(metric=metric).min()))
    return np.array(found)


def cycle(count: int, rng: Rng, stimuli: int = 10, networks: int = 7) -> np.ndarray:
    """Return the least corrected p that a second response belongs to the first, of 7 networks.

    All second responses have much in common, as those to a decoder's pictures have.
    """
    found = []
    for _ in range(count):
        first, second = np.cumsum(rng.standard_normal((2, stimuli, networks * 20)), axis=2)
        second = second + np.cumsum(rng.standard_normal(networks * 20))
        pairs = zip(np.split(first, networks, 1), np.split(second, networks, 1), strict=True)
        cross = np.stack([agreements(one, other) for one, other in pairs])
        found.append(matched_test(cross, 99, rng)[1].min())
    return np.array(found)


def zero_shot(count: int, rng: Rng, items: int = 24, classes: int = 6) -> np.ndarray:
    """Return the least corrected p of two readings that like some classes more than others."""
    found, often = [], np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    for _ in range(count):
        both = rng.standard_normal((items, classes)) + rng.standard_normal(classes)
        similar = [both + rng.standard_normal((items, classes)) for _ in range(2)]
        own = rng.choice(classes, items, p=often)
        found.append(shuffled_test(similar, own, (1,), 99, rng)[1].min())
    return np.array(found)


def of_share(count: int, rng: Rng, items: int = 20, classes: int = 5) -> np.ndarray:
    """Return whether the interval of a share named rightly holds the true one, 1 / classes."""
    found = []
    for _ in range(count):
        right = hits(rng.standard_normal((items, classes)), rng.integers(classes, size=items), 1)
        low, high = exact_interval(right.sum(), items)
        found.append(low <= 1 / classes <= high)
    return np.array(found)


def weights(count: int, rng: Rng, voxels: int = 300, areas: int = 4, size: int = 24) -> np.ndarray:
    """Return the least corrected p of four areas in weights that are smooth, and nothing else.

    Voxels lie on two spheres; every area has a piece on each, and no two areas share a voxel.
    """
    found, right = [], np.arange(voxels) >= voxels // 2
    for _ in range(count):
        places = rng.standard_normal((voxels, 3))
        places *= 30 / np.linalg.norm(places, axis=1)[:, None]
        places[right, 0] += 100
        masks = _pieces(rng, places, right, areas, size // 2)
        whole = {name: percentiles(_waves(rng, places, 10.0)) for name in ("pixels", "clip")}
        drawn = random_patches(masks, places, right, 59, rng)
        null = np.stack([differences(whole, some, None)[1] for some in drawn])
        tested = unlike_patches(differences(whole, masks, None)[1], null)
        found.append(tested["p_corrected"].min())
    return np.array(found)


def _pieces(rng: Rng, places: np.ndarray, right: np.ndarray, areas: int, size: int) -> np.ndarray:
    """Return areas of so many voxels around a random one in each hemisphere, (area, voxel)."""
    made = np.zeros((areas, len(places)), bool)
    for side in (~right, right):
        for area in made:
            free = np.flatnonzero(side & ~made.any(0) | side & area)
            away = ((places[free] - places[rng.choice(free)]) ** 2).sum(1)
            area[free[np.argsort(away)[:size]]] = True
    return made


def _waves(rng: Rng, places: np.ndarray, width: float, waves: int = 60) -> np.ndarray:
    """Return a field, correlated as exp(-d² / (2 width²)) at a distance of d mm."""
    bent = rng.standard_normal((3, waves)) / width
    return np.cos(places @ bent + rng.uniform(0, 2 * np.pi, waves)).sum(1)


def words(count: int, rng: Rng, stimuli: int = 24, vocabulary: int = 8) -> np.ndarray:
    """Return the least corrected p of captions that are dealt at random, three areas."""
    areas = {name: f"roi:{name}" for name in "abc"}
    step = RegionWords(of=("intact",), areas=areas, share=0.25, n=99)
    known = np.array([f"word{chr(97 + k)}" for k in range(vocabulary)])
    often, found = np.linspace(0.15, 0.6, vocabulary), []
    for seed in rng.integers(2**31, size=count):
        said = rng.random((stimuli, vocabulary)) < often
        captions = [" ".join(known[row]) for row in said]
        measured = response(np.cumsum(rng.standard_normal((stimuli, 30)), axis=1))
        measured = measured.assign_coords(roi=("voxel", np.repeat(list("abc"), 10)))
        spoken = xr.Dataset(
            {"caption": (("stimulus", "draw"), np.array(captions)[:, None])},
            {"stimulus": measured["stimulus"].values, "draw": [0]},
        )
        made = step.model_copy(update={"seed": int(seed)})(spoken, measured)
        found.append(float(made["p_corrected"].min()))
    return np.array(found)


TIES = (0.01, ALPHA)
"""Where counts tie, p is larger than need be."""
CHECKS = (
    Check(
        "optimal, natural",
        "3 regions, 123 scenes, restarts alike, Holm",
        partial(optimal, metric="natural", draws=2, alike=True),
    ),
    Check("optimal, others", "3 regions, 5 restarts, Holm", partial(optimal, metric="others")),
    Check("optimal, control", "3 regions, 5 restarts, Holm", partial(optimal, metric="control")),
    Check("cycle", "10 stimuli, 7 networks, maximum", cycle),
    Check("zero_shot", "24 stimuli, 6 classes, 2 readings, maximum", zero_shot, stated=TIES),
    Check("region_weights", "smooth weights, 4 areas, maximum, 59 patches", weights),
    Check("region_words", "24 captions, 8 words × 3 areas, maximum, 99 deals", words, stated=TIES),
    covers("zero_shot, interval", "share of 1/5, 20 stimuli", of_share, (0.95, 1.0), n=1000),
)
