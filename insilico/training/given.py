"""Stimuli and responses of a training, and what tells them from others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from insilico.errors import ParameterError, SchemaError, listed
from insilico.protocol.steps import build
from insilico.schema import check, digest, short_digest
from insilico.spaces import fsaverage5
from insilico.spaces.responses.files import BESIDE, SUFFIXES, files_of, named, read_response
from insilico.training.document import Part

UNSAID = {"units": "not said", "subject": "not said", "hemodynamic_offset_s": 0.0}
"""Of an array without NAME.response.json: its items are in the order of the stimuli."""

Given = tuple[xr.Dataset, xr.Dataset]
"""Stimuli, and the responses to them."""


def given_by(part: Part) -> Given:
    """Return stimuli and the responses to them."""
    stimuli = build("stimuli", part.stimuli)()
    if part.response is not None:
        with named(part.response):
            return stimuli, _whole(_read(part.response, part.order, stimuli))
    return stimuli, _whole(build("recording", part.recording or {})(stimuli))


def identity_of(part: Part, response: xr.Dataset) -> dict[str, Any]:
    """Return what tells the data of a part from others: its stimuli's step and all contents."""
    step = build("stimuli", part.stimuli)
    stimuli = short_digest(step.identity(), step.digests())
    return {"stimuli": stimuli, "response": digest(response)}


def _read(file: Path, order: str | None, stimuli: xr.Dataset) -> xr.Dataset:
    """Return a response from a file of the field, or, of any other name, from a NetCDF file."""
    if file.name.endswith(SUFFIXES):
        bare = not any(part.name.endswith(BESIDE) for part in files_of(file))
        if bare and order is None:
            raise ParameterError(
                f"nothing says whose responses these are ({file.name}{BESIDE} would); if item k of "
                "an array is the response to stimulus k, say which half is first: order: lh,rh"
            )
        said: dict[str, Any] = {"stimuli": stimuli["stimulus"].values, **UNSAID} if bare else {}
        return read_response(file, order=order, **said)
    if order is not None:
        raise ParameterError("order is for .npy and .npz files; leave it out")
    try:
        with xr.open_dataset(file) as opened:
            return opened.load()
    except (OSError, ValueError) as error:
        raise SchemaError(
            f"this is not a NetCDF file, or a damaged one; a response is NetCDF or one of "
            f"{listed(SUFFIXES)}"
        ) from error


def _whole(response: xr.Dataset) -> xr.Dataset:
    """Return a response that holds all vertices of fsaverage5, in their order."""
    check(response, "response", space="fsaverage5", rows=True)
    fsaverage5.check_order(response)
    return response
