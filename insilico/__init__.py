"""Experiments on a simulated brain.

stimuli -> encoder -> response@fsaverage5 -> perturbation -> adapter -> response@voxels -> decoder
-> reconstruction -> scores -> statistics -> figures

>>> import insilico as isi
>>> chain = isi.load_chain("phantom")
>>> stimuli = chain.stimuli(split="test", n=20)
>>> response = chain.encode(stimuli)
>>> lesioned = chain.ablate(response, atlas="yeo7", region="Visual")
>>> reconstruction = chain.decode(lesioned)
>>> score = isi.score(reconstruction, stimuli, ["pixcorr", "clip_cosine"])

All names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # else every loading draws bars

NAMES = {
    "Chain": "insilico.chain:Chain",
    "ablate": "insilico.chain:ablate",
    "adapt": "insilico.adapters.own:adapt",
    "adapter_accuracy": "insilico.statistics.voxelwise:adapter_accuracy",
    "check": "insilico.schema:check",
    "draw": "insilico.report.redraw:redraw",
    "fit_adapter": "insilico.adapters.own:fit_adapter",
    "from_array": "insilico.spaces.responses.arrays:from_array",
    "from_berg": "insilico.encoders.berg_responses:from_berg",
    "from_surface_image": "insilico.spaces.responses.surfaces:from_surface_image",
    "from_tribe": "insilico.encoders.tribe:from_tribe",
    "load_adapter": "insilico.adapters.files:load_adapter",
    "load_chain": "insilico.chain:load_chain",
    "perturb": "insilico.chain:perturb",
    "read_response": "insilico.spaces.responses.files:read_response",
    "run": "insilico.report.experiment:run",
    "sample": "insilico.schema:sample",
    "save_adapter": "insilico.adapters.files:save_adapter",
    "score": "insilico.scoring:score",
    "to_surface_image": "insilico.spaces.responses.surfaces:to_surface_image",
    "translate": "insilico.translate:translate",
    "write_response": "insilico.spaces.responses.files:write_response",
}

__all__ = list(NAMES)


class _Package(ModuleType):
    """The package. Importing the room `insilico.run` does not hide the function `run`."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in NAMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in NAMES:
        raise AttributeError(f"module 'insilico' has no attribute '{name}'")
    module, _, attribute = NAMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("insilico")
    except PackageNotFoundError:
        return "not installed"


def __dir__() -> list[str]:
    return sorted(["__all__", "__doc__", "__version__", *NAMES])
