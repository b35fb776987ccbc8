"""What each vertex of each subject is tuned to: shared tuning, and what makes a subject itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from insilico.phantom import anatomy
from insilico.phantom.features import CHANNELS, GRID, picture_scale, training
from insilico.phantom.scenes import ATTRIBUTES
from insilico.step import generator

SHARED = {"picture": 0.22, "category": 0.5, "meaning": 0.75, "language": 0.75, "sound": 0.75}
"""Share of tuning variance that all subjects have in common, at individuality 1."""
WARP = {"u": 0.10, "angle_deg": 28.0}
"""Standard deviation of the individual warps of the retinotopic chart."""
PATCH_JITTER_MM = 4.0
PATCH_WIDTH_MM = (7.5, 1.0)
FIELD_GAIN = 0.18
"""Gain of the smooth category fields beside the patches."""


@dataclass(frozen=True)
class Individual:
    """Which brain: cohort seed, subject number, and how far subjects differ (0: not at all)."""

    seed: int
    subject: int
    individuality: float

    def own(self, *names: object) -> np.random.Generator:
        """Return this subject's generator for one kind of tuning."""
        return generator(self.seed, "tuning", f"subject {self.subject}", *names)

    def common(self, *names: object) -> np.random.Generator:
        """Return the generator that all subjects of the cohort share."""
        return generator(self.seed, "tuning", "shared", *names)

    def fields(self, name: str, n: int, rounds: int = 2) -> np.ndarray:
        """Return smooth maps, partly shared among subjects, float32 (n, 20484)."""
        shared = SHARED[name]
        maps = np.sqrt(shared) * anatomy.smooth_fields(self.common(name), n, rounds)
        own = anatomy.smooth_fields(self.own(name), n, rounds)
        return maps + self.individuality * np.sqrt(1 - shared) * own


@dataclass(frozen=True)
class ReceptiveFields:
    """Population receptive fields of one subject's early visual cortex.

    Attributes
    ----------
    vertex : int, (m,)
    x, y : float32, (m,)
        Centre in degrees, right and up positive.
    sigma : float32, (m,)
        Size in degrees.
    eccentricity, angle : float32, (m,)
        Degrees; the angle is 0 on the horizontal meridian, 90 above.
    """

    vertex: np.ndarray
    x: np.ndarray
    y: np.ndarray
    sigma: np.ndarray
    eccentricity: np.ndarray
    angle: np.ndarray


@lru_cache(maxsize=16)
def receptive_fields(who: Individual) -> ReceptiveFields:
    """Return the receptive fields of a subject: the average chart, smoothly warped."""
    chart = anatomy.retinotopy()
    vertex = np.flatnonzero(chart.area)
    warp = who.individuality * anatomy.smooth_fields(who.own("warp"), 2)[:, vertex]
    ecc = anatomy.eccentricity_deg(np.clip(chart.u[vertex] + WARP["u"] * warp[0], 0.02, 1.1))
    angle = np.clip(chart.angle[vertex] + WARP["angle_deg"] * warp[1], -100, 100)
    at_fovea, growth = np.array(anatomy.FIELD_SIZE_DEG)[chart.area[vertex] - 1].T
    opposite = np.where(anatomy.is_right()[vertex], -1, 1)
    x = opposite * ecc * np.cos(np.radians(angle))
    y = ecc * np.sin(np.radians(angle))
    parts = (x, y, at_fovea + growth * ecc, ecc, angle)
    return ReceptiveFields(vertex, *(part.astype(np.float32) for part in parts))


def _pooling(fields: ReceptiveFields) -> np.ndarray:
    """Return the weight of every grid cell in every receptive field, float32 (256, m)."""
    centres = ((np.arange(GRID) + 0.5) / GRID - 0.5) * anatomy.PICTURE_DEG
    x, y = (part.ravel()[:, None] for part in np.meshgrid(centres, -centres))
    squared = (x - fields.x) ** 2 + (y - fields.y) ** 2
    pooled = np.exp(-squared / (2 * fields.sigma**2)) + 1e-6
    return (pooled / pooled.sum(0)).astype(np.float32)


def _picture(who: Individual) -> np.ndarray:
    """Return weights of the picture features, float32 (1792, m)."""
    fields = receptive_fields(who)
    n = (len(CHANNELS), len(anatomy.cortex()))
    shared = who.common("channels").standard_normal(n, dtype=np.float32)
    own = who.own("channels").standard_normal(n, dtype=np.float32)
    kept = SHARED["picture"]
    channels = np.sqrt(kept) * shared + who.individuality * np.sqrt(1 - kept) * own
    weights = _pooling(fields)[:, None] * channels[None, :, fields.vertex]
    return weights.reshape(-1, len(fields.vertex)) / picture_scale()[:, None]


@lru_cache(maxsize=16)
def patches(who: Individual) -> np.ndarray:
    """Return how strongly each category's patches cover each vertex, float32 (12, 20484)."""
    covers = np.zeros((len(ATTRIBUTES["object"]), len(anatomy.cortex())), dtype=np.float32)
    usual, spread = PATCH_WIDTH_MM
    for row, name in enumerate(ATTRIBUTES["object"]):
        rng = who.own("patch", name)
        for centre in anatomy.PATCHES_MM[name]:
            for mirror, height in ((1, 1.0), (-1, 0.7)):
                jitter = who.individuality * PATCH_JITTER_MM * rng.standard_normal(3)
                width = usual + who.individuality * spread * rng.uniform(-1, 1)
                place = np.array(centre) * [mirror, 1, 1] + jitter
                covers[row] = np.maximum(covers[row], height * anatomy.ball(place, width))
    return covers


def _category(who: Individual) -> np.ndarray:
    return patches(who) + FIELD_GAIN * who.fields("category", len(ATTRIBUTES["object"]), 1)


def _block(who: Individual, name: str, vertex: np.ndarray) -> np.ndarray:
    """Return the raw weights of one block of features at its vertices."""
    if name == "picture":
        return _picture(who)
    if name == "category":
        return _category(who)[:, vertex]
    return who.fields(name, training()[0][name].shape[0])[:, vertex]


@lru_cache(maxsize=10)
def weights(who: Individual) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, per block of features, its vertices (m,) and weights (features, m).

    The response of every vertex has unit variance over the training scenes, of which each block
    has the share written in `anatomy.shares` (before the blocks, which are correlated, are summed).
    """
    blocks = {}
    centred, cortex = training()[1], anatomy.cortex()
    total = np.zeros((len(centred["picture"]), len(cortex)), dtype=np.float32)
    for name, share in anatomy.shares().items():
        vertex = np.flatnonzero((share > 1e-3) & cortex)
        block = _block(who, name, vertex)
        part = centred[name] @ block
        scale = np.sqrt(share[vertex]) / part.std(0)
        blocks[name] = (vertex, block * scale)
        total[:, vertex] += part * scale
    sd = total.std(0)
    return {name: (vertex, block / sd[vertex]) for name, (vertex, block) in blocks.items()}
