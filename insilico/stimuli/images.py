"""Pictures of any origin -> stimuli: whatever Pillow opens, brought to one size."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import xarray as xr
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field

from insilico.errors import StimulusError
from insilico.schema import check, short_digest
from insilico.step import Step, batches


class Images(Step):
    """Picture files: upright as EXIF says, on white, centre-cropped to a square and resized.

    Attributes
    ----------
    path : path or list of paths
        Picture files, or folders of them (their pictures in order of name, folders within left
        out).
    size : int
        Side of the resulting pictures in pixels; the phantom's networks need 64.
    """

    kind: ClassVar[str] = "images"
    path: Path | tuple[Path, ...]
    size: int = Field(64, ge=8, le=2048)

    def files(self) -> list[Path]:
        """Return the picture files that the paths name."""
        paths = self.path if isinstance(self.path, tuple) else (self.path,)
        if not paths:
            raise StimulusError("images: no path given; name picture files or a folder of them")
        return [file for path in paths for file in _pictures(path.expanduser())]

    def digests(self) -> dict[str, str]:
        """Return a digest of every file."""
        return {str(file): short_digest(_bytes(file)) for file in self.files()}

    def __call__(self) -> xr.Dataset:
        """Return stimuli with `image`, uint8 (stimulus, size, size, 3)."""
        files = self.files()
        ids = _ids(files)
        image = np.empty((len(files), self.size, self.size, 3), dtype=np.uint8)
        for rows in batches(range(len(files)), 16, "pictures"):
            for row in rows:
                image[row] = read_picture(files[row], self.size)
        size = f"{self.size} x {self.size}"
        return check(
            xr.Dataset(
                {"image": (("stimulus", "y_pixel", "x_pixel", "rgb"), image)},
                coords={
                    "stimulus": ids,
                    "split": ("stimulus", ["given"] * len(ids)),
                    "file": ("stimulus", [file.name for file in files]),
                },
                attrs={
                    "source": "images",
                    "modality": "image",
                    "note": f"pictures were cropped to their central square and resized to {size}",
                },
            ),
            "stimuli",
        )


def _pictures(path: Path) -> list[Path]:
    """Return the picture files under a path: itself, or those in the folder."""
    if not path.exists():
        raise StimulusError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]
    known = Image.registered_extensions()
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in known and _visible(p))
    if not found:
        raise StimulusError(f"{path}: no pictures in this folder (JPEG, PNG, ...)")
    return found


def _visible(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StimulusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _ids(files: list[Path]) -> list[str]:
    """Return the files' names: an id never depends on which other pictures are given."""
    ids = [file.name for file in files]
    twice = [label for label, count in Counter(ids).items() if count > 1]
    if twice:
        raise StimulusError(
            f"{twice[0]}: given twice; a picture's id is its file name: name each picture once"
        )
    return ids


def read_picture(path: str | Path, size: int) -> np.ndarray:
    """Read a picture file as a square.

    Parameters
    ----------
    path : path
        Anything Pillow opens; of animations the first frame.
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata and large files
            return _square(path, size)
    except UnidentifiedImageError as error:
        raise StimulusError(f"{path}: not a picture that Pillow can open") from error
    except Image.DecompressionBombError as error:
        raise StimulusError(
            f"{path}: too large ({error}); scale it down to fewer than 178 million pixels"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise StimulusError(f"{path}: truncated, damaged or unreadable ({error})") from error


def _square(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as picture:
        picture.verify()  # reads a PNG to its end; the pictures of other formats are read below
    with Image.open(path) as picture:
        picture.draft("RGB", (4 * size, 4 * size))
        upright = ImageOps.exif_transpose(picture)
        square = ImageOps.fit(_on_white(upright), (size, size), Image.Resampling.LANCZOS)
    return np.asarray(square)


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
