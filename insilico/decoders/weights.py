"""Where a decoder's networks lie, and their digests."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from insilico.errors import WeightsError, listed
from insilico.schema import short_digest

SUFFIXES = (".json", ".safetensors")


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
