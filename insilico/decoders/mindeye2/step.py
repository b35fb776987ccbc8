"""The step: betas of one subject -> pictures, captions, and on request what lies between."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from torch import nn

from insilico.decoders.git import LONGEST, PUBLISHED_LENGTH, caption_tokens, write_captions
from insilico.decoders.mindeye2.asked import Asked
from insilico.decoders.mindeye2.betas import betas_of, carried, entries
from insilico.decoders.mindeye2.entry import refuse_seen, stand_in, trained
from insilico.decoders.mindeye2.model import MindEye2Model, Outputs, read_config
from insilico.decoders.mindeye2.norms import renormalised, some
from insilico.decoders.mindeye2.pictures import as_bytes, as_stored, mixed, resized, together
from insilico.decoders.mindeye2.published import position, subject_of
from insilico.decoders.mindeye2.stages import FOLDERS, make_room, present
from insilico.decoders.precision import products_in, require_finite
from insilico.errors import WeightsError
from insilico.schema import check, require_varying, short_digest
from insilico.step import device
from insilico.weights.folders import folder, used

BATCH = 32
NOISE = 2**26
"""Numbers of noise that a batch holds at most."""
PIXELS = ("y_pixel", "x_pixel", "rgb")


class MindEye2(Asked):
    """Decode with MindEye2: ridge, backbone, diffusion prior, unCLIP, GIT, and refinement.

    How it is computed (device, items in a batch, compilation) is set by `insilico.step.computing`
    and changes no more than roundings. Parameters: see `insilico.decoders.mindeye2.asked.Asked`.
    """

    kind: ClassVar[str] = "mindeye2"
    version: ClassVar[int] = 2

    def __call__(self, response: xr.Dataset, training: xr.Dataset | None = None) -> xr.Dataset:
        """Decode a response.

        Parameters
        ----------
        response : response, ([repeat,] stimulus, voxel)
        training : response in voxels, optional
            Measured, to training stimuli; `renormalise` needs it.

        Returns
        -------
        reconstruction, (stimulus, draw)

        Raises
        ------
        WeightsError, SpaceError, SchemaError, ParameterError
        """
        weights = self.digests()  # a folder that is missing is named before any work
        require_varying(check(response, "response"), "mindeye2: the response to decode")
        stimuli = [str(name) for name in response["stimulus"].values]
        if self.entry:
            refuse_seen(self.entry, stimuli)
        outputs = self.outputs(response)
        if self.renormalise:
            outputs = renormalised(outputs, self.outputs(some(training)))
        prior = self.sampled(outputs.backbone, stimuli)
        made = self._made(outputs, prior, stimuli)
        attrs = {"decoder": self.kind, "seed": self.seed, "weights": short_digest(weights)}
        attrs |= {"variant": self.variant, **carried(response)}
        coords = {"stimulus": stimuli, "draw": np.arange(self.draws)}
        return check(xr.Dataset(made, coords=coords, attrs=attrs), "reconstruction")

    def _made(self, outputs: Outputs, prior: torch.Tensor, stimuli: list[str]) -> dict[str, Any]:
        blurry = self._blurry(outputs.latent)  # what is missing is named before the long work
        image, dims = self._images(prior, stimuli), ("stimulus", "draw", *PIXELS)
        words = self._captions(prior, image)
        made: dict[str, Any] = {}
        if words:
            made["caption"] = (dims[:2], np.array(words).reshape(len(stimuli), self.draws))
        if blurry is not None:
            blurry = resized(blurry, image.shape[-1])
            made["blurry"] = (("stimulus", *PIXELS), as_bytes(blurry))
        if self.refine:
            made["unrefined"] = (dims, self._shaped(image))
            image = self._refined(image, words, stimuli)
        if self.mix and blurry is not None:
            made["refined"] = (dims, self._shaped(image))
            image = mixed(image, blurry.repeat_interleave(self.draws, dim=0), self.mix)
        return {"image": (dims, self._shaped(image)), **made, **self._kept(outputs, prior)}

    def _shaped(self, image: torch.Tensor) -> np.ndarray:
        flat = as_bytes(image)
        return flat.reshape(-1, self.draws, *flat.shape[1:])

    def _kept(self, outputs: Outputs, prior: torch.Tensor) -> dict[str, Any]:
        known = {
            "ridge": ("tokens_ridge", ("stimulus", "hidden"), outputs.ridge),
            "backbone": ("tokens_backbone", ("stimulus", "token", "channel"), outputs.backbone),
            "clip_voxels": ("tokens_voxels", ("stimulus", "token", "channel"), outputs.clip_voxels),
            "prior": ("tokens_prior", ("stimulus", "draw", "token", "channel"), prior),
        }
        asked = [known[name] for name in dict.fromkeys(self.keep)]
        return {name: (dims, values.numpy()) for name, dims, values in asked}

    # --- stage by stage ---

    @torch.inference_mode()
    def outputs(self, response: xr.Dataset) -> Outputs:
        """Return what ridge and backbone make, averaged over repeats, float32 by stimulus."""
        path = folder(self.weights, FOLDERS["brain"], self.model)
        config = read_config(path)
        subject = subject_of(config, check(response, "response"), self.subject)
        betas = betas_of(response, config.voxels[subject])
        given, names = entries(betas, self.repeats, self.repeat), list(response["stimulus"].values)
        model, parts = self._stage("brain"), []
        enter = model.ridge.linears[subject]
        if self.entry:
            enter = stand_in(enter, self.entry, used(self.weights, "mindeye2", self.model))
        for rows in self._batches("brain", range(given.shape[1]), BATCH, "brain"):
            parts.append(self._averaged(model, given[:, rows], enter))
            here = [names[row] for row in rows]
            require_finite(parts[-1].backbone, here, "backbone tokens", self.precision)
        known: list[list[Any]] = [[part[k] for part in parts] for k in range(3)]
        ridge, backbone, projected = (torch.cat(each) for each in known)
        low = [part.latent for part in parts if part.latent is not None]
        return Outputs(ridge, backbone, projected, torch.cat(low) if low else None)

    @torch.no_grad()
    def train_entry(self, adapted: xr.Dataset, measured: xr.Dataset, file: str | Path) -> Path:
        """Train the entry ridge for adapted responses, everything behind it frozen.

        Parameters
        ----------
        adapted : response in voxels
            To stimuli that the adapter was not fitted on: on its own pairs it is too good.
        measured : response in voxels
            To the same stimuli; repeats are averaged.
        file : path
            Ends in ``.safetensors``; what `entry` takes.
        """
        model = self._stage("brain")
        subject = subject_of(model.config, check(adapted, "response"), self.subject)
        known = used(self.weights, "mindeye2", self.model)
        return trained(model.ridge.linears[subject], adapted, measured, file, known)

    def entry_of(self, voxels: xr.Dataset) -> xr.Dataset:
        """Return ``weight`` (hidden, voxel) of the ridge by which the decoder reads voxels.

        Parameters
        ----------
        voxels : Dataset
            Whatever has the dimension `voxel`: a response, a fitted adapter.
        """
        model, n = self._stage("brain"), voxels.sizes["voxel"]
        subject = position(model.config, n) if self.subject is None else self.subject
        enter: Any = model.ridge.linears[subject]
        if self.entry:
            enter = stand_in(enter, self.entry, used(self.weights, "mindeye2", self.model))
        weight = enter.weight.detach().float().cpu().numpy()
        return xr.Dataset({"weight": (("hidden", "voxel"), weight)})

    def _averaged(self, model: MindEye2Model, given: np.ndarray, enter: nn.Linear) -> Outputs:
        passes, n, voxels = given.shape
        with products_in(self.precision):
            flat = torch.from_numpy(given.reshape(-1, voxels)).to(device())
            made = model.outputs(flat, enter)

        def mean(values: torch.Tensor) -> torch.Tensor:
            return values.unflatten(0, (passes, n)).mean(0).float().cpu()

        low = None if made.latent is None else mean(made.latent)
        return Outputs(mean(made.ridge), mean(made.backbone), mean(made.clip_voxels), low)

    @torch.inference_mode()
    def sampled(self, backbone: torch.Tensor, stimuli: list[str]) -> torch.Tensor:
        """Return the prior's tokens, float32 (stimulus, draw, tokens, width)."""
        prior = self._stage("prior")
        shape = (prior.draws(self.prior_steps), *backbone.shape[1:])
        size, made = max(1, min(BATCH, NOISE // int(np.prod(shape)))), []
        for part in self._batches("prior", self._items(stimuli), size, "prior"):
            draws = [self._rng("prior", stimuli[k], d).standard_normal(shape) for k, d in part]
            noise = torch.from_numpy(np.stack(draws, 1).astype(np.float32)).to(device())
            brain = backbone[[k for k, _ in part]].to(device())
            with products_in(self.precision):
                made.append(prior.sample(brain, noise, self.prior_steps).float().cpu())
            names = [stimuli[k] for k, _ in part]
            require_finite(made[-1], names, "tokens of the prior", self.precision)
        return torch.cat(made).unflatten(0, (len(stimuli), self.draws))

    def tokens(self, response: xr.Dataset) -> np.ndarray:
        """Return the prior's tokens of a response, float32 (stimulus, draw, tokens, width)."""
        stimuli = [str(name) for name in response["stimulus"].values]
        return self.sampled(self.outputs(response).backbone, stimuli).numpy()

    def represent(self, response: xr.Dataset) -> xr.Dataset:
        """Return the first of the tokens that `keep` names, without pictures.

        Returns
        -------
        Dataset
            ``tokens``, float32 (stimulus, feature): their mean over positions, and over draws.
        """
        outputs, stimuli = self.outputs(response), [str(s) for s in response["stimulus"].values]
        asked = self.keep[0]
        found = self.sampled(outputs.backbone, stimuli).mean(1) if asked == "prior" else None
        tokens = getattr(outputs, asked) if found is None else found
        values = tokens.mean(1) if tokens.ndim > 2 else tokens
        made = xr.Dataset({"tokens": (("stimulus", "feature"), values.numpy())})
        return made.assign_coords(stimulus=stimuli)

    def pictures(self, tokens: np.ndarray, stimuli: list[str]) -> np.ndarray:
        """Return unrefined pictures of tokens (stimulus, draw, ...), uint8 (..., y, x, rgb)."""
        return self._shaped(self._images(torch.from_numpy(tokens), stimuli))

    def _images(self, tokens: torch.Tensor, stimuli: list[str]) -> torch.Tensor:
        decoder, made = self._stage("unclip"), []
        size = together(decoder.latent_shape)
        for part in self._batches("unclip", self._items(stimuli), size, "decode"):
            given = torch.stack([tokens[k, draw] for k, draw in part]).to(device())
            draws = [self._rng("unclip", stimuli[k], draw) for k, draw in part]
            noise = decoder.drawn(draws, given.shape[1:])
            noise = {name: values.to(device()) for name, values in noise.items()}
            how = {"steps": self.steps, "guidance": self.guidance, "precision": self.precision}
            pictures = decoder.sample(given, **noise, **how)
            made.append(as_stored(pictures, self.size).cpu())
        return torch.cat(made)

    @torch.inference_mode()
    def _captions(self, prior: torch.Tensor, image: torch.Tensor) -> list[str]:
        if self.captioned == "none":
            return []
        captioner = folder(self.weights, "captioner")
        if self.captioned == "pictures":
            make_room("captioner", plan := self._plan())
            most = None if plan is None else plan["captioner"].batch
            return write_captions(as_bytes(image), captioner, self.beams, LONGEST, most)
        converter, words = self._stage("converter"), []
        for part in self._batches("captioner", prior.flatten(0, 1), BATCH, "caption"):
            with products_in(self.precision):
                converted = converter(torch.stack(part).to(device())).float()
            words += caption_tokens(converted, captioner, self.beams, PUBLISHED_LENGTH)
        return words

    def _blurry(self, latent: torch.Tensor | None) -> torch.Tensor | None:
        """Return blurry pictures, (stimulus, 3, height, width), if they are asked for."""
        here = present("blurry", self.weights)
        asked = self.blurry or self.mix > 0
        if not (asked or (here and self.blurry is None and latent is not None)):
            return None
        if latent is None:
            path = folder(self.weights, FOLDERS["brain"], self.model)
            raise WeightsError(f"{path} has no low-level head: it makes no blurry pictures")
        unclip: Any = None if here else self._stage("unclip")
        own = here or tuple(latent.shape[1:]) != unclip.latent_shape
        decoder: Any = self._stage("blurry") if own else unclip
        size, name = together(tuple(latent.shape[1:])), "blurry" if own else "unclip"
        parts = self._batches(name, latent, size, "blurry")
        return torch.cat([decoder.pictures(torch.stack(p).to(device())).cpu() for p in parts])

    def _refined(self, image: torch.Tensor, words: list[str], stimuli: list[str]) -> torch.Tensor:
        refiner, made = self._stage("refiner"), []
        numbered = list(enumerate(self._items(stimuli)))
        size = together(refiner.latent_shape)
        for part in self._batches("refiner", numbered, size, "refine"):
            rows = [row for row, _ in part]
            draws = [self._rng("refiner", stimuli[k], draw) for _, (k, draw) in part]
            noise = {k: values.to(device()) for k, values in refiner.drawn(draws).items()}
            said, given = [words[row] for row in rows], image[rows].to(device())
            refined = refiner.refined(given, said, **noise, precision=self.precision)
            made.append(resized(refined, image.shape[-1]).cpu())
        return torch.cat(made)
