"""One stimulus through the chain, on one page: what was shown, the cortex, what was decoded."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from insilico.errors import listed
from insilico.figures.page import DOUBLE_MM, INK, SOFT, need, sheet, styled
from insilico.figures.surface import VIEWS, vertex_colours, view
from insilico.figures.translations import LOWEST_DB, WINDOW, spectrogram_db

HEIGHT, TOP, SIDE = 104.0, 85.0, 40.0
LEFT, MIDDLE, RIGHT = 4.0, 56.0, 139.0
LONGEST = 170
CMAP, LACKING = "RdBu_r", "□"
SHOWN = {"image": "image", "text": "caption", "sound": "sound", "film": "film"}
TITLES = {"image": "Seen", "text": "Read", "sound": "Heard", "film": "Seen and heard"}
OUTSIDE = "; this lies outside the encoder's world, and what was decoded does not describe it"
UNTAUGHT = "; the encoder was never taught anything of this kind, and what was decoded is a guess"
SPECTROGRAMS = (
    f"spectrograms: windows of {WINDOW} samples, black is {-LOWEST_DB} dB below the loudest"
)
WHAT = {"image": "A picture", "text": "Words", "sound": "A sound", "film": "A film"}


@dataclass(frozen=True)
class Page:
    """A figure on which everything is placed in mm from the lower left corner."""

    figure: Figure

    def axes(self, left: float, bottom: float, width: float, height: float) -> Any:
        """Return axes without ticks or frame."""
        axes = self.figure.add_axes((*self._part(left, bottom), *self._part(width, height)))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return axes

    def text(self, left: float, bottom: float, text: str, **look: Any) -> None:
        """Write text; nothing in it is taken for mathematics."""
        self.figure.text(*self._part(left, bottom), _drawable(text), parse_math=False, **look)

    def _part(self, x: float, y: float) -> tuple[float, float]:
        width, height = self.figure.get_size_inches() * 25.4
        return x / width, y / height


@styled
def one_page(
    stimuli: xr.Dataset,
    response: xr.Dataset,
    reconstruction: xr.Dataset,
    forms: Collection[str] = ("image", "text", "sound"),
    distance: float = np.nan,
    world: float = np.nan,
    unknown: Collection[str] = (),
    taught: bool = True,
) -> Figure:
    """Draw the first stimulus, the response to it, and the first draw decoded from that.

    Parameters
    ----------
    stimuli : stimuli
        Their `modality` says which variable was shown.
    response : response on fsaverage5
    reconstruction : reconstruction
        With a variable for each of `forms`.
    forms : list of {"image", "text", "sound"}
        What to show of what was decoded.
    distance, world : float
        How far the stimulus lies from those that the encoder knows, and how far 98 in 100 new ones
        of its own world do, in standard deviations; NaN where it is not measured.
    unknown : list of str
        Words that the encoder does not know.
    taught : bool
        Whether the encoder has learned from stimuli of this modality, as far as is known.
    """
    modality = str(stimuli.attrs.get("modality", "image"))
    need(stimuli, "one_page", SHOWN[modality])
    need(response, "one_page", "bold", "vertex")
    need(reconstruction, "one_page", *(SHOWN[form] for form in forms))
    made = reconstruction[[SHOWN[form] for form in forms]]
    page = Page(sheet(DOUBLE_MM, HEIGHT))
    page.figure.set_layout_engine("none")
    _head(page, modality, "sound" in stimuli, response)
    _INPUTS[modality](page, stimuli, stimuli.isel(stimulus=0))
    _unknown(page, stimuli, unknown)
    _distance(page, distance, world, taught)
    _cortex(page, response)
    _outputs(page, made)
    far = OUTSIDE if distance > world else "" if taught else UNTAUGHT
    _foot(page, stimuli, response, made, far)
    return page.figure


def _head(page: Page, modality: str, audible: bool, response: xr.Dataset) -> None:
    page.text(LEFT, 97.5, f"{WHAT[modality]} through a simulated cortex", fontsize=11)
    subject = str(response.attrs["subject"])
    subject = "average subject" if subject == "average" else f"subject {subject}"
    said = f"Not a person's brain: {response.attrs['source']}, {subject}"
    page.text(LEFT, 93.3, said, color=SOFT)
    shown = "Seen" if modality == "film" and not audible else TITLES[modality]
    encoder = _written(response.attrs.get("encoder", "encoder"))
    heads = {LEFT: shown, MIDDLE: f"Response predicted by {encoder}", RIGHT: "Decoded"}
    for left, head in heads.items():
        page.text(left, TOP + 1.5, head, fontsize=8)
    for left in (MIDDLE, RIGHT):
        axes = page.axes(left - 9.5, TOP - 23, 6, 6)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        look = {"arrowstyle": "-|>", "color": SOFT, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (1, 0.5), (0, 0.5), arrowprops=look)


def _written(kind: str) -> str:
    names = {"mary_nano": "MARY-Nano", "mindeye2": "MindEye2", "tribe": "TRIBE v2", "berg": "BERG"}
    return names.get(str(kind), str(kind))


# --- what was shown -------------------------------------------------------------------------------


def _seen(page: Page, stimuli: xr.Dataset, one: xr.Dataset) -> None:
    _picture(page, LEFT, TOP - SIDE, SIDE, one["image"].values)


def _read(page: Page, stimuli: xr.Dataset, one: xr.Dataset) -> None:
    quoted = _quoted(one["caption"], 23)
    page.text(LEFT, TOP - 2, quoted, fontsize=9, va="top", linespacing=1.35)


def _heard(
    page: Page, stimuli: xr.Dataset, one: xr.Dataset, top: float = TOP, height: float = 22
) -> None:
    n = int(one["n_samples"]) if "n_samples" in one.coords else one.sizes["sample"]
    if n:
        rate = int(stimuli.attrs["sampling_rate_hz"])
        _spectrogram(page, LEFT, top, one["sound"].values[:n], rate, height)


def _watched(page: Page, stimuli: xr.Dataset, one: xr.Dataset) -> None:
    n = int(one["n_frames"]) if "n_frames" in one.coords else one.sizes["frame"]
    side, rate = SIDE / 2 - 0.5, float(stimuli.attrs["frame_rate_hz"])
    for k, at in enumerate(np.unique(np.linspace(0, n - 1, 4).round().astype(int))):
        left, bottom = LEFT + (side + 1) * (k % 2), TOP - side - (side + 1) * (k // 2)
        _picture(page, left, bottom, side, one["film"].values[at])
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        page.text(left + 0.6, bottom + 0.7, f"{at / rate:.3g} s", fontsize=5.5, bbox=box)
    if "sound" in one:
        _heard(page, stimuli, one, TOP - SIDE - 2, 12)


_INPUTS: dict[str, Callable[[Page, xr.Dataset, xr.Dataset], None]] = {
    "image": _seen,
    "text": _read,
    "sound": _heard,
    "film": _watched,
}


def _unknown(page: Page, stimuli: xr.Dataset, unknown: Collection[str]) -> None:
    if unknown:
        text = f"unknown to the encoder: {listed(unknown)}"
        page.text(LEFT, TOP - 54, textwrap.fill(_short(text, 150), 40), fontsize=6, color=SOFT)


def _distance(page: Page, distance: float, world: float, taught: bool) -> None:
    """Draw where the stimulus lies between the encoder's own world and others."""
    if not np.isfinite(distance):
        text = "How far this lies from what\nthe encoder knows is not measured."
        text = text if taught else "The encoder was never taught\nanything of this kind."
        page.text(LEFT, TOP - 67, text, fontsize=6, color=SOFT)
        return
    axes, low, high = page.axes(LEFT, TOP - 63.5, SIDE, 1.8), -3.0, 12.0
    axes.barh(0, high - low, 1, low, color="#ececec")
    axes.barh(0, world - low, 1, low, color="#a9a9a9")
    at = float(np.clip(distance, low + 0.2, high - 0.2))
    beyond = distance > high or distance < low  # the mark points past the end of the bar
    mark, height = (">" if distance > high else "<", 0.0) if beyond else ("v", 0.95)
    axes.plot([at], [height], marker=mark, markersize=5, color=INK, clip_on=False)
    axes.set(xlim=(low, high), ylim=(-0.5, 0.5))
    axes.set_xticks([0, world], ["0", f"{world:g}"])
    side = {"ha": "right", "x": at - 0.5} if at > 6 else {"ha": "left", "x": at + 0.5}
    said = f"{distance:.1f} SD" + (", beyond this bar" if beyond else "")
    axes.text(y=0.75, s=said, va="bottom", fontsize=6.5, **side)
    axes.tick_params(length=1.5, pad=1.5)
    label = "SD from what the encoder knows\n(dark: 98 in 100 new scenes of its own)"
    page.text(LEFT, TOP - 67.3, label, fontsize=6, va="top", linespacing=1.25)


