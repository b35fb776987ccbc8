"""Whether a file is whole, told by its table of contents alone: no number of it is loaded."""

from __future__ import annotations

from pathlib import Path

from insilico.errors import WeightsError
from insilico.weights.catalogue import published

SHORTEST, LONGEST = 0.95, 1.05
"""Of the published size, which may be rounded: what lies outside is another file, or broken off."""
CHECKPOINTS = (".pth", ".ckpt", ".pt", ".bin")
POINTER = b"version https://git-lfs.github.com"


def sound(root: Path, path: Path) -> None:
    """Raise if a published file is not whole, holds code, or is far from its published size.

    A JSON file beside it says that it is a network of another size: then none is compared.

    Parameters
    ----------
    root, path : path
        Weights folder, and the file in it.

    Raises
    ------
    WeightsError
    """
    whole(path)
    row = published(path.relative_to(root).as_posix())
    size, told = path.stat().st_size, row.size if row else None
    if not told or path.with_suffix(".json").is_file():
        return
    if not SHORTEST * told <= size <= LONGEST * told:
        from insilico.weights.writing import written

        name = path.relative_to(root).as_posix()
        raise WeightsError(
            f"{path} has {written(size)}, published {written(told)}: another file, or a download "
            f"that broke off. Download it again; if it is a network of your own, say so: "
            f"insilico weights check --accept {name}"
        )


def whole(path: Path) -> None:
    """Raise if a file of weights or data is cut off, of another kind than its name, or has code."""
    refuse_pointer(path)
    try:
        if path.suffix in CHECKPOINTS or path.name.endswith(".pth.tar"):
            from insilico.weights.checkpoint import require_whole

            require_whole(path)
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


def refuse_pointer(path: Path) -> None:
    """Raise for the text that git keeps in the place of a large file that was not downloaded."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise WeightsError(
                f"{path} is a Git-LFS pointer, not the file itself: run 'git lfs pull' in its "
                f"repository, or download the file"
            )
