"""The step MARY-Nano: pictures in, the cortex of an average subject out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from insilico.encoders.network import CONFIG, WEIGHTS, MaryNanoConfig, MaryNanoModel
from insilico.errors import ParameterError, StimulusError, WeightsError, not_one_of
from insilico.schema import check, short_digest
from insilico.step import Step, batches, device

FAR = 2.6
"""Standard deviations beyond which a picture counts as of another world: 2 in 100 new scenes do."""


def weights_folder(weights: str) -> Path:
    """Return the folder of the weights: a path, or ``"phantom"`` for those shipped."""
    if weights == "phantom":
        return Path(str(files("insilico.phantom"))) / "weights" / "mary_nano"
    return Path(weights).expanduser()


def weights_digest(folder: Path) -> str:
    """Return a digest of config and weights."""
    try:
        return short_digest(*((folder / name).read_bytes() for name in (CONFIG, WEIGHTS)))
    except OSError as error:
        raise WeightsError(f"{folder}: weights of MARY-Nano cannot be read: {error}") from error


@lru_cache(maxsize=2)
def _loaded(folder: Path, digest: str, where: str) -> MaryNanoModel:
    return MaryNanoModel.from_pretrained(folder).to(where)


def films(images: np.ndarray, side: int) -> Tensor:
    """Turn pictures into films of one frame, the middle square at the size that the model sees.

    Parameters
    ----------
    images : uint8, (n, height, width, 3)
    side : int
        Height and width of a frame.

    Returns
    -------
    float32, (n, 1, 3, side, side), in [-1, 1]
    """
    height, width = images.shape[1:3]
    square = min(height, width)
    y, x = (height - square) // 2, (width - square) // 2
    cut = np.array(images[:, y : y + square, x : x + square])
    pixels = torch.from_numpy(cut).permute(0, 3, 1, 2).float()
    if square != side:
        size = (side, side)
        pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return pixels.div(127.5).sub(1)[:, None]


def pictures_of(stimuli: xr.Dataset) -> np.ndarray:
    """Return the pictures of stimuli, uint8 (n, height, width, 3), or say what is wrong."""
    check(stimuli, "stimuli")
    if "image" not in stimuli:
        held = ", ".join(map(str, stimuli.data_vars))
        raise StimulusError(f"MARY-Nano sees images; these stimuli hold {held}")
    images = stimuli["image"].values
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise StimulusError(
            f"image must be uint8 (stimulus, y_pixel, x_pixel, rgb); is {images.dtype} "
            f"{images.shape}"
        )
    return images


class MaryNano(Step):
    """Encode images into the responses of a subject's cortex.

    An image is a film of one second at one frame a second, and has two rows; the response is their
    mean. The rows' hemodynamic offset is recorded in the attributes and not applied.

    Attributes
    ----------
    weights : str
        Folder of a trained MARY-Nano, or ``"phantom"``.
    subject : str
        ``"average"`` or a subject that the weights know.
    tr_s : float
        Seconds between rows; must be the weights' own.
    """

    kind: ClassVar[str] = "mary_nano"
    weights: str = "phantom"
    subject: str = "average"
    tr_s: float = Field(default=1.0, gt=0)

    def digests(self) -> dict[str, str]:
        """Return the digest of the weights."""
        return {"weights": weights_digest(weights_folder(self.weights))}

    def model(self) -> MaryNanoModel:
        """Return the network on the current device."""
        folder = weights_folder(self.weights)
        return _loaded(folder, weights_digest(folder), device())

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the response on fsaverage5; `stimuli` hold `image`."""
        from insilico.spaces import fsaverage5

        images, model = pictures_of(stimuli), self.model()
        subject, attrs = self._subject(model.config), self._attrs(model.config)
        features = _fused(images, model)
        scores = _scores(model, features)
        if far := int((scores > FAR).sum()):
            attrs["note"] = (
                f"{far} of {len(images)} images lie more than {FAR:g} SD outside the pictures that "
                f"the encoder was trained on (largest {scores.max():.1f})"
            )
        bold = _bold(model, features, subject)
        return fsaverage5.response(bold, stimuli["stimulus"].values, **attrs)

    def _subject(self, config: MaryNanoConfig) -> int:
        if self.subject not in config.subjects:
            raise ParameterError(not_one_of("subject of MARY-Nano", self.subject, config.subjects))
        if self.tr_s != config.tr_s:
            raise ParameterError(f"mary_nano.tr_s is {self.tr_s}; these weights have {config.tr_s}")
        return config.subjects.index(self.subject)

    def _attrs(self, config: MaryNanoConfig) -> dict[str, Any]:
        return {
            "units": config.units,
            "subject": self.subject,
            "hemodynamic_offset_s": config.hemodynamic_offset_s,
            "source": config.source,
            "encoder": self.kind,
            "weights": self.digests()["weights"],
            "tr_s": self.tr_s,
            "rows_averaged": 2,
        }


@torch.inference_mode()
def _fused(images: np.ndarray, model: MaryNanoModel, size: int = 32) -> list[Tensor]:
    """Return the fused features of pictures, batch by batch."""
    parts = []
    for rows in batches(range(len(images)), size, "encode"):
        film = films(images[rows[0] : rows[-1] + 1], model.config.side)
        parts.append(model.fused(film.to(device())))
    return parts


@torch.inference_mode()
def _bold(model: MaryNanoModel, features: list[Tensor], subject: int) -> np.ndarray:
    """Return the mean over rows of the responses, float32 (n, vertices)."""
    of_subject = (model.of_subject(part, subject) for part in features)
    return np.concatenate([model.head(part).mean(1).cpu().numpy() for part in of_subject])


@torch.inference_mode()
def _scores(model: MaryNanoModel, features: list[Tensor]) -> np.ndarray:
    return np.concatenate([model.remoteness(part).cpu().numpy() for part in features])


def distance_from_training(
    images: np.ndarray | Sequence[np.ndarray], *, weights: str = "phantom"
) -> np.ndarray:
    """Return how far pictures lie from those that MARY-Nano was trained on.

    Parameters
    ----------
    images : uint8, (n, height, width, 3)
        Or a list of pictures of unequal sizes, (height, width, 3) each.
    weights : str
        Folder of a trained MARY-Nano, or ``"phantom"``.

    Returns
    -------
    float32, (n,)
        Standard deviations of the log Mahalanobis distance of the fused features, in the directions
        along which training scenes vary least: 0 is the mean of new scenes of the phantom; beyond
        `FAR` the picture is of another world.
    """
    model = MaryNano(weights=weights).model()
    alike = [images] if isinstance(images, np.ndarray) else [one[None] for one in images]
    return np.concatenate([_scores(model, _fused(some, model)) for some in alike])