# --- the cortex -----------------------------------------------------------------------------------


def _cortex(page: Page, response: xr.Dataset) -> None:
    values = response["bold"].isel(stimulus=0).values.astype(float)
    top = float(np.nanpercentile(np.abs(values), 98)) or 1.0
    colours = vertex_colours(values, (-top, top), CMAP)
    for k, (hemi, side) in enumerate((VIEWS[0], VIEWS[3], VIEWS[1], VIEWS[2])):
        left, bottom = MIDDLE + 36 * (k % 2), TOP - 28 - 30 * (k // 2)
        view(page.axes(left, bottom, 35, 27), colours, hemi, side)
    for left, name in ((MIDDLE, "left"), (MIDDLE + 36, "right")):
        page.text(left + 17.5, TOP - 30.5, name, color=SOFT, ha="center", va="center")
    bar = page.figure.colorbar(
        ScalarMappable(Normalize(-top, top), CMAP),
        cax=page.axes(MIDDLE + 20, TOP - 63.5, 31, 1.8),
        orientation="horizontal",
    )
    bar.set_ticks([-top, 0, top], labels=[f"−{top:.2g}", "0", f"{top:.2g}"])
    bar.set_label(f"response ({response.attrs['units']})", labelpad=1)
    bar.outline.set_visible(False)


# --- what was decoded -----------------------------------------------------------------------------


def _outputs(page: Page, reconstruction: xr.Dataset) -> None:
    made, top = reconstruction.isel(stimulus=0, draw=0), TOP
    if "image" in made:
        _picture(page, RIGHT, top - SIDE, SIDE, made["image"].values)
        top -= SIDE
    if "caption" in made:
        lines = _quoted(made["caption"], 30)
        page.text(RIGHT, top - 2.2, lines, va="top", linespacing=1.25)
        top -= 3.6 + 3.2 * (lines.count("\n") + 1)
    if "sound" in made:
        rate = int(reconstruction.attrs["sampling_rate_hz"])
        beside = top < TOP
        _spectrogram(
            page, RIGHT, top - 1.5 * beside, made["sound"].values, rate, 12 if beside else 22
        )


def _picture(page: Page, left: float, bottom: float, side: float, pixels: np.ndarray) -> None:
    axes = page.axes(left, bottom, side, side)
    axes.imshow(pixels, interpolation="nearest", aspect="auto")


def _spectrogram(
    page: Page, left: float, top: float, wave: np.ndarray, rate: int, height: float = 22
) -> None:
    axes = page.axes(left + 5, top - height, SIDE - 5, height)
    extent = (0, len(wave) / rate, 0, rate / 2000)
    axes.imshow(spectrogram_db(wave, rate), origin="lower", aspect="auto", cmap="magma",
                vmin=LOWEST_DB, vmax=0, extent=extent)  # fmt: skip
    axes.set_yticks([0, rate / 2000])
    axes.set_xticks([0, round(extent[1], 2)])
    axes.tick_params(labelsize=6, length=1.5, pad=1.2)
    axes.set_xlabel("s", labelpad=-5, fontsize=6)
    axes.set_ylabel("kHz", labelpad=-3, fontsize=6)


# --- words ----------------------------------------------------------------------------------------


def _quoted(caption: xr.DataArray, width: int) -> str:
    text = str(caption.values)
    more = f" ({len(text.split()):,} words)" if len(text) > LONGEST else ""
    return textwrap.fill(f"“{_short(text, LONGEST)}”{more}", width)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()} …"


def _drawable(text: str) -> str:
    """Return a text with a box for each character that the font lacks."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    return "".join(c if c == "\n" or ord(c) in known else LACKING for c in text)


def _foot(
    page: Page, stimuli: xr.Dataset, response: xr.Dataset, made: xr.Dataset, far: str
) -> None:
    rows, drawn = response.attrs.get("rows_averaged"), "sound" in made or "sound" in stimuli
    parts = [
        f"Everything but what was shown is simulated{far}",
        str(stimuli.attrs.get("note", "")),
        f"map: mean of {rows} rows of {response.attrs.get('tr_s', 1):g} s" if rows else "",
        f"decoder: {_written(made.attrs['decoder'])}, seed {made.attrs['seed']}",
        SPECTROGRAMS if drawn else "",
        str(made.attrs.get("sound_order", "")) if "sound" in made else "",
    ]
    text = textwrap.fill("; ".join(filter(None, parts)) + ".", 175)
    page.text(LEFT, 2.5, text, fontsize=5.4, color=SOFT, va="bottom", linespacing=1.25)
