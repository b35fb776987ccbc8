"""What BERG's models return, as labelled responses: vertices of fsaverage, or voxels of NSD.

Layout of responses and metadata: https://github.com/gifale95/BERG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.encoders.berg_metadata import entry, read_metadata
from insilico.errors import ParameterError, SchemaError, SpaceError
from insilico.schema import check
from insilico.spaces import nsd
from insilico.spaces.fsaverage5 import N_HEMISPHERE
from insilico.spaces.responses import volumes
from insilico.spaces.responses.arrays import N_FSAVERAGE, bold_of, from_array, read_arrays
from insilico.spaces.responses.files import named

HALVES = ("lateral", "ventral")
"""Regions for which BERG puts two models together, whose order of voxels nothing tells."""
VOXELS, VERTICES = "fmri-nsd-", "fmri-nsd_fsaverage-"
"""How the names of models begin that predict the one or the other."""

Arrays = np.ndarray | tuple[np.ndarray, np.ndarray]


def from_berg(
    responses: Any,
    metadata: Mapping[str, Any] | str | Path | None = None,
    *,
    model: str,
    subject: int,
    stimuli: Sequence[str] | np.ndarray,
    roi: str | None = None,
    trust: bool = False,
    **attrs: Any,
) -> xr.Dataset:
    """Take in what BERG's ``encode`` returned for a model of fMRI.

    Parameters
    ----------
    responses : array (stimulus, voxel), or arrays (stimulus, vertex) of left and right; or files
        Vertices are those of fsaverage, all of them or those of `roi`.
    metadata : dict or file, optional
        As `insilico.encoders.berg_metadata.read_metadata` takes it. Needed for voxels, which are
        placed by their mask, and for the vertices of a `roi`.
    model : str
        BERG's name of the model, such as ``"fmri-nsd-fwrf"``.
    subject : int
        Of NSD, 1 to 8.
    stimuli : sequence of str
        Ids of the images, in their order.
    roi : str, optional
        The region that the model was asked for.
    trust : bool
        Whether metadata may be a pickle.
    **attrs
        More attributes.

    Returns
    -------
    response (stimulus, vertex) on fsaverage5, or (stimulus, voxel) in the volume of NSD
        With coordinates ncsnr, noise_ceiling (in R² units) and squared_r (clipped by BERG) where
        the metadata have them.
    """
    check_model(model)
    bold = _arrays(responses)
    if isinstance(metadata, str | Path):
        metadata = read_metadata(Path(metadata), trust=trust)
    said = {"source": f"BERG, {model}", **_said(model, subject, roi), **attrs}
    if model.startswith(VERTICES):
        if not isinstance(bold, tuple):
            raise SchemaError(f"'{model}' predicts two arrays, left and right; got one")
        return _on_fsaverage5(bold, metadata, roi, stimuli, said)
    if isinstance(bold, tuple):
        raise SchemaError(f"'{model}' predicts one array of voxels; got two")
    if metadata is None:
        raise ParameterError(
            "voxels of BERG have no place without metadata; give metadata=, which hold their mask"
        )
    return _in_voxels(bold, metadata, stimuli, {**said, "space": f"{nsd.name(subject)}-func1pt8mm"})


def check_model(model: str) -> None:
    """Raise unless a model predicts voxels or vertices whose place is known."""
    if "tribe" in model:
        raise ParameterError(
            f"'{model}': BERG drops the segments of TRIBE v2, so that its rows have no times; use "
            "TRIBE v2 itself (encoder: {kind: tribe})"
        )
    if not model.startswith((VOXELS, VERTICES)):
        raise ParameterError(
            f"'{model}': BERG's models of NSD are called {VOXELS}... (voxels, such as "
            f"fmri-nsd-fwrf) or {VERTICES}... (vertices); make responses of others with "
            "insilico.from_array"
        )


def _said(model: str, subject: int, roi: str | None) -> dict[str, Any]:
    said = {"units": "session z", "subject": nsd.name(subject), "hemodynamic_offset_s": 0.0}
    said |= {"encoder": "berg", "model": model}
    if roi in HALVES:
        said["note"] = f"whether BERG's two models of '{roi}' keep the mask's order is not checked"
    return {**said, "roi": roi} if roi else said


def _arrays(responses: Any) -> Arrays:
    if isinstance(responses, str | Path):
        path = Path(responses).expanduser()
        with named(path):
            return bold_of(read_arrays(path))
    if not isinstance(responses, list | tuple):
        return np.asarray(responses)
    if len(responses) != 2:
        raise SchemaError(f"two hemispheres are needed, left and right; got {len(responses)}")
    left, right = (np.asarray(_arrays(one)) for one in responses)
    return left, right


# --- the cortex -----------------------------------------------------------------------------------


def _on_fsaverage5(
    halves: tuple[np.ndarray, np.ndarray],
    metadata: Mapping[str, Any] | None,
    roi: str | None,
    stimuli: Sequence[str] | np.ndarray,
    said: dict[str, Any],
) -> xr.Dataset:
    if roi is not None:
        halves, count = _from_region(halves, metadata, roi)
        said = {**said, "covered": f"{count} vertices"}
    response = from_array(halves, order="lh,rh", stimuli=stimuli, **said)
    return response.assign_coords(_quality(metadata, "vertex"))


def _from_region(
    halves: tuple[np.ndarray, np.ndarray], metadata: Mapping[str, Any] | None, roi: str
) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Return both hemispheres of fsaverage5, zero outside a region, and the region's size."""
    if metadata is None:
        raise ParameterError(f"the vertices of roi '{roi}' have no place without metadata")
    found, count = [], 0
    for side, half in zip("lr", halves, strict=True):
        places = np.asarray(entry(metadata, "fmri", f"{side}h_fsaverage_rois", roi))
        half = np.asarray(half) if len(places) else np.zeros((len(half), 0), np.float32)
        if half.shape[1:] != (len(places),) or (len(places) and not _inside(places)):
            raise SpaceError(
                f"roi '{roi}' has {len(places)} vertices on the {side}h of fsaverage by its "
                f"metadata; the response is {half.shape}"
            )
        places = places.astype(int)
        nested, full = places < N_HEMISPHERE, np.zeros((len(half), N_HEMISPHERE), np.float32)
        full[:, places[nested]] = half[:, nested]
        found.append(full)
        count += int(nested.sum())
    if not count:
        raise SpaceError(f"roi '{roi}' has no vertex on fsaverage5")
    return (found[0], found[1]), count


