"""The files of an index: pooled and full tokens of some pictures, and a list of what they are.

A shard is two arrays that can be mapped into memory and a list, ``000007.json``, which is written
last: a shard without its list, or with one that its arrays do not fit, does not count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from insilico.errors import StoreError

POOLED, TOKENS, LIST = ".pooled.npy", ".tokens.npy", ".json"


@dataclass(frozen=True)
class Listed:
    """What a shard holds.

    Attributes
    ----------
    names, stamps, prints : list of n str
        Names of the pictures, what changes when a picture does, and digests of the pixels.
    broken : dict
        Names of broken pictures, which have no row, to their stamps.
    """

    names: list[str] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)
    prints: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """One shard on the disk.

    Attributes
    ----------
    stem : Path
        Its files without their suffixes.
    holds : Listed
    """

    stem: Path
    holds: Listed

    @cached_property
    def pooled(self) -> np.ndarray:
        """Unit vectors, float32 (n, width)."""
        return _mapped(self.stem, POOLED)

    @cached_property
    def tokens(self) -> np.ndarray:
        """Tokens, (n, tokens, width)."""
        return _mapped(self.stem, TOKENS)

    def fits(self, shape: tuple[int, int], dtype: str) -> bool:
        """Return whether the arrays are whole; `dtype` is ``"none"`` where tokens are not kept."""
        n = len(self.holds.names)
        if not n == len(self.holds.stamps) == len(self.holds.prints):
            return False
        if not n:
            return True
        try:
            right = self.pooled.shape == (n, shape[1]) and self.pooled.dtype == np.float32
            if dtype != "none":
                right &= self.tokens.shape == (n, *shape) and self.tokens.dtype == dtype
        except (OSError, ValueError):
            return False
        return right


def _mapped(stem: Path, suffix: str) -> np.ndarray:
    return np.load(stem.with_suffix(suffix), mmap_mode="r", allow_pickle=False)


@dataclass(frozen=True)
class Found:
    """The pictures of a gallery that are in its index, in the gallery's order.

    Attributes
    ----------
    names, prints : list of n str
        Names, and digests of the pixels.
    broken : list of str
        Pictures that were left out.
    """

    names: list[str]
    prints: list[str]
    broken: list[str]
    of: list[Shard]
    shard: np.ndarray
    row: np.ndarray

    def pooled(self, positions: np.ndarray) -> np.ndarray:
        """Return unit vectors, float32 (m, width)."""
        return self._gathered(positions, "pooled")

    def tokens(self, positions: np.ndarray) -> np.ndarray:
        """Return the stored tokens, flat, (m, tokens * width)."""
        return self._gathered(positions, "tokens").reshape(len(positions), -1)

    def _gathered(self, positions: np.ndarray, what: str) -> np.ndarray:
        which = self.shard[positions]
        first = getattr(self.of[which[0]], what)
        rows = np.empty((len(positions), *first.shape[1:]), first.dtype)
        for number in np.unique(which):
            here = which == number
            rows[here] = getattr(self.of[number], what)[self.row[positions[here]]]
        return rows


def shards(folder: Path) -> list[Shard]:
    """Return the shards of a folder, oldest first; a list that cannot be read is left out."""
    found = []
    for file in sorted(folder.glob(f"[0-9]*{LIST}")):
        try:
            found.append(Shard(file.with_suffix(""), Listed(**json.loads(file.read_text("utf-8")))))
        except (OSError, ValueError, TypeError):
            continue
    return found


def written(
    folder: Path, holds: Listed, pooled: np.ndarray | None, tokens: np.ndarray | None
) -> None:
    """Write a shard; it is there whole or not at all."""
    numbers = [int(file.stem) for file in folder.glob(f"[0-9]*{LIST}")]
    stem = folder / f"{max(numbers, default=-1) + 1:06d}"
    for suffix, array in ((POOLED, pooled), (TOKENS, tokens)):
        if array is not None:
            whole(stem.with_suffix(suffix), partial(np.save, arr=array))
    text = json.dumps(asdict(holds)).encode()
    whole(stem.with_suffix(LIST), lambda file: file.write(text))


def whole(file: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file beside its place and rename it.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError as error:
        raise StoreError(
            f"the index cannot be written to {file.parent} ({error.strerror or error}); free some "
            "space, or name a folder for it with `index`"
        ) from error
    finally:
        part.unlink(missing_ok=True)
