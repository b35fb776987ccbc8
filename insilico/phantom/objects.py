"""The twelve objects of the phantom world.

An object is a function of a palette and a generator (for small variations) that returns shapes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from insilico.phantom.drawing import (
    BRIGHT,
    INK,
    Colour,
    Ellipse,
    Frame,
    Palette,
    Point,
    Polygon,
    Shape,
    Stroke,
    box,
    turned,
)

WOOD: Colour = (150, 100, 54)
STEEL: Colour = (70, 72, 80)
GLASS: Colour = (196, 228, 244)
SKIN: Colour = (240, 196, 158)
BEAK: Colour = (250, 160, 30)
LEAF: Colour = (64, 160, 62)


def face(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a head with ears, eyes, a nose and a smile."""
    ears = [Ellipse((x, 0.0), (0.17, 0.24), p.shade) for x in (-0.82, 0.82)]
    white = [Ellipse((x, -0.22), (0.23, 0.2), BRIGHT) for x in (-0.34, 0.34)]
    pupils = [Ellipse((x, -0.2), (0.11, 0.13), INK) for x in (-0.32, 0.36)]
    smile = Stroke([(-0.42, 0.42), (-0.2, 0.6), (0.2, 0.6), (0.42, 0.42)], 0.13, p.ink)
    nose = Stroke([(0.02, 0.04), (0.1, 0.22)], 0.1, p.shade)
    return [*ears, Ellipse((0, 0), (0.82, 1.0), p.base), *white, *pupils, nose, smile]


