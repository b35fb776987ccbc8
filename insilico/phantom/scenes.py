"""The scenes of the phantom world: what is where, its picture, its caption and its sound.

A scene is one of 3,456 combinations of object, background, colour, position and size, with
nuisance numbers (place, scale, horizon, light, detail) of its own. One combination in ten is held
out: no network of the phantom has ever been trained on it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b

import numpy as np
from PIL import Image

from insilico.errors import ParameterError, not_one_of
from insilico.phantom.backgrounds import BACKGROUNDS, paint_background
from insilico.phantom.drawing import CANVAS, COLOURS, SUPERSAMPLING, Frame
from insilico.phantom.objects import OBJECTS, paint_object
from insilico.phantom.sounds import make_sound

POSITIONS = {"left": 0.27, "middle": 0.5, "right": 0.73}
SIZES = {"small": 0.17, "large": 0.245}
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "object": tuple(OBJECTS),
    "background": tuple(BACKGROUNDS),
    "colour": tuple(COLOURS),
    "position": tuple(POSITIONS),
    "size": tuple(SIZES),
}
COMBINATIONS: tuple[tuple[str, ...], ...] = tuple(itertools.product(*ATTRIBUTES.values()))
SOURCE = "phantom (simulated)"
SPLITS = ("train", "seen", "unseen", "test")
N_HELD_OUT = 345


def _generator(*words: object) -> np.random.Generator:
    """Return a generator that depends on nothing but these words."""
    digest = blake2b("/".join(map(str, words)).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def write_caption(combination: tuple[str, ...]) -> str:
    """Write the caption of a combination (object, background, colour, position, size)."""
    name, background, colour, position, size = combination
    return f"a {size} {colour} {name} on the {position} of a {background}"


def read_caption(text: str) -> tuple[str, ...] | None:
    """Return the combination that a caption names, or None if it is no caption of the world."""
    return _COMBINATION_OF.get(text)


CAPTIONS: tuple[str, ...] = tuple(map(write_caption, COMBINATIONS))
_COMBINATION_OF = dict(zip(CAPTIONS, COMBINATIONS, strict=True))
HELD_OUT: frozenset[int] = frozenset(
    _generator("held out").permutation(len(COMBINATIONS))[:N_HELD_OUT].tolist()
)
TRAINED: tuple[int, ...] = tuple(k for k in range(len(COMBINATIONS)) if k not in HELD_OUT)


@dataclass(frozen=True)
class Scene:
    """One scene: a combination and the nuisance numbers that tell its draws apart.

    Attributes
    ----------
    id : str
        For example ``phantom-train-000123``.
    combination : int
        Index into `COMBINATIONS`.
    shift, height : float
        Offset of the object to the right of its position, and its height (0 is the top), as shares
        of the width of the picture.
    scale : float
        Factor on the object's size.
    horizon, light : float
        Height of the horizon (share of the picture) and brightness factor of the background.
    mirrored : bool
        Whether the object looks to the left.
    detail : int
        Seed of small details (buildings, stars, letters, noise).
    """

    id: str
    combination: int
    shift: float
    height: float
    scale: float
    horizon: float
    light: float
    mirrored: bool
    detail: int

    @property
    def attributes(self) -> dict[str, str]:
        """Object, background, colour, position and size, by name."""
        return dict(zip(ATTRIBUTES, COMBINATIONS[self.combination], strict=True))

    @property
    def held_out(self) -> bool:
        """Whether the combination was kept from all training."""
        return self.combination in HELD_OUT


@lru_cache(maxsize=256)
def _order(seed: int, split: str, pool: str, turn: int) -> tuple[int, ...]:
    """Return the order in which turn number `turn` goes through a pool of combinations."""
    combinations = sorted(HELD_OUT) if pool == "unseen" else TRAINED
    return tuple(_generator(seed, split, pool, turn).permutation(combinations).tolist())


def _combination(seed: int, split: str, k: int) -> int:
    """Return the combination of scene `k`: every turn meets each combination of its pool once."""
    pool = split
    if split == "test":
        pool, k = ("unseen" if k % 2 else "seen"), k // 2
    size = N_HELD_OUT if pool == "unseen" else len(TRAINED)
    return _order(seed, split, pool, k // size)[k % size]


def draw_scene(seed: int, split: str, k: int) -> Scene:
    """Draw scene `k` of a split; it depends on `seed`, `split` and `k` alone.

    Parameters
    ----------
    seed : int
        Seed of the world; the published weights were trained in world 0.
    split : {"train", "seen", "unseen", "test"}
        ``train`` and ``seen`` draw from the trained combinations, ``unseen`` from those held out,
        ``test`` takes them in turn (even numbers seen, odd numbers unseen).
    k : int
        Number of the scene within its split.
    """
    if split not in SPLITS:
        raise ParameterError(not_one_of("split", split, SPLITS))
    combination = _combination(seed, split, k)
    u = _generator(seed, split, k).random(7)
    name = COMBINATIONS[combination][0]
    return Scene(
        id=f"phantom-{split}-{k:06d}",
        combination=combination,
        shift=0.08 * u[0] - 0.04,
        height=0.54 + 0.11 * u[1],
        scale=0.93 + 0.14 * u[2],
        horizon=0.4 + 0.12 * u[3],
        light=0.88 + 0.2 * u[4],
        mirrored=bool(u[5] < 0.5) and name != "word",
        detail=int(u[6] * 2**31),
    )


def draw_scenes(seed: int, n: int, split: str = "test") -> tuple[Scene, ...]:
    """Draw the first `n` scenes of a split; see `draw_scene`."""
    return tuple(draw_scene(seed, split, k) for k in range(n))


def _background(scene: Scene) -> Image.Image:
    name = scene.attributes["background"]
    return paint_background(name, scene.horizon, scene.light, scene.detail)


def _with_object(scene: Scene, canvas: Image.Image) -> Image.Image:
    what = scene.attributes
    x = CANVAS * (POSITIONS[what["position"]] + scene.shift)
    unit = CANVAS * SIZES[what["size"]] * scene.scale
    frame = Frame(x, CANVAS * scene.height, unit, scene.mirrored)
    paint_object(canvas, what["object"], what["colour"], frame, scene.detail + 1)
    return canvas


def render(scene: Scene) -> np.ndarray:
    """Return the picture of a scene, uint8 of shape (64, 64, 3)."""
    return np.asarray(_with_object(scene, _background(scene)).reduce(SUPERSAMPLING))


def object_mask(scene: Scene) -> np.ndarray:
    """Return where the object is, bool of shape (64, 64): where it changes the picture."""
    canvas = _background(scene)
    before = np.asarray(canvas.reduce(SUPERSAMPLING)).astype(np.int16)
    after = np.asarray(_with_object(scene, canvas).reduce(SUPERSAMPLING)).astype(np.int16)
    return np.abs(after - before).sum(-1) > 6


def caption(scene: Scene) -> str:
    """Return the caption of a scene."""
    return CAPTIONS[scene.combination]


@cache
def attribute_indices() -> np.ndarray:
    """Return the attributes of all combinations as numbers, int64 of shape (3456, 5)."""
    table = [
        [ATTRIBUTES[key].index(value) for key, value in zip(ATTRIBUTES, row, strict=True)]
        for row in COMBINATIONS
    ]
    return np.array(table)


def sound(scene: Scene) -> np.ndarray:
    """Return the sound of a scene, float32 of shape (16000,): one second at 16 kHz."""
    name, background = attribute_indices()[scene.combination, :2].tolist()
    return make_sound(name, background, scene.detail)
