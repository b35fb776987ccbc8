"""Fitted parameters as a labelled dataset: what they were fitted on, and what they give back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from insilico.adapters.pairs import SOURCE_SPACE, Pairs
from insilico.errors import ParameterError, SpaceError, listed
from insilico.schema import canonical, check, place_of, require_varying
from insilico.step import Step

TAKEN = ("space", "units")
ORDER = ("hemi", "x", "y", "z")


def labelled(
    variables: dict[str, Any],
    pairs: Pairs,
    step: Step,
    *,
    vertices: np.ndarray,
    voxels: np.ndarray,
    note: str = "",
) -> xr.Dataset:
    """Return fitted parameters with the labels of both spaces and the provenance of the pairs.

    Parameters
    ----------
    variables : dict
        As for `xarray.Dataset`.
    pairs : Pairs
        Their stimuli become the coordinate `stimulus` along `pair`.
    step : Step
    vertices, voxels : bool, (vertex,), (voxel,)
        Which take part: the coordinates `used` and `covered`.
    note : str
        Travels with every response that is adapted.
    """
    source, target = pairs.source, pairs.target
    order = {name: source[name].values for name in ORDER if name in source.coords}
    labels = {str(k): v for k, v in target.coords.items() if v.dims == ("voxel",)}
    coords: dict[str, Any] = {
        **labels,
        **{f"source_{name}": ("vertex", values) for name, values in order.items()},
        "stimulus": ("pair", pairs.stimulus),
        "used": ("vertex", vertices),
        "covered": ("voxel", voxels),
    }
    attrs = {
        "adapter": step.kind,
        "step": canonical(step.identity()),
        "target": json.dumps(dict(target.attrs), default=str),
        "provenance": canonical(pairs.provenance()),
        "pairs": len(pairs.stimulus),
        "n_vertices": source.sizes["vertex"],
    }
    said = {"adapter_note": note} if note else {}
    return xr.Dataset(variables, coords=coords, attrs={**attrs, **said})


def check_fitted(fitted: xr.Dataset, kind: str) -> None:
    """Raise unless `fitted` was made by the adapter of this kind."""
    made = fitted.attrs.get("adapter") if isinstance(fitted, xr.Dataset) else None
    if made != kind:
        raise ParameterError(
            f"fitted parameters of adapter '{kind}' are needed, got those of "
            f"{repr(made) if made else type(fitted).__name__}; fit it first: "
            f"fit_adapter('{kind}', source, target)"
        )


def refuse_leakage(fitted: xr.Dataset, response: xr.Dataset) -> None:
    """Raise if a stimulus of the response was used to fit the adapter."""
    name = "timeline" if "row" in response.dims else "stimulus"
    seen = np.intersect1d(fitted["stimulus"].values, response[name].values)
    if len(seen):
        raise ParameterError(
            f"the adapter was fitted on {len(seen)} of these stimuli ({listed(seen, 3)}); its "
            "result for them would flatter: fit on other stimuli, or leave these out (or say that "
            "it is meant: seen: allow)"
        )


def vertices_of(response: xr.Dataset, fitted: xr.Dataset) -> np.ndarray:
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


def in_voxels(values: np.ndarray, response: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
    """Wrap adapted values as a response in the space of the target.

    Parameters
    ----------
    values : float32, (..., stimulus, voxel)
        Leading dimensions as in `response`.
    response : response
        What was adapted; its labels of stimuli, conditions and repeats are kept.
    fitted : Dataset
        Its voxels and target attributes.
    """
    target: dict[str, Any] = json.loads(fitted.attrs["target"])
    dims = (*response["bold"].dims[:-1], "voxel")
    kept = {k: v for k, v in response.coords.items() if place_of(response) not in v.dims}
    there = {k: v for k, v in fitted.coords.items() if v.dims == ("voxel",)}
    notes = [response.attrs.get("note"), fitted.attrs.get("adapter_note")]
    attrs = {
        **response.attrs,
        **{key: target[key] for key in TAKEN if key in target},
        "adapter": fitted.attrs["adapter"],
        "adapter_pairs": int(fitted.attrs["pairs"]),
        "adapter_vertices": int(fitted["used"].sum()),
        "adapted_to": target["subject"],
        **({"note": "; ".join(filter(None, notes))} if any(notes) else {}),
    }
    adapted = xr.Dataset(
        {"bold": (dims, values.astype(np.float32, copy=False))},
        coords={**kept, **there},
        attrs=attrs,
    )
    return check(adapted, "response")
