"""Retrieval by MindEye2's tokens: which picture a brain saw, and whose brain saw a picture.

The brain's tokens are those of the decoder's retrieval head, `tokens_voxels` (stimulus, token,
channel), averaged over repeats before they are normalised; the pictures' are those of the CLIP
that the decoder aims at. Flattened, unit length, cosine.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt

from insilico.errors import SchemaError, listed
from insilico.schema import check
from insilico.scores.score import Score, n_way, top1
from insilico.scores.similarity import similarities
from insilico.spaces.tokens import ImageTokens, Preprocessing
from insilico.step import generator


class ImageFromBrain(Score):
    """Top-1 retrieval of the picture that a brain saw, among a pool of pictures.

    Each item's value is its chance of being found in a pool that holds it and others drawn without
    replacement, over all such pools (exact; a tie among k counts 1/k). With the whole set as pool
    it is 0, 1 or a tie's share.

    Parameters
    ----------
    pool : int
        Pictures to choose from; 300 as published. Chance is one in that many.
    form : {"items", "pools"}
        A value for each item; or, as published, one for the whole set: the accuracy over drawn
        pools. Its `error` is their spread over the root of their number; the published interval
        is 1.96 times that to both sides.
    draws : int
        Pools drawn for ``form: pools``; 30 as published.
    seed : int
        Of the pools.
    weights, preprocessing, through
        Of the pictures' tokens, as for `insilico.spaces.tokens.ImageTokens`; as published, the
        folder of OpenCLIP's ViT-bigG-14, ``mindeye2`` and 256. Stimuli that hold `tokens` of
        their own keep them.
    """

    kind: ClassVar[str] = "retrieval_image_from_brain"
    version: ClassVar[int] = 3
    definition: ClassVar[str] = (
        "given the brain's tokens, the share of pools in which its own image is nearest by cosine "
        "(the authors' 'bwd')"
    )
    needs: ClassVar[tuple[str, str]] = ("tokens", "tokens_voxels")
    given: ClassVar[str] = "brain"
    keeps: ClassVar[str] = "clip_voxels"
    pool: int = Field(300, ge=2)
    form: Literal["items", "pools"] = "items"
    draws: PositiveInt = 30
    seed: NonNegativeInt = 0
    weights: str = "phantom"
    preprocessing: Preprocessing | None = None
    through: PositiveInt | None = None

    def digests(self) -> dict[str, str]:
        """Return the digest of the CLIP of the pictures' tokens."""
        return self._embedder().digests()

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little for that CLIP."""
        self._embedder().ready()

    def _embedder(self) -> ImageTokens:
        return ImageTokens(
            weights=self.weights, preprocessing=self.preprocessing, through=self.through
        )

    def described(self) -> tuple[str, str]:
        """Return name and definition, with the pool and the CLIP."""
        told = f"{self.definition}; pool of {self.pool}; tokens by '{self.weights}'"
        if self.form == "items":
            return self.kind, told
        return f"{self.kind}_pools", f"{told}; mean over {self.draws} drawn pools"

    def __call__(self, reconstruction: xr.Dataset, stimuli: xr.Dataset) -> xr.Dataset:
        """Score each item, or the set; all draws have the same value.

        Parameters
        ----------
        reconstruction : reconstruction, with `tokens_voxels` (stimulus, token, channel)
        stimuli : stimuli, with `image` or with `tokens` (stimulus, token, channel)

        Returns
        -------
        score, (stimulus, draw, metric), or (draw, metric) with `error`, with one metric

        Raises
        ------
        SchemaError
            If tokens are missing, of unequal shapes or not finite, or items fewer than the pool.
        """
        check(reconstruction, "reconstruction")
        check(stimuli, "stimuli")
        if "tokens_voxels" not in reconstruction:
            raise SchemaError(
                f"{self.kind}: the reconstruction holds no tokens_voxels; decode with "
                "decoder.keep: [clip_voxels]"
            )
        self._check_count(reconstruction.sizes["stimulus"])
        stimuli = stimuli if "tokens" in stimuli else self._embedder()(stimuli)
        shown = self._shown(stimuli, reconstruction)
        images, brains = unit_tokens(shown, "tokens"), unit_tokens(reconstruction, "tokens_voxels")
        if images.shape != brains.shape:
            raise SchemaError(
                f"{self.kind}: tokens of {images.shape[1]} numbers are held against tokens_voxels "
                f"of {brains.shape[1]}: embed the stimuli with the CLIP that the decoder aims at"
            )
        cosines = similarities(images, brains, centred=False)
        given = cosines.T if self.given == "brain" else cosines
        if self.form == "pools":
            return self._over_pools(given, reconstruction)
        value = n_way(given.T[None], self.pool)
        value = np.repeat(value, reconstruction.sizes["draw"], axis=1)
        return self.labelled(value, 1 / self.pool, reconstruction)

    def _check_count(self, n: int) -> None:
        if n < self.pool:
            raise SchemaError(
                f"{self.kind}: a pool of {self.pool} needs as many stimuli, and there are {n}: "
                f"show more, or set pool to {n} or less (chance is then 1/pool, and the number is "
                "not the published one)"
            )

    def _over_pools(self, given: np.ndarray, reconstruction: xr.Dataset) -> xr.Dataset:
        """Return mean accuracy over drawn pools and its standard error."""
        n, found = len(given), []
        for draw in range(self.draws):
            rng = generator(self.seed, "retrieval", draw)
            pool = rng.choice(n, self.pool, replace=False)
            found.append(top1(given[np.ix_(pool, pool)].T[None]).mean())
        value = np.full(reconstruction.sizes["draw"], np.mean(found))
        spread = np.std(found, ddof=1) if self.draws > 1 else np.nan
        score = self.labelled(value, 1 / self.pool, reconstruction)
        return score.assign(error=xr.full_like(score["value"], spread / np.sqrt(self.draws)))


class BrainFromImage(ImageFromBrain):
    """Top-1 retrieval of the brain that saw a picture, among a pool of brains.

    Parameters
    ----------
    pool, form, draws, seed
        As of `ImageFromBrain`.
    """

    kind: ClassVar[str] = "retrieval_brain_from_image"
    definition: ClassVar[str] = (
        "given an image's tokens, the share of pools in which its own brain is nearest by cosine "
        "(the authors' 'fwd')"
    )
    given: ClassVar[str] = "image"


def unit_tokens(dataset: xr.Dataset, name: str) -> np.ndarray:
    """Return tokens, flattened, of unit length, float32 (stimulus, tokens * channels).

    Raises
    ------
    SchemaError
        If they are not laid out so, not finite, or zero for a stimulus.
    """
    tokens = dataset[name]
    if set(tokens.dims) != {"stimulus", "token", "channel"}:
        raise SchemaError(f"{name} must be (stimulus, token, channel); is {tokens.dims}")
    flat = tokens.transpose("stimulus", "token", "channel").values.astype(np.float32)
    flat = flat.reshape(len(flat), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    bad = ~np.isfinite(length[:, 0]) | (length[:, 0] == 0)
    if bad.any():
        raise SchemaError(
            f"{name}: not finite, or all zero, in {listed(dataset['stimulus'].values[bad], 3)}"
        )
    return flat / length
