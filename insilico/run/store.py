"""The store: one netCDF file an entry, named by the key of the job that made it.

An entry is written beside its place, fsynced and renamed: what bears a key's name is whole. Its
content digest is checked when it is read; a damaged entry is thrown away and computed again.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xarray as xr

from insilico.errors import ParameterError, StoreError
from insilico.run.portable import packed, portable, unpacked
from insilico.schema import digest

VARIABLE = "INSILICO_STORE"
MEMORY_BYTES = 1_000_000_000
CONTENT = "insilico_digest"


class DamagedEntry(StoreError):
    """An entry that cannot be read, or does not hold what was written."""


def default_folder() -> Path:
    """Return the store's folder: ``INSILICO_STORE``, else in the user's cache."""
    from platformdirs import user_cache_path

    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else user_cache_path("insilico") / "store"


class Store:
    """Datasets by key, in a folder, the latest also in memory.

    Parameters
    ----------
    folder : path, optional
        By default `default_folder`.
    memory_bytes : int
        How much to keep in memory.
    """

    def __init__(self, folder: str | Path | None = None, memory_bytes: int = MEMORY_BYTES) -> None:
        self.folder = Path(folder).expanduser() if folder else default_folder()
        if self.folder.exists() and not self.folder.is_dir():
            raise ParameterError(f"the store {self.folder} is a file; name a folder")
        self.memory_bytes = memory_bytes
        self._recent: OrderedDict[str, xr.Dataset] = OrderedDict()

    def path(self, key: str) -> Path:
        """Return where the entry of a key lies, or would lie."""
        return self.folder / key[:2] / f"{key}.nc"

    def unfinished(self, key: str) -> Path:
        """Return where the checkpoints of a long computation lie until its result is there."""
        return self.path(key).with_suffix(".unfinished")

    def __contains__(self, key: object) -> bool:
        return self.path(str(key)).exists()

    def read(self, key: str) -> xr.Dataset:
        """Return the dataset of a key.

        Raises
        ------
        KeyError
            No such entry.
        DamagedEntry
            It cannot be read, or its content is not what was written.
        """
        if key in self._recent:
            self._recent.move_to_end(key)
            return self._recent[key].copy(deep=False)
        path = self.path(key)
        if not path.exists():
            raise KeyError(key)
        return self._keep(key, read_entry(path))

    def write(self, key: str, dataset: xr.Dataset, name: str = "") -> xr.Dataset:
        """Store a dataset and return it as it will be read."""
        dataset = portable(dataset)
        write_entry(dataset, self.path(key), name)
        return self._keep(key, dataset)

    def remember(self, key: str, dataset: xr.Dataset) -> xr.Dataset:
        """Keep a dataset in memory in place of what is written of it; return it."""
        return self._keep(key, portable(dataset))

    def discard(self, key: str) -> None:
        """Delete an entry."""
        self._recent.pop(key, None)
        self.path(key).unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a key against other processes that would compute it too."""
        from filelock import FileLock

        path = self.path(key).with_suffix(".lock")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path):
            yield

    def _keep(self, key: str, dataset: xr.Dataset) -> xr.Dataset:
        self._recent[key] = dataset
        self._recent.move_to_end(key)
        while len(self._recent) > 1 and self._bytes() > self.memory_bytes:
            self._recent.popitem(last=False)
        return dataset.copy(deep=False)

    def _bytes(self) -> int:
        return sum(dataset.nbytes for dataset in self._recent.values())


def read_entry(path: Path) -> xr.Dataset:
    """Read a netCDF file that `write_entry` wrote, and check its content."""
    try:
        with xr.open_dataset(path, engine="h5netcdf", cache=False) as opened:
            dataset = opened.load()
        content = dataset.attrs.pop(CONTENT, None)
        dataset.attrs.pop("insilico_job", None)
        dataset = unpacked(dataset)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise DamagedEntry(f"{path} cannot be read ({error}); delete it and run again") from error
    if content != digest(dataset):
        raise DamagedEntry(f"{path} does not hold what was written; delete it and run again")
    return dataset


def write_entry(dataset: xr.Dataset, path: Path, name: str = "") -> None:
    """Write a portable dataset beside its place, fsync and rename.

    The file is made in memory first: the HDF5 library does not survive a full disk.
    """
    marked = packed(dataset).assign_attrs({CONTENT: digest(dataset), "insilico_job": name or "-"})
    write_bytes(marked.to_netcdf(engine="h5netcdf"), path)


def write_bytes(content: bytes | memoryview, path: Path) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            fsync(part)
            part.replace(path)
            fsync(path.parent)
        finally:
            part.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Ask the system to bring a file or folder to the disk; not all folders can be."""
    with suppress(PermissionError, IsADirectoryError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says when a file cannot be written into a `StoreError`."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, RuntimeError) as error:
        raise StoreError(_why_not(path, error)) from error


def _why_not(path: Path, error: Exception) -> str:
    number, text = getattr(error, "errno", None), str(error)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text:
        return (
            f"no space left on the disk of {path.parent}; free some, or name another folder "
            f"with --store (or {VARIABLE}) and --out"
        )
    return (
        f"{path} cannot be written ({getattr(error, 'strerror', None) or text}); name a folder "
        f"that can with --store (or {VARIABLE}) or --out"
    )
