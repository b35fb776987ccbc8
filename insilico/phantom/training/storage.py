"""Weights on disk in half precision; they are loaded in single precision again."""

from __future__ import annotations

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
