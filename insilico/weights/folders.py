"""Where a decoder's networks lie, and their digests."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from safetensors import SafetensorError

from insilico.errors import SeveralMissing, WeightsError, listed
from insilico.schema import canonical
from insilico.weights import authors, records
from insilico.weights.catalogue import published
from insilico.weights.records import parts
from insilico.weights.wholeness import CHECKPOINTS, refuse_pointer, whole

ROOT = "INSILICO_WEIGHTS"

SUFFIXES = (".json", ".safetensors")
HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+(@[\w.-]+)?")
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What the libraries raise where weights are missing, damaged or of another model."""
READ = ["*.json", "*.safetensors", "*.txt", "*.model"]


def root(weights: str) -> Path:
    """Return the folder that a value of ``weights`` names.

    Parameters
    ----------
    weights : str
        ``"phantom"`` for those shipped, ``"published"`` for the published files in
        ``INSILICO_WEIGHTS`` (by default ``weights`` in the user's cache) and ``"published/NAME"``
        for one of them, or a folder.
    """
    if weights == "phantom":
        return Path(str(files("insilico"))) / "phantom" / "weights"
    head, _, rest = weights.partition("/")
    return published_root() / rest if head == "published" else Path(weights).expanduser()


def published_root() -> Path:
    """Return where published files are looked for."""
    from platformdirs import user_cache_path

    given = os.environ.get(ROOT)
    return Path(given).expanduser() if given else user_cache_path("insilico") / "weights"


def source(weights: str, network: str, model: str | None = None) -> Path:
    """Return what a network is loaded from: its own folder, or the published file.

    Nothing is converted.

    Parameters
    ----------
    weights : str
        See `root`. The folder holds one subfolder per network, or the files of the authors' hub.
    network : str
        Such as ``"mindeye2"``, ``"unclip"`` or ``"captioner"``.
    model : str, optional
        Name of a training run in the authors' ``train_logs/``, for ``"mindeye2"``.

    Raises
    ------
    WeightsError
        If there is none; it says what is missing, how large it is and where it goes.
    """
    place = root(weights)
    trained = model is not None and network == "mindeye2"
    if trained and weights == "phantom":
        raise WeightsError(
            f"the phantom has one MindEye2, no model '{model}': leave 'model' away, or name the "
            f"folder of the authors' files in 'weights'"
        )
    if (place / network).is_dir() and not trained:
        return place / network
    file = authors.source(place, network, model)
    if file is None:
        raise WeightsError(
            f"no weights of {network} in {place}; it holds {listed(_held(place)) or 'nothing'}; "
            f"give a folder with {network}/ in it, or 'phantom' for the networks that ship with "
            f"insilico{authors.wanted(place, network, model)}"
        )
    return file


def _held(place: Path) -> list[str]:
    """Return the folders and files of weights in a folder, by name."""
    if not place.is_dir():
        return []
    found = (p for p in place.iterdir() if p.is_dir() or p.suffix in (*CHECKPOINTS, ".safetensors"))
    return sorted(f"{p.name}/" if p.is_dir() else p.name for p in found)


def folder(weights: str, network: str, model: str | None = None) -> Path:
    """Return the folder of one network, converted from the published file where there is one.

    Parameters and errors are those of `source`.
    """
    path = source(weights, network, model)
    return path if path.is_dir() else authors.converted(root(weights), network, path)


def used(weights: str, network: str, model: str | None = None) -> str:
    """Return the digest of what a network is loaded from; nothing is converted.

    Raises
    ------
    WeightsError
        If it is missing, or a published file that could not be converted.
    """
    path = sound(weights, network, model)
    return digest(path) if path.is_dir() else authors.digest(root(weights), path)


def sound(weights: str, network: str, model: str | None = None) -> Path:
    """Return what a network is loaded from, if it is whole, without code and of its kind.

    Names, shapes and sizes are read, no numbers: it takes no longer for 9 GB.

    Raises
    ------
    WeightsError
        If it is missing, or could not be loaded or converted.
    """
    path = source(weights, network, model)
    if path.is_dir():
        _whole(_stamps(path))
    else:
        authors.examined(root(weights), network, path)
    return path


