"""Where a decoder's networks lie, and their digests."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from insilico.errors import WeightsError, listed
from insilico.schema import short_digest


def folder(weights: str, network: str) -> Path:
    """Return the folder of one network.

    Parameters
    ----------
    weights : str
        ``"phantom"`` for those shipped, or a folder that holds one subfolder per network.
    network : str
        Such as ``"mindeye2"``, ``"unclip"`` or ``"captioner"``.
    """
    shipped = Path(str(files("insilico.phantom"))) / "weights"
    root = shipped if weights == "phantom" else Path(weights).expanduser()
    if not (root / network).is_dir():
        present = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
        raise WeightsError(
            f"no weights of {network} in {root}; it holds {listed(present) or 'nothing'}; give a "
            f"folder with {network}/ in it, or 'phantom' for the networks that ship with insilico"
        )
    return root / network


@lru_cache(maxsize=32)
def digest(path: Path) -> str:
    """Return a digest of all configurations and weights in a folder."""
    kept = sorted(p for p in path.rglob("*") if p.suffix in (".json", ".safetensors"))
    return short_digest(*(part for p in kept for part in (p.name, p.read_bytes())))
