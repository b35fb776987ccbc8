"""The networks of the chain, stage by stage, each loaded on its own.

=============  =====================  ======================================================
stage          folder                 class
=============  =====================  ======================================================
brain          ``mindeye2/``          `MindEye2Model` without its prior
prior          ``mindeye2/``          its `DiffusionPrior`
unclip         ``unclip/``            `UnclipDecoder`
converter      ``converter/``         `ClipConverter`
blurry         ``blurry/``            `BlurryDecoder`
refiner        ``refiner/``           `Refiner`
=============  =====================  ======================================================

The captioner (``captioner/``) is GIT, see `insilico.decoders.git`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from insilico.decoders.mindeye2.blurry import BlurryDecoder
from insilico.decoders.mindeye2.converter import ClipConverter
from insilico.decoders.mindeye2.model import BRAIN, PRIOR, MindEye2Model
from insilico.decoders.mindeye2.refiner import Refiner
from insilico.decoders.precision import Precision, compiled, stored_in
from insilico.decoders.unclip import UnclipDecoder
from insilico.errors import WeightsError
from insilico.step import compiling, device
from insilico.weights.folders import folder, source, used

FOLDERS = {"brain": "mindeye2", "prior": "mindeye2"}
LOADERS: dict[str, Callable[[Path], Any]] = {
    "brain": lambda path: MindEye2Model.from_pretrained(path, BRAIN),
    "prior": lambda path: MindEye2Model.from_pretrained(path, PRIOR).diffusion_prior,
    "unclip": UnclipDecoder.from_pretrained,
    "converter": ClipConverter.from_pretrained,
    "blurry": BlurryDecoder.from_pretrained,
    "refiner": Refiner.from_pretrained,
}
HALVED = {
    "brain": ("",),
    "prior": ("",),
    "converter": ("",),
    "unclip": ("unet",),
    "refiner": ("unet", "text_encoder", "text_encoder_2"),
}
"""The parts of a stage that may be kept in half precision; no autoencoder is."""
LOOPED = {"prior": "net", "unclip": "unet", "refiner": "unet"}
"""The network of a stage that is called many times: the one worth compiling."""


def stage(
    name: str,
    weights: str,
    precision: Precision = "fp32",
    tiled: bool = False,
    model: str | None = None,
) -> Any:
    """Return a stage's networks on the device that is set, loaded once.

    Parameters
    ----------
    name : str
        One of `LOADERS`.
    weights : str
        ``"phantom"``, or the folder that holds the stage's.
    precision : {"fp32", "fp16", "bf16"}
    tiled : bool
        Whether its autoencoder, if it has one, decodes tile by tile.
    model : str, optional
        Training run in an authors' folder.

    Raises
    ------
    WeightsError
    """
    network = FOLDERS.get(name, name)
    path, known = folder(weights, network, model), used(weights, network, model)
    return _loaded(name, path, known, device(), precision, tiled, compiling())


def present(name: str, weights: str) -> bool:
    """Return whether these weights hold a stage's folder, or the published file for it."""
    try:
        return source(weights, FOLDERS.get(name, name)).exists()
    except WeightsError:
        return False


def free() -> None:
    """Let go of all stages' networks."""
    _loaded.cache_clear()


@lru_cache(maxsize=len(LOADERS))
def _loaded(
    name: str,
    path: Path,
    weights: str,
    where: str,
    precision: Precision,
    tiled: bool,
    compiling: bool,
) -> Any:
    made = LOADERS[name](path).to(where)
    for part in HALVED.get(name, ()):
        stored_in(made.get_submodule(part), precision)
    if hasattr(made, "vae"):
        (made.vae.enable_tiling if tiled else made.vae.disable_tiling)()
    if name in LOOPED:
        compiled(made.get_submodule(LOOPED[name]))
    return made
