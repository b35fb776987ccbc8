"""Whether a decoded caption names one of some words, whatever was shown."""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.scores.score import Score
from insilico.scores.words import references


class CaptionNames(Score):
    """Whether the decoded caption names one of some words.

    It says whether a change moves what is decoded towards the words: nothing is compared with what
    was shown. Chance is the share of the stimuli whose own captions
    name one of the words: what a reader that never errs would reach on an unchanged response.

    Parameters
    ----------
    words : list of str
        Such as ``[face]`` or ``[house, building, room]``; whole words, case aside.
    """

    kind: ClassVar[str] = "caption_names"
    definition: ClassVar[str] = "1 if the decoded caption holds one of the words, else 0"
    needs: ClassVar[tuple[str, str]] = ("caption", "caption")
    words: tuple[str, ...] = Field(min_length=1)

    def described(self) -> tuple[str, str]:
        """Return the metric's name and definition, with its words."""
        said = ", ".join(self.words)
        return f"names {said}", f"{self.definition}: {said}"

    def scored(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> tuple[np.ndarray, float]:
        """Return whether each caption names a word, (stimulus, draw), and the base rate."""
        made = reconstruction["caption"].transpose("stimulus", "draw").values.astype(str)
        found = np.array([[self.named(text) for text in row] for row in made], np.float64)
        shown = [any(map(self.named, captions)) for captions in references(stimuli)]
        return found, float(np.mean(shown))

    def named(self, text: str) -> bool:
        """Say whether a text holds one of the words."""
        return bool(set(re.findall(r"[\w'-]+", text.casefold())) & {*map(str.casefold, self.words)})
