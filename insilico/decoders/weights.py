"""Where a decoder's networks lie, and their digests."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from safetensors import SafetensorError

from insilico.errors import WeightsError, listed
from insilico.schema import short_digest

SUFFIXES = (".json", ".safetensors")
HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+(@[\w.-]+)?")
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What the libraries raise where weights are missing, damaged or of another model."""
READ = ["*.json", "*.safetensors", "*.txt", "*.model"]


def folder(weights: str, network: str) -> Path:
    """Return the folder of one network.

    Parameters
    ----------
    weights : str
        ``"phantom"`` for those shipped, or a folder that holds one subfolder per network.
    network : str
        Such as ``"mindeye2"``, ``"unclip"`` or ``"captioner"``.

    Raises
    ------
    WeightsError
        If there is no such folder.
    """
    shipped = Path(str(files("insilico"))) / "phantom" / "weights"
    root = shipped if weights == "phantom" else Path(weights).expanduser()
    if not (root / network).is_dir():
        present = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
        raise WeightsError(
            f"no weights of {network} in {root}; it holds {listed(present) or 'nothing'}; give a "
            f"folder with {network}/ in it, or 'phantom' for the networks that ship with insilico"
        )
    return root / network


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
    path = Path(weights).expanduser()
    if weights != "phantom" and (path / mark).is_file():
        return path
    if not path.exists() and HUB_ID.fullmatch(weights):
        return _fetched(weights, network)
    path = folder(weights, network)
    if not (path / mark).is_file():
        raise WeightsError(f"no {mark} in {path}: not the folder of a network as it is saved")
    return path


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
    files_in = [file for file, _, _ in stamps]
    parts = ((str(p.relative_to(path).as_posix()), p.read_bytes()) for p in files_in)
    return short_digest(*(part for pair in parts for part in pair))
