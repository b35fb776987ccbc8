"""Which published files lie in a weights folder, whole and unchanged; as tables for people."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from insilico.errors import WeightsError, not_one_of
from insilico.weights import authors, records
from insilico.weights.catalogue import PUBLISHED, Published, of_subject, published
from insilico.weights.folders import ROOT, published_root
from insilico.weights.writing import written

WHOLE = "model.safetensors"
"""A folder's weights in one file."""
OWN = "a training run of your own"
COLUMNS = ("file", "size", "state", "sha256", "holds")
PLACED = ("mindeye2", "unclip", "converter", "blurry")
"""Networks that are made of one published file alone."""
PARTS = {
    "decoder": "decoder",
    "scores": "scores of the published settings",
    "data": "data of 'recording: mindeye2' (the presets read NSD's own)",
}
READ = ("*.safetensors", "*.bin")
"""What is read of a folder of transformers."""


@dataclass(frozen=True)
class Found:
    """One published file, and what lies in its place.

    Attributes
    ----------
    row : Published
    path : Path
    present : bool
    sha256 : str
        Recorded digest, or empty.
    damage : str
        What is wrong with it, or empty.
    lacks : str
        What a folder that is there does not hold, or empty.
    """

    row: Published
    path: Path
    present: bool
    sha256: str = ""
    damage: str = ""
    lacks: str = ""

    @property
    def state(self) -> str:
        """One word for tables."""
        if self.damage or not self.present:
            return "damaged" if self.damage else "missing"
        return "partly" if self.lacks else "here"

    @property
    def size(self) -> str:
        """Size on the disk, else the published one; empty where it is not known."""
        if self.present and self.path.is_file():
            return written(self.path.stat().st_size)
        return written(self.row.size) if self.row.size else ""


def inventory(root: Path, subject: int | None = None) -> list[Found]:
    """Return what lies in a weights folder, without reading any of it.

    Parameters
    ----------
    root : path
    subject : int, optional
        Only what this NSD subject takes.
    """
    known = records.recorded(authors.records_room(root))
    rows = [*PUBLISHED, *_own(root)] if subject is None else of_subject(subject)
    return [_found(row, root, known) for row in rows]


def _found(row: Published, root: Path, known: dict[str, dict[str, Any]]) -> Found:
    path, folder = root / row.path, row.path.endswith("/")
    digest = known.get(f"{row.path}{WHOLE}" if folder else row.path, {}).get("sha256", "")
    lacks = " and ".join(row.lacks(root)) if path.is_dir() else ""
    return Found(row, path, path.exists(), digest, lacks=lacks)


def _own(root: Path) -> list[Published]:
    runs = sorted(p.relative_to(root).as_posix() for p in root.glob("train_logs/*/last.pth"))
    unlocks = "decoder mindeye2: betas -> CLIP tokens"
    return [Published(run, f"MindEye2: {OWN}", unlocks) for run in runs if not published(run)]


def examined(root: Path, accept: tuple[str, ...] = ()) -> list[Found]:
    """Return what lies in a weights folder, every file read and held against its record.

    A file that could not be used is not read further, and its digest not recorded.

    Parameters
    ----------
    root : path
    accept : tuple of str
        Files whose digest is recorded anew, whatever it was.

    Raises
    ------
    WeightsError
        If a file to accept is not there.
    """
    there = inventory(root)
    names = [_name(root, file) for found in there for file in _files(found)]
    for name in accept:
        if name not in names:
            raise WeightsError(not_one_of(f"file in {root}", name, names))
    return [_examined(found, root, accept) for found in there]


