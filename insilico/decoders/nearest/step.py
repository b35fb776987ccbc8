"""The step: betas of one subject -> the pictures of a gallery that are nearest to what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt, model_validator

from insilico.decoders.mindeye2.betas import Repeats
from insilico.decoders.mindeye2.step import MindEye2
from insilico.decoders.nearest.embedding import described, pooled, require_finite
from insilico.decoders.nearest.gallery import Gallery, gallery_of
from insilico.decoders.nearest.index import Index, index_of
from insilico.decoders.nearest.search import nearest, ranked
from insilico.decoders.nearest.shards import Found
from insilico.decoders.precision import Precision
from insilico.errors import ParameterError, SchemaError, StimulusError, WeightsError, listed
from insilico.schema import check, require_varying, short_digest
from insilico.spaces.tokens import ImageTokens, clip_folder, image_tokens
from insilico.step import Step, batches
from insilico.weights.folders import source, used_all

Kept = Literal["float16", "float32", "none"]
PUBLISHED = (256, 1664, 224)
"""Tokens, width and side of OpenCLIP's bigG, which the published unCLIP file holds."""


class TokensAlone(MindEye2):
    """MindEye2 up to its tokens: no network that paints or writes is needed."""

    def networks(self) -> list[str]:
        """Return the name of the one checkpoint."""
        return ["mindeye2"]


