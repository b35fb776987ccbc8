"""METEOR as Lavie and Agarwal (2007, https://aclanthology.org/W07-0734), in nltk's reading of it.

Words are matched exactly, then by stem, then by synonyms of WordNet; each time greedily from the
end, and what is left over goes on as stems. It is not METEOR 1.5 of the COCO evaluation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from insilico.errors import WeightsError
from insilico.schema import short_digest
from insilico.scores.tokenising import Words, nltk, require_nltk, tokenised
from insilico.scores.wordnet import FILES, WordNet
from insilico.scores.words import WordScore

Word = tuple[int, str]
Synonyms = Callable[[str], frozenset[str]]


@cache
def _stemmer() -> Any:
    return nltk("stem.porter").PorterStemmer()


@cache
def stemmed(word: str) -> str:
    """Return Porter's stem of a word (nltk's, with its extensions)."""
    return _stemmer().stem(word)


def _alone(word: str) -> frozenset[str]:
    return frozenset((word,))


def meteor(
    said: Sequence[str],
    meant: Sequence[str],
    synonyms: Synonyms = _alone,
    alpha: float = 0.9,
    beta: float = 3.0,
    gamma: float = 0.5,
) -> float:
    """Return METEOR of one text against one reference.

    ``P R / (alpha P + (1 - alpha) R) * (1 - gamma (chunks / matches) ** beta)``

    Parameters
    ----------
    said, meant : words, in lower case
    synonyms : function
        Of a word: the words that mean the same, itself included.
    """
    pairs = aligned(said, meant, synonyms)
    if not pairs:
        return 0.0
    matches = len(pairs)
    precision, recall = matches / len(said), matches / len(meant)
    mean = precision * recall / (alpha * precision + (1 - alpha) * recall)
    chunks = 1 + sum(after != (i + 1, j + 1) for (i, j), after in pairwise(pairs))
    return (1 - gamma * (chunks / matches) ** beta) * mean


def aligned(
    said: Sequence[str], meant: Sequence[str], synonyms: Synonyms = _alone
) -> list[tuple[int, int]]:
    """Return which word of one text matches which of the other, in the first one's order."""
    left, right = list(enumerate(said)), list(enumerate(meant))
    exact = _matched(left, right, _alone)
    left, right = ([(k, stemmed(word)) for k, word in words] for words in (left, right))
    by_stem = _matched(left, right, _alone)
    by_meaning = _matched(left, right, synonyms) if synonyms is not _alone else []
    return sorted([*exact, *by_stem, *by_meaning])


def _matched(left: list[Word], right: list[Word], synonyms: Synonyms) -> list[tuple[int, int]]:
    """Take matching words out of both lists, from the end; return their positions."""
    places: dict[str, list[int]] = defaultdict(list)
    for j, word in right:
        places[word].append(j)
    found = []
    for i, word in reversed(left):
        free = [(places[other][-1], other) for other in synonyms(word) if places.get(other)]
        if free:
            found.append((i, places[max(free)[1]].pop()))
    for words, taken in ((left, {i for i, _ in found}), (right, {j for _, j in found})):
        words[:] = [one for one in words if one[0] not in taken]
    return found


class Meteor(WordScore):
    """METEOR: words that agree exactly, by stem or by meaning, and how well they are in order.

    Of several references the best counts. Without WordNet's files the metric is named
    ``meteor_exact_stem``.

    Parameters
    ----------
    wordnet : str, optional
        Folder of WordNet's files (``index.noun``, ``data.noun``, ``noun.exc``, ...), for synonyms.
    words : {"ptb", "words", "ptb_words", "rouge", "blanks"}
        How captions are cut; see `insilico.scores.tokenising`.
    alpha, beta, gamma : float
        Weight of recall; power and weight of the penalty for scattered matches.
    """

    kind: ClassVar[str] = "meteor"
    definition: ClassVar[str] = "METEOR 2007 (nltk's formula)"
    wordnet: str | None = None
    words: Words = "ptb"
    alpha: float = Field(0.9, gt=0, lt=1)
    beta: float = Field(3.0, ge=0)
    gamma: float = Field(0.5, ge=0, le=1)

    def described(self) -> tuple[str, str]:
        """Return name and definition: what is matched, how captions are cut, the parameters."""
        name = self.kind if self.wordnet else f"{self.kind}_exact_stem"
        matched = (
            "exact, Porter stem, WordNet synonym"
            if self.wordnet
            else ("exact and Porter stem only, no WordNet")
        )
        numbers = f"alpha {self.alpha:g}, beta {self.beta:g}, gamma {self.gamma:g}"
        return name, f"{self.definition}: {matched}; words cut by '{self.words}'; {numbers}"

    def digests(self) -> dict[str, str]:
        """Return the digest of WordNet's files."""
        if self.wordnet is None:
            return {}
        files = [file for file in FILES if (self._folder() / file).is_file()]
        return {"wordnet": short_digest(*((self._folder() / name).read_bytes() for name in files))}

    def ready(self) -> None:
        """Raise if nltk, which stems words, is not installed."""
        require_nltk()

    def _folder(self) -> Path:
        folder = Path(str(self.wordnet)).expanduser()
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise WeightsError(
                f"meteor: {missing[0]} is missing in {folder}; give the folder of WordNet's files "
                f"({', '.join(FILES[:3])}, ...; Debian's package wordnet-base has them in "
                "/usr/share/wordnet), or leave wordnet out for exact and stem matches alone"
            )
        return folder

    def prepared(self, text: str) -> list[str]:
        """Return the words of a caption."""
        return tokenised(text, self.words)

    def compare(self, said: list[str], meant: Iterable[list[str]]) -> float:
        """Score one caption against its references."""
        means = WordNet.of(str(self._folder())).synonyms if self.wordnet else _alone
        numbers = (self.alpha, self.beta, self.gamma)
        return max(meteor(said, reference, means, *numbers) for reference in meant)
