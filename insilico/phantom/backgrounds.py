"""The six backgrounds of the phantom world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from insilico.phantom.drawing import CANVAS, Colour


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
        red, green, blue = (min(255, round(channel * self.light)) for channel in colour)
        return red, green, blue

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
    """Paint a street before a row of buildings."""
    s.fade(0, s.horizon, (150, 186, 220), (206, 220, 232))
    x = 0
    while x < CANVAS:
        width, top, grey = (
            int(s.rng.integers(*r)) for r in ((24, 44), (12, s.horizon - 18), (112, 156))
        )
        s.draw.rectangle(
            (x, top, x + width - 5, s.horizon), fill=s.lit((grey, grey - 6, grey - 16))
        )
        x += width
    kerb = s.horizon + CANVAS // 22
    s.draw.rectangle((0, s.horizon, CANVAS, kerb), fill=s.lit((176, 172, 164)))
    s.fade(kerb, CANVAS, (96, 96, 100), (78, 78, 84))
    line = kerb + round(0.6 * (CANVAS - kerb))
    for x in range(6, CANVAS, 54):
        s.draw.rectangle((x, line, x + 26, line + 6), fill=s.lit((236, 226, 180)))


def beach(s: Stage) -> None:
    """Paint sky, sun, sea and sand."""
    shore = round(0.58 * s.horizon)
    s.fade(0, shore, (104, 190, 244), (190, 228, 248))
    s.disc(
        CANVAS * float(s.rng.uniform(0.12, 0.88)), CANVAS * 0.12, CANVAS * 0.075, (255, 236, 130)
    )
    s.fade(shore, s.horizon, (22, 104, 176), (40, 146, 196))
    s.draw.rectangle((0, s.horizon, CANVAS, s.horizon + 5), fill=s.lit((240, 246, 246)))
    s.fade(s.horizon + 5, CANVAS, (232, 206, 150), (222, 190, 128))


def field(s: Stage) -> None:
    """Paint a meadow with fir trees."""
    s.fade(0, s.horizon, (136, 198, 246), (206, 232, 248))
    s.fade(s.horizon, CANVAS, (122, 190, 84), (92, 160, 66))
    for x in s.rng.integers(0, CANVAS, 4).tolist():
        height, wide = int(s.rng.integers(34, 52)), int(s.rng.integers(14, 20))
        crown = [(x - wide, s.horizon), (x, s.horizon - height), (x + wide, s.horizon)]
        s.draw.polygon(crown, fill=s.lit((30, 98, 52)))
        s.draw.rectangle((x - 3, s.horizon, x + 3, s.horizon + 6), fill=s.lit((92, 66, 42)))


def room(s: Stage) -> None:
    """Paint a wall with a window, and a wooden floor."""
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
    """Paint capped mountains behind a snow field."""
    s.fade(0, s.horizon, (176, 198, 228), (220, 230, 242))
    first = int(s.rng.integers(20, 80))
    for x, top, grey in ((first, 0.2, 118), (first + 96, 0.36, 104)):
        peak, wide = round(s.horizon * top), 70
        rock = [(x - wide, s.horizon), (x, peak), (x + wide, s.horizon)]
        s.draw.polygon(rock, fill=s.lit((grey, grey + 12, grey + 42)))
        cap = 0.3 * (s.horizon - peak)
        edge = 0.3 * wide
        s.draw.polygon(
            [(x - edge, peak + cap), (x, peak), (x + edge, peak + cap)], fill=s.lit((240, 244, 250))
        )
    s.fade(s.horizon, CANVAS, (244, 248, 254), (214, 224, 240))


def night(s: Stage) -> None:
    """Paint moon and stars over dark land."""
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
