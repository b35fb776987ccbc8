"""Scores on decoded sounds: whether CLAP hears in them what a text says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt, field_validator

from insilico.errors import SchemaError
from insilico.scores.meaning import named_after, not_the_phantoms
from insilico.scores.score import Score
from insilico.scores.words import References, references
from insilico.weights.alone import granted
from insilico.weights.folders import digest, found


class PhantomClap(Score):
    """Cosine of a decoded sound and the stimulus's caption in the phantom's CLAP.

    The phantom's sounds were made by a decoder that has learned from this CLAP's texts: it is a
    check of the chain, no independent judge; `sound_object` is one. Silence (the sound of an empty
    caption) has a cosine of 0 with everything.

    Parameters
    ----------
    text : {"stimulus", "decoded"}
        Hold the sound against the stimulus's caption, or against the decoded one that it was made
        from (which tells how well it follows its prompt, and nothing of the brain).
    chunks : int
        A sound longer than CLAP hears at once is cut into that many pieces at drawn places, and
        their embeddings are averaged.
    seed : int
        Of the pieces.
    """

    kind: ClassVar[str] = "phantom_clap"
    definition: ClassVar[str] = "cosine of sound and text in the phantom's CLAP (16 kHz)"
    needs: ClassVar[tuple[str, str]] = ("caption", "sound")
    text: Literal["stimulus", "decoded"] = "stimulus"
    chunks: PositiveInt = 8
    seed: NonNegativeInt = 0

    @property
    def folder(self) -> Path:
        """Folder of the CLAP."""
        return found(self._weights(), "clap")

    def _weights(self) -> str:
        return "phantom"

    def digests(self) -> dict[str, str]:
        """Return the digest of the CLAP."""
        return {"clap": digest(self.folder)}

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little for CLAP to read its texts."""
        from insilico.spaces.meanings import needed

        granted(lambda: needed(self.folder, "ClapModel"))

    def described(self) -> tuple[str, str]:
        """Return name and definition; what is not held against the stimulus says so."""
        if self.text == "stimulus":
            return self.kind, self.definition
        return f"{self.kind}_prompt", f"{self.definition}; text: the decoded caption"

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return the cosine of every text and sound, (draw, text of stimulus, sound)."""
        heard = self._heard(reconstruction)
        if self.text == "stimulus":
            said = references(stimuli)
            return np.stack([self._cosines(said, draw) for draw in heard])
        if "caption" not in reconstruction:
            raise SchemaError(f"{self.kind}: text 'decoded' needs captions in the reconstruction")
        own = reconstruction["caption"].transpose("draw", "stimulus").values.astype(str)
        pairs = zip(own, heard, strict=True)
        return np.stack([self._cosines([(text,) for text in draw], made) for draw, made in pairs])

    def _cosines(self, said: Sequence[References], heard: np.ndarray) -> np.ndarray:
        """Return cosines (text, sound); of several references the closest counts."""
        from insilico.spaces.meanings import clap_texts

        texts = list(dict.fromkeys(text for own in said for text in own))
        cosines = dict(zip(texts, clap_texts(texts, self.folder) @ heard.T, strict=True))
        return np.stack([np.max([cosines[text] for text in own], axis=0) for own in said])

    def _heard(self, reconstruction: xr.Dataset) -> np.ndarray:
        """Return the embedding of every sound, (draw, stimulus, width); zeros for silence."""
        from insilico.spaces.meanings import clap_rng, clap_sound

        if "sampling_rate_hz" not in reconstruction.attrs:
            raise SchemaError(
                f"{self.kind}: the reconstruction does not say its attribute sampling_rate_hz: "
                "reconstruction.assign_attrs(sampling_rate_hz=16000)"
            )
        rate = int(reconstruction.attrs["sampling_rate_hz"])
        waves = reconstruction["sound"].transpose("draw", "stimulus", "sample").values
        found: np.ndarray | None = None
        for draw, stimulus in np.argwhere(waves.any(-1)):
            name = str(reconstruction["stimulus"].values[stimulus])
            rng, wave = clap_rng(self.seed, name), waves[draw, stimulus]
            heard = clap_sound(wave, rate, self.folder, self.chunks, rng)
            found = np.zeros((*waves.shape[:2], len(heard))) if found is None else found
            found[draw, stimulus] = heard
        if found is None:
            raise SchemaError(f"{self.kind}: all sounds are silent; CLAP has nothing to hear")
        return found


class ClapScore(PhantomClap):
    """Cosine of a decoded sound and the stimulus's caption in LAION's CLAP.

    Sounds are brought to CLAP's sampling rate (48 kHz) by polyphase filtering; there is no 16-bit
    rounding.

    Parameters
    ----------
    weights : str
        Folder or hub id of a ClapModel; scores of two checkpoints cannot be compared.
    text, chunks, seed
        As of `PhantomClap`.
    """

    kind: ClassVar[str] = "clap_score"
    definition: ClassVar[str] = (
        "cosine of sound (48 kHz mono, mean of seeded 10 s pieces) and text in clap-htsat-unfused"
    )
    weights: str = "laion/clap-htsat-unfused"
    _published = field_validator("weights")(not_the_phantoms)

    def _weights(self) -> str:
        return self.weights

    def described(self) -> tuple[str, str]:
        """Return name and definition, with a CLAP that is not the usual one by its own name."""
        name, definition = super().described()
        return named_after(name, definition, self.weights, "clap-htsat-unfused")
