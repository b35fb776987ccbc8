"""Texts cut into words, offline; every way has a name, for it changes a score more than the rest.

============  =====================================================================================
``blanks``    split at blanks, lower case; punctuation stays on its word
``words``     runs of letters and digits, with inner apostrophes, lower case; no punctuation
``rouge``     runs of ``a-z`` and ``0-9``, lower case, as the package rouge_score cuts
``ptb``       the Penn Treebank's words of each sentence, lower case, punctuation kept: nltk's word
              tokeniser, but for sentences that end by a rule instead of a trained Punkt model
``ptb_words`` ``ptb`` without punctuation, the convention of COCO's captions
============  =====================================================================================
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal

from insilico.errors import MissingPackage

Words = Literal["blanks", "words", "rouge", "ptb", "ptb_words"]

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
ROUGE_WORD = re.compile(r"[a-z0-9]+")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
SHORT = re.compile(r"(?:\b[A-Z]|\b(?:mr|mrs|ms|dr|st|prof|jr|sr|vs|etc|e\.g|i\.e))\.$", re.I)
PUNCTUATION = frozenset(
    (
        "''",
        "'",
        "``",
        "`",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ".",
        "?",
        "!",
        ",",
        ":",
        "-",
        "--",
        "...",
        ";",
    )
)


def tokenised(text: str, how: Words) -> list[str]:
    """Return the words of a text.

    Parameters
    ----------
    text : str
    how : {"blanks", "words", "rouge", "ptb", "ptb_words"}

    Raises
    ------
    MissingPackage
        If ``ptb`` is asked for and nltk is not installed.
    """
    if how == "blanks":
        return text.lower().split()
    if how in ("words", "rouge"):
        return (WORD if how == "words" else ROUGE_WORD).findall(text.lower())
    cut = nltk("tokenize.destructive").NLTKWordTokenizer().tokenize
    found = [word.lower() for sentence in sentences(text) for word in cut(sentence)]
    return found if how == "ptb" else [word for word in found if word not in PUNCTUATION]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, by rule.

    A sentence ends at ``.``, ``!`` or ``?`` before a blank and a capital or digit, but not after an
    initial or a common short form.
    """
    found, start = [], 0
    for end in SENTENCE_END.finditer(text):
        if not SHORT.search(text[: end.start()]):
            found.append(text[start : end.end()].strip())
            start = end.end()
    return [part for part in [*found, text[start:].strip()] if part]


def require_nltk() -> None:
    """Raise `MissingPackage` if nltk is not installed; it is not imported."""
    from importlib.util import find_spec

    if find_spec("nltk") is None:
        raise MissingPackage("nltk", "words", "this caption score")


@cache
def nltk(module: str) -> Any:
    """Return a module of nltk; none of its downloaded data is used."""
    import importlib

    try:
        return importlib.import_module(f"nltk.{module}")
    except ImportError as error:
        raise MissingPackage("nltk", "words", "this caption score") from error
