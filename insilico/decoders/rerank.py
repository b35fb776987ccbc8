"""Text for a sound: candidate descriptions, ranked by how they sound and how they look.

Each candidate is held against the sound (CLAP) and against a picture that was painted of it (CLIP);
``combined = alpha * clap + (1 - alpha) * clip``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt

from insilico.decoders.candidates import Candidates
from insilico.decoders.painting import painted, painting_digests
from insilico.decoders.similarity import clip_pairs
from insilico.errors import SchemaError, listed
from insilico.schema import check, short_digest
from insilico.spaces.meanings import clap_rng, clap_sound, clap_texts
from insilico.step import Step, one_by_one
from insilico.weights.folders import digest, found

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("clap", "clip", "combined", "clap_rank", "clip_rank")
LIST = "candidates ranked for a sound by CLAP and CLIP; no response was decoded"


def combined(clap: np.ndarray, clip: np.ndarray, alpha: float, scale: str = "cosine") -> np.ndarray:
    """Return ``alpha * clap + (1 - alpha) * clip``.

    Parameters
    ----------
    clap, clip : (..., candidates)
    alpha : float
        Weight of the sound, 0 to 1.
    scale : {"cosine", "range"}
        The cosines as they are, or each brought to 0 to 1 over the candidates (0 where all agree).
    """
    if scale == "range":
        clap, clip = _ranged(clap), _ranged(clip)
    return alpha * clap + (1 - alpha) * clip


def _ranged(values: np.ndarray) -> np.ndarray:
    low = values.min(-1, keepdims=True)
    width = values.max(-1, keepdims=True) - low
    return (values - low) / np.where(width > 0, width, 1)


def ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks along the last axis, int64: 1 is the highest; equals share the better rank."""
    return 1 + (values[..., None, :] > values[..., :, None]).sum(-1)


class Rerank(Step):
    """Describe sounds: the candidates, best first.

    Parameters
    ----------
    candidates : mapping
        ``{source: file, path: …}``, ``{source: grammar, rules: …}`` or
        ``{source: generator, weights: …}``; see `insilico.decoders.candidates`.
    alpha : float
        Weight of CLAP; CLIP has the rest.
    scale : {"cosine", "range"}
        See `combined`.
    clap, clip : str
        ``"phantom"``, or folder or hub id of a ClapModel and of a CLIPModel.
    pictures : str
        What paints the candidates; see `insilico.decoders.painting`.
    chunks : int
        Pieces of a sound that is longer than CLAP hears at once.
    seed : int
        Of pictures and pieces.
    """

    kind: ClassVar[str] = "rerank"
    candidates: Candidates
    alpha: float = Field(0.3, ge=0, le=1)
    scale: Literal["cosine", "range"] = "cosine"
    clap: str = "phantom"
    clip: str = "phantom"
    pictures: str = "phantom"
    chunks: PositiveInt = 8
    seed: NonNegativeInt = 0

    def digests(self) -> dict[str, str]:
        """Return the digests of all networks used, and of the candidates' files."""
        own = {"clap": digest(found(self.clap, "clap")), "clip": digest(found(self.clip, "clip"))}
        painting = {f"pictures/{k}": v for k, v in painting_digests(self.pictures).items()}
        return own | painting | self.candidates.digests()

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Rank the candidates for every sound.

        Parameters
        ----------
        stimuli : stimuli, with `sound` and the attribute ``sampling_rate_hz``
            Where ``n_samples`` says how long a sound is, the rest is not heard.

        Returns
        -------
        reconstruction, (stimulus, draw)
            Draw 0 is the best candidate. `caption` and `image` are the candidate and the picture
            painted of it; `clap`, `clip` and `combined` their scores, `clap_rank` and `clip_rank`
            their ranks among all candidates.

        Raises
        ------
        SchemaError
            If there is no sound, or one is silent.
        StimulusError, ParameterError
            If there are no candidates.
        WeightsError
        """
        waves = _sounds(check(stimuli, "stimuli"))
        used, texts = self.digests(), self.candidates.texts()
        clap = self._clap(waves, int(stimuli.attrs["sampling_rate_hz"]), texts)
        images = painted(texts, self.pictures, self.seed)
        clip = clip_pairs(texts, images, found(self.clip, "clip"))
        clip = np.broadcast_to(clip, clap.shape)
        scores = {"clap": clap, "clip": clip, "clap_rank": ranks(clap), "clip_rank": ranks(clip)}
        scores["combined"] = combined(clap, clip, self.alpha, self.scale)
        order = np.argsort(-scores["combined"], axis=1, kind="stable")
        made: dict[str, Any] = {
            name: (("stimulus", "draw"), np.take_along_axis(values, order, 1))
            for name, values in scores.items()
        }
        made["caption"] = (("stimulus", "draw"), np.array(texts)[order])
        made["image"] = (("stimulus", "draw", "y_pixel", "x_pixel", "rgb"), images[order])
        coords = {"stimulus": list(waves), "draw": np.arange(len(texts))}
        attrs = {"decoder": self.kind, "seed": self.seed, "alpha": self.alpha, "scale": self.scale}
        attrs |= {"note": LIST, "source": stimuli.attrs["source"], "weights": short_digest(used)}
        return check(xr.Dataset(made, coords=coords, attrs=attrs), "reconstruction")

    def _clap(self, waves: dict[str, np.ndarray], rate: int, texts: list[str]) -> np.ndarray:
        """Return CLAP's cosines, float64 (sounds, candidates)."""
        path, heard = found(self.clap, "clap"), []
        for name, wave in one_by_one(waves.items(), "sounds"):
            try:
                rng = clap_rng(self.seed, name)
                heard.append(clap_sound(wave, rate, path, self.chunks, rng))
            except SchemaError as error:
                raise SchemaError(f"rerank: stimulus {name}: {error}") from error
        return np.stack(heard) @ clap_texts(texts, path).T


def table(reconstruction: xr.Dataset) -> pd.DataFrame:
    """Return the ranking of `Rerank` as a table, best candidate first.

    Columns are `stimulus`, `rank` (of the combined score), `caption`, `clap`, `clip`, `combined`,
    `clap_rank` and `clip_rank`.
    """
    missing = [name for name in SCORES if name not in reconstruction]
    if missing:
        raise SchemaError(f"no ranking of candidates: {listed(missing)} missing")
    rows = reconstruction[["caption", *SCORES]].to_dataframe().reset_index()
    rows.insert(1, "rank", rows.pop("draw") + 1)
    return rows


def _sounds(stimuli: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the sounds by stimulus id, without their padding."""
    if "sound" not in stimuli or "sampling_rate_hz" not in stimuli.attrs:
        raise SchemaError(
            "rerank: candidates are ranked for sounds: `sound` and the attribute sampling_rate_hz "
            f"are needed; these stimuli hold {listed(stimuli.data_vars)}"
        )
    sound = stimuli["sound"].transpose("stimulus", "sample").values
    full = np.full(len(sound), sound.shape[1])
    lengths = stimuli["n_samples"].values if "n_samples" in stimuli.coords else full
    names = [str(name) for name in stimuli["stimulus"].values]
    return {name: wave[:n] for name, wave, n in zip(names, sound, lengths, strict=True)}
