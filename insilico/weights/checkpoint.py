"""Safe reading of checkpoints: a flat dict of tensors, and the plain numbers beside them.

A file is read as safetensors, else by torch with ``weights_only``, else by an unpickler that runs
nothing of what the file names. Tensors stay mapped to the file: nothing is copied before it is
used.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from insilico.errors import WeightsError, listed
from insilico.weights.wholeness import refuse_pointer

HOLDERS = ("model_state_dict", "state_dict", "module", "model")
"""Under what names training programs keep the state dict; the first one found counts."""
WRAPPERS = ("module.", "_orig_mod.")
"""What data-parallel and compiled models put before every name."""
AVERAGED = ("ema_state_dict", "model_ema", "state_dict_ema")
MAGIC = 0x1950A86A20F9469CFC6C
"""The first number in torch's old format."""
PICKLE = "data.pkl"
"""The entry of torch's zip files that holds everything but the numbers."""
PICKLES, COUNT = 5, 8
"""Pickles before the numbers of an old file; bytes of the count before each storage."""
AGAIN = "download it again, and compare its size with that of the hub"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Flat, under the authors' names without wrappers' prefixes.
    about : dict
        The other top-level values that are plain: numbers, texts, lists of numbers.
    """

    tensors: dict[str, torch.Tensor]
    about: dict[str, Any] = field(default_factory=dict)


def read(path: str | Path, *, ema: bool = False, dtype: torch.dtype | None = None) -> Checkpoint:
    """Read a checkpoint without running any code of it.

    Parameters
    ----------
    path : path
        Of a safetensors file, or of what ``torch.save`` wrote, in either of its formats.
    ema : bool
        Take the averaged weights, where the file keeps both.
    dtype : torch.dtype, optional
        Convert floating-point tensors, such as fp16 ones to ``torch.float32``. Otherwise they
        stay as they are in the file.

    Returns
    -------
    Checkpoint

    Raises
    ------
    WeightsError
        If the file is missing, cut off, of another kind, or a pickle with code in it.
    """
    path = Path(path)
    everything = content(path)
    tensors = _state(everything, path, ema)
    if dtype is not None:
        tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}
    return Checkpoint(tensors, _plain(everything))


def content(path: str | Path) -> Any:
    """Return all that a file holds, as it is nested; what is unknown is an inert stub.

    Errors are those of `read`.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no file {path}")
    refuse_pointer(path)
    return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is cut off, or no safetensors file ({error}); {AGAIN}"
        ) from error


def _torch(path: Path) -> Any:
    how = kind(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=how == "zip")
        except pickle.UnpicklingError:  # it holds more than tensors
            return _restricted(path, how)
        except Exception as error:
            if how == "legacy":  # an old numpy or a training library in its pickle
                return _restricted(path, how)
            raise _damaged(path, error) from error


def _restricted(path: Path, how: str) -> Any:
    from insilico.weights import unpickling

    try:
        return torch.load(
            path,
            map_location="cpu",
            weights_only=False,
            pickle_module=unpickling,
            mmap=how == "zip",
        )
    except unpickling.Refused as error:
        raise _code(path, error) from error
    except Exception as error:  # torch's readers raise errors of many kinds
        raise _damaged(path, error) from error


def require_whole(path: Path) -> None:
    """Raise if a checkpoint of torch is cut off or names code; no tensor of it is read.

    Read are the table of contents and the pickle of names; each storage must have its bytes.
    """
    from insilico.weights import unpickling

    how = kind(path)
    try:
        lacking = _lacking_zip(path) if how == "zip" else _lacking_legacy(path)
    except unpickling.Refused as error:
        raise _code(path, error) from error
    except Exception as error:  # broken pickles and archives raise errors of many kinds
        raise _damaged(path, error) from error
    if lacking:
        raise WeightsError(f"{path} is cut off or damaged (no whole storage {lacking}); {AGAIN}")


def _lacking_zip(path: Path) -> str:
    """Return the first storage that the archive lacks or holds in part, or nothing."""
    from insilico.weights.unpickling import Reader

    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        entry = next(name for name in sizes if name.rpartition("/")[2] == PICKLE)
        with archive.open(entry) as file:
            reader = Reader(file)
            reader.load()
    room = entry.removesuffix(PICKLE) + "data/"
    wanted = reader.storages.items()
    return next((key for key, size in wanted if sizes.get(room + key, -1) < (size or 0)), "")


