"""Digests of weight files: recorded at first use, checked ever after.

The record is a JSON file in the weights folder: of each file its SHA-256 (the one that the hub
shows), size and time. A file whose size and time are those recorded is not read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from insilico.errors import WeightsError
from insilico.step import progress
from insilico.weights.wholeness import sound, whole
from insilico.weights.writing import write_json

RECORD = "insilico-digests.json"
PART, LARGE = 2**24, 2**28
"""Bytes read at once; bytes of a file that takes long enough to tell of."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    state = hashlib.sha256()
    for part in parts(path):
        state.update(part)
    return state.hexdigest()


def parts(path: Path) -> Iterator[bytes]:
    """Read a file part by part; of a large one, `insilico.step.computing` hears how far it is."""
    size, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part
            done += len(part)
            if size > LARGE:
                progress(f"digest of {path.name} (MB)", done // 10**6, size // 10**6)


def recorded(room: Path) -> dict[str, dict[str, Any]]:
    """Return the records kept in a folder: relative path to ``sha256``, ``size``, ``mtime_ns``."""
    path = room / RECORD
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
        return {name: {key: row[key] for key in _KEYS} for name, row in content.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path} is no record of digests ({error}); delete it") from error


_KEYS = ("sha256", "size", "mtime_ns")


def unchanged(room: Path, root: Path, path: Path) -> bool:
    """Return whether a file has the size and time that are recorded of it; it is not read."""
    row, stamp = recorded(room).get(path.relative_to(root).as_posix()), path.stat()
    return row is not None and (row["size"], row["mtime_ns"]) == (stamp.st_size, stamp.st_mtime_ns)


def require_sound(room: Path, root: Path, path: Path, *, accept: bool = False) -> None:
    """Raise for a file that is damaged, holds code, or is far from its published size.

    A file that was recorded, or is to be, may have any size: its digest counts.
    """
    taken = accept or path.relative_to(root).as_posix() in recorded(room)
    whole(path) if taken else sound(root, path)


def digest(room: Path, root: Path, path: Path, *, anew: bool = False, renew: bool = False) -> str:
    """Return a file's SHA-256, and raise if it is not the one recorded.

    Parameters
    ----------
    room : path
        Folder of the record.
    root, path : path
        Weights folder, and the file in it.
    anew : bool
        Read the file even if size and time are those recorded.
    renew : bool
        Record the file as it is now.

    Raises
    ------
    WeightsError
        If the file is cut off, holds code, was changed since it was first used, or is far from
        its published size and was never accepted: then nothing is recorded.
    """
    name, stamp = path.relative_to(root).as_posix(), path.stat()
    if not (anew or renew):
        return _known(room, root, name, stamp.st_size, stamp.st_mtime_ns)
    return _compared(room, root, name, stamp.st_size, stamp.st_mtime_ns, anew, renew)


@lru_cache(maxsize=64)
def _known(room: Path, root: Path, name: str, size: int, time: int) -> str:
    return _compared(room, root, name, size, time, False, False)


def _compared(
    room: Path, root: Path, name: str, size: int, time: int, anew: bool, renew: bool
) -> str:
    before = recorded(room).get(name)
    if before and not (anew or renew) and (before["size"], before["mtime_ns"]) == (size, time):
        return before["sha256"]
    require_sound(room, root, root / name, accept=renew)
    met = sha256(root / name)
    if before and not renew and met != before["sha256"]:
        raise WeightsError(
            f"{root / name} was changed since it was first used (SHA-256 {met[:12]}, recorded "
            f"{before['sha256'][:12]}): results would not be comparable. Put the old file back, or "
            f"accept the new one: insilico weights check --accept {name}"
        )
    _keep(room, name, {"sha256": met, "size": size, "mtime_ns": time})
    return met


def _keep(room: Path, name: str, row: dict[str, Any]) -> None:
    from filelock import FileLock

    try:
        room.mkdir(parents=True, exist_ok=True)
        with FileLock(room / f".{RECORD}.lock"):
            write_json(room / RECORD, dict(sorted({**recorded(room), name: row}.items())))
    except OSError as error:
        raise WeightsError(f"the digest of {name} cannot be recorded in {room}: {error}") from error
