"""The step: betas of one subject -> pictures and captions."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.decoders.git import write_captions
from insilico.decoders.mindeye2.model import MindEye2Model
from insilico.decoders.unclip import UnclipDecoder
from insilico.decoders.weights import digest, folder
from insilico.errors import SchemaError, SpaceError, listed
from insilico.schema import check, place_of, require_varying, short_digest
from insilico.step import Step, batches, device, generator


@lru_cache(maxsize=2)
def _mindeye2(path: Path, weights: str, where: str) -> MindEye2Model:
    return MindEye2Model.from_pretrained(path).to(where)


@lru_cache(maxsize=2)
def _unclip(path: Path, weights: str, where: str) -> UnclipDecoder:
    return UnclipDecoder.from_pretrained(path).to(where)


class MindEye2(Step):
    """Decode with MindEye2: ridge, backbone, diffusion prior, unCLIP, GIT.

    Parameters
    ----------
    weights : str
        ``"phantom"``, or a folder with ``mindeye2/``, ``unclip/`` and ``captioner/``.
    draws : int
        Reconstructions of each response.
    seed : int
        Item noise depends on seed, stimulus id and draw alone: it is the same in every condition
        and every batch.
    prior_steps : int
        20 as published: 19 network calls.
    steps, guidance : optional
        Of the unCLIP decoder; its own defaults otherwise.
    captions : bool
        Whether GIT captions the pictures.
    beams : int
        Width of the captioner's beam search; 1 is greedy.
    batch : int
        Items decoded together.
    """

    kind: ClassVar[str] = "mindeye2"
    weights: str = "phantom"
    draws: PositiveInt = 1
    seed: NonNegativeInt = 0
    prior_steps: PositiveInt = 20
    steps: PositiveInt | None = None
    guidance: float | None = None
    captions: bool = True
    beams: PositiveInt = 1
    batch: PositiveInt = 32

    def digests(self) -> dict[str, str]:
        """Return the digests of all networks used."""
        names = ["mindeye2", "unclip"] + ["captioner"] * self.captions
        return {name: digest(folder(self.weights, name)) for name in names}

    def __call__(self, response: xr.Dataset) -> xr.Dataset:
        """Decode a response.

        Parameters
        ----------
        response : response, ([repeat,] stimulus, voxel)
            With repeats, the networks' outputs are averaged, not the betas, as published.

        Returns
        -------
        reconstruction, (stimulus, draw)

        Raises
        ------
        WeightsError, SpaceError, SchemaError
        """
        used = self.digests()  # a folder that is missing is named before any work
        require_varying(check(response, "response"), "mindeye2: the response to decode")
        tokens = self.tokens(response)
        stimuli = [str(name) for name in response["stimulus"].values]
        image = self.pictures(tokens, stimuli)
        made: dict[str, Any] = {"image": (("stimulus", "draw", "y_pixel", "x_pixel", "rgb"), image)}
        if self.captions:
            flat = image.reshape(-1, *image.shape[2:])
            captioner = folder(self.weights, "captioner")
            words = np.array(write_captions(flat, captioner, beams=self.beams))
            made["caption"] = (("stimulus", "draw"), words.reshape(image.shape[:2]))
        attrs = {"decoder": self.kind, "seed": self.seed, "weights": short_digest(used)}
        coords = {"stimulus": stimuli, "draw": np.arange(self.draws)}
        result = xr.Dataset(made, coords=coords, attrs={**attrs, **_carried(response)})
        return check(result, "reconstruction")

    def tokens(self, response: xr.Dataset) -> np.ndarray:
        """Return the prior's tokens, float32 (stimulus, draw, tokens, width)."""
        condition = self.conditions(response)
        prior = self._model().diffusion_prior
        stimuli = response["stimulus"].values
        items = [(k, draw) for k in range(len(stimuli)) for draw in range(self.draws)]
        made = []
        for part in batches(items, self.batch, "prior"):
            shape = (self.prior_steps - 1, *condition.shape[1:])
            noise = [
                self._rng("prior", stimuli[k], draw).standard_normal(shape) for k, draw in part
            ]
            brain = torch.from_numpy(condition[[k for k, _ in part]]).to(device())
            made.append(prior.sample(brain, _tensor(noise).transpose(0, 1), self.prior_steps).cpu())
        return torch.cat(made).numpy().reshape(len(stimuli), self.draws, *condition.shape[1:])

    @torch.no_grad()
    def conditions(self, response: xr.Dataset) -> np.ndarray:
        """Return the backbone's tokens, float32 (stimulus, tokens, width), mean over repeats."""
        model = self._model()
        betas = _betas(check(response, "response"), model.config.voxels[0])
        each = [model.condition(torch.from_numpy(rows.copy()).to(device())) for rows in betas]
        return torch.stack(each).mean(0).cpu().numpy()

    def _model(self) -> MindEye2Model:
        path = folder(self.weights, "mindeye2")
        return _mindeye2(path, digest(path), device())

    def _rng(self, stage: str, stimulus: object, draw: int) -> np.random.Generator:
        return generator(self.seed, "mindeye2", stage, stimulus, draw)

    def pictures(self, tokens: np.ndarray, stimuli: list[str]) -> np.ndarray:
        """Return pictures of tokens (stimulus, draw, tokens, width), uint8 (..., y, x, rgb)."""
        path = folder(self.weights, "unclip")
        decoder = _unclip(path, digest(path), device())
        items = [(k, draw) for k in range(len(stimuli)) for draw in range(self.draws)]
        made = []
        for part in batches(items, self.batch, "decode"):
            draws = [self._rng("unclip", stimuli[k], draw) for k, draw in part]
            noise = _tensor([rng.standard_normal(decoder.latent_shape) for rng in draws])
            uncond = _tensor([rng.standard_normal(tokens.shape[2:]) for rng in draws])
            given = torch.from_numpy(np.stack([tokens[k, draw] for k, draw in part])).to(device())
            pictures = decoder.sample(given, noise, uncond, self.steps, self.guidance)
            made.append(pictures.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
        flat = np.concatenate(made)
        return flat.reshape(len(stimuli), self.draws, *flat.shape[1:])


def _betas(response: xr.Dataset, voxels: int) -> np.ndarray:
    """Return betas, float32 (repeat, stimulus, voxel), if the decoder can read them."""
    bold, place = response["bold"], place_of(response)
    if (place, bold.sizes[place]) != ("voxel", voxels):
        plural = {"vertex": "vertices", "voxel": "voxels"}[place]
        raise SpaceError(
            f"this decoder reads {voxels} voxels; the response in {response.attrs['space']} has "
            f"{bold.sizes[place]} {plural}: bring it into the decoder's voxels with an adapter"
        )
    bold = bold if "repeat" in bold.dims else bold.expand_dims("repeat")
    if bold.ndim != 3:
        others = set(map(str, bold.dims)) - {"repeat", "stimulus", "voxel"}
        raise SchemaError(f"decode one {listed(sorted(others))} at a time; bold has {bold.dims}")
    return bold.transpose("repeat", "stimulus", "voxel").values


def _tensor(arrays: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(device())


def _carried(response: xr.Dataset) -> dict[str, object]:
    kept = ("source", "note", "lesion", "ablated", "subject")
    return {name: response.attrs[name] for name in kept if name in response.attrs}