class Nearest(Step):
    """Find, instead of making, pictures: those of a gallery nearest to MindEye2's tokens.

    Parameters
    ----------
    gallery : str or dict
        A folder of pictures, a table (CSV, TSV) with a column `image`, or stimuli as a protocol
        names them: ``{kind: phantom, split: test, n: 300}``.
    weights : str
        ``"phantom"``, or a folder with ``mindeye2/`` and the ``clip/`` whose tokens it decodes.
    tokens : {"prior", "voxels"}
        What is compared: the diffusion prior's tokens, or the contrastive projector's
        (`clip_voxels`), with which the authors measure retrieval.
    draws : int
        How many pictures: draw 0 is the nearest, draw 1 the next.
    rerank : int
        How many of those nearest by pooled tokens are ranked by all their tokens; 0 ranks none.
    exclude_shown : bool
        Whether a stimulus must not find its own picture, wherever the gallery holds it.
    seed : int
        Of the prior's noise.
    model, subject, repeats, precision, prior_steps
        See `MindEye2`.
    index : path, optional
        Folder of the index; by default in the user's cache.
    keep : {"float16", "float32", "none"}
        How the index keeps all tokens; where it does not, those of the best are made again.
    """

    kind: ClassVar[str] = "nearest"
    gallery: str | dict[str, Any]
    weights: str = "phantom"
    model: str | None = None
    subject: NonNegativeInt | None = None
    repeats: Repeats = "outputs"
    precision: Precision = "fp32"
    tokens: Literal["prior", "voxels"] = "prior"
    draws: PositiveInt = 1
    rerank: NonNegativeInt = 100
    exclude_shown: bool = False
    seed: NonNegativeInt = 0
    prior_steps: PositiveInt = 20
    index: Path | None = None
    keep: Kept = "float16"

    @model_validator(mode="after")
    def _enough_to_rank(self) -> Nearest:
        if 0 < self.rerank < self.draws and "rerank" in self.model_fields_set:
            raise ValueError(f"rerank is {self.rerank}, fewer than the {self.draws} draws")
        return self

    def identity(self) -> dict[str, Any]:
        """Return all parameters but where the index lies."""
        return {key: value for key, value in super().identity().items() if key != "index"}

    def digests(self) -> dict[str, str]:
        """Return the digests of both networks, and of what the gallery holds now."""
        found = used_all(self.weights, ("mindeye2", "clip"), self.model)
        decoder = source(self.weights, "mindeye2", self.model)
        _require_shape(self._clip()[:2], _sizes(decoder), self.weights)
        gallery = self._gallery()
        if hasattr(gallery, "files"):  # counted without reading a picture
            self._require(len(gallery.files), "holds")
        return {**found, "gallery": gallery.digest()}

    def __call__(self, response: xr.Dataset, stimuli: xr.Dataset | None = None) -> xr.Dataset:
        """Retrieve pictures.

        Parameters
        ----------
        response : response, ([repeat,] stimulus, voxel)
            With repeats, the networks' outputs are averaged.
        stimuli : stimuli, optional
            What was shown; then the result says how many of these pictures the gallery holds.

        Returns
        -------
        reconstruction, (stimulus, draw)
            `image`; `picture`, the name in the gallery; `similarity`, the cosine.

        Raises
        ------
        ParameterError
            If the gallery holds too few pictures.
        WeightsError, SpaceError, SchemaError, StimulusError, StoreError
        """
        weights = self.digests()  # what is missing is named before any work
        require_varying(check(response, "response"), "nearest: the response to decode")
        gallery = self._gallery()
        self._require(len(gallery.stamps), "holds")
        self._require_stimuli(response, stimuli)
        index = self._index(gallery)
        queries = self.queries(response)
        _require_shape(index.shape, queries.shape[1:], self.weights)
        require_finite(queries, response["stimulus"].values)
        index.grow(gallery, self._embed)
        found = index.found(gallery)
        own = _own(response, stimuli, gallery, found)
        rows = partial(_made, gallery, found, self._embed) if self.keep == "none" else found.tokens
        best = self._best(queries, found, own if self.exclude_shown else None, rows)
        result = self._result(response, best, gallery, found)
        about = _said(found, own, stimuli, self.exclude_shown)
        about["note"] = "; ".join(filter(None, [result.attrs.get("note", ""), about["note"]]))
        result.attrs |= {"gallery": weights.pop("gallery"), "weights": short_digest(weights)}
        result.attrs |= about
        return check(result, "reconstruction")

    def indexed(self) -> tuple[Index, Found, int]:
        """Bring the index up to date; return it, what it holds, and how many pictures were new."""
        gallery = self._gallery()
        index = self._index(gallery)
        new = index.grow(gallery, self._embed)
        return index, index.found(gallery), new

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little; converts nothing."""
        self._decoder().ready()
        ImageTokens(weights=self.weights).ready()

    def _decoder(self) -> TokensAlone:
        same = ("weights", "model", "subject", "repeats", "precision", "seed", "prior_steps")
        return TokensAlone(**{name: getattr(self, name) for name in same})

    def _index(self, gallery: Gallery) -> Index:
        return index_of(gallery, clip_folder(self.weights), self.keep, self.index)

    def _embed(self, pictures: np.ndarray) -> np.ndarray:
        return image_tokens(pictures, self.weights)

    def _gallery(self) -> Gallery:
        return gallery_of(self.gallery, self._clip()[2])

    def _clip(self) -> tuple[int, int, int]:
        """Return tokens, width and side of the CLIP; nothing is converted."""
        own = Path(self.weights).expanduser() / "config.json"
        path = own.parent if own.is_file() else source(self.weights, "clip")
        return described(path) if path.is_dir() else PUBLISHED

    def _require(self, n: int, has: str) -> None:
        if n < self.draws:
            raise ParameterError(
                f"nearest: {self.draws} draws are asked for, and the gallery {has} {n} pictures; "
                "set draws lower, or add pictures"
            )

    def queries(self, response: xr.Dataset) -> np.ndarray:
        """Return the tokens that a response stands for, float32 (stimulus, tokens, width)."""
        decoder = self._decoder()
        if self.tokens == "voxels":
            return decoder.outputs(response).clip_voxels.numpy()
        return decoder.tokens(response)[:, 0]

    def _require_stimuli(self, response: xr.Dataset, stimuli: xr.Dataset | None) -> None:
        if stimuli is None:
            if self.exclude_shown:
                raise ParameterError(
                    "nearest: exclude_shown needs the stimuli that were shown; give them too: "
                    "decode(response, stimuli)"
                )
            return
        missing = sorted(set(response["stimulus"].values) - set(stimuli["stimulus"].values))
        if missing:
            raise SchemaError(f"nearest: no stimuli for {listed(missing, 3)}")

    def _best(
        self, queries: np.ndarray, found: Found, without: list[np.ndarray] | None, rows: Any
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return positions and cosines of the nearest pictures of each query."""
        n = len(found.names)
        self._require(n - max((len(own) for own in without or ()), default=0), "leaves")
        k = max(self.draws, self.rerank)
        best = nearest(pooled(queries), found.pooled, n, k, without)
        if not self.rerank:
            return best
        pairs = zip(queries, best, strict=True)
        return [
            ranked(query.ravel(), rows, near, self.draws)
            for part in batches(pairs, 1, "rank")
            for query, (near, _) in part
        ]

    def _result(
        self,
        response: xr.Dataset,
        best: Sequence[tuple[np.ndarray, np.ndarray]],
        gallery: Gallery,
        found: Found,
    ) -> xr.Dataset:
        names = np.array([[found.names[k] for k in near] for near, _ in best])
        shown = list(dict.fromkeys(names.ravel().tolist()))
        pictures = dict(zip(shown, _whole(gallery, shown), strict=True))
        image = np.stack([[pictures[name] for name in row] for row in names.tolist()])
        kept = ("source", "note", "lesion", "perturbed", "subject")
        carried = {key: response.attrs[key] for key in kept if key in response.attrs}
        items = ("stimulus", "draw")
        return xr.Dataset(
            {
                "image": ((*items, "y_pixel", "x_pixel", "rgb"), image),
                "picture": (items, names),
                "similarity": (items, np.stack([cosine for _, cosine in best])),
            },
            coords={"stimulus": response["stimulus"].values, "draw": np.arange(self.draws)},
            attrs={"decoder": self.kind, "seed": self.seed, **carried},
        )