def _name(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()


def _files(found: Found) -> list[Path]:
    """Return what is read of a published file or folder: of a folder, its weights."""
    if found.path.is_file():
        return [found.path]
    if not found.present:
        return []
    return sorted(file for kind in READ for file in found.path.glob(kind))


def _examined(found: Found, root: Path, accept: tuple[str, ...]) -> Found:
    digest, room = found.sha256, authors.records_room(root)
    try:
        for file in _files(found):
            renew = _name(root, file) in accept
            _usable(root, file, renew)
            met = records.digest(room, root, file, anew=True, renew=renew)
            digest = met if file == found.path or file.name == WHOLE else digest
    except WeightsError as error:
        return replace(found, damage=str(error), sha256=digest)
    return replace(found, sha256=digest)


def _usable(root: Path, path: Path, accept: bool) -> None:
    """Raise if a file is damaged, far from its size, with code, or of another place's network."""
    name = path.relative_to(root).as_posix()
    for network in PLACED:
        if fnmatch(name, authors.CONVERSIONS[network].path.replace("{model}", "*")):
            authors.examined(root, network, path, accept)
            return
    records.require_sound(authors.records_room(root), root, path, accept=accept)


def table(there: list[Found]) -> str:
    """Return a table of files, one a line, the columns aligned."""
    rows = [
        (found.row.path, found.size, found.state, found.sha256[:12], found.row.holds)
        for found in there
    ]
    widths = [max(len(row[k]) for row in (*rows, COLUMNS)) for k in range(len(COLUMNS))]
    lines = []
    for name, size, *rest in (COLUMNS, *rows):
        cells = [name.ljust(widths[0]), size.rjust(widths[1])]
        cells += [cell.ljust(width) for cell, width in zip(rest, widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def told(there: list[Found]) -> str:
    """Return what is damaged, what folders lack, and what missing files unlock."""
    lines = [f"damaged: {found.damage}" for found in there if found.damage]
    lines += [
        f"partly: {found.row.path} lacks {found.lacks}; get it from {found.row.address}"
        for found in there
        if found.lacks
    ]
    absent: dict[str, list[str]] = {}
    for found in there:
        if not found.present:
            size = f" ({found.size})" if found.size else ""
            line = f"    {found.row.path}{size} from {found.row.address}"
            absent.setdefault(found.row.unlocks, []).append(line)
    lines += ["missing, by what it unlocks:"] * bool(absent)
    for unlocks, files in absent.items():
        lines += [f"  {unlocks}{': any of' if len(files) > 1 else ''}", *files]
    return "\n".join(lines)


def totals(there: list[Found]) -> str:
    """Return what each part of a subject's files takes: downloads, conversions; and addresses."""
    lines = []
    for part in dict.fromkeys(found.row.part for found in there):
        mine = [found for found in there if found.row.part == part]
        every = sum(found.row.size or 0 for found in mine)
        missing = sum(found.row.size or 0 for found in mine if not found.present)
        converted = sum(found.row.converted for found in mine)
        more = f", {written(converted)} more when converted at first use" if converted else ""
        unknown = sum(found.row.size is None for found in mine)
        and_ = f" and {unknown} of unknown size" if unknown else ""
        lines.append(f"{PARTS[part]}: {written(every)}{and_}; {written(missing)} to download{more}")
    absent = [found.row.address for found in there if not found.present]
    lines += ["missing, to be had at:"] * bool(absent)
    return "\n".join([*lines, *(f"  {address}" for address in absent)])


def where() -> str:
    """Return where weights are looked for, and where what is made of them is kept."""
    root = published_root()
    how = ROOT if os.environ.get(ROOT) else f"the user's cache; set {ROOT} to change it"
    room = authors.workroom(root)
    why = authors.CONVERTED if os.environ.get(authors.CONVERTED) else "follows from the above"
    return "\n".join(
        [
            f"weights:   {root} ({how}{'' if root.is_dir() else '; not there yet'})",
            f"converted: {room} ({why}; {_free(room)} free)",
            f"digests:   {authors.records_room(root) / records.RECORD}",
            "in protocols: decoder: {kind: mindeye2, weights: published, model: NAME}, or "
            "preset: nsd-subj01",
        ]
    )


def _free(path: Path) -> str:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return written(shutil.disk_usage(there).free)
