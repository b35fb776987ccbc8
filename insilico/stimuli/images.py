"""Pictures of any origin -> stimuli: whatever Pillow opens, brought to one size."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field

from insilico.errors import StimulusError
from insilico.stimuli.files import Files
from insilico.stimuli.lazy import FileArray, lazy

OTHERS = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats that Pillow recognises only, or draws with Ghostscript."""


class Images(Files):
    """Picture files: upright as EXIF says, on white, centre-cropped to a square and resized.

    Attributes
    ----------
    path, broken
        See `Files`.
    size : int
        Side of the resulting pictures in pixels; the phantom's networks need 64.
    """

    kind: ClassVar[str] = "images"
    modality: ClassVar[str] = "image"
    what: ClassVar[str] = "pictures"
    size: int = Field(64, ge=8, le=2048)

    @classmethod
    def suffixes(cls) -> Collection[str]:
        """Return the suffixes of the formats that are read, the common ones first."""
        known, read = sorted(Image.registered_extensions().items()), formats()
        return dict.fromkeys(
            [".jpg", ".jpeg", ".png", *(suffix for suffix, name in known if name in read)]
        )

    @staticmethod
    def tried(file: Path) -> None:
        """Decode a picture, small."""
        read_picture(file, 8)

    def shown(self, files: list[Path], heads: list[Any]) -> xr.Dataset:
        """Return `image`, uint8 (stimulus, size, size, 3)."""
        read = partial(read_picture, size=self.size)
        array = FileArray(files, (self.size, self.size, 3), np.uint8, read)
        size = f"{self.size} x {self.size}"
        return xr.Dataset(
            {"image": lazy(("stimulus", "y_pixel", "x_pixel", "rgb"), array)},
            attrs={
                "modality": "image",
                "note": f"pictures were cropped to their central square and resized to {size}",
            },
        )


def formats() -> list[str]:
    """Return the formats that Pillow opens by itself: no stubs, no foreign programs."""
    Image.init()
    return [name for name in Image.OPEN if name not in OTHERS]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what Pillow says of a file into a `StimulusError` that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata and large files
            yield
    except UnidentifiedImageError as error:
        raise StimulusError(f"{path}: not a picture that Pillow can open") from error
    except Image.DecompressionBombError as error:
        raise StimulusError(
            f"{path}: too large ({error}); scale it down to fewer than 178 million pixels"
        ) from error
    except Exception as error:  # each of Pillow's decoders fails in its own way
        raise StimulusError(f"{path}: truncated, damaged or unreadable ({error})") from error


def read_picture(path: str | Path, size: int) -> np.ndarray:
    """Read a picture file as a square.

    Parameters
    ----------
    path : path
        Anything that Pillow opens by itself; of animations the first frame.
    size : int
        Side in pixels.

    Returns
    -------
    uint8, (size, size, 3)

    Raises
    ------
    StimulusError
        If the file is missing, not a picture, truncated or absurdly large.
    """
    path = Path(path)
    with _named(path):
        with Image.open(path, formats=formats()) as picture:
            picture.verify()  # the end of a PNG, which decoding does not need
        with Image.open(path, formats=formats()) as picture:
            picture.draft("RGB", (4 * size, 4 * size))
            return squared(ImageOps.exif_transpose(picture), size)


def squared(picture: Image.Image, size: int) -> np.ndarray:
    """Return an upright picture's central square, uint8 (size, size, 3)."""
    return np.asarray(ImageOps.fit(_on_white(picture), (size, size), Image.Resampling.LANCZOS))


def _on_white(picture: Image.Image) -> Image.Image:
    """Return a picture in RGB: transparency over white, deep grey scaled to 8 bits."""
    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(picture))).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """Scale integers of 16 bits by their range, anything beyond by its own extremes."""
    grey = np.nan_to_num(grey.astype(np.float32))
    low, high = (0.0, 65535.0) if 255 < grey.max() <= 65535 and grey.min() >= 0 else (0.0, 255.0)
    if grey.min() < low or grey.max() > high:
        low, high = float(grey.min()), float(grey.max())
    return np.round((grey - low) / (high - low) * 255).astype(np.uint8)
