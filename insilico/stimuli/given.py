"""One stimulus as a person names it: a file of any kind, or the words themselves."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from insilico.errors import MissingPackage, StimulusError
from insilico.stimuli import KINDS
from insilico.stimuli.captions import plain
from insilico.stimuli.files import stamp
from insilico.stimuli.reading import text_of

FILES = ("images", "sounds", "films")
TEXT = ".txt"
FLAG = "--text (text=True)"
STARTS = ("/", "~/", "./", "../")


def named(what: str | Path, *, text: bool = False) -> dict[str, Any]:
    """Return the kind and the parameters of the stimuli that show one thing.

    What exists as a file is a file: its suffix says whether it is a picture, a sound, a film or a
    text, else its content does. Anything else is words to read, unless it looks like a path: one
    word with a slash or a suffix, or any words that begin as a path does (``/``, ``~/``, ``./``,
    ``../``) or end in the suffix of a picture, a sound, a film or a text.

    Parameters
    ----------
    what : str or path
    text : bool
        Whether `what` is words, whatever it looks like.

    Raises
    ------
    StimulusError
        If there is no such file, it is a folder or of no such kind, or there are no words.
    """
    if text:
        return _words(str(what), "the text")
    path = _there(what)
    if path and path.is_dir():
        raise StimulusError(f"{what} is a folder; name one file, or words to read with {FLAG}")
    if path:
        return _file(path)
    if not isinstance(what, Path) and not like_a_path(what):
        return _words(what, "the text")
    raise StimulusError(f"{what}: no such file; if these are words to read, say so with {FLAG}")


def _there(what: str | Path) -> Path | None:
    """Return the file or folder of a name; words can be no name at all."""
    try:
        path = Path(what).expanduser()
        return path if str(what) and path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, NUL, ~nobody
        return None


def like_a_path(words: str) -> bool:
    """Return whether words look like the path of a file; see `named`."""
    single = len(words.split()) == 1
    suffix = Path(words.rstrip(".")).suffix.lower()
    marked = bool(suffix) or "/" in words or "\\" in words
    return words.startswith(STARTS) or (single and marked) or suffix in _suffixes()


@cache
def _suffixes() -> dict[str, str]:
    """Return suffix to kind."""
    kinds = {suffix: kind for kind in FILES for suffix in KINDS[kind].suffixes()}
    return {**kinds, TEXT: "captions"}


def _words(words: str, place: str) -> dict[str, Any]:
    return {"kind": "captions", "text": [plain(words, place)]}


def _file(path: Path) -> dict[str, Any]:
    kind = _suffixes().get(path.suffix.lower()) or _recognised(path)
    if kind == "captions":
        return _words(text_of(path), str(path))
    return {"kind": kind, "path": str(path)}


def _recognised(path: Path) -> str:
    """Return the kind of the files that can be read as this one can."""
    stamp(path)  # one that cannot be read at all is told so
    for kind in FILES:
        try:
            KINDS[kind].tried(path)
        except (StimulusError, MissingPackage):
            continue
        return kind
    raise StimulusError(f"{path}: not a picture, a sound, a film or a text ({TEXT})")
