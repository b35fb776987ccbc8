"""Captions by GIT (Wang et al. 2022, https://arxiv.org/abs/2205.14100), transformers' classes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from insilico.decoders.weights import digest
from insilico.errors import WeightsError
from insilico.step import batches, device


@lru_cache(maxsize=2)
def _loaded(folder: Path, weights: str, where: str) -> tuple[Any, Any, Any]:
    from transformers import AutoTokenizer, CLIPImageProcessorPil, GitForCausalLM

    if not (folder / "config.json").exists():
        raise WeightsError(f"no config.json in {folder}: not the folder of a GIT captioner")
    model = GitForCausalLM.from_pretrained(folder).float().eval().to(where)
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    return model, AutoTokenizer.from_pretrained(folder), processor


def write_captions(images: np.ndarray, folder: Path, batch: int = 64) -> list[str]:
    """Caption pictures greedily.

    Parameters
    ----------
    images : uint8 (n, height, width, 3)
    folder : path
        Of a GitForCausalLM with its tokenizer and image processor.

    Returns
    -------
    list of n str
    """
    model, tokenizer, processor = _loaded(folder, digest(folder), device())
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id
    captions: list[str] = []
    for part in batches(images, batch, "caption"):
        pixels = processor(list(part), return_tensors="pt")["pixel_values"].to(device())
        first = torch.full((len(part), 1), start, device=pixels.device)
        with torch.inference_mode():
            written = model.generate(
                pixel_values=pixels,
                input_ids=first,
                attention_mask=torch.ones_like(first),
                max_new_tokens=model.config.max_position_embeddings - 4,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        captions += [
            text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)
        ]
    return captions
