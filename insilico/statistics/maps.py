"""An estimate by region with the maps behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from insilico.schema import place_of
from insilico.spaces import regions


def with_maps(
    rows: Mapping[str, Any],
    maps: Mapping[str, np.ndarray],
    names: list[str],
    atlas: str | None,
    of: xr.Dataset,
    **attrs: Any,
) -> xr.Dataset:
    """Return an estimate over contrast (the regions), and maps over the places of a response.

    Parameters
    ----------
    rows : dict of (region,)
    maps : dict of (place,)
        The medial wall becomes NaN.
    names : list of str
        Of the regions.
    atlas : str, optional
        Whose regions these are.
    of : response
        Its places, source and note are taken over.
    **attrs
    """
    place, cortex = place_of(of), regions.mask(regions.CORTEX, of=of)
    kept = (k for k, v in of.coords.items() if v.dims == (place,) and k not in maps)
    coords: dict[Any, Any] = {k: of.coords[k] for k in kept}
    if atlas is not None:
        coords["colour"] = ("contrast", regions.colours(atlas, names))
        attrs["atlas"] = atlas
    shown = {k: np.where(cortex, v, np.nan).astype(np.float32) for k, v in maps.items()}
    return xr.Dataset(
        {name: ("contrast", np.asarray(values)) for name, values in rows.items()}
        | {name: (place, values) for name, values in shown.items()},
        coords={"contrast": names, **coords},
        attrs={
            **attrs,
            "unit_of_inference": "stimulus",
            **{k: of.attrs[k] for k in ("source", "note") if k in of.attrs},
        },
    )
