"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004, https://aclanthology.org/W04-1013): the F measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from insilico.scores.bleu import clipped, grams
from insilico.scores.meteor import stemmed
from insilico.scores.tokenising import Words, tokenised
from insilico.scores.words import WordScore

LONG_ENOUGH = 3  # words of three letters and less are not stemmed


def f_measure(matches: float, said: int, meant: int) -> float:
    """Return the harmonic mean of precision and recall; 0 where nothing matches."""
    return 2 * matches / (said + meant) if matches else 0.0


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for k, other in enumerate(b, 1):
            before, row[k] = row[k], before + 1 if word == other else max(row[k], row[k - 1])
    return row[-1]


class Rouge1(WordScore):
    """ROUGE-1: F measure of words that the decoded caption and the stimulus's share.

    Of several references the best counts.

    Parameters
    ----------
    words : {"rouge", "words", "ptb", "ptb_words", "blanks"}
        How captions are cut; see `insilico.scores.tokenising`.
    stem : bool
        Compare Porter's stems of words longer than three letters; False as evaluate's default.
    """

    kind: ClassVar[str] = "rouge1"
    definition: ClassVar[str] = "F1 of shared words (clipped counts), best reference"
    words: Words = "rouge"
    stem: bool = False

    def described(self) -> tuple[str, str]:
        """Return name and definition, with cut and stemming."""
        stems = "Porter stems" if self.stem else "no stemming"
        return self.kind, f"{self.definition}; words cut by '{self.words}', {stems}"

    def prepared(self, text: str) -> list[str]:
        """Return the words of a caption, or their stems."""
        found = tokenised(text, self.words)
        return [stemmed(w) if self.stem and len(w) > LONG_ENOUGH else w for w in found]

    def compare(self, said: list[str], meant: Sequence[list[str]]) -> float:
        """Score one caption against its references."""
        return max(self._one(said, reference) for reference in meant)

    @staticmethod
    def _one(said: list[str], meant: list[str]) -> float:
        return _shared(said, meant, 1)


def _shared(said: list[str], meant: list[str], n: int) -> float:
    own, theirs = grams(said, n), grams(meant, n)
    return f_measure(clipped(own, [theirs]), sum(own.values()), sum(theirs.values()))


class Rouge2(Rouge1):
    """ROUGE-2: F measure of pairs of words that the captions share."""

    kind: ClassVar[str] = "rouge2"
    definition: ClassVar[str] = "F1 of shared pairs of words (clipped counts), best reference"

    @staticmethod
    def _one(said: list[str], meant: list[str]) -> float:
        return _shared(said, meant, 2)


class RougeL(Rouge1):
    """ROUGE-L: F measure of the longest subsequence of words that the captions share."""

    kind: ClassVar[str] = "rouge_l"
    definition: ClassVar[str] = "F1 of the longest common subsequence of words, best reference"

    @staticmethod
    def _one(said: list[str], meant: list[str]) -> float:
        return f_measure(longest_common(said, meant), len(said), len(meant))