def _lacking_legacy(path: Path) -> str:
    """Return in words how far an old file goes if its storages do not fit in, or nothing."""
    from insilico.weights.unpickling import Reader

    size, needed = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(PICKLES):
            reader = Reader(file)
            reader.load()
            needed += sum(COUNT + (held or 0) for held in reader.storages.values())
        after = size - file.tell()
    return f"of {needed} bytes: {after} are left" if after < needed else ""


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return WeightsError(f"{path} is cut off or damaged ({reason}); {AGAIN}")


def kind(path: Path) -> str:
    """Return ``zip`` or ``legacy``; raise for what torch never wrote."""
    with path.open("rb") as file:
        head = file.read(2)
    if head == b"PK":
        if not zipfile.is_zipfile(path):
            raise WeightsError(f"{path} is cut off: its table of contents is missing; {AGAIN}")
        with zipfile.ZipFile(path) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
        if PICKLE in names and "constants.pkl" not in names:
            return "zip"
        what = "a TorchScript program" if "constants.pkl" in names else "another kind of zip file"
        raise WeightsError(f"{path} is {what}, not a checkpoint of tensors")
    if head[:1] == b"\x80":
        return _legacy(path)
    met = "empty" if not head else "not a file that torch.save wrote"
    raise WeightsError(f"{path} is {met}; allowed: checkpoints of torch, and .safetensors")


def _legacy(path: Path) -> str:
    """Return ``legacy`` if the file begins as torch's old format does."""
    from insilico.weights import unpickling

    try:
        with path.open("rb") as file:
            begins = unpickling.load(file) == MAGIC
    except unpickling.Refused as error:
        raise _code(path, error) from error
    except Exception as error:  # broken pickles raise errors of many kinds
        raise _damaged(path, error) from error
    if begins:
        return "legacy"
    raise WeightsError(f"{path} is a bare pickle; allowed: what torch.save writes, .safetensors")


def _code(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path} is a pickle with code in it (it names {error}): nothing of it was run. "
        f"It is not a checkpoint of the authors; delete it and download it from their hub"
    )


def _state(content: Any, path: Path, ema: bool) -> dict[str, torch.Tensor]:
    """Return the flat state dict of a file's content."""
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a dict of tensors")
    wanted = (*AVERAGED, *HOLDERS) if ema else HOLDERS
    held = next((content[n] for n in wanted if isinstance(content.get(n), Mapping)), content)
    state = {k: v for k, v in held.items() if isinstance(v, torch.Tensor) and isinstance(k, str)}
    if held is not content and len(state) < len(held):
        lost = [str(key) for key in held if key not in state]
        raise WeightsError(f"{path}: not tensors: {listed(lost, 3)}")
    if not state:
        raise WeightsError(
            f"{path} holds no tensors; its entries are {listed(content, 8) or 'none'}"
        )
    return _unwrapped(state)


def _unwrapped(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for prefix in WRAPPERS:
        if all(key.startswith(prefix) for key in state):
            return _unwrapped({key.removeprefix(prefix): value for key, value in state.items()})
    return state


def under(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names start with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def fit(
    state: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    what: str,
    may_lack: Callable[[str], bool] = lambda _: False,
) -> None:
    """Raise unless a state dict has exactly the expected names and shapes.

    Parameters
    ----------
    state, expected : dict of str to Tensor
        The expected ones may be on the meta device.
    what : str
        For the message.
    may_lack : function, optional
        Of a name: whether it may be missing.

    Raises
    ------
    WeightsError
        That names what is missing, unexpected or of another shape.
    """
    missing = [key for key in expected if key not in state and not may_lack(key)]
    unexpected = [key for key in state if key not in expected]
    wrong = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    if missing or unexpected or wrong:
        raise WeightsError(
            f"{what}: missing keys {listed(missing, 3) or 'none'}; unexpected keys "
            f"{listed(unexpected, 3) or 'none'}; wrong shapes {listed(wrong, 3) or 'none'}"
        )


def _plain(content: Any) -> dict[str, Any]:
    found = {str(k): _number(v) for k, v in content.items() if isinstance(k, str)}
    return {key: value for key, value in found.items() if value is not None}


def _number(value: Any) -> Any:
    """Return a number, a text or a list of numbers as plain Python, or None for anything else."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = [_number(item) for item in value]
        return None if any(item is None for item in items) else items
    return None
