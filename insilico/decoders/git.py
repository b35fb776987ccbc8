"""Captions by GIT (Wang et al. 2022, https://arxiv.org/abs/2205.14100), transformers' classes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt

from insilico.decoders.weights import UNREADABLE, digest, found
from insilico.errors import SchemaError, WeightsError, listed
from insilico.schema import check, short_digest
from insilico.step import Step, batches, device

LONGEST = 40


@lru_cache(maxsize=2)
def _loaded(folder: Path, weights: str, where: str) -> tuple[Any, Any, Any]:
    from transformers import AutoTokenizer, CLIPImageProcessorPil, GitForCausalLM

    if not (folder / "config.json").exists():
        raise WeightsError(f"no config.json in {folder}: not the folder of a GIT captioner")
    try:
        model = GitForCausalLM.from_pretrained(folder, use_safetensors=True)
        processor = CLIPImageProcessorPil.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except UNREADABLE as error:
        raise WeightsError(f"{folder} cannot be loaded as GIT: {error}") from error
    return model.float().eval().to(where), tokenizer, processor


def _first_and_last(tokenizer: Any) -> tuple[int, int]:
    """Return what a caption starts and ends with: of BERT's words, [CLS] and [SEP]."""
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    return (
        tokenizer.cls_token_id if start is None else start,
        tokenizer.sep_token_id if end is None else end,
    )


def write_captions(
    images: np.ndarray, folder: Path, batch: int = 64, beams: int = 1, longest: int = LONGEST
) -> list[str]:
    """Caption pictures.

    Parameters
    ----------
    images : uint8 (n, height, width, 3)
    folder : path
        Of a GitForCausalLM with its tokenizer and image processor.
    batch : int
        Pictures captioned together.
    beams : int
        Width of the beam search; 1 is greedy.
    longest : int
        Tokens of a caption at most.

    Returns
    -------
    list of n str
    """
    model, tokenizer, processor = _loaded(folder, digest(folder), device())
    start, end = _first_and_last(tokenizer)
    captions: list[str] = []
    for part in batches(images, batch, "caption"):
        pixels = processor(list(part), return_tensors="pt")["pixel_values"].to(device())
        first = torch.full((len(part), 1), start, device=pixels.device)
        with torch.inference_mode():
            written = model.generate(
                pixel_values=pixels,
                input_ids=first,
                attention_mask=torch.ones_like(first),
                max_new_tokens=min(model.config.max_position_embeddings - 4, longest),
                do_sample=False,
                num_beams=beams,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=end,
            )
        captions += [
            text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)
        ]
    return captions


class Git(Step):
    """Caption the pictures of a reconstruction with GIT; captions that it has are replaced.

    Parameters
    ----------
    weights : str
        ``"phantom"``, a captioner's folder or one that holds it as ``captioner/``, or a hub id such
        as ``microsoft/git-large-coco``.
    beams : int
        Width of the beam search; 1 is greedy.
    longest : int
        Tokens of a caption at most.
    batch : int
        Pictures captioned together.
    """

    kind: ClassVar[str] = "git"
    weights: str = "phantom"
    beams: PositiveInt = Field(1, le=64)
    longest: PositiveInt = LONGEST
    batch: PositiveInt = 64

    def digests(self) -> dict[str, str]:
        """Return the digest of the captioner."""
        return {"captioner": digest(found(self.weights, "captioner"))}

    def __call__(self, reconstruction: xr.Dataset) -> xr.Dataset:
        """Add captions.

        Parameters
        ----------
        reconstruction : reconstruction, (stimulus, draw), with `image`

        Returns
        -------
        reconstruction
            With `caption`, str (stimulus, draw).

        Raises
        ------
        SchemaError
            If there are no pictures.
        WeightsError
        """
        if "image" not in check(reconstruction, "reconstruction"):
            raise SchemaError(
                f"git: captions are written of pictures; this reconstruction holds "
                f"{listed(reconstruction.data_vars)}: decode pictures first"
            )
        used = short_digest(self.digests())
        pixels = ("stimulus", "draw", "y_pixel", "x_pixel", "rgb")
        image = reconstruction["image"].transpose(*pixels).values
        flat, path = image.reshape(-1, *image.shape[2:]), found(self.weights, "captioner")
        said = np.array(write_captions(flat, path, self.batch, self.beams, self.longest))
        made = reconstruction.assign(caption=(("stimulus", "draw"), said.reshape(image.shape[:2])))
        attrs = {"captioner_weights": used, "captioner_beams": self.beams}
        return check(made.assign_attrs(attrs), "reconstruction")
