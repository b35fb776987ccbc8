"""Scores on what captions mean: cosines of embedded texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from insilico.scores.words import References, TextScore
from insilico.weights.alone import granted
from insilico.weights.folders import digest, found


def not_the_phantoms(value: str) -> str:
    """Return the value of ``weights`` of a published metric, if it does not name the phantom."""
    if value == "phantom":
        raise ValueError("a folder or hub id; the phantom's networks stand under their own kinds")
    return value


class EmbeddedText(TextScore):
    """Base of cosines of texts; of several references the closest counts."""

    network: ClassVar[str]
    model: ClassVar[str] = "CLIPModel"

    @property
    def folder(self) -> Path:
        """Folder of the text encoder."""
        return found(self._weights(), self.network)

    def _weights(self) -> str:
        return "phantom"

    def digests(self) -> dict[str, str]:
        """Return the digest of the text encoder."""
        return {self.network: digest(self.folder)}

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little."""
        from insilico.spaces.meanings import needed

        granted(lambda: needed(self.folder, self.model))

    def embedded(self, texts: list[str]) -> np.ndarray:
        """Return unit vectors of texts, (n, width)."""
        from insilico.spaces.meanings import clip_texts

        return clip_texts(texts, self.folder)

    def pairs(self, said: list[str], meant: list[References]) -> np.ndarray:
        """Return the cosine of every text said with every stimulus's references, (i, j)."""
        texts = list(dict.fromkeys([*said, *(text for own in meant for text in own)]))
        place = {text: k for k, text in enumerate(texts)}
        vectors = self.embedded(texts)
        made = vectors[[place[text] for text in said]]
        return np.stack([(vectors[[place[t] for t in own]] @ made.T).max(0) for own in meant])


class SentenceCosine(EmbeddedText):
    """Cosine of the sentence embeddings of the decoded caption and the stimulus's.

    Parameters
    ----------
    weights : str
        Folder or hub id of a sentence encoder whose states are averaged.
    """

    kind: ClassVar[str] = "sentence_cosine"
    definition: ClassVar[str] = "cosine of averaged, normalised states of all-MiniLM-L6-v2"
    network: ClassVar[str] = "sentence_encoder"
    model: ClassVar[str] = "AutoModel"
    weights: str = "sentence-transformers/all-MiniLM-L6-v2"
    _published = field_validator("weights")(not_the_phantoms)

    def _weights(self) -> str:
        return self.weights

    def described(self) -> tuple[str, str]:
        """Return name and definition, with the encoder that is not MiniLM by its own name."""
        return named_after(self.kind, self.definition, self.weights, "all-MiniLM-L6-v2")

    def embedded(self, texts: list[str]) -> np.ndarray:
        """Return unit vectors of texts, (n, width)."""
        from insilico.spaces.meanings import sentences

        return sentences(texts, self.folder)


class ClipTextCosine(EmbeddedText):
    """Cosine of the CLIP text embeddings of the decoded caption and the stimulus's.

    Parameters
    ----------
    weights : str
        Folder or hub id of a CLIP of transformers; MindEye2 reports ViT-B/32 and ViT-L/14.
    """

    kind: ClassVar[str] = "clip_text_cosine"
    definition: ClassVar[str] = "cosine of projected text embeddings of CLIP ViT-L/14"
    network: ClassVar[str] = "clip"
    weights: str = "openai/clip-vit-large-patch14"
    _published = field_validator("weights")(not_the_phantoms)

    def _weights(self) -> str:
        return self.weights

    def described(self) -> tuple[str, str]:
        """Return name and definition, with a CLIP that is not ViT-L/14 by its own name."""
        return named_after(self.kind, self.definition, self.weights, "clip-vit-large-patch14")


class PhantomTextCosine(EmbeddedText):
    """Cosine of the text embeddings of the phantom's judge CLIP; its stand-in for CLIP's."""

    kind: ClassVar[str] = "phantom_text_cosine"
    definition: ClassVar[str] = "cosine of projected text embeddings of the phantom's judge CLIP"
    network: ClassVar[str] = "judge_clip"


def named_after(kind: str, definition: str, weights: Any, published: str) -> tuple[str, str]:
    """Return name and definition of a metric; another network than the published one is named.

    A folder is taken for the published network if it bears its name.
    """
    used = Path(str(weights).partition("@")[0]).name
    if used == published:
        return kind, definition
    return f"{kind} ({used})", definition.partition(" of ")[0] + f" of embeddings by '{used}'"
