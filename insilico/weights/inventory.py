"""Which published files lie in a weights folder, whole and unchanged; as tables for people."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from insilico.errors import WeightsError, not_one_of
from insilico.weights import authors, checkpoint, records
from insilico.weights.catalogue import PUBLISHED, Published
from insilico.weights.folders import ROOT, published_root
from insilico.weights.writing import written

WHOLE = "model.safetensors"
"""A folder's weights in one file."""
OWN = "a training run of your own"
COLUMNS = ("file", "size", "state", "sha256", "holds")
PLACED = ("mindeye2", "unclip", "converter", "blurry")
"""Networks that are made of one published file alone."""
PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".tar")
SHORTEST = 0.95
"""Of the published size: what is below is told, since a download may have broken off."""


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
    """

    row: Published
    path: Path
    present: bool
    sha256: str = ""
    damage: str = ""

    @property
    def state(self) -> str:
        """One word for tables."""
        return "damaged" if self.damage else "here" if self.present else "missing"

    @property
    def size(self) -> str:
        """Size on the disk, else the published one; empty where it is not known."""
        if self.present and self.path.is_file():
            return written(self.path.stat().st_size)
        return written(self.row.size) if self.row.size else ""

    @property
    def short(self) -> bool:
        """Whether a file is clearly smaller than the published one."""
        size = self.row.size or 0
        return self.present and self.path.is_file() and self.path.stat().st_size < SHORTEST * size


def inventory(root: Path) -> list[Found]:
    """Return what lies in a weights folder, without reading any of it."""
    known = records.recorded(authors.records_room(root))
    made = []
    for row in (*PUBLISHED, *_own(root)):
        path = root / row.path
        name = f"{row.path}{WHOLE}" if row.path.endswith("/") else row.path
        digest = known.get(name, {}).get("sha256", "")
        made.append(Found(row, path, path.exists(), digest))
    return made


def _own(root: Path) -> list[Published]:
    known = {row.path for row in PUBLISHED}
    runs = sorted(p.relative_to(root).as_posix() for p in root.glob("train_logs/*/last.pth"))
    unlocks = "decoder mindeye2: betas -> CLIP tokens"
    return [Published(run, f"MindEye2: {OWN}", unlocks) for run in runs if run not in known]


def examined(root: Path, accept: tuple[str, ...] = ()) -> list[Found]:
    """Return what lies in a weights folder, every file read and held against its record.

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
    """Return what is read of a published file or folder: of a folder, its safetensors."""
    if found.path.is_file():
        return [found.path]
    return sorted(found.path.glob("*.safetensors")) if found.present else []


def _examined(found: Found, root: Path, accept: tuple[str, ...]) -> Found:
    digest, room = found.sha256, authors.records_room(root)
    try:
        for file in _files(found):
            renew = _name(root, file) in accept
            met = records.digest(room, root, file, anew=True, renew=renew)
            digest = met if file == found.path or file.name == WHOLE else digest
            _usable(root, file)
    except WeightsError as error:
        return Found(found.row, found.path, True, digest, str(error))
    return Found(found.row, found.path, found.present, digest)


def _usable(root: Path, path: Path) -> None:
    """Raise if what a file holds is code, or not the network that its place says."""
    name = path.relative_to(root).as_posix()
    for network in PLACED:
        if fnmatch(name, authors.CONVERSIONS[network].path.replace("{model}", "*")):
            authors.examined(root, network, path)
            return
    if path.suffix in PICKLED:
        checkpoint.content(path)


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
    """Return what is damaged, what is smaller than published, and what missing files unlock."""
    lines = [f"damaged: {found.damage}" for found in there if found.damage]
    lines += [
        f"note: {found.row.path} is {found.size}, published {written(found.row.size or 0)}: "
        f"another file, or a download that broke off"
        for found in there
        if found.short and not found.damage
    ]
    absent: dict[str, list[str]] = {}
    for found in there:
        if not found.present:
            size = f" ({found.size})" if found.size else ""
            line = f"    {found.row.path}{size} from {found.row.source}"
            absent.setdefault(found.row.unlocks, []).append(line)
    lines += ["missing, by what it unlocks:"] * bool(absent)
    for unlocks, files in absent.items():
        lines += [f"  {unlocks}{': any of' if len(files) > 1 else ''}", *files]
    return "\n".join(lines)


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
            "in protocols: decoder: {kind: mindeye2, weights: published, model: NAME}",
        ]
    )


def _free(path: Path) -> str:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    return written(shutil.disk_usage(there).free)
