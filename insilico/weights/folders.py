"""Where a decoder's networks lie, and their digests."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from safetensors import SafetensorError

from insilico.errors import WeightsError, listed
from insilico.schema import canonical
from insilico.weights import authors
from insilico.weights.records import parts

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
        ``INSILICO_WEIGHTS`` (by default ``weights`` in the user's cache), or a folder.
    """
    if weights == "phantom":
        return Path(str(files("insilico"))) / "phantom" / "weights"
    return published_root() if weights == "published" else Path(weights).expanduser()


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
    published = authors.source(place, network, model)
    if published is None:
        present = sorted(p.name for p in place.iterdir() if p.is_dir()) if place.is_dir() else []
        raise WeightsError(
            f"no weights of {network} in {place}; it holds {listed(present) or 'nothing'}; give a "
            f"folder with {network}/ in it, or 'phantom' for the networks that ship with insilico"
            f"{authors.wanted(place, network, model)}"
        )
    return published


def folder(weights: str, network: str, model: str | None = None) -> Path:
    """Return the folder of one network, converted from the published file where there is one.

    Parameters and errors are those of `source`.
    """
    path = source(weights, network, model)
    return path if path.is_dir() else authors.converted(root(weights), network, path)


def used(weights: str, network: str, model: str | None = None) -> str:
    """Return the digest of what a network is loaded from; nothing is converted."""
    path = source(weights, network, model)
    return digest(path) if path.is_dir() else authors.digest(root(weights), path)


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


def found_digest(weights: str, network: str, mark: str = "config.json") -> str:
    """Return the digest of what `found` would give; nothing is converted."""
    path = _own(weights, network, mark)
    return used(weights, network) if path is None else digest(path)


def _own(weights: str, network: str, mark: str) -> Path | None:
    """Return the network's own folder, given or from the hub, or None."""
    path = Path(weights).expanduser()
    if weights != "phantom" and (path / mark).is_file():
        return path
    known = path.exists() or not HUB_ID.fullmatch(weights)
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
        Folder of one network.
    """
    kept = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES)
    return _digest(path, tuple((p, p.stat().st_size, p.stat().st_mtime_ns) for p in kept))


@lru_cache(maxsize=32)
def _digest(path: Path, stamps: tuple[tuple[Path, int, int], ...]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for file, _, _ in stamps:
        state.update(canonical(file.relative_to(path).as_posix()).encode() + b"\0")
        for part in parts(file):
            state.update(part)
        state.update(b"\0")
    return state.hexdigest()
