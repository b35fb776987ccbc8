"""Scores in the embedding of a CLIP: cosine, two-way identification, top-1 retrieval.

On the phantom the judge is its second CLIP, which has never made a decoder's target.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

import insilico
from insilico.errors import WeightsError
from insilico.scores.score import Score, top1, two_way
from insilico.step import batches, device, short_digest

NAMED = {"phantom": Path(insilico.__file__).parent / "phantom" / "weights" / "judge_clip"}


@lru_cache(maxsize=2)
def _clip(folder: str, where: str) -> tuple[Any, Any]:
    from transformers import CLIPImageProcessorPil, CLIPModel

    model = CLIPModel.from_pretrained(folder).float().eval().to(where)
    return model, CLIPImageProcessorPil.from_pretrained(folder)


def embed(images: np.ndarray, folder: str) -> np.ndarray:
    """Return unit-length image embeddings, float64 (n, width), of uint8 images (n, y, x, rgb)."""
    import torch

    model, processor = _clip(folder, device())
    found = []
    for part in batches(images, 128, "embed"):
        pixels = processor(list(part), return_tensors="pt")["pixel_values"].to(device())
        with torch.inference_mode():
            found.append(model.get_image_features(pixel_values=pixels).pooler_output.cpu().numpy())
    vectors = np.concatenate(found).astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class ClipCosine(Score):
    """Cosine of the CLIP image embeddings of a picture and its reconstruction.

    Parameters
    ----------
    weights : str
        ``"phantom"`` (its judge CLIP), or the folder of a CLIP of transformers.
    """

    kind: ClassVar[str] = "clip_cosine"
    definition: ClassVar[str] = (
        "cosine of projected image embeddings; 'phantom' is the phantom's judge CLIP"
    )
    weights: str = "phantom"

    @property
    def folder(self) -> Path:
        """Folder of the CLIP."""
        folder = NAMED.get(self.weights, Path(self.weights))
        if not (folder / "config.json").exists():
            raise WeightsError(f"{self.kind}: no CLIP (config.json, model.safetensors) in {folder}")
        return folder

    def digests(self) -> dict[str, str]:
        """Return the digest of the CLIP's weights."""
        return {"clip": short_digest((self.folder / "model.safetensors").read_bytes())}

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return the cosine of every pair, (draw, stimulus, reconstruction)."""
        folder = str(self.folder)
        shown = embed(stimuli["image"].values, folder)
        made = reconstruction["image"].transpose("draw", "stimulus", ...).values
        return np.stack([shown @ embed(draw, folder).T for draw in made])


class ClipTwoWay(ClipCosine):
    """Two-way identification in the CLIP embedding, by cosine."""

    kind: ClassVar[str] = "clip_two_way"
    definition: ClassVar[str] = (
        "share of other stimuli that the reconstruction resembles less than its own; ties half"
    )

    def values(self, similarity: np.ndarray) -> tuple[np.ndarray, float]:
        """Return each item's two-way identification and chance, one half."""
        return two_way(similarity), 0.5


class ClipTop1(ClipCosine):
    """Whether the reconstruction resembles its own stimulus most, among all stimuli given."""

    kind: ClassVar[str] = "clip_top1"
    definition: ClassVar[str] = "1 if its own stimulus is the most similar of all n given, else 0"

    def values(self, similarity: np.ndarray) -> tuple[np.ndarray, float]:
        """Return hits and chance, one in the number of stimuli."""
        return top1(similarity), 1 / similarity.shape[-1]
