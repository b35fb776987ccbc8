"""Where things are in the phantom's brains: the truth that all its subjects share.

Early visual cortex is a chart on the fsaverage5 sphere: one axis runs along the calcarine sulcus
from the foveal confluence (eccentricity, with cortical magnification), the other across it
(polar angle, mirrored at every border between V1, V2, V3 and V4). Category patches and the
auditory and language areas are named by centres in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from insilico.spaces import atlases, fsaverage5

PICTURE_DEG = 8.4
"""Width of a picture in degrees of visual angle, as in the Natural Scenes Dataset."""
NEIGHBOURS = 48
VISUAL_AREAS = ("V1", "V2", "V3", "V4")
BORDERS_DEG = (13.0, 21.0, 28.0, 40.0)
"""Outer borders of V1-V4, in degrees on the sphere from the calcarine axis (V4: below only)."""
FIELD_SIZE_DEG = ((0.30, 0.10), (0.40, 0.15), (0.55, 0.22), (0.80, 0.35))
"""Receptive field size of V1-V4: at the fovea, and its growth per degree of eccentricity."""
CHART_MM = {"fovea": (24, -97, -6), "periphery": (14, -60, 6), "above": (12, -92, 22)}

PATCHES_MM: dict[str, tuple[tuple[float, float, float], ...]] = {
    "face": ((41, -48, -20), (40, -78, -12)),
    "person": ((48, -70, 6), (44, -42, -22)),
    "word": ((-47, -58, -14),),
    "house": ((27, -48, -10), (32, -84, 16)),
    "car": ((30, -55, -14),),
    "boat": ((24, -60, -10),),
    "dog": ((40, -64, -16),),
    "bird": ((46, -76, -4),),
    "pizza": ((33, -60, -18),),
    "apple": ((33, -70, -14),),
    "hammer": ((-49, -60, -5),),
    "cup": ((-47, -68, -9),),
}
"""Centres of the category patches in the stronger hemisphere; the other has 0.7 of them."""
PATCH_NAMES = {
    "face": "face",
    "person": "body",
    "word": "word",
    "house": "place",
    "pizza": "food",
    "apple": "food",
}
AUDITORY_MM = (((52, -22, 8), 9.0, 0.9), ((-50, -24, 8), 9.0, 0.9))
LANGUAGE_MM = (
    ((-56, -38, 4), 11.0, 0.7),
    ((-50, 22, 8), 10.0, 0.7),
    ((-52, -6, -14), 10.0, 0.6),
    ((56, -36, 4), 10.0, 0.3),
)


@dataclass(frozen=True)
class Retinotopy:
    """Population receptive fields that the average brain would have.

    Attributes
    ----------
    area : int, (20484,)
        1-4 for V1-V4, 0 elsewhere.
    u : float32, (20484,)
        Place along the calcarine axis: 0 at the fovea, 1 at 6 degrees.
    angle : float32, (20484,)
        Polar angle in degrees within the opposite half field: 90 above, -90 below.
    """

    area: np.ndarray
    u: np.ndarray
    angle: np.ndarray


def eccentricity_deg(u: np.ndarray) -> np.ndarray:
    """Return eccentricity in degrees at a place `u` along the calcarine axis."""
    return 0.75 * (9 ** np.clip(u, 0.0, 1.1) - 1)


@cache
def coordinates() -> np.ndarray:
    """Return the pial coordinates of both hemispheres, float32 (20484, 3), mm."""
    return np.asarray(fsaverage5.mesh("pial")[0], dtype=np.float32)


def vertex_coordinates() -> dict:
    """Return the coordinates of fsaverage5 responses, ready for a dataset over ``vertex``."""
    return fsaverage5.coordinates()


@cache
def is_right() -> np.ndarray:
    """Return which vertices lie in the right hemisphere, bool (20484,)."""
    return np.asarray(fsaverage5.hemisphere()) == "R"


@cache
def cortex() -> np.ndarray:
    """Return which vertices are cortex (not medial wall), bool (20484,)."""
    return ~np.asarray(fsaverage5.medial_wall(), dtype=bool)


@cache
def networks() -> np.ndarray:
    """Return the phantom's network of every vertex, str (20484,), ``""`` on the medial wall."""
    atlas = atlases.load("phantom7")
    return np.array(["", *atlas.regions])[atlas.labels]


@cache
def smoothing() -> csr_matrix:
    """Return the mean over the 48 nearest vertices on the sphere, sparse (20484, 20484)."""
    sphere, right = fsaverage5.mesh("sphere")[0], is_right()
    columns = np.empty((len(sphere), NEIGHBOURS), dtype=np.int64)
    for side in (False, True):
        members = np.flatnonzero(right == side)
        nearest = cKDTree(sphere[members]).query(sphere[members], NEIGHBOURS)[1]
        columns[members] = members[nearest]
    rows = np.repeat(np.arange(len(sphere)), NEIGHBOURS)
    weights = np.full(columns.size, 1 / NEIGHBOURS, dtype=np.float32)
    return csr_matrix((weights, (rows, columns.ravel())), shape=(len(sphere),) * 2)


