"""Matched controls of a region: as much elsewhere, on cortex or in voxels; made once and shared.

============  ==========================================================================
``vertices``  random vertices or voxels, as many in each hemisphere: the amount of input
``patch``     contiguous, one piece for each component, area within 5 %: size and extent
``spin``      the region's own shape, rotated: arrangement
``leverage``  contiguous, leverage in the adapter within 10 %: energy that it reads out
============  ==========================================================================

None holds medial wall, nor more of the region than `overlap` allows. Controls of one region share
no place while there is room; what they share is told. In voxels, which are all of one size, there
are the first two; the others need the surface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np

from insilico.errors import ParameterError, RegionError, SpaceError
from insilico.schema import short_digest
from insilico.spaces import fsaverage5
from insilico.spaces.ground import Ground, surface
from insilico.spaces.patches import Match, patch
from insilico.spaces.spun import spun
from insilico.step import generator

Kind = Literal["vertices", "patch", "spin", "leverage"]
AREA_TOLERANCE, LEVERAGE_TOLERANCE = 0.05, 0.10
ON_SURFACE = {
    "spin": "turns the sphere of fsaverage5",
    "leverage": "is matched in what the adapter takes, responses on fsaverage5",
}
"""Kinds that voxels do not have, and why."""


@dataclass(frozen=True)
class Control:
    """One control of a region.

    Attributes
    ----------
    mask : bool (place,)
    shared : int
        Places that earlier controls of the region hold too.
    area, leverage : float
        The control's over the region's; leverage is NaN where it is not known. The area of voxels
        is their number, and 1.
    """

    mask: np.ndarray
    shared: int
    area: float
    leverage: float


def control(
    kind: Kind,
    mask: np.ndarray,
    index: int,
    seed: int,
    overlap: float = 0.0,
    leverage: np.ndarray | None = None,
    ground: Ground | None = None,
) -> Control:
    """Return one control of a region.

    It depends on the region's places, `index`, `seed` and `overlap`: any spelling of a region
    has the same controls, and they are made once in a process.

    Parameters
    ----------
    kind : {"vertices", "patch", "spin", "leverage"}
    mask : bool (place,)
        The region.
    index : int
        Number of the control; later ones avoid earlier ones.
    seed : int
    overlap : float
        Largest share of the region that a control may hold.
    leverage : float64 (20484,), optional
        Of each vertex in the adapter; needed by ``leverage``.
    ground : Ground, optional
        Where it lies; fsaverage5 by default.

    Raises
    ------
    RegionError
        If the region is empty, or no such control fits; the message says how large the largest is.
    ParameterError
        If leverage is needed and not given.
    SpaceError
        If this kind needs the surface, or the region lies elsewhere.
    """
    ground = ground or surface()
    if ground is not surface() and kind in ON_SURFACE:
        raise SpaceError(in_voxels(kind))
    if len(mask) != len(ground.hemi):
        raise SpaceError(
            f"a region of {len(mask)} places, and {len(ground.hemi)} {ground.noun} to control it "
            "in; for a region of a response give ground=ground_of(response)"
        )
    if not np.any(mask):
        raise RegionError("the region is empty: there is nothing to control for")
    if kind == "leverage" and leverage is None:
        raise ParameterError(
            "control 'leverage' needs each vertex's leverage in the fitted adapter "
            "(leverage=...); a chain and a protocol with an adapter give it"
        )
    known = b"" if leverage is None else np.asarray(leverage, float).tobytes()
    region = np.asarray(mask, bool).tobytes()
    return _series(kind, ground, region, int(seed), float(overlap), known).of(int(index))


def in_voxels(kind: str) -> str:
    """Return why voxels have no controls of a kind, and what to use; nothing where they have."""
    if kind not in ON_SURFACE:
        return ""
    instead = "use control: patch or vertices, or perturb a response on fsaverage5"
    return f"control '{kind}' {ON_SURFACE[kind]}; in voxels {instead}"


@lru_cache(maxsize=256)
def _series(
    kind: Kind, ground: Ground, region: bytes, seed: int, overlap: float, leverage: bytes
) -> _Series:
    measure = np.frombuffer(leverage) if leverage else None
    return _Series(kind, ground, np.frombuffer(region, bool), seed, overlap, measure)


@dataclass
class _Series:
    """The controls of one region, made in order."""

    kind: Kind
    ground: Ground
    region: np.ndarray
    seed: int
    overlap: float
    leverage: np.ndarray | None
    made: list[np.ndarray] = field(default_factory=list)
    full: bool = False

    def of(self, index: int) -> Control:
        while len(self.made) <= index:
            found = self._next(len(self.made))
            found.setflags(write=False)
            self.made.append(found)
        mask, area = self.made[index], self.ground.area
        earlier = np.any(self.made[:index], axis=0) if index else np.zeros_like(mask)
        ratio = np.nan if self.leverage is None else self._ratio(self.leverage, mask)
        return Control(mask, int((mask & earlier).sum()), self._ratio(area, mask), ratio)

    def _ratio(self, measure: np.ndarray, mask: np.ndarray) -> float:
        whole = measure[self.region].sum()
        return float(measure[mask].sum() / whole) if whole else np.nan

    def _next(self, index: int) -> np.ndarray:
        nothing = np.zeros_like(self.region)
        if self.made and not self.full:
            found = _MAKERS[self.kind](self, index, np.any(self.made, axis=0))
            if found is not None:
                return found
            self.full = True  # from here on controls may share places
        found = _MAKERS[self.kind](self, index, nothing)
        if found is None:
            raise RegionError(self._complaint(index))
        return found

    @property
    def budget(self) -> int:
        return int(self.overlap * self.region.sum())

    def rng(self, index: int, *more: object) -> np.random.Generator:
        what = {"patch": "control patch"}.get(self.kind, f"control {self.kind}")
        return generator(self.seed, what, short_digest(self.region.tobytes()), index, *more)

    def _complaint(self, index: int) -> str:
        ground = self.ground
        needed = " and ".join(f"{self.count(hemi)} {name}" for hemi, name in _SIDES.items())
        if self.kind == "vertices":
            room = [f"{self.beside(hemi).sum()} {name}" for hemi, name in _SIDES.items()]
            largest = "beside it there are " + " and ".join(room)
        elif self.kind == "spin":
            largest = self._least(index)
        elif self.kind == "leverage":
            low, high = self._reach(index)
            largest = f"patches of its size have {low:.0%} to {high:.0%} of its leverage"
        else:
            free = ~(self.region | ground.widened(ground.barred))
            room = [f"{ground.largest_piece(free, hemi)} {name}" for hemi, name in _SIDES.items()]
            largest = "the largest contiguous piece beside it has " + " and ".join(room)
        return (
            f"no control '{self.kind}' of {self.region.sum()} {ground.noun} ({needed}, in "
            f"{len(ground.components(self.region))} pieces) fits beside this region; {largest}; "
            "use a smaller region, another kind, overlap, or no control"
        )

    def count(self, hemi: str) -> int:
        return int((self.region & (self.ground.hemi == hemi)).sum())

    def beside(self, hemi: str) -> np.ndarray:
        return (self.ground.hemi == hemi) & ~(self.region | self.ground.barred)

    def _least(self, index: int) -> str:
        """Say how much of the region a rotation covers at the least."""
        least = spun(self.region, np.zeros_like(self.region), self.budget, (self.seed, index))[1]
        if np.isfinite(least):
            return f"the least that a rotation covers of it is {least:.1%}: allow overlap"
        beside = (~(self.region | fsaverage5.medial_wall())).sum()
        return f"beside it there are {beside} vertices of cortex"

    def _reach(self, index: int) -> tuple[float, float]:
        """Return the least and the largest leverage of a few patches, over the region's."""
        free = Match(self.ground.area, np.inf, tries=1)
        nothing, found = np.zeros_like(self.region), []
        for k in range(40):
            rng = self.rng(index, "reach", k)
            one = patch(self.ground, self.region, nothing, self.budget, free, rng)
            if one is not None and self.leverage is not None:
                found.append(self._ratio(self.leverage, one))
        return (min(found), max(found)) if found else (np.nan, np.nan)