def _own(
    response: xr.Dataset, stimuli: xr.Dataset | None, gallery: Gallery, found: Found
) -> list[np.ndarray]:
    """Return where in the gallery each stimulus' own picture is."""
    names = response["stimulus"].values
    if stimuli is None or "image" not in stimuli:
        return [np.empty(0, np.int64) for _ in names]
    prints, same = np.array(found.prints), gallery.same(stimuli.sel(stimulus=names))
    return [np.flatnonzero(prints == own) for own in same]


def _whole(gallery: Gallery, names: list[str]) -> np.ndarray:
    """Return the pictures of these names, all of them."""
    there, pictures = gallery.pictures(names)
    if there != names:
        lost = [name for name in names if name not in there]
        raise StimulusError(f"gallery pictures broke while they were decoded: {listed(lost, 3)}")
    return pictures


def _made(gallery: Gallery, found: Found, embed: Any, positions: np.ndarray) -> np.ndarray:
    """Return the tokens of pictures made anew, flat."""
    pictures = _whole(gallery, [found.names[k] for k in positions])
    return embed(pictures).reshape(len(positions), -1)


def _said(
    found: Found, own: list[np.ndarray], stimuli: xr.Dataset | None, excluded: bool
) -> dict[str, Any]:
    """Return what must be said of a retrieval, as attributes."""
    n, there = len(found.names), sum(len(each) > 0 for each in own)
    said = f"pictures found, not made, among the {n} of a gallery"
    about: dict[str, Any] = {"gallery_pictures": n}
    if stimuli is not None:
        about["shown_in_gallery"] = there
    if there:
        what = "each left out for itself" if excluded else "so that this is identification"
        said += f" that holds {there} of the {len(own)} shown ones, {what}"
    if found.broken:
        about["skipped"] = found.broken
        said += f" (without the broken files {listed(found.broken)})"
    return {**about, "note": said}


def _sizes(decoder: Path) -> tuple[int, ...] | None:
    """Return the shape of the tokens that a checkpoint decodes, if a file beside it says so."""
    try:
        config = json.loads((decoder / "config.json").read_text("utf-8"))
        return int(config["tokens"]), int(config["width"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _require_shape(clip: tuple[int, int], decoder: tuple[int, ...] | None, weights: str) -> None:
    if decoder is not None and tuple(decoder) != tuple(clip):
        raise WeightsError(
            f"weights {weights}: clip/ makes {clip[0]} tokens of width {clip[1]}, mindeye2/ "
            f"decodes {' of width '.join(map(str, decoder))}; give the CLIP that it was trained on"
        )
