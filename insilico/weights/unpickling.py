"""A pickle module for `torch.load` that runs nothing of what a file names.

Tensors, plain containers and numpy's numbers are rebuilt. Every other class (an optimizer's, a
training library's) becomes an inert `Stub`. A name of Python's standard library or of its builtins
that no training run leaves behind is code: the file is refused.
"""

from __future__ import annotations

import builtins
import collections
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import _utils as rebuilding

PLAIN = (
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "set",
    "slice", "str", "tuple",
)  # fmt: skip
INERT = {
    "argparse": ("Namespace",),
    "collections": ("Counter", "deque", "defaultdict"),
    "copy_reg": ("_reconstructor",),
    "copyreg": ("_reconstructor", "__newobj__"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "functools": ("partial",),
    "pathlib": ("Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath"),
    "types": ("SimpleNamespace",),
    "uuid": ("UUID",),
}
"""Names of the standard library that training runs leave in their files; stubs here."""
BUILTINS = ("builtins", "__builtin__")
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")

STORAGES = {
    "DoubleStorage": 8, "LongStorage": 8, "ComplexDoubleStorage": 16, "ComplexFloatStorage": 8,
    "FloatStorage": 4, "IntStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2,
    "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "UntypedStorage": 1,
}  # fmt: skip
"""Bytes of a number in each of torch's storages."""


class Refused(Exception):
    """A pickle names code."""


class Stub:
    """What stands in the place of an unknown class: takes everything, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Stub:
        """Make an empty one, whatever is given."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Stub:
        """Do nothing where a function would be called."""
        return self

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """Take an item of a list."""

    def extend(self, _: Any) -> None:
        """Take items of a list."""

    def add(self, _: Any) -> None:
        """Take an item of a set."""


class Unpickler(pickle.Unpickler):
    """Finds nothing but what is listed here."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a rebuilder, a plain type or a stub; raise `Refused` for code."""
        found = _listed(module, name)
        if found is not None:
            return found
        package = module.partition(".")[0]
        known = package in sys.stdlib_module_names or module in (*BUILTINS, "copy_reg")
        if known and name not in INERT.get(module, ()):
            raise Refused(f"{module}.{name}")
        return type(name.rpartition(".")[2], (Stub,), {"__module__": "insilico.weights.stubs"})


class Reader(Unpickler):
    """Follows a pickle as `Unpickler` does, and builds nothing: every name becomes a stub.

    Attributes
    ----------
    storages : dict of str to int or None
        Bytes that each storage of the file must have at least; None where its type is unknown.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, int | None] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return a stub named as the class is; raise `Refused` for code."""
        super().find_class(module, name)
        return type(name.rpartition(".")[2], (Stub,), {})

    def persistent_load(self, pid: Any) -> Stub:
        """Keep what a storage is said to hold, and return nothing of it."""
        if isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage":
            each = STORAGES.get(getattr(pid[1], "__name__", ""))
            self.storages[str(pid[2])] = pid[4] * each if each and type(pid[4]) is int else None
        return Stub()


def _listed(module: str, name: str) -> Any:
    if module in BUILTINS and name in PLAIN:
        return getattr(builtins, name)
    if module in ("torch", "torch.storage") and isinstance(getattr(torch, name, None), torch.dtype):
        return getattr(torch, name)
    made = _rebuilders().get((module, name))
    # A new function for every file: nothing that a file sets on it outlives the reading.
    return (lambda *given: made(*given)) if made and not isinstance(made, type) else made


def _rebuilders() -> dict[tuple[str, str], Callable[..., Any]]:
    numpys: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
    }
    for module in NUMPY:
        numpys[module, "scalar"] = _scalar
        numpys[module, "_reconstruct"] = _empty
    return {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch", "Size"): torch.Size,
        ("torch", "device"): torch.device,
        ("torch._utils", "_rebuild_tensor"): rebuilding._rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): rebuilding._rebuild_tensor_v2,
        ("torch._utils", "_rebuild_parameter"): rebuilding._rebuild_parameter,
        ("_codecs", "encode"): _encoded,
        **numpys,
    }


def _scalar(dtype: np.dtype, content: Any = None) -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(content, bytes):
        return Stub()
    return np.frombuffer(content, dtype=dtype, count=1)[0]


def _empty(*_: Any) -> np.ndarray:
    """Return an empty array; the file's own state fills it."""
    return np.ndarray((0,), dtype=np.int8)


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """Return bytes as old pickle protocols keep them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused(f"_codecs.encode with {encoding!r}")
    return text.encode("latin1")


def load(file: Any, **given: Any) -> Any:
    """Read one pickle from an open file."""
    return Unpickler(file, **given).load()