_SIDES = {"L": "left", "R": "right"}


def _vertices(series: _Series, index: int, avoid: np.ndarray) -> np.ndarray | None:
    """Draw as many places in each hemisphere; of the region itself only where room lacks."""
    rng, made = series.rng(index), np.zeros_like(series.region)
    for hemi in _SIDES:
        beside, n = series.beside(hemi), series.count(hemi)
        pool, own = np.flatnonzero(beside & ~avoid), 0
        if beside.sum() < n:
            inside = np.flatnonzero(series.region & (series.ground.hemi == hemi) & ~avoid)
            met = rng.hypergeometric(len(inside), len(pool), min(n, len(inside) + len(pool)))
            own = min(int(met), int(series.overlap * n))
            made[rng.choice(inside, own, replace=False)] = True
        if len(pool) < n - own:
            return None
        made[rng.choice(pool, n - own, replace=False)] = True
    return made


def _patch(series: _Series, index: int, avoid: np.ndarray) -> np.ndarray | None:
    ground, match = series.ground, Match(series.ground.area, AREA_TOLERANCE)
    if series.kind == "leverage" and series.leverage is not None:
        match = Match(series.leverage, LEVERAGE_TOLERANCE, tries=200, arrangements=5)
    for arrangement in range(match.arrangements):
        budget = series.budget if 2 * arrangement < match.arrangements else 0
        rng = series.rng(index, arrangement)
        found = patch(ground, series.region, avoid, budget, match, rng)
        if found is not None:
            return found
    return None


def _spin(series: _Series, index: int, avoid: np.ndarray) -> np.ndarray | None:
    return spun(series.region, avoid, series.budget, (series.seed, index))[0]


_MAKERS: dict[str, Callable[[_Series, int, np.ndarray], np.ndarray | None]] = {
    "vertices": _vertices,
    "patch": _patch,
    "leverage": _patch,
    "spin": _spin,
}
