"""BLEU (Papineni et al. 2002, https://aclanthology.org/P02-1040), orders 1 to 4."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import numpy as np

from insilico.scores.tokenising import Words, tokenised
from insilico.scores.words import WordScore

Smoothing = Literal["none", "epsilon", "plus_one", "coco"]
EPSILON = 0.1
SHIFTS = 20


Grams = tuple[int, list[Counter[tuple[str, ...]]]]


def grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """Count the runs of `n` words."""
    return Counter(zip(*(words[k:] for k in range(n)), strict=False))


def all_grams(words: Sequence[str], order: int) -> Grams:
    """Return a text's length and its runs of 1 to `order` words."""
    return len(words), [grams(words, n) for n in range(1, order + 1)]


def clipped(own: Counter[tuple[str, ...]], others: Iterable[Counter[tuple[str, ...]]]) -> int:
    """Return how many runs stand in a reference too, each at most as often as in one of them."""
    others = tuple(others)
    return sum(min(n, max(other.get(run, 0) for other in others)) for run, n in own.items())


def counts(said: Grams, meant: Sequence[Grams]) -> np.ndarray:
    """Return what BLEU is made of, int64 (2 * order + 2,).

    Clipped matches of each order, n-grams of each order, length, and length of the closest
    reference (the shorter of two that are equally close).

    Parameters
    ----------
    said : `all_grams` of a text
    meant : list of `all_grams`
        Of one or several references.
    """
    length, own = said
    references = zip(*(runs for _, runs in meant), strict=True)
    matches = [clipped(one, others) for one, others in zip(own, references, strict=True)]
    total = [max(length - n, 0) for n in range(len(own))]
    closest = min((abs(other - length), other) for other, _ in meant)[1]
    return np.array([*matches, *total, length, closest])


def bleu(made: np.ndarray, smoothing: Smoothing = "none") -> np.ndarray:
    """Return BLEU of `counts`: (..., 2 * order + 2) to (...).

    Parameters
    ----------
    made : array
        Of one sentence, or summed over a corpus.
    smoothing : {"none", "epsilon", "plus_one", "coco"}
        ``none``: 0 where an order has no match. ``epsilon``: 0.1 for no match (nltk's method1).
        ``plus_one``: one more match and n-gram in orders above 1 (Lin and Och; nltk's method2).
        ``coco``: 1e-15 more matches and 1e-9 more n-grams, as the COCO caption evaluation.
    """
    made = np.asarray(made, np.float64)
    order = made.shape[-1] // 2 - 1
    matches, total = made[..., :order], made[..., order : 2 * order]
    length, closest = made[..., -2], made[..., -1]
    if smoothing == "coco":
        precision = (matches + 1e-15) / (total + 1e-9)
        ratio = (length + 1e-15) / (closest + 1e-9)
        return np.prod(precision, -1) ** (1 / order) * np.exp(np.minimum(0, 1 - 1 / ratio))
    nothing = (matches[..., 0] == 0) | (length == 0)
    if smoothing == "plus_one":
        more = np.arange(order) > 0
        matches, total = matches + more, np.maximum(total, 1) + more
    elif smoothing == "epsilon":
        matches = np.where(matches == 0, EPSILON, matches)
    precision = matches / np.maximum(total, 1)
    penalty = np.exp(np.minimum(0, 1 - closest / np.maximum(length, 1)))
    return np.where(nothing, 0, np.prod(precision, -1) ** (1 / order) * penalty)


class Bleu1(WordScore):
    """BLEU-1: words of the decoded caption that stand in the stimulus's.

    Parameters
    ----------
    words : {"words", "blanks", "ptb", "ptb_words", "rouge"}
        How captions are cut; see `insilico.scores.tokenising`.
    smoothing : {"none", "epsilon", "plus_one", "coco"}
        See `bleu`.
    form : {"sentence", "corpus"}
        A value for each item; or one for the whole set, from counts summed over its items (no
        mean of sentences), whose chance level sums over mismatched pairs.
    """

    kind: ClassVar[str] = "bleu1"
    definition: ClassVar[str] = (
        "clipped n-gram precisions up to order 1, geometric mean, times brevity penalty "
        "(closest reference)"
    )
    order: ClassVar[int] = 1
    words: Words = "words"
    smoothing: Smoothing = "none"
    form: Literal["sentence", "corpus"] = "sentence"

    def described(self) -> tuple[str, str]:
        """Return name and definition, with cut, smoothing and form."""
        name = self.kind if self.form == "sentence" else f"corpus_{self.kind}"
        how = f"{self.form} form, words cut by '{self.words}', smoothing '{self.smoothing}'"
        return name, f"{self.definition}; {how}"

    def prepared(self, text: str) -> Grams:
        """Return the runs of words of a caption."""
        return all_grams(tokenised(text, self.words), self.order)

    def compare(self, said: Grams, meant: Sequence[Grams]) -> np.ndarray:
        """Return the counts of one caption against its references."""
        return counts(said, meant)

    def values(self, similarity: np.ndarray) -> tuple[np.ndarray, float]:
        """Return BLEU of each item (stimulus, draw), or of each draw, and the chance level.

        Parameters
        ----------
        similarity : (draw, stimulus, reconstruction, counts)
        """
        if self.form == "sentence":
            return super().values(bleu(similarity, self.smoothing))
        n = similarity.shape[1]
        own = bleu(np.einsum("diik->dk", similarity), self.smoothing)
        rows = np.arange(n)
        shifts = np.unique(np.linspace(1, n - 1, min(n - 1, SHIFTS), dtype=int))
        pooled = [similarity[:, rows, np.roll(rows, k)].sum(1) for k in shifts]
        chance = np.mean([bleu(one, self.smoothing) for one in pooled]) if pooled else np.nan
        return own, float(chance)


class Bleu2(Bleu1):
    """BLEU-2: words and pairs of words that stand in the stimulus's caption."""

    kind: ClassVar[str] = "bleu2"
    order: ClassVar[int] = 2
    definition: ClassVar[str] = Bleu1.definition.replace("order 1", "order 2")


class Bleu3(Bleu1):
    """BLEU-3: runs of up to three words that stand in the stimulus's caption."""

    kind: ClassVar[str] = "bleu3"
    order: ClassVar[int] = 3
    definition: ClassVar[str] = Bleu1.definition.replace("order 1", "order 3")


class Bleu4(Bleu1):
    """BLEU-4: runs of up to four words that stand in the stimulus's caption."""

    kind: ClassVar[str] = "bleu4"
    order: ClassVar[int] = 4
    definition: ClassVar[str] = Bleu1.definition.replace("order 1", "order 4")
