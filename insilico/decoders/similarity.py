"""How alike texts are to pictures: cosines of CLIP's embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from insilico.decoders.painting import loaded_clip
from insilico.spaces.meanings import BATCH, read_by, unit
from insilico.step import batches, device
from insilico.weights.folders import digest


@torch.inference_mode()
def clip_pairs(texts: list[str], images: np.ndarray, folder: Path) -> np.ndarray:
    """Return CLIP's cosine of each text and its own picture, float64 (n,).

    Parameters
    ----------
    texts : list of n str
    images : uint8 (n, height, width, 3)
    """
    model, tokenizer, processor = loaded_clip(folder, digest(folder), device())
    found = []
    for rows in batches(range(len(texts)), BATCH, "pictures"):
        words = read_by(tokenizer, [texts[k] for k in rows]).to(device())
        pixels = processor(list(images[rows]), return_tensors="pt")["pixel_values"].to(device())
        said = unit(model.get_text_features(**words).pooler_output)
        shown = unit(model.get_image_features(pixel_values=pixels).pooler_output)
        found.append((said * shown).sum(1))
    return np.concatenate(found)
