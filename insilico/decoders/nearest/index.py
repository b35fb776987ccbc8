"""An index: the tokens of a gallery's pictures, embedded once and mapped into memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from insilico.decoders.nearest.embedding import BATCH, Embed, Waiting, as_kept, described, pooled
from insilico.decoders.nearest.gallery import Gallery
from insilico.decoders.nearest.shards import Found, shards, whole, written
from insilico.errors import ParameterError, StoreError, listed
from insilico.schema import short_digest
from insilico.step import batches
from insilico.weights.folders import digest

ABOUT, FORMAT = "index.json", 1


def index_of(gallery: Gallery, clip: Path, kept: str, folder: Path | None = None) -> Index:
    """Return the index of a gallery by a CLIP, to be grown and searched.

    Parameters
    ----------
    gallery : Gallery
    clip : Path
        Folder of the CLIP.
    kept : {"float16", "float32", "none"}
        How full tokens are kept.
    folder : Path, optional
        By default one of its own in the user's cache.
    """
    shape = described(clip)[:2]
    about = {
        "format": FORMAT,
        "gallery": gallery.identity(),
        "clip": digest(clip),
        "tokens": [*shape, kept],
    }
    return Index(folder.expanduser() if folder else default_folder(about), about, shape, kept)


def default_folder(about: dict[str, Any]) -> Path:
    """Return where the index of a gallery lies in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("insilico") / "galleries" / short_digest(about)


class Index:
    """The index of one gallery by one CLIP, in a folder of its own.

    Parameters
    ----------
    folder : Path
    about : dict
        What the index is of; a folder with another one's is refused.
    shape : (tokens, width)
    kept : {"float16", "float32", "none"}
        How full tokens are kept.

    Raises
    ------
    ParameterError
        If the folder holds something else.
    """

    def __init__(
        self, folder: Path, about: dict[str, Any], shape: tuple[int, int], kept: str
    ) -> None:
        self.folder, self.about, self.shape, self.kept = folder, about, shape, kept
        self._require_own()

    def _require_own(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise ParameterError(f"index {self.folder} is a file; name a folder")
        file, hint = self.folder / ABOUT, "name another folder, or delete this one"
        if not file.exists():
            if any(file.name[0] != "." for file in self.folder.glob("*")):
                raise ParameterError(f"{self.folder} holds something else than an index; {hint}")
            return
        try:
            there = json.loads(file.read_text("utf-8"))
            others = [key for key in self.about if there[key] != self.about[key]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ParameterError(f"{file} is no index that can be read; {hint}") from error
        if others:
            raise ParameterError(
                f"{self.folder} is the index of another {listed(others)}: "
                f"{listed(there[key] for key in others)}; {hint}"
            )

    def grow(self, gallery: Gallery, embed: Embed) -> int:
        """Embed what is new or changed, and return how many pictures that were.

        Parameters
        ----------
        gallery : Gallery
        embed : callable

        Raises
        ------
        StimulusError
            At a broken picture, where those stop.
        StoreError
            If there is no space.
        WeightsError
            If the network makes NaN or infinite tokens.
        """
        from filelock import FileLock

        new = self._new(gallery)
        if not new:
            return 0
        self._require_space(len(new))
        text = json.dumps(self.about, ensure_ascii=False, indent=2)
        whole(self.folder / ABOUT, lambda file: file.write(text.encode()))
        with FileLock(self.folder / ".lock"):
            return self._embedded(gallery, self._new(gallery), embed)

    def _new(self, gallery: Gallery) -> list[str]:
        entries = self._entries().items()
        known = {n: held for n, (held, _, row) in entries if row >= 0 or not gallery.stops}
        return [name for name, held in gallery.stamps.items() if known.get(name) != held]

    def _embedded(self, gallery: Gallery, new: list[str], embed: Embed) -> int:
        for part in self.folder.glob(".*.part"):  # of one that was killed
            part.unlink()
        waiting = Waiting(gallery)
        for names in batches(new, BATCH, "index"):
            waiting.take(names, embed)
            if waiting.full():
                self._write(waiting)
                waiting = Waiting(gallery, waiting.done)
        if waiting.asked:
            self._write(waiting)
        return waiting.done

    def _write(self, waiting: Waiting) -> None:
        if not waiting.tokens:
            written(self.folder, waiting.holds(), None, None)
            return
        tokens = np.concatenate(waiting.tokens)
        kept = None if self.kept == "none" else as_kept(tokens, self.kept)
        written(self.folder, waiting.holds(), pooled(tokens), kept)

    def _require_space(self, n: int) -> None:
        sizes = {"float16": 2, "float32": 4, "none": 0}
        needed = n * self.shape[1] * (4 + self.shape[0] * sizes[self.kept])
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if needed > free:
            raise StoreError(
                f"the index of {n} pictures takes {needed / 1e9:.1f} GB, and {there} has "
                f"{free / 1e9:.1f} GB free; name another folder with `index`, or keep no tokens "
                "(keep: none), which are then made again for the best"
            )

    def _entries(self) -> dict[str, tuple[str, int, int]]:
        """Return name to stamp, shard and row; a broken picture has row -1, the latest counts."""
        found: dict[str, tuple[str, int, int]] = {}
        self.of = [shard for shard in shards(self.folder) if shard.fits(self.shape, self.kept)]
        for number, shard in enumerate(self.of):
            held = zip(shard.holds.names, shard.holds.stamps, strict=True)
            found |= {name: (about, number, row) for row, (name, about) in enumerate(held)}
            found |= {name: (about, number, -1) for name, about in shard.holds.broken.items()}
        return found

    def found(self, gallery: Gallery) -> Found:
        """Return the pictures of the gallery that are embedded as they are now."""
        entries = self._entries()
        now = {
            name: entries[name]
            for name, held in gallery.stamps.items()
            if name in entries and entries[name][0] == held
        }
        here = {name: (shard, row) for name, (_, shard, row) in now.items() if row >= 0}
        return Found(
            names=list(here),
            prints=[self.of[shard].holds.prints[row] for shard, row in here.values()],
            broken=[name for name, (_, _, row) in now.items() if row < 0],
            of=self.of,
            shard=np.array([shard for shard, _ in here.values()], np.int64),
            row=np.array([row for _, row in here.values()], np.int64),
        )
