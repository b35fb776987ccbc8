"""A folder laid out as the authors' hub has it: which file makes which network, converted once."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from insilico.errors import WeightsError, listed, not_one_of
from insilico.schema import short_digest
from insilico.weights import records
from insilico.weights.catalogue import Published, published
from insilico.weights.writing import whole_folder, write_tensors, written

VERSION = 1
"""Raise it when a conversion gives something else."""
CONVERTED = "INSILICO_CONVERTED"


@dataclass(frozen=True)
class Conversion:
    """How one of insilico's networks is made of a published file.

    Attributes
    ----------
    path : str
        Of the source in the weights folder; ``{model}`` is the name of a training run.
    makes : str
        ``"module:function"``, from source and settings to the content of a folder.
    """

    path: str
    makes: str


_HERE = "insilico.weights.conversions"
CONVERSIONS = {
    "mindeye2": Conversion(
        "train_logs/{model}/last.pth", "insilico.decoders.mindeye2.published:convert"
    ),
    "unclip": Conversion("unclip6_epoch0_step110000.ckpt", f"{_HERE}:unclip"),
    "clip": Conversion("unclip6_epoch0_step110000.ckpt", f"{_HERE}:bigg"),
    "converter": Conversion("bigG_to_L_epoch8.pth", f"{_HERE}:converter"),
    "captioner": Conversion("git-large-coco/pytorch_model.bin", f"{_HERE}:captioner"),
    "blurry": Conversion("sd_image_var_autoenc.pth", f"{_HERE}:blurry"),
    "refiner": Conversion("zavychromaxl_v30.safetensors", f"{_HERE}:refiner"),
}
SETTINGS = (
    "blurry", "clip", "refiner", "scheduler", "text_encoder", "text_encoder_2", "unclip", "unet",
    "vae",
)  # fmt: skip
"""Parts of the settings beside a checkpoint."""
READY = {"captioner": ("git-large-coco", "config.json", "model.safetensors")}
"""Folders of the hub that are read as they are."""


def source(root: Path, network: str, model: str | None = None) -> Path | None:
    """Return the published file or ready folder that a network comes from, or None.

    Parameters
    ----------
    root : path
        Weights folder.
    network : str
    model : str, optional
        Name of the training run, where there are several.

    Raises
    ------
    WeightsError
        If it cannot be told which of several runs is meant.
    """
    if network not in CONVERSIONS:
        return None
    if network in READY:
        name, *needed = READY[network]
        if all((root / name / file).is_file() for file in needed):
            return root / name
    path = CONVERSIONS[network].path
    if "{model}" in path:
        return _run(root, path, model)
    return root / path if (root / path).is_file() else None


def runs(root: Path) -> list[str]:
    """Return the names of the training runs in a weights folder."""
    pattern = CONVERSIONS["mindeye2"].path.format(model="*")
    return sorted(path.parent.name for path in root.glob(pattern))


def _run(root: Path, pattern: str, model: str | None) -> Path | None:
    there = runs(root)
    if model is None:
        if len(there) > 1:
            raise WeightsError(f"{root} holds several models; name one as 'model': {listed(there)}")
        return root / pattern.format(model=there[0]) if there else None
    if model in there:
        return root / pattern.format(model=model)
    folder = (root / pattern.format(model=model)).parent
    if (folder / "last").is_dir():
        raise WeightsError(
            f"{folder} holds DeepSpeed's shards, not last.pth: join them with the zero_to_fp32.py "
            f"that DeepSpeed put there, and name what it writes last.pth"
        )
    raise WeightsError(
        f"no model '{model}' in {root}: no {pattern.format(model=model)}; there are: "
        f"{listed(there) or 'none'}{wanted(root, 'mindeye2', model)}"
    )


def wanted(root: Path, network: str, model: str | None = None) -> str:
    """Say which published file would be needed, how large it is, and where to put it."""
    if network not in CONVERSIONS:
        return ""
    path = READY[network][0] + "/" if network in READY else CONVERSIONS[network].path
    if "{model}" in path:
        path = path.format(model=model or "final_subj01_pretrained_40sess_24bs")
    known = published(path)
    about = described(known) if known else ""
    lacks = known.lacks(root) if known and (root / path).is_dir() else []
    what = f"{' and '.join(lacks)} into {root / path}" if lacks else f"{path}{about} into {root}"
    halves = f"{path} is there and lacks files: " if lacks else "Published weights: "
    return f". {halves}put {what}{about if lacks else ''}; see 'insilico weights list'"


def described(row: Published) -> str:
    """Return what a published file holds, its size and its address, in brackets."""
    size = f", {written(row.size)}" if row.size else ""
    return f" ({row.holds}{size}; from {row.address})"


def digest(root: Path, path: Path) -> str:
    """Return a digest of a published file, of the settings beside it and of the conversion."""
    found = records.digest(records_room(root), root, path)
    return short_digest(found, settings(path), VERSION)


def settings(path: Path) -> dict[str, Any]:
    """Return the settings in the JSON file beside a checkpoint, if there are any.

    Only files of other sizes than the published ones need them: shapes do not tell the number of
    attention heads or normalisation groups, and nothing tells a sampler.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file() or path.name == "pytorch_model.bin":
        return {}
    try:
        content = json.loads(beside.read_text("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{beside} is no JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise WeightsError(f"{beside}: write settings as {{'part': {{'name': value}}}}")
    for part in content:
        if part not in SETTINGS:
            raise WeightsError(f"{beside}: {not_one_of('part', part, SETTINGS)}")
    return content


def workroom(root: Path) -> Path:
    """Return where what is made of a weights folder is kept.

    ``INSILICO_CONVERTED`` if it is set; else ``converted/`` in the folder; else, where that cannot
    be written to, the user's cache.
    """
    from platformdirs import user_cache_path

    given = os.environ.get(CONVERTED)
    if not given and _writable(root):
        return root / "converted"
    base = Path(given).expanduser() if given else user_cache_path("insilico") / "converted"
    return base / short_digest(str(root.resolve()))[:12]


def records_room(root: Path) -> Path:
    """Return the folder of the record of digests: the weights folder, if it can be written to."""
    return root if _writable(root) else workroom(root)


def _writable(root: Path) -> bool:
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    return os.access(there, os.W_OK)


def place(root: Path, network: str, path: Path) -> Path:
    """Return the folder that a conversion of a published file has, or would have."""
    run = f"-{path.parent.name}" if network == "mindeye2" else ""
    return workroom(root) / f"{network}{run}-{digest(root, path)[:12]}"


def examined(root: Path, network: str, path: Path, accept: bool = False) -> None:
    """Raise if a published file cannot be converted: names and shapes are read, no digest.

    Parameters
    ----------
    root, network, path
        Weights folder, the network that is made of the file, and the file.
    accept : bool
        Take a file of any size.

    Raises
    ------
    WeightsError
        If the file is damaged, far from its published size, holds code, or is of another model
        or subject.
    """
    room = records_room(root)
    if records.unchanged(room, root, path) and place(root, network, path).is_dir():
        return
    records.require_sound(room, root, path, accept=accept)
    state = path.stat()
    _examined(network, path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=32)
def _examined(network: str, path: Path, size: int, time: int) -> None:
    _conversion(network)(path, settings(path))


def converted(root: Path, network: str, path: Path) -> Path:
    """Return the folder made of a published file; make it if it is not there.

    Raises
    ------
    WeightsError
        If the file is damaged, of another model, or if there is no room. Nothing half-made is
        left.
    """
    target = place(root, network, path)
    if target.is_dir():
        return target
    with _locked(target):
        if not target.is_dir():
            _convert(target, network, path)
    return target


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold a folder's name against other processes that would make it too."""
    from filelock import FileLock

    lock = FileLock(target.parent / f".{target.name}.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise WeightsError(
            f"{target.parent} cannot be written to ({error.strerror or error}); name another "
            f"folder in {CONVERTED}"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _convert(target: Path, network: str, path: Path) -> None:
    content = _conversion(network)(path, settings(path))
    size = sum(_bytes(part) for part in content.values())
    with whole_folder(target, size, f"converting {path.name} to {network}") as part:
        for name, what in content.items():
            file = part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(what, str):
                file.write_text(what, "utf-8")
            elif isinstance(what, Path):
                shutil.copyfile(what, file)
            else:
                write_tensors(file, what)


def _conversion(network: str) -> Callable[..., Any]:
    module, _, name = CONVERSIONS[network].makes.partition(":")
    return getattr(importlib.import_module(module), name)


def _bytes(part: Any) -> int:
    if isinstance(part, str):
        return len(part)
    if isinstance(part, Path):
        return part.stat().st_size
    return sum(value.nbytes for value in part.values())
