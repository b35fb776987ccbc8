"""Whether a file is whole, told by its table of contents alone: nothing of it is loaded."""

from __future__ import annotations

from pathlib import Path

from insilico.errors import WeightsError


def whole(path: Path) -> None:
    """Raise if a file of weights or data is cut off or of another kind than its name says."""
    try:
        if path.suffix in (".pth", ".ckpt", ".pt", ".bin") or path.name.endswith(".pth.tar"):
            from insilico.weights.checkpoint import kind

            kind(path)
        elif path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="pt"):
                pass
        elif path.suffix == ".hdf5":
            import h5py

            with h5py.File(path):
                pass
        elif path.suffix == ".npy":
            import numpy as np

            np.load(path, mmap_mode="r", allow_pickle=False)
    except WeightsError:
        raise
    except Exception as error:  # the libraries raise errors of many kinds
        raise WeightsError(f"{path} is cut off or damaged ({error}); download it again") from error
