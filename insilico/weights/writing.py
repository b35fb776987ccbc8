"""Files and folders that are there whole or not at all, and safetensors written tensor by tensor.

Tensors may be mapped to the file that they were read from: at no time are two copies in memory.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from insilico.errors import WeightsError

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
SPARE_BYTES = 64 * 2**20
"""Left free on the disk beside what is written."""


def written(size: float) -> str:
    """Write a number of bytes for people, in decimal units as file managers show them."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def write_json(path: Path, content: Any) -> None:
    """Write JSON beside its place and rename it."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a safetensors file, one tensor after the other.

    Parameters
    ----------
    path : path
    tensors : dict of str to Tensor
        Of any memory layout; several may be views of one storage.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for key, value in tensors.items():
        if value.dtype not in DTYPES:
            raise WeightsError(f"{key} has dtype {value.dtype}, which safetensors cannot hold")
        end = start + value.nbytes
        about = {"dtype": DTYPES[value.dtype], "shape": list(value.shape)}
        header[key] = {**about, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            raw = value.detach().contiguous().reshape(-1).view(torch.uint8)
            file.write(raw.numpy().data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole_folder(target: Path, size: int, what: str) -> Iterator[Path]:
    """Give a folder to write into; it takes its name when all went well, else it is deleted.

    Parameters
    ----------
    target : path
        The name that it takes.
    size : int
        Bytes that will be written.
    what : str
        For the message.

    Raises
    ------
    WeightsError
        If there is no room for it, before anything is written.
    """
    with no_space(target, size, what):
        target.parent.mkdir(parents=True, exist_ok=True)
        _leftovers(target)
        free = shutil.disk_usage(target.parent).free
        if free < size + SPARE_BYTES:
            raise OSError(errno.ENOSPC, f"{written(free)} are free")
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
        try:
            yield part
            part.chmod(0o755)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def no_space(target: Path, size: int, what: str) -> Iterator[None]:
    """Turn a full or closed disk into one `WeightsError`."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: f"no space ({error.strerror})",
            errno.EDQUOT: "your quota is used up",
        }
        reason = reasons.get(error.errno or 0, f"it cannot be written ({error.strerror or error})")
        raise WeightsError(
            f"{what} needs {written(size)} in {target.parent}: {reason}; make room, or name "
            f"another folder in INSILICO_CONVERTED. Nothing half-made was left"
        ) from error


def _leftovers(target: Path) -> None:
    """Delete what a killed process left half-written; the caller holds the lock of the target."""
    for left in target.parent.glob(f".{target.name}.*.part"):
        with suppress(OSError):
            shutil.rmtree(left)