def person(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a standing figure with a head of skin colour and coloured clothes."""
    lift = float(rng.uniform(-0.35, 0.15))
    legs = [Stroke([(0.0, 0.3), (x, 0.98)], 0.27, p.shade) for x in (-0.33, 0.33)]
    arms = [
        Stroke([(-0.2, -0.3), (-0.62, 0.1 + lift)], 0.22, p.base),
        Stroke([(0.2, -0.3), (0.62, 0.1 - lift)], 0.22, p.base),
    ]
    body = Polygon([(-0.32, -0.42), (0.32, -0.42), (0.28, 0.42), (-0.28, 0.42)], p.base)
    return [*legs, *arms, body, Ellipse((0, -0.75), (0.3, 0.3), SKIN)]


LETTERS: dict[str, list[list[Point]]] = {
    "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0.5), (1, 0.5)]],
    "L": [[(0, 0), (0, 1), (1, 1)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "O": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]],
    "A": [[(0, 1), (0.5, 0), (1, 1)]],
    "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
}


def word(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw three letters on a coloured sign; they are never mirrored."""
    dark = sum(p.base) < 480
    ink = BRIGHT if dark else INK
    shapes: list[Shape] = [box(-1.0, -0.52, 1.0, 0.52, p.base)]
    for k, letter in enumerate(rng.choice(list(LETTERS), 3)):
        for points in LETTERS[str(letter)]:
            placed = [(-0.76 + 0.57 * k + 0.38 * x, -0.28 + 0.56 * y) for x, y in points]
            shapes.append(Stroke(placed, 0.14, ink))
    return shapes


def house(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw walls, a darker gable roof, a door and two windows."""
    roof = Polygon([(-1.0, -0.12), (0, -1.0), (1.0, -0.12)], p.shade)
    windows = [box(x, 0.1, x + 0.32, 0.44, GLASS) for x in (-0.64, 0.32)]
    chimney = box(0.42, -0.95, 0.66, -0.4, p.shade)
    return [
        chimney,
        box(-0.8, -0.14, 0.8, 0.92, p.base),
        roof,
        *windows,
        box(-0.18, 0.34, 0.18, 0.92, WOOD),
    ]


def car(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a saloon car seen from the side."""
    cabin = Polygon([(-0.68, -0.02), (-0.44, -0.56), (0.34, -0.56), (0.66, -0.02)], p.base)
    panes = [
        Polygon([(-0.5, -0.06), (-0.34, -0.42), (-0.04, -0.42), (-0.04, -0.06)], GLASS),
        Polygon([(0.06, -0.06), (0.06, -0.42), (0.26, -0.42), (0.46, -0.06)], GLASS),
    ]
    body = Polygon([(-1.0, 0.0), (0.86, -0.04), (1.02, 0.12), (1.02, 0.42), (-1.02, 0.42)], p.base)
    tyres = [Ellipse((x, 0.42), (0.27, 0.27), STEEL) for x in (-0.58, 0.58)]
    hubs = [Ellipse((x, 0.42), (0.11, 0.11), BRIGHT) for x in (-0.58, 0.58)]
    return [cabin, body, box(-1.02, 0.24, 1.02, 0.42, p.shade), *panes, *tyres, *hubs]


def boat(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a sailing boat: dark hull, two sails."""
    hull = Polygon([(-1.0, 0.4), (1.0, 0.4), (0.66, 0.92), (-0.66, 0.92)], p.shade)
    main = Polygon([(0.1, -1.0), (0.1, 0.24), (0.86, 0.24)], p.base)
    jib = Polygon([(-0.1, -0.78), (-0.1, 0.24), (-0.68, 0.24)], p.tint)
    return [Stroke([(0.0, -1.0), (0.0, 0.4)], 0.1, WOOD), hull, main, jib]


def dog(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a dog from the side: tail up, hanging ear, snout."""
    far = [Stroke([(x, 0.3), (x, 0.82)], 0.19, p.shade) for x in (-0.36, 0.26)]
    near = [Stroke([(x, 0.3), (x, 0.86)], 0.21, p.base) for x in (-0.6, 0.48)]
    tail = Stroke([(-0.66, 0.05), (-0.94, -0.46)], 0.17, p.base)
    body = Ellipse((-0.08, 0.18), (0.7, 0.36), p.base)
    head = [
        Ellipse((0.58, -0.36), (0.36, 0.34), p.base),
        Ellipse((0.88, -0.22), (0.22, 0.17), p.base),
    ]
    ear = Ellipse((0.38, -0.34), (0.14, 0.32), p.shade)
    marks = [
        Ellipse((0.68, -0.44), (0.09, 0.09), p.ink),
        Ellipse((1.02, -0.28), (0.1, 0.09), p.ink),
    ]
    return [*far, *near, tail, body, *head, ear, *marks]


def bird(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a round bird with an orange beak and legs, a dark wing and a tail."""
    legs = [Stroke([(x, 0.5), (x, 0.94)], 0.11, BEAK) for x in (-0.18, 0.16)]
    tail = Polygon([(-0.5, 0.1), (-1.06, -0.3), (-0.92, 0.3)], p.shade)
    beak = Polygon([(0.62, -0.62), (1.08, -0.42), (0.62, -0.24)], BEAK)
    body, head = (
        Ellipse((-0.06, 0.18), (0.68, 0.48), p.base),
        Ellipse((0.42, -0.44), (0.38, 0.36), p.base),
    )
    wing = Polygon([(0.22, 0.0), (-0.62, -0.12), (-0.26, 0.42)], p.shade)
    eye = [Ellipse((0.5, -0.5), (0.14, 0.14), BRIGHT), Ellipse((0.53, -0.5), (0.08, 0.08), INK)]
    return [*legs, tail, beak, body, head, wing, *eye]


def pizza(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a slice with a brown crust and round toppings."""
    slice_ = Polygon([(-0.92, -0.6), (0.92, -0.6), (0.0, 1.0)], p.base)
    crust = Stroke(
        [(-0.86, -0.68), (-0.4, -0.82), (0.4, -0.82), (0.86, -0.68)], 0.3, (186, 122, 58)
    )
    spots = [Ellipse(c, (0.2, 0.2), p.shade) for c in ((-0.36, -0.3), (0.34, -0.26), (0.0, 0.26))]
    return [slice_, *spots, crust]


def apple(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw an apple with a stalk, a leaf and a gleam."""
    halves = [Ellipse((x, 0.18), (0.6, 0.74), p.base) for x in (-0.28, 0.28)]
    stalk = Stroke([(0.0, -0.44), (0.08, -0.88)], 0.14, WOOD)
    leaf = Polygon([(0.1, -0.66), (0.34, -0.96), (0.74, -0.88), (0.48, -0.62)], LEAF)
    return [stalk, leaf, *halves, Ellipse((-0.42, -0.06), (0.14, 0.22), p.tint)]


def hammer(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a claw hammer, leaning; the head has the colour, the handle is wood."""
    handle = Stroke([(0.0, 0.98), (0.0, -0.5)], 0.24, WOOD)
    head = Polygon([(-0.74, -0.86), (0.36, -0.86), (0.36, -0.34), (-0.74, -0.34)], p.base)
    claw = Polygon(
        [(0.36, -0.86), (0.7, -0.84), (0.98, -0.42), (0.62, -0.52), (0.36, -0.34)], p.base
    )
    block = Polygon([(-0.84, -0.94), (-0.56, -0.94), (-0.56, -0.26), (-0.84, -0.26)], p.shade)
    return turned([handle, head, claw, block], 28)


def cup(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Draw a mug with a ring handle, filled with coffee."""
    turns = np.linspace(-1.9, 1.9, 9)
    ring = [(0.56 + 0.36 * float(np.cos(a)), 0.08 + 0.42 * float(np.sin(a))) for a in turns]
    wall = Polygon([(-0.76, -0.66), (0.56, -0.66), (0.44, 0.92), (-0.64, 0.92)], p.base)
    rim, coffee = (
        Ellipse((-0.1, -0.66), (0.66, 0.22), p.tint),
        Ellipse((-0.1, -0.64), (0.52, 0.14), (96, 58, 32)),
    )
    return [Stroke(ring, 0.17, p.base), wall, rim, coffee]


OBJECTS: dict[str, Callable[[Palette, np.random.Generator], list[Shape]]] = {
    draw.__name__: draw
    for draw in (face, person, word, house, car, boat, dog, bird, pizza, apple, hammer, cup)
}


def paint_object(image: Image.Image, name: str, colour: str, frame: Frame, seed: int) -> None:
    """Paint an object in place: first the halo of its whole silhouette, then its shapes."""
    palette = Palette.of(colour)
    shapes = OBJECTS[name](palette, np.random.default_rng(seed))
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        shape.paint(draw, frame, palette.halo)
    for shape in shapes:
        shape.paint(draw, frame)
