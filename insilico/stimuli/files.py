"""Files of one kind -> stimuli: found, named, tried once, and read when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from insilico.errors import StimulusError, listed
from insilico.schema import check
from insilico.step import Step, batches

Stamp = tuple[int, int]
"""Size and time of change: another stamp, another content."""


class Files(Step):
    """Base of the kinds that show one file a stimulus.

    Calling it reads every file once and keeps none, so that a broken one is known before the work
    begins; a file is read again when its part of the variable is indexed.

    Attributes
    ----------
    path : path or list of paths
        Files, or folders of them (those within included, hidden ones not) in order of name. An id
        is a file's name, or its path within the folder: ``a.png``, ``cats/a.png``.
    broken : {"stop", "skip"}
        What a broken file does: it stops the work, or is left out; attribute `skipped` holds the
        ids of those.
    """

    stored: ClassVar[bool] = False
    what: ClassVar[str]
    path: Path | tuple[Path, ...]
    broken: Literal["stop", "skip"] = "stop"

    @classmethod
    def suffixes(cls) -> Collection[str]:
        """Return which files of a folder are taken."""
        raise NotImplementedError

    @staticmethod
    def tried(file: Path) -> Any:
        """Read all of a file; return what the shapes depend on, or raise `StimulusError`."""
        raise NotImplementedError

    def shown(self, files: list[Path], heads: list[Any]) -> xr.Dataset:
        """Return variables over `stimulus`, without ids; `heads` are what `tried` returned."""
        raise NotImplementedError

    def files(self) -> dict[str, Path]:
        """Return the files that the paths name, by id."""
        paths = self.path if isinstance(self.path, tuple) else (self.path,)
        if not paths:
            raise StimulusError(
                f"{self.kind}: no path given; name files of {self.what} or a folder of them"
            )
        found: dict[str, Path] = {}
        for name, file in (pair for path in paths for pair in self._under(path.expanduser())):
            if name in found:
                raise StimulusError(
                    f"{self.kind}: {found[name]} and {file} would both be '{name}'; give the "
                    "folder that holds both, and each file once"
                )
            found[name] = file
        return found

    def _under(self, path: Path) -> list[tuple[str, Path]]:
        if path.is_file():
            return [(path.name, path)]
        if not path.is_dir():
            raise StimulusError(f"{path}: no such file or folder")
        known = self.suffixes()
        names = sorted(
            file.relative_to(path).as_posix()
            for file in path.rglob("*")
            if file.suffix.lower() in known and file.is_file()
        )
        found = [(n, path / n) for n in names if not any(p.startswith(".") for p in n.split("/"))]
        if not found:
            raise StimulusError(f"{path}: no {self.what} in this folder ({listed(known, 4)})")
        return found

    def digests(self) -> dict[str, str]:
        """Return a digest of every file."""
        return {str(file): digest(file) for file in self.files().values()}

    def ids(self) -> Collection[str] | None:
        """Return the ids of the files, unless broken ones will be left out."""
        return self.files() if self.broken == "stop" else None

    def __call__(self) -> xr.Dataset:
        """Return stimuli, one a file; see the kind for the variables."""
        return self.of(self.files())

    def of(self, files: dict[str, Path]) -> xr.Dataset:
        """Return stimuli of these files under these ids."""
        heads: dict[str, Any] = {}
        complaints: list[StimulusError] = []
        for name in (name for part in batches(files, 64, self.what) for name in part):
            try:
                heads[name] = _tried(self.tried, files[name], stamp(files[name]))
            except StimulusError as error:
                complaints.append(error)
                if self.broken == "stop":
                    raise
        if not heads:
            raise StimulusError(f"{self.kind}: all files are broken; the first: {complaints[0]}")
        kept = [files[name] for name in heads]
        stimuli = self.shown(kept, list(heads.values()))
        stimuli["path"] = ("stimulus", np.array([str(file) for file in kept], object))
        stimuli = stimuli.assign_coords(
            stimulus=list(heads), split=("stimulus", ["given"] * len(heads))
        )
        stimuli.attrs["source"] = self.kind
        return check(_without(stimuli, [name for name in files if name not in heads]), "stimuli")


def _without(stimuli: xr.Dataset, skipped: list[str]) -> xr.Dataset:
    """Say which stimuli were left out."""
    if not skipped:
        return stimuli
    note = f"left out, because the file is broken: {listed(skipped)}"
    said = "; ".join(filter(None, (stimuli.attrs.get("note", ""), note)))
    return stimuli.assign_attrs(skipped=skipped, note=said)


@lru_cache(maxsize=200_000)
def _tried(tried: Callable[[Path], Any], file: Path, stamp: Stamp) -> Any:
    """Read a file once for each state of it."""
    return tried(file)


def stamp(file: Path) -> Stamp:
    """Return a file's size and time of change."""
    try:
        state = file.stat()
    except OSError as error:
        raise StimulusError(f"{file}: cannot be read ({error.strerror or error})") from error
    return state.st_size, state.st_mtime_ns


def digest(file: Path) -> str:
    """Return a digest of a file's content, computed once for each state of the file."""
    return _digest(file, stamp(file))


@lru_cache(maxsize=200_000)
def _digest(file: Path, stamp: Stamp) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise StimulusError(f"{file}: cannot be read ({error.strerror or error})") from error
