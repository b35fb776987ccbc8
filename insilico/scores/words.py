"""Scores on captions: what they share, and those of the phantom's grammar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from insilico.errors import SchemaError, listed
from insilico.scores.score import Score
from insilico.scores.tokenising import require_nltk

OBJECT_WORD = 3  # a {size} {colour} {object} on the {position} of a {background}
References = tuple[str, ...]


class TextScore(Score):
    """Base of scores that hold a decoded caption against the stimulus's.

    Stimuli may hold several references: `caption` is then (stimulus, reference), and an empty text
    is none. A subclass fills `pairs`.
    """

    needs: ClassVar[tuple[str, str]] = ("caption", "caption")

    def pairs(self, said: list[str], meant: list[References]) -> np.ndarray:
        """Return the score of every text said against every stimulus's references, (i, j)."""
        raise NotImplementedError(self.kind)

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return the score of every pair, (draw, stimulus, reconstruction)."""
        meant = references(stimuli)
        made = reconstruction["caption"].transpose("draw", "stimulus").values.astype(str)
        return np.stack([self.pairs(list(draw), meant) for draw in made])


def references(stimuli: xr.Dataset) -> list[References]:
    """Return each stimulus's captions; a stimulus without one is an error."""
    caption = stimuli["caption"].transpose("stimulus", ...)
    rows = caption.values.astype(str).reshape(len(caption), -1)
    found = [tuple(text for text in row if text.strip()) for row in rows]
    empty = [name for name, row in zip(stimuli["stimulus"].values, found, strict=True) if not row]
    if empty:
        raise SchemaError(
            f"no caption to hold against: the stimuli {listed(empty, 3)} have empty ones"
        )
    return found


class WordScore(TextScore):
    """Base of scores that compare words: a subclass fills `prepared` and `compare`."""

    def ready(self) -> None:
        """Raise if nltk is needed, for its words or stems, and not installed."""
        if str(getattr(self, "words", "")).startswith("ptb") or getattr(self, "stem", False):
            require_nltk()

    def prepared(self, text: str) -> Any:
        """Return a text as it is compared; made once for each text."""
        return text

    def compare(self, said: Any, meant: Sequence[Any]) -> Any:
        """Score one prepared text against one or several references."""
        raise NotImplementedError(self.kind)

    def pairs(self, said: list[str], meant: list[References]) -> np.ndarray:
        """Return the score of every text said against every stimulus's references, (i, j)."""
        texts = dict.fromkeys([*said, *(text for own in meant for text in own)])
        known = {text: self.prepared(text) for text in texts}
        rows: dict[References, list[Any]] = {}
        for own in dict.fromkeys(meant):
            told = [known[text] for text in own]
            once = {text: self.compare(known[text], told) for text in dict.fromkeys(said)}
            rows[own] = [once[text] for text in said]
        return np.array([rows[own] for own in meant], np.float64)


def exact(candidate: str, reference: str) -> float:
    """Return 1 if the captions are the same."""
    return float(candidate.split() == reference.split())


def same_object(candidate: str, reference: str) -> float:
    """Return 1 if the fourth words agree: the object, in the phantom's grammar."""
    said, meant = (text.split()[OBJECT_WORD : OBJECT_WORD + 1] for text in (candidate, reference))
    return float(bool(said) and said == meant)


class CaptionExact(WordScore):
    """Whether the decoded caption is the stimulus's caption."""

    kind: ClassVar[str] = "caption_exact"
    definition: ClassVar[str] = "1 if all words agree (with one of the references), else 0"

    def compare(self, said: str, meant: Sequence[str]) -> float:
        """Score one caption against its references."""
        return max(exact(said, one) for one in meant)


class CaptionObject(WordScore):
    """Whether the decoded caption names the object (captions of the phantom's grammar)."""

    kind: ClassVar[str] = "caption_object"
    definition: ClassVar[str] = "1 if the object word of the phantom's grammar is right, else 0"

    def compare(self, said: str, meant: Sequence[str]) -> float:
        """Score one caption against its references."""
        return max(same_object(said, one) for one in meant)
