"""Synonyms from WordNet's own files, read by path.

The layout of the files and the rules of Morphy are those of WordNet 3.0's manual (wndb(5WN),
morphy(7WN)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from insilico.errors import WeightsError

ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
"""Endings that Morphy takes off, and what it puts there."""
FILES = tuple(name for part in ENDINGS for name in (f"index.{part}", f"data.{part}", f"{part}.exc"))


@dataclass(frozen=True, eq=False)
class WordNet:
    """Words by part of speech, and what means the same.

    Attributes
    ----------
    offsets : dict
        Part of speech to word to the offsets of its synsets.
    synsets : dict
        Part of speech to offset to the words of a synset; of one word alone.
    irregular : dict
        Part of speech to inflected form to base forms.
    """

    offsets: dict[str, dict[str, tuple[str, ...]]]
    synsets: dict[str, dict[str, tuple[str, ...]]]
    irregular: dict[str, dict[str, tuple[str, ...]]]

    @staticmethod
    @cache
    def of(folder: str) -> WordNet:
        """Read the files of a folder.

        Raises
        ------
        WeightsError
            If one is missing, or is not laid out as WordNet's.
        """
        try:
            return WordNet(
                {part: dict(_index(Path(folder, f"index.{part}"))) for part in ENDINGS},
                {part: dict(_data(Path(folder, f"data.{part}"))) for part in ENDINGS},
                {part: dict(_exceptions(Path(folder, f"{part}.exc"))) for part in ENDINGS},
            )
        except (OSError, ValueError, IndexError) as error:
            raise WeightsError(f"{folder} cannot be read as WordNet's files: {error}") from error

    def synonyms(self, word: str) -> frozenset[str]:
        """Return the single words of all synsets that a word, inflected or not, stands in."""
        return _synonyms(self, word)


@cache
def _synonyms(net: WordNet, word: str) -> frozenset[str]:
    found = {word}
    for part, known in net.offsets.items():
        for form in _forms(net, word.lower(), part):
            for offset in known.get(form, ()):
                found.update(net.synsets[part][offset])
    return frozenset(found)


def _forms(net: WordNet, word: str, part: str) -> list[str]:
    """Return the word and its base forms: the irregular ones, or what the endings give."""
    if word in net.irregular[part]:
        return [word, *net.irregular[part][word]]
    regular = [word[: -len(old)] + new for old, new in ENDINGS[part] if word.endswith(old)]
    return [word, *dict.fromkeys(form for form in regular if form != word)]


def _rows(file: Path) -> Iterator[list[str]]:
    """Yield the lines of a file, cut at blanks, without the licence, which is indented."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        yield from (line.split() for line in lines if line.strip() and not line.startswith(" "))


def _index(file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for row in _rows(file):
        yield row[0], tuple(row[-int(row[2]) :])


def _data(file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for row in _rows(file):
        words = (word.partition("(")[0] for word in row[4 : 4 + 2 * int(row[3], 16) : 2])
        yield row[0], tuple(word for word in words if "_" not in word)


def _exceptions(file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for row in _rows(file):
        yield row[0], tuple(row[1:])