def _inside(places: np.ndarray) -> bool:
    whole = places.dtype.kind in "iu" and len(np.unique(places)) == len(places)
    return whole and bool(0 <= places.min() <= places.max() < N_FSAVERAGE)


# --- voxels ---------------------------------------------------------------------------------------


def _in_voxels(
    bold: np.ndarray,
    metadata: Mapping[str, Any],
    stimuli: Sequence[str] | np.ndarray,
    said: dict[str, Any],
) -> xr.Dataset:
    mask, affine = (entry(metadata, "fmri", key) for key in ("roi_mask_volume", "fmri_affine"))
    if len(bold) != len(stimuli):
        raise SchemaError(f"bold has {len(bold)} items, but there are {len(stimuli)} stimuli")
    response = volumes.response(bold, stimuli, mask, affine, **said)
    return check(response.assign_coords(_quality(metadata, "voxel")), "response")


def onto(parts: Sequence[xr.Dataset], mask: np.ndarray, *, space: str) -> xr.Dataset:
    """Write the voxels of responses into those of another mask over the same volume.

    Parameters
    ----------
    parts : responses (stimulus, voxel), of the same stimuli and volume
        Where two hold a voxel, the first counts.
    mask : bool or 0/1 (i, j, k)
        Which voxels the result has.
    space : str
        Its name.

    Returns
    -------
    response (stimulus, voxel)
        Voxels that no part holds are 0; the attribute `covered` counts those that one holds.
    """
    (shape, affine), inside = volumes.geometry(parts[0]), volumes.checked_mask(mask)
    for part in parts:
        there, matrix = volumes.geometry(part)
        if there != inside.shape or not np.allclose(matrix, affine):
            raise SpaceError(f"mask {inside.shape} and voxels {there}: other volumes")
        if not part["stimulus"].equals(parts[0]["stimulus"]):
            raise SchemaError("the parts of a response must be to the same stimuli, in one order")
    volume = np.zeros((len(parts[0]["stimulus"]), int(np.prod(shape))), np.float32)
    held = np.zeros(volume.shape[1], bool)
    for part in reversed(parts):
        volume[:, part["voxel"].values] = part["bold"].values
        held[part["voxel"].values] = True
    if not held[inside.ravel()].any():
        raise SpaceError("no voxel of the response lies in the mask")
    covered = f"{int(held[inside.ravel()].sum())} of {int(inside.sum())} voxels"
    attrs = {key: value for key, value in parts[0].attrs.items() if key not in volumes.GEOMETRY}
    attrs |= {"space": space, "covered": covered}
    bold = volume[:, inside.ravel()]
    return volumes.response(bold, parts[0]["stimulus"].values, inside, affine, **attrs)


def _quality(metadata: Mapping[str, Any] | None, place: str) -> dict[str, Any]:
    """Return reliability and accuracy of every place, as far as the metadata have them."""
    names = {"ncsnr": "ncsnr", "noise_ceiling": "noise_ceiling", "r2": "squared_r"}
    held = {**(metadata or {}).get("fmri", {}), **(metadata or {}).get("encoding_models", {})}
    found = {}
    for name, ours in names.items():
        if place == "voxel" and name in held:
            found[ours] = (place, np.asarray(held[name], np.float32))
        elif place == "vertex" and {f"lh_{name}", f"rh_{name}"} <= set(held):
            halves = [np.asarray(held[f"{side}_{name}"], np.float32) for side in ("lh", "rh")]
            if {half.shape for half in halves} == {(N_FSAVERAGE,)}:
                found[ours] = (place, np.concatenate([half[:N_HEMISPHERE] for half in halves]))
    return found
