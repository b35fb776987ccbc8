"""Sentences of any origin -> stimuli: given in the protocol, or in a file."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import model_validator

from insilico.errors import StimulusError
from insilico.schema import check, short_digest
from insilico.step import Step
from insilico.stimuli.files import digest
from insilico.stimuli.reading import column_of, ids_in, table_of, text_of

Places = list[tuple[str, str, str]]
"""Id, text, and the place that a complaint names."""
ID_WORDS, ID_CHARACTERS = 5, 40
"""How much of a caption its id shows."""


class Captions(Step):
    """Captions: a list, a text file, a table's column or COCO's captions.

    Texts are brought to Unicode's composed form (NFC) and runs of white space to one blank; every
    other character stays. They may be of any length: each word takes 300 ms, so that 10,000 words
    are a stimulus of 50 minutes.

    Attributes
    ----------
    text : list of str
        The captions themselves, each once; ids are their first words and a digest of all words,
        such as ``a-red-boat-fbbb4a1d``.
    path : path
        ``.txt``: one a line (empty lines at the end are left out), ids are the file's name and the
        line. ``.csv``, ``.tsv``: a column; ids are in column ``id``, else the file's name and the
        row. ``.json``: COCO's captions file; ids are ``coco-<image_id>-<n>``, n from 1 in the
        order of annotation ids.
    column : str
        Of a table.
    """

    kind: ClassVar[str] = "captions"
    modality: ClassVar[str] = "text"
    version: ClassVar[int] = 2  # ids
    text: tuple[str, ...] = ()
    path: Path | None = None
    column: str = "caption"

    @model_validator(mode="before")
    @classmethod
    def _one_text(cls, data: Any) -> Any:
        given = data.get("text") if isinstance(data, dict) else None
        if isinstance(given, str | list):  # a list of a file is a tuple here
            return {**data, "text": (given,) if isinstance(given, str) else tuple(given)}
        return data

    def digests(self) -> dict[str, str]:
        """Return a digest of the file, if there is one."""
        return {str(file): digest(file) for file in self._files()}

    def _files(self) -> list[Path]:
        if bool(self.text) == (self.path is not None):
            raise StimulusError("captions: name either a path or the text itself")
        return [self.path.expanduser()] if self.path else []

    def _found(self) -> Places:
        files = self._files()
        found = _from_file(files[0], self.column) if files else _from_list(self.text)
        if not found:
            raise StimulusError(f"{files[0]}: no captions in this file")
        return found

    def ids(self) -> list[str]:
        """Return the ids of the captions."""
        return [name for name, _, _ in self._found()]

    def __call__(self) -> xr.Dataset:
        """Return stimuli with `caption`."""
        found = self._found()
        captions = [plain(text, place) for _, text, place in found]
        return check(
            xr.Dataset(
                {"caption": ("stimulus", np.array(captions, object))},
                coords={
                    "stimulus": [name for name, _, _ in found],
                    "split": ("stimulus", ["given"] * len(found)),
                },
                attrs={"source": "captions", "modality": "text"},
            ),
            "stimuli",
        )


def plain(text: str, place: str) -> str:
    """Return a caption composed (NFC), with single blanks.

    Parameters
    ----------
    text : str
    place : str
        Where it stands, for complaints.

    Raises
    ------
    StimulusError
        If nothing in it can be seen, or it holds what no file can (NUL, half a character).
    """
    kinds = [unicodedata.category(character) for character in text]
    if "Cs" in kinds or "\0" in text:
        raise StimulusError(f"{place}: holds NUL or half of a character; write it again")
    if all(kind[0] in "ZC" for kind in kinds):
        raise StimulusError(f"{place}: an empty caption; write one or take it out")
    return " ".join(unicodedata.normalize("NFC", text).split())


def _from_list(texts: tuple[str, ...]) -> Places:
    found: dict[str, tuple[str, str]] = {}
    for n, given in enumerate(texts, 1):
        text = plain(given, f"caption {n}")
        if (name := _id_of(text)) in found:
            raise StimulusError(
                f"caption {n} has the words of {found[name][1]}, and so its id '{name}'; give each "
                "once, or a table with ids of your own (captions.csv: id,caption)"
            )
        found[name] = (text, f"caption {n}")
    return [(name, *told) for name, told in found.items()]


def _id_of(text: str) -> str:
    """Return the first words of a caption, and a digest of all; capitals and marks do not count."""
    words = re.findall(r"\w+", text.casefold())
    shown = "-".join(words[:ID_WORDS])[:ID_CHARACTERS]
    return f"{shown or 'caption'}-{short_digest(words or text)[:8]}"


def _from_file(file: Path, column: str) -> Places:
    suffix = file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _from_table(file, column)
    if suffix == ".json":
        return _from_coco(file)
    if suffix == ".txt":
        return _from_lines(file)
    raise StimulusError(f"{file}: captions are read from .txt, .csv, .tsv and COCO's .json")


def _from_lines(file: Path) -> Places:
    lines = text_of(file).rstrip().split("\n")
    return [(f"{file.stem}-{n:06d}", line, f"{file}, line {n}") for n, line in enumerate(lines, 1)]


def _from_table(file: Path, column: str) -> Places:
    table = table_of(file)
    cells = column_of(table, column, file)
    places = [f"{file}, row {row}" for row in range(1, len(cells) + 1)]
    return list(zip(ids_in(table, file), cells, places, strict=True))


def _from_coco(file: Path) -> Places:
    """Return COCO's captions, those of one image together."""
    try:
        annotations = json.loads(text_of(file))["annotations"]
        rows = sorted((int(a["image_id"]), int(a["id"]), str(a["caption"])) for a in annotations)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StimulusError(
            f"{file}: not a file of COCO captions: annotations with id, image_id and caption "
            f"are needed ({type(error).__name__}: {error})"
        ) from error
    met: Counter[int] = Counter()
    found = []
    for image, number, text in rows:
        met[image] += 1
        found.append((f"coco-{image}-{met[image]}", text, f"{file}, annotation {number}"))
    return found
