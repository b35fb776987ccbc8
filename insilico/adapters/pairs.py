"""Source and target brought side by side by stimulus, and voxels labelled as the target's were."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError, listed
from insilico.schema import check, place_of, require_varying
from insilico.spaces import fsaverage5

SOURCE_SPACE = "fsaverage5"
TAKEN = ("space", "units")
ORDER = ("hemi", "x", "y", "z")


def aligned(source: xr.Dataset, target: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both responses for the stimuli that they share, in the order of the source.

    Parameters
    ----------
    source, target : response
        On fsaverage5, and in voxels. A repeat dimension is averaged.
    """
    check_source(source)
    check_target(target)
    source, target = averaged(source, "source"), averaged(target, "target")
    common = source["stimulus"].values[np.isin(source["stimulus"], target["stimulus"])]
    if len(common) < 2:
        raise ParameterError(
            f"an adapter needs 2 stimuli with both responses; the source "
            f"({listed(source['stimulus'].values, 2)}) and the target "
            f"({listed(target['stimulus'].values, 2)}) share {len(common)}"
        )
    return source.sel(stimulus=common), target.sel(stimulus=common)


def check_source(source: xr.Dataset) -> None:
    """Raise unless the source is a response on fsaverage5, in its order."""
    check(source, "response", space=SOURCE_SPACE)
    if source.sizes["vertex"] == fsaverage5.N_VERTICES:
        fsaverage5.check_order(source)


def check_target(target: xr.Dataset) -> None:
    """Raise unless the target is a response in voxels."""
    check(target, "response")
    if place_of(target) != "voxel":
        raise SpaceError(f"the target must lie in voxels; it lies in {target.attrs['space']}")


def averaged(response: xr.Dataset, which: str) -> xr.Dataset:
    """Return the mean over repeats of one condition's response."""
    more = set(response["bold"].dims) - {"repeat", "stimulus", place_of(response)}
    if more:
        raise SchemaError(
            f"{which}: an adapter is fitted on one condition and subject; has also {listed(more)}"
        )
    if "repeat" in response["bold"].dims:
        return response.mean("repeat", keep_attrs=True)
    return response


def place_coords(response: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the coordinates that say where the voxels (or vertices) lie."""
    place = place_of(response)
    return {str(k): v for k, v in response.coords.items() if v.dims == (place,)}


def keep_places(
    fitted: xr.Dataset, source: xr.Dataset, target: xr.Dataset, kind: str
) -> xr.Dataset:
    """Label fitted parameters with the source's vertices, the target's places and attributes."""
    vertices = {name: source[name] for name in ORDER if name in source.coords}
    at = {f"source_{name}": ("vertex", values.values) for name, values in vertices.items()}
    fitted = fitted.assign_coords({**place_coords(target), **at})
    attrs = json.dumps(dict(target.attrs), default=str)
    return fitted.assign_attrs(adapter=kind, target=attrs)


def check_fitted(fitted: xr.Dataset, kind: str) -> None:
    """Raise unless `fitted` was made by the adapter of this kind."""
    made = fitted.attrs.get("adapter") if isinstance(fitted, xr.Dataset) else None
    if made != kind:
        raise ParameterError(
            f"fitted parameters of adapter '{kind}' are needed, got those of "
            f"{repr(made) if made else type(fitted).__name__}; fit it first: "
            f"fitted = {kind}.fit(source, target)"
        )


def voxels(values: np.ndarray, response: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
    """Wrap adapted values as a response in the space of the target.

    Parameters
    ----------
    values : float32, (..., stimulus, voxel)
        Leading dimensions as in `response`.
    response : response
        What was adapted; its labels of stimuli, conditions and repeats are kept.
    fitted : Dataset
        Its places and target attributes.
    """
    target: dict[str, Any] = json.loads(fitted.attrs["target"])
    dims = (*response["bold"].dims[:-1], "voxel")
    kept = {k: v for k, v in response.coords.items() if place_of(response) not in v.dims}
    there = {k: v for k, v in fitted.coords.items() if v.dims == ("voxel",)}
    attrs = {**response.attrs, **{key: target[key] for key in TAKEN if key in target}}
    adapted = xr.Dataset(
        {"bold": (dims, values.astype(np.float32, copy=False))},
        coords={**kept, **there},
        attrs={**attrs, "adapter": fitted.attrs["adapter"], "adapted_to": target["subject"]},
    )
    return check(adapted, "response")


def check_vertices(response: xr.Dataset, fitted: xr.Dataset) -> np.ndarray:
    """Return bold on the vertices that the adapter was fitted on, in their order."""
    check(response, "response", space=SOURCE_SPACE)
    if response.sizes["vertex"] != fitted.attrs["n_vertices"]:
        raise SpaceError(
            f"the adapter was fitted on {fitted.attrs['n_vertices']} vertices; "
            f"this response has {response.sizes['vertex']}"
        )
    for name in ORDER:
        known = fitted.coords.get(f"source_{name}")
        if known is not None and not _alike(known.values, response[name].values):
            raise SpaceError(
                f"'{name}' of this response's vertices is not that of the adapter's: another order "
                "(hemispheres swapped?); left comes first, vertex by vertex as in fsaverage5"
            )
    require_varying(response, "the response to adapt")
    return response["bold"].values


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == "f":
        return bool(np.allclose(one, other, atol=1e-2))
    return bool((one.astype(str) == other.astype(str)).all())
