"""Weights on disk: half precision (loaded in single precision again), no trace of folders."""

from __future__ import annotations

import json
from pathlib import Path


def halve(folder: str | Path) -> None:
    """Rewrite the safetensors files of a folder with float16 in place of float32."""
    import torch
    from safetensors.torch import load_file, save_file

    for file in Path(folder).rglob("*.safetensors"):
        tensors = load_file(file)
        if any(value.dtype == torch.float32 for value in tensors.values()):
            half = {key: value.half().contiguous() for key, value in tensors.items()}
            part = file.with_suffix(".part")
            save_file(half, part, metadata={"format": "pt"})
            part.chmod(0o644)
            part.replace(file)


def forget_origin(folder: str | Path) -> None:
    """Remove the folder that a network was loaded from out of its configuration files."""
    for file in Path(folder).rglob("config.json"):
        values = json.loads(file.read_text("utf-8"))
        if values.pop("_name_or_path", None) is not None:
            file.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", "utf-8")


def finish(folder: str | Path) -> None:
    """Halve the weights of a folder and forget where they came from."""
    halve(folder)
    forget_origin(folder)
