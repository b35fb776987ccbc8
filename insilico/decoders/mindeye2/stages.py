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
from insilico.weights.memory import Plan
from insilico.weights.offload import offloaded
from insilico.weights.shelf import held, let_go

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
BESIDE = {"converter": ("converter", "captioner"), "captioner": ("converter", "captioner")}
"""Networks that compute together with another, as one stage of a plan."""


def stage(
    name: str,
    weights: str,
    precision: Precision = "fp32",
    tiled: bool = False,
    model: str | None = None,
    plan: Plan | None = None,
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
    plan : Plan, optional
        Other networks are let go as it says, and this one comes block by block if it says so.

    Raises
    ------
    WeightsError
    """
    network = FOLDERS.get(name, name)
    path, known = folder(weights, network, model), used(weights, network, model)
    room = None if plan is None else _room(name, plan)
    key = (path, known, device(), precision, tiled, compiling(), plan is not None, room)
    return held(name, key, lambda: _loaded(name, path, precision, tiled, plan is not None, room))


def make_room(name: str, plan: Plan | None) -> None:
    """Let go of all networks that a plan does not hold while a stage computes."""
    if plan is not None:
        let_go(but={*plan.resident, *BESIDE.get(name, (name,))})


def _room(name: str, plan: Plan) -> int | None:
    """Return the bytes granted to a stage whose blocks come and go, None for a whole one."""
    make_room(name, plan)
    share = None if name == "converter" else plan[name]
    return share.weights if share and share.offloaded else None


def present(name: str, weights: str) -> bool:
    """Return whether these weights hold a stage's folder, or the published file for it."""
    try:
        return source(weights, FOLDERS.get(name, name)).exists()
    except WeightsError:
        return False


def _loaded(
    name: str, path: Path, precision: Precision, tiled: bool, sliced: bool, room: int | None
) -> Any:
    return prepared(name, LOADERS[name](path), precision, tiled, sliced, room)


def prepared(
    name: str,
    made: Any,
    precision: Precision,
    tiled: bool = False,
    sliced: bool = False,
    room: int | None = None,
) -> Any:
    """Bring a stage's networks to the device, in the precision that they are kept in.

    Parameters
    ----------
    name : str
    made : Module
    precision : {"fp32", "fp16", "bf16"}
    tiled : bool
        Whether its autoencoder decodes tile by tile.
    sliced : bool
        Whether its autoencoder takes one item after the other, whatever the batch.
    room : int, optional
        Bytes of the device that it may take: its blocks come and go.
    """
    for part in HALVED.get(name, ()):  # first: a device need not hold it in full
        stored_in(made.get_submodule(part), precision)
    if hasattr(made, "vae"):
        (made.vae.enable_tiling if tiled else made.vae.disable_tiling)()
        (made.vae.enable_slicing if sliced else made.vae.disable_slicing)()
    if room is not None:
        return offloaded(made, room, device())
    made = made.to(device())
    if name in LOOPED:
        compiled(made.get_submodule(LOOPED[name]))
    return made
