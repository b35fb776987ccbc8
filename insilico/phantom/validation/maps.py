"""Null experiments of every test of maps: smooth maps that have nothing in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal

import numpy as np

from insilico.phantom.validation.check import Check
from insilico.phantom.validation.made import field, patched, response, smoother, spread
from insilico.spaces import fsaverage5
from insilico.statistics.flipped_maps import FlippedMap, flipped_map
from insilico.statistics.map_correlation import MapCorrelation
from insilico.statistics.map_tests import against_elsewhere, agreement
from insilico.statistics.multiplicity import adjusted
from insilico.statistics.nulls import named
from insilico.statistics.permutations import (
    of_one_regressor,
    of_vertices,
    orders,
    p_corrected,
)
from insilico.statistics.places import Places, vertices
from insilico.statistics.tfce import Enhancement, enhanced

PARCELS = 60
"""Of each hemisphere."""
SHARED = 20
"""Experiments that share their rotations."""
WIDTHS = (0.2, 0.4, 0.8)
Rng = np.random.Generator
Method = Literal["pearson", "spearman"]


def seeds(count: int, rng: Rng) -> np.ndarray:
    """Return the seed of each experiment's surrogates; some share one, which are costly."""
    return np.repeat(rng.integers(2**31, size=-(-count // SHARED)), SHARED)[:count]


def of_null(
    count: int,
    rng: Rng,
    null: str,
    width: float,
    where: Places | None = None,
    n: int = 99,
    made: Callable[..., np.ndarray] = field,
    method: Method = "pearson",
) -> np.ndarray:
    """Return p of two unrelated fields: the larger of both directions."""
    places, found = where or patched(PARCELS), []
    for seed in seeds(count, rng):
        x, y = (made(places, rng, width=width) for _ in range(2))
        found.append(agreement(x, y, places, named(null), n, int(seed), method).p)
    return np.array(found)


def _skewed(where: Places, rng: Rng, width: float) -> np.ndarray:
    return np.exp(field(where, rng, width) / 5)


def elsewhere(
    count: int, rng: Rng, null: str = "spin", where: Places | None = None, n: int = 99
) -> np.ndarray:
    """Return the least corrected p that a region of a field differs from elsewhere."""
    places, found = where or patched(PARCELS), []
    labels, regions = _networks(places)
    for seed in seeds(count, rng):
        values = field(places, rng, 0.4)
        p = against_elsewhere(values, labels, regions, places, named(null), n, int(seed))[2]
        found.append(np.nanmin(p))
    return np.array(found)


@cache
def _networks(places: Places) -> tuple[np.ndarray, int]:
    """Return the network of each place; of a parcel, that of its middle."""
    from insilico.spaces import atlases

    loaded = atlases.load("phantom7")
    at = np.arange(len(places)) if places.kind == "vertex" else places.middle
    return loaded.labels[at].astype(int), len(loaded.regions)


def correlated(count: int, rng: Rng, by: str | None = "phantom7", n: int = 99) -> np.ndarray:
    """Return p of `map_correlation` between the means of two unrelated responses."""
    found = []
    null = "spin" if by is None else "baum"
    for seed in seeds(count, rng):
        pair = [response(_few(rng)) for _ in range(2)]
        step = MapCorrelation(null=null, by=by, n=n, seed=int(seed))
        found.append(step(*pair)["p"].item())
    return np.array(found)


def _few(rng: Rng) -> np.ndarray:
    """Return a smooth response to four stimuli over the vertices."""
    mean = field(vertices(), rng, 0.4, 20)
    return mean + 0.1 * rng.standard_normal((4, 1)) * mean[::-1]


def one_regressor(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of a regressor against 119 places."""
    return _permuted(count, rng, lambda: rng.standard_normal(20), of_one_regressor)


def both_vary(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of two responses, place by place."""
    return _permuted(count, rng, lambda: _smooth_items(rng, 20), of_vertices)


def _permuted(
    count: int, rng: Rng, first: Callable[[], np.ndarray], test: Callable[..., Any]
) -> np.ndarray:
    found = []
    for _ in range(count):
        r, largest = test(first(), _smooth_items(rng, 20), orders(20, 199, rng))
        found.append(p_corrected(r, largest).min())
    return np.array(found)


def _smooth_items(rng: Rng, items: int) -> np.ndarray:
    """Return smooth fields over parcels, one an item."""
    return np.stack([field(patched(PARCELS), rng, 0.4, 20) for _ in range(items)])


def _flipped(rng: Rng, enhance: Enhancement | None = None) -> FlippedMap:
    on_parcels = None if enhance is None else partial(_enhanced, parameters=enhance)
    return flipped_map(_smooth_items(rng, 12), 199, rng, on_parcels)


def _enhanced(maps: np.ndarray, parameters: Enhancement) -> np.ndarray:
    graph, areas = _mesh(patched(PARCELS))
    return enhanced(maps, graph, areas, parameters)


@cache
def _mesh(places: Places) -> tuple[object, np.ndarray]:
    """Return which parcels touch, and their areas in mm²."""
    from scipy.sparse import coo_array

    pairs = fsaverage5.neighbours().tocoo()
    a, b = places.labels[pairs.row] - 1, places.labels[pairs.col] - 1
    use = (a >= 0) & (b >= 0) & (a != b)
    graph = coo_array((np.ones(use.sum()), (a[use], b[use])), shape=(len(places),) * 2).tocsr()
    inside = places.labels > 0
    return graph, np.bincount(places.labels[inside] - 1, fsaverage5.areas()[inside], len(places))


def _every_flip(rng: Rng, items: int = 14) -> FlippedMap:
    """Return a map whose p come so low that a false discovery rate can: by all sign flips."""
    return flipped_map(_smooth_items(rng, items), 2**items, rng)


def maximum(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of a map."""
    return np.array([_flipped(rng).p_corrected.min() for _ in range(count)])


def tfce(count: int, rng: Rng) -> np.ndarray:
    """Return the least corrected p of a map after enhancement by area."""
    return np.array([_flipped(rng, Enhancement()).p_corrected.min() for _ in range(count)])


def one_place(count: int, rng: Rng) -> np.ndarray:
    """Return p of one place of a map."""
    return np.array([_flipped(rng).p[7] for _ in range(count)])


def discoveries(count: int, rng: Rng, method: Literal["bh", "by"]) -> np.ndarray:
    """Return the least q: without effects any discovery is a false one."""
    return np.array([adjusted(_every_flip(rng).p, method).min() for _ in range(count)])


NULLS = {
    "spin": (99, WIDTHS),
    "hungarian": (99, WIDTHS),
    "vasa": (99, WIDTHS),
    "baum": (99, WIDTHS),
    "cornblath": (39, WIDTHS[1:2]),
    "variogram": (19, WIDTHS[1:2]),
}
"""Surrogates and widths of the short table; the full one has 99 and all."""
LIBERAL = {
    ("spin", 0.4): (0.0, 0.06),
    ("hungarian", 0.4): (0.05, 0.08),
    ("hungarian", 0.8): (0.05, 0.08),
    ("vasa", 0.4): (0.05, 0.11),
    ("vasa", 0.8): (0.05, 0.10),
}
"""Rates that docs/nulls.md states; the others are conservative: the larger p of both directions."""


def _nulls(short: bool = True) -> list[Check]:
    found = []
    for null, (n, widths) in NULLS.items():
        n, widths = (n, widths) if short else (99, WIDTHS)
        for width in widths:
            run = partial(of_null, null=null, width=width, n=n)
            stated = LIBERAL.get((null, width), (0.0, 0.05))
            what = f"119 parcels, w = {width}, {n} surrogates"
            found.append(Check(f"{null}, {width}", what, run, stated=stated))
    return found


GROWING = {
    ("spin", 2): (0.0, 0.06),
    ("spin", 4): (0.07, 0.10),
    ("spin", 10): (0.11, 0.15),
    ("hungarian", 4): (0.10, 0.13),
    ("vasa", 4): (0.12, 0.15),
    ("baum", 4): (0.07, 0.10),
    ("cornblath", 4): (0.05, 0.09),
    ("variogram", 4): (0.03, 0.07),
}
"""Rates that docs/nulls.md states where the spread of both maps grows from back to front."""


def _not_stationary() -> list[Check]:
    """Return fields that change from back to front, as real maps do."""
    found = [_growing(*which, stated) for which, stated in GROWING.items()]
    found += [
        _growing("spin", 4, (0.0, 0.06), "spearman"),
        _growing("spin", 10, (0.04, 0.08), "spearman"),
    ]
    run = partial(of_null, null="spin", width=0.4, made=partial(smoother, ratio=4))
    what = "119 parcels, smoothness grows 4 x to the front"
    return [*found, Check("spin, width 4 x", what, run, stated=(0.0, 0.06))]


def _growing(
    null: str,
    ratio: float,
    stated: tuple[float, float],
    method: Method = "pearson",
    where: Places | None = None,
) -> Check:
    made = partial(spread, ratio=ratio)
    run = partial(of_null, null=null, width=0.4, where=where, made=made, method=method)
    name = f"{null} of vertices" if where else null
    ranked = ", Spearman" if method == "spearman" else ""
    what = f"{'20,484 vertices' if where else '119 parcels'}, spread grows {ratio} x to the front"
    batch = 20 if where else 100
    return Check(f"{name}{ranked}, spread {ratio} x", what, run, stated=stated, batch=batch)


def _over_vertices(null: str, width: float, n: int) -> Check:
    run = partial(of_null, null=null, width=width, where=vertices(), n=n)
    stated = (0.0, 0.10) if (null, width) == ("variogram", 0.57) else (0.0, 0.07)
    what = f"20,484 vertices, w = {width}, {n} surrogates"
    return Check(f"{null} of vertices, {width}", what, run, stated=stated, batch=20)


CHECKS = (
    *_nulls(),
    *_not_stationary(),
    Check(
        "spin, Spearman",
        "119 parcels, skewed maps",
        partial(of_null, null="spin", width=0.4, made=_skewed, method="spearman"),
        stated=(0.0, 0.07),
    ),
    Check("against elsewhere", "119 parcels, 7 networks", elsewhere),
    Check("map_correlation", "networks, Baum", correlated, stated=(0.0, 0.05)),
    Check("permutation, one regressor", "119 parcels, maximum", one_regressor),
    Check("permutation, two responses", "119 parcels, maximum", both_vary),
    Check("flips of maps, one place", "12 items", one_place),
    Check("flips of maps, maximum", "12 items, 119 parcels", maximum),
    Check("flips of maps, TFCE", "12 items, 119 parcels", tfce),
    Check(
        "BH",
        "14 items, all flips, 119 parcels",
        partial(discoveries, method="bh"),
        stated=(0.0, 0.05),
    ),
    Check(
        "BY",
        "14 items, all flips, 119 parcels",
        partial(discoveries, method="by"),
        stated=(0.0, 0.05),
    ),
)


def full() -> tuple[Check, ...]:
    """Return the checks of the full table."""
    of_vertices = [_over_vertices("spin", w, 99) for w in (0.15, 0.4)]
    of_vertices += [_over_vertices("variogram", w, 49) for w in (0.14, 0.28, 0.57)]
    of_vertices.append(_growing("spin", 4, (0.07, 0.12), where=vertices()))
    run = partial(correlated, by=None)
    return (
        *_nulls(short=False)[-6:],
        *of_vertices,
        Check("map_correlation", "20,484 vertices, spin", run, stated=(0.0, 0.07), batch=20),
    )