def smooth_fields(rng: np.random.Generator, n: int, rounds: int = 2) -> np.ndarray:
    """Draw `n` smooth random maps of unit variance, float32 (n, 20484)."""
    smoother = smoothing()
    fields = rng.standard_normal((smoother.shape[0], n), dtype=np.float32)
    for _ in range(rounds):
        fields = smoother @ fields
    return np.ascontiguousarray((fields / fields.std(0)).T)


def _chart(side: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return along (0 fovea, 1 periphery) and across (degrees, above positive) of a hemisphere."""
    members = np.flatnonzero(is_right() == side)
    sphere = np.asarray(fsaverage5.mesh("sphere")[0], dtype=np.float64)[members]
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    tree = cKDTree(fsaverage5.mesh("white")[0][members])
    mirror = np.array([1 if side else -1, 1, 1])
    fovea, far, above = (sphere[tree.query(np.array(c) * mirror)[1]] for c in CHART_MM.values())
    axis = far - fovea * (far @ fovea)
    axis /= np.linalg.norm(axis)
    across = np.cross(fovea, axis)
    across *= np.sign(across @ above)
    along = np.arctan2(sphere @ axis, sphere @ fovea) / np.arctan2(far @ axis, far @ fovea)
    return along, np.degrees(np.arcsin(sphere @ across))


def _areas(along: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return visual area (0-4) and polar angle (degrees) at places of the chart."""
    narrow = 0.5 + 0.5 * np.clip(along / 0.4, 0, 1)
    borders = np.array([0.0, *BORDERS_DEG])
    distance = np.abs(across) / narrow
    area = np.searchsorted(borders[1:], distance, side="right") + 1
    area[(area > 4) | (along < -0.1) | (along > 1.0) | ((area == 4) & (across > 0))] = 0
    slot = np.clip(area, 1, 4)
    share = (distance - borders[slot - 1]) / (borders[slot] - borders[slot - 1])
    outwards = [area == 1, area == 2, area == 3]
    mirrored = np.select(outwards, [share, 1 - share, share], 1 - 2 * share)
    return area, 90 * mirrored * -np.sign(across)


@cache
def retinotopy() -> Retinotopy:
    """Return the retinotopic chart of the average brain."""
    area = np.zeros(len(is_right()), dtype=np.int64)
    u, angle = np.zeros(len(area), np.float32), np.zeros(len(area), np.float32)
    for side in (False, True):
        members = np.flatnonzero(is_right() == side)
        along, across = _chart(side)
        area[members], angle[members] = _areas(along, across)
        u[members] = along
    area[~cortex()] = 0
    return Retinotopy(area, u, angle)


def ball(centre: np.ndarray, width_mm: float) -> np.ndarray:
    """Return a Gaussian around a centre, float32 (20484,), 1 in its middle."""
    squared = ((coordinates() - np.asarray(centre, dtype=np.float32)) ** 2).sum(1)
    return np.exp(-squared / (2 * width_mm**2))


@cache
def ventral() -> np.ndarray:
    """Return membership of ventral and lateral occipito-temporal cortex, float32 in [0, 1]."""
    x, y, z = coordinates().T
    below = np.clip((-y - 32) / 12, 0, 1) * np.clip((2 - z) / 8, 0, 1)
    beside = np.clip((-y - 54) / 8, 0, 1) * np.clip((np.abs(x) - 32) / 6, 0, 1)
    member = np.maximum(below, beside * np.clip((20 - z) / 8, 0, 1))
    return np.where((retinotopy().area > 0) | ~cortex(), 0, member).astype(np.float32)


def _around_patches() -> np.ndarray:
    """Return how near each vertex lies to where any category patch lies on average."""
    mirrored = [
        np.array(centre) * [side, 1, 1]
        for centres in PATCHES_MM.values()
        for centre in centres
        for side in (1, -1)
    ]
    return np.max([ball(place, 8.0) for place in mirrored], axis=0)


def _most(places: tuple[tuple[tuple[int, int, int], float, float], ...]) -> np.ndarray:
    return np.max([height * ball(np.array(c), width) for c, width, height in places], axis=0)


@cache
def shares() -> dict[str, np.ndarray]:
    """Return the share of each code in a vertex's signal variance, float32 (20484,) each.

    The keys are the blocks of `insilico.phantom.features.Features`.
    """
    area = retinotopy().area
    picture = np.array([0.0, 1.0, 0.95, 0.85, 0.6])[area]
    rest = 1 - picture
    selective = np.maximum(ventral(), _around_patches()) * cortex()
    category = rest * np.where(area > 0, 1.0, 0.75 * selective)
    rest = rest - category
    sound = rest * _most(AUDITORY_MM)
    language = (rest - sound) * _most(LANGUAGE_MM)
    parts = {"picture": picture, "category": category, "sound": sound, "language": language}
    parts["meaning"] = np.clip(rest - sound - language, 0, 1)
    return {name: part.astype(np.float32) for name, part in parts.items()}
