"""Captions by GIT (Wang et al. 2022, https://arxiv.org/abs/2205.14100), transformers' classes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt

from insilico.errors import SchemaError, WeightsError, listed
from insilico.schema import check, short_digest
from insilico.step import Step, batches, device, memory
from insilico.weights.folders import UNREADABLE, digest, found, found_digest
from insilico.weights.shelf import kept

BATCH, LONGEST = 64, 40
PUBLISHED_LENGTH = 19
"""New tokens of a decoded caption: 20 with the start, as the authors count."""


@kept("captioner", 2)
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
    images: np.ndarray,
    folder: Path,
    beams: int = 1,
    longest: int = LONGEST,
    most: int | None = None,
) -> list[str]:
    """Caption pictures.

    Parameters
    ----------
    images : uint8 (n, height, width, 3)
    folder : path
        Of a GitForCausalLM with its tokenizer and image processor.
    beams : int
        Width of the beam search; 1 is greedy.
    longest : int
        Tokens of a caption at most.
    most : int, optional
        Pictures that fit into memory together.

    Returns
    -------
    list of n str
    """
    model, tokenizer, processor = _loaded(folder, digest(folder), device())
    captions: list[str] = []
    for part in batches(images, BATCH, "caption", most):
        pixels = processor(list(part), return_tensors="pt")["pixel_values"].to(device())
        captions += _said(model, tokenizer, pixels, beams, longest)
    return captions


def caption_tokens(
    tokens: torch.Tensor, folder: Path, beams: int = 1, longest: int = PUBLISHED_LENGTH
) -> list[str]:
    """Caption what GIT's vision tower would have said of pictures: the tower is passed by.

    Parameters
    ----------
    tokens : (n, tokens, channels)
        In the place of the tower's last hidden state, after its last layer norm.
    folder, beams, longest
        As for `write_captions`.

    Returns
    -------
    list of n str

    Raises
    ------
    WeightsError
        If this captioner sees tokens of another width.
    """
    model, tokenizer, _ = _loaded(folder, digest(folder), device())
    width = model.config.vision_config.hidden_size
    if tokens.shape[-1] != width:
        raise WeightsError(
            f"{folder} sees tokens of {width} channels, the converter makes {tokens.shape[-1]}: "
            "captioner and converter are of different models"
        )
    tower = model.git.image_encoder
    model.git.image_encoder = Seen(tokens)
    try:
        pixels = tokens.new_zeros(len(tokens), 3, 1, 1)  # the tower alone would look at them
        return _said(model, tokenizer, pixels, beams, longest)
    finally:
        model.git.image_encoder = tower


class Seen(torch.nn.Module):
    """What stands in for a vision tower whose output is known."""

    def __init__(self, tokens: torch.Tensor) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, pixel_values: torch.Tensor, **how: Any) -> SimpleNamespace:
        """Return what was seen, once for each beam."""
        beams = len(pixel_values) // len(self.tokens)
        return SimpleNamespace(last_hidden_state=self.tokens.repeat_interleave(beams, dim=0))


@torch.inference_mode()
def _said(model: Any, tokenizer: Any, pixels: torch.Tensor, beams: int, longest: int) -> list[str]:
    start, end = _first_and_last(tokenizer)
    first = torch.full((len(pixels), 1), start, device=pixels.device)
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
    return [text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]


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
    """

    kind: ClassVar[str] = "git"
    weights: str = "phantom"
    beams: PositiveInt = Field(1, le=64)
    longest: PositiveInt = LONGEST

    def digests(self) -> dict[str, str]:
        """Return the digest of the captioner."""
        return {"captioner": found_digest(self.weights, "captioner")}

    def _most(self) -> int | None:
        from insilico.decoders.mindeye2.needs import planned
        from insilico.decoders.mindeye2.stages import make_room

        if memory() is None:
            return None
        networks = {"captioner": found(self.weights, "captioner")}
        plan = planned(networks, "fp32", beams=self.beams)
        make_room("captioner", plan)
        return None if plan is None else plan["captioner"].batch

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little."""
        self._most()

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
        said = np.array(write_captions(flat, path, self.beams, self.longest, self._most()))
        made = reconstruction.assign(caption=(("stimulus", "draw"), said.reshape(image.shape[:2])))
        attrs = {"captioner_weights": used, "captioner_beams": self.beams}
        return check(made.assign_attrs(attrs), "reconstruction")
