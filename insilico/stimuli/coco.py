"""COCO's captions of NSD's pictures: the curated table, or COCO's own annotations."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import StimulusError
from insilico.spaces.nsd import PICTURES
from insilico.spaces.nsd.layout import CAPTIONS, Tree

PARTS = ("train2017", "val2017")


def captions_source(tree: Tree, given: Path | None) -> list[Path]:
    """Return the files from which captions would be read; empty if none is there."""
    table = given.expanduser() if given else tree.root / CAPTIONS
    if given and not table.is_file():
        raise StimulusError(f"{table}: no such file (captions)")
    if table.is_file():
        return [table]
    annotations = [tree.annotations(part) for part in PARTS]
    files = [tree.info_file, *annotations]
    return files if all(file.is_file() for file in files) else []


def captions_of(tree: Tree, given: Path | None, pictures: np.ndarray) -> np.ndarray | None:
    """Return the first caption of each picture, str (stimulus,), or None where none are known.

    Raises
    ------
    StimulusError
        If a file is damaged, holds Python objects, or a picture has no caption.
    """
    files = captions_source(tree, given)
    if not files:
        return None
    words = _from_table(files[0], pictures) if len(files) == 1 else _from_coco(tree, pictures)
    missing = [int(p) for p, said in zip(pictures, words, strict=True) if not said]
    if missing:
        raise StimulusError(
            f"{files[-1]}: no caption of {len(missing)} of the {len(words)} pictures asked for, "
            f"such as picture {missing[0]}"
        )
    return np.array(words)


def _from_table(file: Path, pictures: np.ndarray) -> list[str]:
    """Read the rows asked for of a table (picture, up to five captions), '' where missing."""
    try:
        held = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" not in str(error) and "object" not in str(error):
            raise StimulusError(f"{file}: cannot be read as .npy ({error})") from error
        raise StimulusError(
            f"{file}: holds Python objects (a pickle), which can run code and are not read; where "
            'you trust the file, write it once more as text: python -c "import numpy as np; '
            f"np.save('captions.npy', np.load('{file.name}', allow_pickle=True).astype(str))\", "
            "then captions: captions.npy"
        ) from error
    except (OSError, EOFError) as error:
        raise StimulusError(f"{file}: cannot be read ({error})") from error
    if held.dtype.kind not in "US" or held.ndim != 2 or pictures.max() >= len(held):
        raise StimulusError(f"{file}: {held.dtype} {held.shape}; text of ({PICTURES}, 5) is needed")
    rows = np.asarray(held[pictures]).astype(str)
    return [next((said.strip() for said in row if said.strip()), "") for row in rows]


def _from_coco(tree: Tree, pictures: np.ndarray) -> list[str]:
    """Look up NSD's table for the COCO ids, and COCO's annotations for their first captions."""
    ids = _coco_ids(tree.info_file, tree.info_file.stat().st_mtime_ns)
    said = {part: _first(file := tree.annotations(part), file.stat().st_mtime_ns) for part in PARTS}
    found = []
    for picture in pictures.tolist():
        coco, part = ids.get(picture, (-1, ""))
        found.append(said.get(part, {}).get(coco, ""))
    return found


@lru_cache(maxsize=2)
def _coco_ids(file: Path, stamp: int) -> dict[int, tuple[int, str]]:
    import pandas

    columns = ["nsdId", "cocoId", "cocoSplit"]
    try:
        table = pandas.read_csv(file, usecols=columns)[columns]
        return {int(n): (int(c), str(part)) for n, c, part in table.itertuples(index=False)}
    except (ValueError, OSError) as error:
        raise StimulusError(f"{file}: columns {columns} cannot be read ({error})") from error


@lru_cache(maxsize=2)
def _first(file: Path, stamp: int) -> dict[int, str]:
    """Return the first caption, by annotation id, of each COCO picture."""
    try:
        held: Any = json.loads(file.read_text(encoding="utf-8"))
        rows = sorted(held["annotations"], key=lambda row: row["id"], reverse=True)
        return {int(row["image_id"]): str(row["caption"]).strip() for row in rows}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StimulusError(f"{file}: not COCO's captions ({error})") from error
