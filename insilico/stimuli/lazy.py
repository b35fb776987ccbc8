"""Arrays of files: shape and type are known at once, a file is read when it is indexed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing  # where xarray's "How to add a new backend" has them


class FileArray(BackendArray):
    """One item a file along the first axis; nothing that was read is kept.

    Parameters
    ----------
    files : list of Path
        Or whatever else `read` takes, such as places in one large file.
    item : tuple of int
        Shape of an item; what `read` returns is filled up with zeros along its first axis.
    dtype : numpy dtype
    read : callable
        From one of them to the item's array.
    """

    def __init__(
        self,
        files: Sequence[Any],
        item: tuple[int, ...],
        dtype: Any,
        read: Callable[[Any], np.ndarray],
    ) -> None:
        self.files, self.read = tuple(files), read
        self.shape, self.dtype = (len(self.files), *item), np.dtype(dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Return the values at an index of xarray's."""
        outer = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, outer, self._at)

    def _at(self, key: tuple[Any, ...]) -> np.ndarray:
        """Return the values at integers, slices or arrays, each axis for itself."""
        which = np.arange(len(self.files))[key[0]]
        if which.ndim == 0:
            return _part(self._item(which), key[1:])
        shape = _part(np.broadcast_to(0, self.shape[1:]), key[1:]).shape
        values = np.empty((len(which), *shape), self.dtype)
        for row, index in enumerate(which):
            values[row] = _part(self._item(index), key[1:])
        return values

    def _item(self, index: int) -> np.ndarray:
        item = self.read(self.files[index])
        lacking = self.shape[1] - len(item)
        return np.pad(item, [(0, lacking)] + [(0, 0)] * (item.ndim - 1)) if lacking else item


def _part(item: np.ndarray, key: tuple[Any, ...]) -> np.ndarray:
    """Return the part of an item at one index an axis; the last axis goes first."""
    for axis in reversed(range(len(key))):
        item = item[(slice(None),) * axis + (key[axis],)]
    return item


def lazy(dims: tuple[str, ...], array: FileArray) -> xr.Variable:
    """Return a variable that reads what is asked of it, at every asking."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(array))
