"""What the phantom world is drawn with: colours, shapes and where they are placed.

Objects are lists of shapes in their own coordinates: the origin is the centre of the object, x
points to the right and y downwards, and everything lies within about one unit. A halo is painted
round the whole silhouette first, so an object stands out from any background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import ImageDraw

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
BRIGHT: Colour = (250, 250, 248)
INK: Colour = (24, 22, 28)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; `share` is the weight of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


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
            draw.line(
                [*points, points[0], points[1]], fill=halo, width=round(2 * HALO), joint="curve"
            )


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


def turned(shapes: list[Polygon | Stroke], degrees: float) -> list[Shape]:
    """Turn polygons and strokes clockwise about the origin."""
    angle = np.deg2rad(degrees)
    c, s = float(np.cos(angle)), float(np.sin(angle))

    def turn(points: list[Point]) -> list[Point]:
        return [(c * x - s * y, s * x + c * y) for x, y in points]

    return [replace(shape, points=turn(shape.points)) for shape in shapes]
