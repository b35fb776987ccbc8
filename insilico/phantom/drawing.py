"""How the phantom world looks: twelve objects and six backgrounds, drawn with Pillow.

Objects are lists of shapes in their own coordinates: the origin is the centre of the object, x
points to the right and y downwards, and everything lies within about one unit. A halo is painted
round the whole silhouette first, so an object stands out from any background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SIDE = 64
SUPERSAMPLING = 3
CANVAS = SIDE * SUPERSAMPLING
HALO = 0.9 * SUPERSAMPLING

COLOURS: dict[str, Colour] = {
    "red": (214, 44, 44),
    "green": (38, 158, 66),
    "blue": (48, 98, 226),
    "yellow": (242, 208, 44),
    "purple": (150, 66, 188),
    "orange": (243, 134, 30),
    "white": (246, 246, 246),
    "black": (34, 34, 40),
}
WOOD, STEEL, GLASS = (150, 100, 54), (70, 72, 80), (196, 228, 244)
BRIGHT, INK, SKIN, BEAK, LEAF = (250, 250, 248), (24, 22, 28), (240, 196, 158), (250, 160, 30), (64, 160, 62)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; `share` is the weight of the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second, strict=True))


@dataclass(frozen=True)
class Palette:
    """The colours of one object: its own, a darker and a lighter one, ink and halo."""

    base: Colour
    shade: Colour
    tint: Colour
    ink: Colour
    halo: Colour

    @classmethod
    def of(cls, colour: str) -> Palette:
        """Return the palette of a named colour; black gets light details and a light halo."""
        base = COLOURS[colour]
        if colour == "black":
            return cls(base, (88, 88, 98), (150, 150, 160), BRIGHT, (232, 232, 236))
        return cls(base, mix(base, (0, 0, 0), 0.34), mix(base, (255, 255, 255), 0.5), INK, INK)


@dataclass(frozen=True)
class Frame:
    """Where an object sits on the canvas (canvas pixels) and whether it is mirrored."""

    x: float
    y: float
    unit: float
    mirrored: bool

    def place(self, points: list[Point]) -> list[Point]:
        """Map object coordinates to canvas pixels."""
        sign = -1 if self.mirrored else 1
        return [(self.x + sign * x * self.unit, self.y + y * self.unit) for x, y in points]


@dataclass(frozen=True)
class Polygon:
    """A filled polygon."""

    points: list[Point]
    fill: Colour

    def paint(self, draw: ImageDraw.ImageDraw, frame: Frame, halo: Colour | None = None) -> None:
        """Fill the polygon, or with `halo` paint its widened silhouette."""
        points = frame.place(self.points)
        draw.polygon(points, fill=halo or self.fill)
        if halo:
            draw.line([*points, points[0], points[1]], fill=halo, width=round(2 * HALO), joint="curve")


@dataclass(frozen=True)
class Ellipse:
    """A filled, upright ellipse."""

    centre: Point
    radii: Point
    fill: Colour

    def paint(self, draw: ImageDraw.ImageDraw, frame: Frame, halo: Colour | None = None) -> None:
        """Fill the ellipse, or with `halo` paint its widened silhouette."""
        (x, y), grow = frame.place([self.centre])[0], HALO if halo else 0.0
        rx, ry = (radius * frame.unit + grow for radius in self.radii)
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=halo or self.fill)


@dataclass(frozen=True)
class Stroke:
    """A line with round ends."""

    points: list[Point]
    width: float
    fill: Colour

    def paint(self, draw: ImageDraw.ImageDraw, frame: Frame, halo: Colour | None = None) -> None:
        """Draw the stroke, or with `halo` paint its widened silhouette."""
        points = frame.place(self.points)
        width = max(self.width * frame.unit, SUPERSAMPLING) + (2 * HALO if halo else 0.0)
        draw.line(points, fill=halo or self.fill, width=round(width), joint="curve")
        for x, y in (points[0], points[-1]):
            half = width / 2
            draw.ellipse((x - half, y - half, x + half, y + half), fill=halo or self.fill)


Shape = Polygon | Ellipse | Stroke


def box(left: float, top: float, right: float, bottom: float, fill: Colour) -> Polygon:
    """Return an upright rectangle."""
    return Polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)


def turned(shapes: list[Shape], degrees: float) -> list[Shape]:
    """Turn polygons and strokes clockwise about the origin."""
    angle = np.deg2rad(degrees)
    c, s = float(np.cos(angle)), float(np.sin(angle))

    def turn(shape: Shape) -> Shape:
        points = [(c * x - s * y, s * x + c * y) for x, y in shape.points]
        rest = (shape.width, shape.fill) if isinstance(shape, Stroke) else (shape.fill,)
        return type(shape)(points, *rest)

    return [turn(shape) for shape in shapes]


def face(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A head with ears, eyes, a nose and a smile."""
    ears = [Ellipse((x, 0.0), (0.17, 0.24), p.shade) for x in (-0.82, 0.82)]
    white = [Ellipse((x, -0.22), (0.23, 0.2), BRIGHT) for x in (-0.34, 0.34)]
    pupils = [Ellipse((x, -0.2), (0.11, 0.13), INK) for x in (-0.32, 0.36)]
    smile = Stroke([(-0.42, 0.42), (-0.2, 0.6), (0.2, 0.6), (0.42, 0.42)], 0.13, p.ink)
    nose = Stroke([(0.02, 0.04), (0.1, 0.22)], 0.1, p.shade)
    return [*ears, Ellipse((0, 0), (0.82, 1.0), p.base), *white, *pupils, nose, smile]


