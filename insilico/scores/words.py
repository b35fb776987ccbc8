"""Scores on captions. The words are split at blanks, in lower case."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
import xarray as xr

from insilico.scores.score import Score

OBJECT_WORD = 3  # a {size} {colour} {object} on the {position} of a {background}


def bleu1(candidate: str, reference: str) -> float:
    """Return BLEU-1: clipped unigram precision times the brevity penalty, no smoothing."""
    said, meant = candidate.lower().split(), reference.lower().split()
    if not said:
        return 0.0
    matches = sum((Counter(said) & Counter(meant)).values())
    penalty = 1.0 if len(said) >= len(meant) else float(np.exp(1 - len(meant) / len(said)))
    return penalty * matches / len(said)


def exact(candidate: str, reference: str) -> float:
    """Return 1 if the captions are the same."""
    return float(candidate.split() == reference.split())


def same_object(candidate: str, reference: str) -> float:
    """Return 1 if the fourth words agree: the object, in the phantom's grammar."""
    said, meant = candidate.split(), reference.split()
    return float(len(said) > OBJECT_WORD and said[OBJECT_WORD] == meant[OBJECT_WORD])


class _Words(Score):
    needs: ClassVar[tuple[str, str]] = ("caption", "caption")

    @staticmethod
    def compare(candidate: str, reference: str) -> float:
        """Score one caption against another."""
        raise TypeError("a kind of caption score says how")

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return the score of every pair, (draw, stimulus, reconstruction)."""
        truth = [str(text) for text in stimuli["caption"].values]
        made = reconstruction["caption"].transpose("draw", "stimulus").values
        compare = type(self).compare
        rows = [[[compare(str(text), own) for text in draw] for own in truth] for draw in made]
        return np.array(rows)


class Bleu1(_Words):
    """BLEU-1 of the decoded caption against the stimulus's caption."""

    kind: ClassVar[str] = "bleu1"
    definition: ClassVar[str] = "sentence BLEU-1, one reference, no smoothing, lower-case words"

    @staticmethod
    def compare(candidate: str, reference: str) -> float:
        """Score one caption against another."""
        return bleu1(candidate, reference)


class CaptionExact(_Words):
    """Whether the decoded caption is the stimulus's caption."""

    kind: ClassVar[str] = "caption_exact"
    definition: ClassVar[str] = "1 if all words agree, else 0"

    @staticmethod
    def compare(candidate: str, reference: str) -> float:
        """Score one caption against another."""
        return exact(candidate, reference)


class CaptionObject(_Words):
    """Whether the decoded caption names the object (captions of the phantom's grammar)."""

    kind: ClassVar[str] = "caption_object"
    definition: ClassVar[str] = "1 if the object word of the phantom's grammar is right, else 0"

    @staticmethod
    def compare(candidate: str, reference: str) -> float:
        """Score one caption against another."""
        return same_object(candidate, reference)
