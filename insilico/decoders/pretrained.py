"""Networks of diffusers and transformers from their folders, whole or not at all."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from insilico.errors import WeightsError, listed
from insilico.weights.folders import UNREADABLE

LET_PASS = ("projection.weight", "position_ids", "logit_scale")
"""Ends of keys that files of a larger model hold, and no result here depends on."""


def network(address: str, folder: Path) -> Any:
    """Load one network in fp32.

    The libraries fill what a file lacks with random numbers and go on; here that is an error.

    Parameters
    ----------
    address : str
        Library and class, such as ``"diffusers:AutoencoderKL"``.
    folder : path
        As the class saves it: ``config.json`` and safetensors.

    Raises
    ------
    WeightsError
        If the folder cannot be read, or keys are missing, unexpected or of other sizes.
    """
    library, _, name = address.partition(":")
    kind = getattr(importlib.import_module(library), name)
    how: dict[str, Any] = {"use_safetensors": True, "output_loading_info": True}
    if library == "diffusers":
        how |= {"torch_dtype": torch.float32, "low_cpu_mem_usage": False}
    try:
        made, found = kind.from_pretrained(folder, **how)
    except (*UNREADABLE, TypeError) as error:
        raise WeightsError(f"{folder} cannot be loaded as {name}: {error}") from error
    wrong = {
        "missing": found["missing_keys"],
        "unexpected": [k for k in found["unexpected_keys"] if not str(k).endswith(LET_PASS)],
        "of other sizes": [k[0] for k in found["mismatched_keys"]],
    }
    if any(wrong.values()):
        said = "; ".join(f"{what}: {listed(sorted(k), 3)}" for what, k in wrong.items() if k)
        raise WeightsError(f"{folder} cannot be loaded as {name}; keys {said}")
    return made.float().eval()