def person(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A standing figure with a head of skin colour and coloured clothes."""
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
    """Three letters on a coloured sign; they are never mirrored."""
    dark = sum(p.base) < 480
    ink = BRIGHT if dark else INK
    shapes: list[Shape] = [box(-1.0, -0.52, 1.0, 0.52, p.base)]
    for k, letter in enumerate(rng.choice(list(LETTERS), 3)):
        for points in LETTERS[str(letter)]:
            placed = [(-0.76 + 0.57 * k + 0.38 * x, -0.28 + 0.56 * y) for x, y in points]
            shapes.append(Stroke(placed, 0.14, ink))
    return shapes


def house(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """Walls, a darker gable roof, a door and two windows."""
    roof = Polygon([(-1.0, -0.12), (0, -1.0), (1.0, -0.12)], p.shade)
    windows = [box(x, 0.1, x + 0.32, 0.44, GLASS) for x in (-0.64, 0.32)]
    chimney = box(0.42, -0.95, 0.66, -0.4, p.shade)
    return [chimney, box(-0.8, -0.14, 0.8, 0.92, p.base), roof, *windows, box(-0.18, 0.34, 0.18, 0.92, WOOD)]


def car(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A saloon seen from the side."""
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
    """A sailing boat: dark hull, two sails."""
    hull = Polygon([(-1.0, 0.4), (1.0, 0.4), (0.66, 0.92), (-0.66, 0.92)], p.shade)
    main = Polygon([(0.1, -1.0), (0.1, 0.24), (0.86, 0.24)], p.base)
    jib = Polygon([(-0.1, -0.78), (-0.1, 0.24), (-0.68, 0.24)], p.tint)
    return [Stroke([(0.0, -1.0), (0.0, 0.4)], 0.1, WOOD), hull, main, jib]


def dog(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A dog from the side: tail up, hanging ear, snout."""
    far = [Stroke([(x, 0.3), (x, 0.82)], 0.19, p.shade) for x in (-0.36, 0.26)]
    near = [Stroke([(x, 0.3), (x, 0.86)], 0.21, p.base) for x in (-0.6, 0.48)]
    tail = Stroke([(-0.66, 0.05), (-0.94, -0.46)], 0.17, p.base)
    body = Ellipse((-0.08, 0.18), (0.7, 0.36), p.base)
    head = [Ellipse((0.58, -0.36), (0.36, 0.34), p.base), Ellipse((0.88, -0.22), (0.22, 0.17), p.base)]
    ear = Ellipse((0.38, -0.34), (0.14, 0.32), p.shade)
    marks = [Ellipse((0.68, -0.44), (0.09, 0.09), p.ink), Ellipse((1.02, -0.28), (0.1, 0.09), p.ink)]
    return [*far, *near, tail, body, *head, ear, *marks]


def bird(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A round bird with an orange beak and legs, a dark wing and a tail."""
    legs = [Stroke([(x, 0.5), (x, 0.94)], 0.11, BEAK) for x in (-0.18, 0.16)]
    tail = Polygon([(-0.5, 0.1), (-1.06, -0.3), (-0.92, 0.3)], p.shade)
    beak = Polygon([(0.62, -0.62), (1.08, -0.42), (0.62, -0.24)], BEAK)
    body, head = Ellipse((-0.06, 0.18), (0.68, 0.48), p.base), Ellipse((0.42, -0.44), (0.38, 0.36), p.base)
    wing = Polygon([(0.22, 0.0), (-0.62, -0.12), (-0.26, 0.42)], p.shade)
    eye = [Ellipse((0.5, -0.5), (0.14, 0.14), BRIGHT), Ellipse((0.53, -0.5), (0.08, 0.08), INK)]
    return [*legs, tail, beak, body, head, wing, *eye]


def pizza(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A slice with a brown crust and round toppings."""
    slice_ = Polygon([(-0.92, -0.6), (0.92, -0.6), (0.0, 1.0)], p.base)
    crust = Stroke([(-0.86, -0.68), (-0.4, -0.82), (0.4, -0.82), (0.86, -0.68)], 0.3, (186, 122, 58))
    spots = [Ellipse(c, (0.2, 0.2), p.shade) for c in ((-0.36, -0.3), (0.34, -0.26), (0.0, 0.26))]
    return [slice_, *spots, crust]


def apple(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """An apple with a stalk, a leaf and a gleam."""
    halves = [Ellipse((x, 0.18), (0.6, 0.74), p.base) for x in (-0.28, 0.28)]
    stalk = Stroke([(0.0, -0.44), (0.08, -0.88)], 0.14, WOOD)
    leaf = Polygon([(0.1, -0.66), (0.34, -0.96), (0.74, -0.88), (0.48, -0.62)], LEAF)
    return [stalk, leaf, *halves, Ellipse((-0.42, -0.06), (0.14, 0.22), p.tint)]


def hammer(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A claw hammer, leaning; the head has the colour, the handle is wood."""
    handle = Stroke([(0.0, 0.98), (0.0, -0.5)], 0.24, WOOD)
    head = Polygon([(-0.74, -0.86), (0.36, -0.86), (0.36, -0.34), (-0.74, -0.34)], p.base)
    claw = Polygon([(0.36, -0.86), (0.7, -0.84), (0.98, -0.42), (0.62, -0.52), (0.36, -0.34)], p.base)
    block = Polygon([(-0.84, -0.94), (-0.56, -0.94), (-0.56, -0.26), (-0.84, -0.26)], p.shade)
    return turned([handle, head, claw, block], 28)


def cup(p: Palette, rng: np.random.Generator) -> list[Shape]:
    """A mug with a ring handle, filled with coffee."""
    turns = np.linspace(-1.9, 1.9, 9)
    ring = [(0.56 + 0.36 * float(np.cos(a)), 0.08 + 0.42 * float(np.sin(a))) for a in turns]
    wall = Polygon([(-0.76, -0.66), (0.56, -0.66), (0.44, 0.92), (-0.64, 0.92)], p.base)
    rim, coffee = Ellipse((-0.1, -0.66), (0.66, 0.22), p.tint), Ellipse((-0.1, -0.64), (0.52, 0.14), (96, 58, 32))
    return [Stroke(ring, 0.17, p.base), wall, rim, coffee]


OBJECTS: dict[str, Callable[[Palette, np.random.Generator], list[Shape]]] = {
    draw.__name__: draw
    for draw in (face, person, word, house, car, boat, dog, bird, pizza, apple, hammer, cup)
}


@dataclass(frozen=True)
class Stage:
    """What a background is painted on: canvas, height of the horizon (pixels) and light."""

    image: Image.Image
    draw: ImageDraw.ImageDraw
    horizon: int
    light: float
    rng: np.random.Generator

    def lit(self, colour: Colour) -> Colour:
        """Return a colour in this scene's light."""
        return tuple(min(255, round(channel * self.light)) for channel in colour)

    def fade(self, top: int, bottom: int, upper: Colour, lower: Colour) -> None:
        """Fill the rows from `top` to `bottom` with a vertical gradient."""
        strip = Image.new("RGB", (1, 2))
        strip.putdata([self.lit(upper), self.lit(lower)])
        band = strip.resize((1, bottom - top), Image.Resampling.BILINEAR)
        self.image.paste(band.resize((CANVAS, bottom - top), Image.Resampling.NEAREST), (0, top))

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """Fill a circle, in canvas pixels."""
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def road(s: Stage) -> None:
    """A street before a row of buildings."""
    s.fade(0, s.horizon, (150, 186, 220), (206, 220, 232))
    x = 0
    while x < CANVAS:
        width, top, grey = (int(s.rng.integers(*r)) for r in ((24, 44), (12, s.horizon - 18), (112, 156)))
        s.draw.rectangle((x, top, x + width - 5, s.horizon), fill=s.lit((grey, grey - 6, grey - 16)))
        x += width
    kerb = s.horizon + CANVAS // 22
    s.draw.rectangle((0, s.horizon, CANVAS, kerb), fill=s.lit((176, 172, 164)))
    s.fade(kerb, CANVAS, (96, 96, 100), (78, 78, 84))
    line = kerb + round(0.6 * (CANVAS - kerb))
    for x in range(6, CANVAS, 54):
        s.draw.rectangle((x, line, x + 26, line + 6), fill=s.lit((236, 226, 180)))


def beach(s: Stage) -> None:
    """Sky, sun, sea and sand."""
    shore = round(0.58 * s.horizon)
    s.fade(0, shore, (104, 190, 244), (190, 228, 248))
    s.disc(CANVAS * float(s.rng.uniform(0.12, 0.88)), CANVAS * 0.12, CANVAS * 0.075, (255, 236, 130))
    s.fade(shore, s.horizon, (22, 104, 176), (40, 146, 196))
    s.draw.rectangle((0, s.horizon, CANVAS, s.horizon + 5), fill=s.lit((240, 246, 246)))
    s.fade(s.horizon + 5, CANVAS, (232, 206, 150), (222, 190, 128))


def field(s: Stage) -> None:
    """A meadow with fir trees."""
    s.fade(0, s.horizon, (136, 198, 246), (206, 232, 248))
    s.fade(s.horizon, CANVAS, (122, 190, 84), (92, 160, 66))
    for x in s.rng.integers(0, CANVAS, 4).tolist():
        height, wide = int(s.rng.integers(34, 52)), int(s.rng.integers(14, 20))
        crown = [(x - wide, s.horizon), (x, s.horizon - height), (x + wide, s.horizon)]
        s.draw.polygon(crown, fill=s.lit((30, 98, 52)))
        s.draw.rectangle((x - 3, s.horizon, x + 3, s.horizon + 6), fill=s.lit((92, 66, 42)))


def room(s: Stage) -> None:
    """A wall with a window, and a wooden floor."""
    floor = round(1.2 * s.horizon)
    s.fade(0, floor, (238, 220, 196), (224, 202, 176))
    s.fade(floor, CANVAS, (166, 116, 74), (134, 90, 56))
    s.draw.rectangle((0, floor, CANVAS, floor + 6), fill=s.lit((250, 244, 234)))
    left = CANVAS * float(s.rng.uniform(0.06, 0.68))
    frame = (left, 14, left + 52, 68)
    s.draw.rectangle(frame, fill=(166, 214, 242), outline=s.lit((122, 86, 58)), width=5)
    s.draw.line((left + 26, 14, left + 26, 68), fill=s.lit((122, 86, 58)), width=4)
    s.draw.line((left, 41, left + 52, 41), fill=s.lit((122, 86, 58)), width=4)


def snow(s: Stage) -> None:
    """Capped mountains behind a snow field."""
    s.fade(0, s.horizon, (176, 198, 228), (220, 230, 242))
    first = int(s.rng.integers(20, 80))
    for x, top, grey in ((first, 0.2, 118), (first + 96, 0.36, 104)):
        peak, wide = round(s.horizon * top), 70
        rock = [(x - wide, s.horizon), (x, peak), (x + wide, s.horizon)]
        s.draw.polygon(rock, fill=s.lit((grey, grey + 12, grey + 42)))
        cap = 0.3 * (s.horizon - peak)
        edge = 0.3 * wide
        s.draw.polygon([(x - edge, peak + cap), (x, peak), (x + edge, peak + cap)], fill=s.lit((240, 244, 250)))
    s.fade(s.horizon, CANVAS, (244, 248, 254), (214, 224, 240))


def night(s: Stage) -> None:
    """Moon and stars over dark land."""
    s.fade(0, s.horizon, (18, 22, 62), (48, 50, 104))
    for x, y in s.rng.integers(0, (CANVAS, s.horizon - 10), (9, 2)).tolist():
        s.disc(x, y, 2.6, (250, 246, 206))
    s.disc(CANVAS * float(s.rng.uniform(0.12, 0.88)), CANVAS * 0.13, CANVAS * 0.08, (240, 238, 214))
    s.fade(s.horizon, CANVAS, (58, 54, 82), (38, 36, 60))


BACKGROUNDS: dict[str, Callable[[Stage], None]] = {
    paint.__name__: paint for paint in (road, beach, field, room, snow, night)
}


def paint_background(background: str, horizon: float, light: float, seed: int) -> Image.Image:
    """Paint a background on a new canvas; `horizon` is a share of the height."""
    image = Image.new("RGB", (CANVAS, CANVAS))
    stage = Stage(
        image, ImageDraw.Draw(image), round(horizon * CANVAS), light, np.random.default_rng(seed)
    )
    BACKGROUNDS[background](stage)
    return image


def paint_object(image: Image.Image, name: str, colour: str, frame: Frame, seed: int) -> None:
    """Paint an object in place: first the halo of its whole silhouette, then its shapes."""
    palette = Palette.of(colour)
    shapes = OBJECTS[name](palette, np.random.default_rng(seed))
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        shape.paint(draw, frame, palette.halo)
    for shape in shapes:
        shape.paint(draw, frame)