def used_all(weights: str, networks: Iterable[str], model: str | None = None) -> dict[str, str]:
    """Return the digests of several networks; the error names all that cannot be used.

    Raises
    ------
    WeightsError
        If one cannot be used; `SeveralMissing` if several cannot.
    """
    digests: dict[str, str] = {}
    wrong: list[WeightsError] = []
    for network in networks:
        try:
            digests[network] = used(weights, network, model)
        except WeightsError as error:
            wrong.append(error)
    if wrong:
        raise wrong[0] if len(wrong) == 1 else SeveralMissing(wrong)
    return digests


def found(weights: str, network: str, mark: str = "config.json") -> Path:
    """Return the folder of a network that is shipped, given or on the hub.

    Parameters
    ----------
    weights : str
        ``"phantom"``; the network's own folder, or one that holds it as a subfolder; or a hub id
        such as ``cvssp/audioldm2-large``, with ``@revision`` where it is to be pinned.
    network : str
        Name of the subfolder.
    mark : str
        File that tells the network's own folder.

    Raises
    ------
    WeightsError
        If there is none.
    """
    path = _own(weights, network, mark) or folder(weights, network)
    if not (path / mark).is_file():
        raise WeightsError(f"no {mark} in {path}: not the folder of a network as it is saved")
    return path


def ready_made(weights: str, network: str, mark: str = "config.json") -> Path | None:
    """Return what `found` would give, or None where that is not converted yet."""
    path = _own(weights, network, mark) or source(weights, network)
    return path if (path / mark).is_file() else None


def found_digest(weights: str, network: str, mark: str = "config.json") -> str:
    """Return the digest of what `found` would give; nothing is converted."""
    path = _own(weights, network, mark)
    return used(weights, network) if path is None else digest(path)


def _own(weights: str, network: str, mark: str) -> Path | None:
    """Return the network's own folder, given or from the hub, or None."""
    path = root(weights)
    if weights != "phantom" and (path / mark).is_file():
        return path
    known = path.exists() or path != Path(weights) or not HUB_ID.fullmatch(weights)
    row = published(f"{path.name}/")
    if known and row is not None and not path.exists():
        raise WeightsError(f"no {row.path} in {path.parent}: put it there{authors.described(row)}")
    return None if known else _fetched(weights, network)


def _fetched(weights: str, network: str) -> Path:
    from huggingface_hub import snapshot_download

    name, _, revision = weights.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=READ))
    except Exception as error:  # the hub's client raises errors of many libraries
        raise WeightsError(
            f"no folder '{weights}', and the hub gave no such model ({type(error).__name__}); "
            f"give the folder of a downloaded {network}, or try again with network"
        ) from error


def digest(path: Path) -> str:
    """Return a digest of all configurations and weights in a folder.

    Parameters
    ----------
    path : Path
        Folder of one network. If it is a published one, under its own name, its weights are held
        against the record beside it.

    Raises
    ------
    WeightsError
        If a published folder's weights are cut off, or were changed since they were first used.
    """
    if published(f"{path.name}/"):
        for file in sorted(path.glob("*.safetensors")):
            records.digest(authors.records_room(path.parent), path.parent, file)
    return _digest(path, _stamps(path))


Stamps = tuple[tuple[Path, int, int], ...]


def _stamps(path: Path) -> Stamps:
    kept = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES)
    return tuple((p, p.stat().st_size, p.stat().st_mtime_ns) for p in kept)


@lru_cache(maxsize=32)
def _whole(stamps: Stamps) -> None:
    for file, _, _ in stamps:
        whole(file)


@lru_cache(maxsize=32)
def _digest(path: Path, stamps: Stamps) -> str:
    state = hashlib.blake2b(digest_size=16)
    for file, _, _ in stamps:
        refuse_pointer(file)
        state.update(canonical(file.relative_to(path).as_posix()).encode() + b"\0")
        for part in parts(file):
            state.update(part)
        state.update(b"\0")
    return state.hexdigest()
