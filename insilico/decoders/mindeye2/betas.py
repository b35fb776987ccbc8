"""What the decoder reads of a response, and how its repeats are put together."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError, listed
from insilico.schema import place_of

Repeats = Literal["outputs", "betas"]


def betas_of(response: xr.Dataset, voxels: int) -> np.ndarray:
    """Return betas, float32 (repeat, stimulus, voxel), if a decoder of so many can read them.

    Raises
    ------
    SpaceError, SchemaError
    """
    bold, place = response["bold"], place_of(response)
    if (place, bold.sizes[place]) != ("voxel", voxels):
        plural = {"vertex": "vertices", "voxel": "voxels"}[place]
        raise SpaceError(
            f"this decoder reads {voxels} voxels; the response in {response.attrs['space']} has "
            f"{bold.sizes[place]} {plural}: bring it into the decoder's voxels with an adapter"
        )
    bold = bold if "repeat" in bold.dims else bold.expand_dims("repeat")
    if bold.ndim != 3:
        others = set(map(str, bold.dims)) - {"repeat", "stimulus", "voxel"}
        raise SchemaError(f"decode one {listed(sorted(others))} at a time; bold has {bold.dims}")
    return bold.transpose("repeat", "stimulus", "voxel").values


def entries(betas: np.ndarray, repeats: Repeats, repeat: int | None = None) -> np.ndarray:
    """Return what enters the network, (pass, stimulus, voxel); its outputs are averaged.

    Parameters
    ----------
    betas : (repeat, stimulus, voxel)
        Two repeats are padded to three as at the authors' inference: first, first, second.
    repeats : {"outputs", "betas"}
        ``"outputs"`` as published: every repeat enters. ``"betas"``: their mean enters, once.
    repeat : int, optional
        That repeat alone, the first is 1.

    Raises
    ------
    ParameterError
        If there is no such repeat.
    """
    count = len(betas)
    if repeat is not None:
        if repeat > count:
            raise ParameterError(
                f"repeat {repeat} is not there: the response has {count}, 1 to {count}"
            )
        return betas[[repeat - 1]]
    padded = betas[[0, 0, 1]] if count == 2 else betas
    return padded if repeats == "outputs" else padded.mean(0, keepdims=True)


def carried(response: xr.Dataset) -> dict[str, object]:
    """Return the attributes of a response that its reconstruction keeps."""
    kept = ("source", "note", "lesion", "perturbed", "subject")
    return {name: response.attrs[name] for name in kept if name in response.attrs}
