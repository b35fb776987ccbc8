"""Source and target brought side by side by stimulus, and a note of which pairs these are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError, listed
from insilico.schema import check, place_of, short_digest
from insilico.spaces import fsaverage5

SOURCE_SPACE = "fsaverage5"
ROWS = 256
SAID = ("encoder", "recording", "subject", "weights", "source", "modality", "n_repeats", "lesion")
"""Attributes of source and target that are kept with what was fitted on them."""


@dataclass(frozen=True)
class Pairs:
    """Responses in both spaces, row by row.

    Attributes
    ----------
    source : response on fsaverage5, (stimulus, vertex)
    target : response in voxels, ([repeat,] stimulus, voxel)
    x, y : float32, (n, vertex), (n, voxel)
        A row is a stimulus, or one repeat of it.
    stimulus : str, (n,)
    """

    source: xr.Dataset
    target: xr.Dataset
    x: np.ndarray
    y: np.ndarray
    stimulus: np.ndarray

    def groups(self, name: str) -> np.ndarray:
        """Return a coordinate of the target (such as the session), row by row, (n,).

        Raises
        ------
        ParameterError
            If the target has none of this name along its rows.
        """
        rows = self.target["bold"].dims[:-1]
        known = [k for k, v in self.target.coords.items() if v.dims and set(v.dims) <= {*rows}]
        if name not in known:
            raise ParameterError(
                f"groups: the target has no '{name}' along its rows ({listed(rows)}); it has "
                f"{listed(known)}; what differs between repeats needs repeats: single"
            )
        one = self.target["bold"].isel({self.target["bold"].dims[-1]: 0})
        return self.target[name].broadcast_like(one).transpose(*rows).values.ravel().astype(str)

    def provenance(self) -> dict[str, object]:
        """Return where the pairs come from, how many they are, and a digest of their values."""
        said = {
            name: {key: str(one.attrs[key]) for key in SAID if key in one.attrs}
            for name, one in (("source", self.source), ("target", self.target))
        }
        ids = [str(name) for name in self.stimulus]
        rows = (slice(start, start + ROWS) for start in range(0, len(ids), ROWS))
        values = [short_digest(self.x[some].tobytes(), self.y[some].tobytes()) for some in rows]
        return {**said, "n": len(ids), "digest": short_digest(ids, values)}


def aligned(source: xr.Dataset, target: xr.Dataset, *, single: bool = False) -> Pairs:
    """Return both responses for the stimuli that they share, in the order of the source.

    Parameters
    ----------
    source, target : response
        On fsaverage5, and in voxels.
    single : bool
        Whether each repeat of the target is a row, instead of the mean over repeats.
    """
    check_source(source)
    check_target(target)
    source = averaged(source, "source")
    target = one_condition(target, "target") if single else averaged(target, "target")
    common = source["stimulus"].values[np.isin(source["stimulus"], target["stimulus"])]
    if len(common) < 2:
        raise ParameterError(
            f"an adapter needs 2 stimuli with both responses; the source "
            f"({listed(source['stimulus'].values, 2)}) and the target "
            f"({listed(target['stimulus'].values, 2)}) share {len(common)}"
        )
    source, target = _rows(source, common), _rows(target, common)
    x, y = source["bold"].values, target["bold"].values
    if y.ndim == 2:
        return Pairs(source, target, x, y, common.astype(str))
    repeats = len(y)
    stimulus = np.tile(common.astype(str), repeats)
    return Pairs(source, target, np.tile(x, (repeats, 1)), y.reshape(-1, y.shape[-1]), stimulus)


def _rows(response: xr.Dataset, common: np.ndarray) -> xr.Dataset:
    """Return the rows of some stimuli; without a copy where these are all, in order."""
    if np.array_equal(response["stimulus"].values, common):
        return response
    return response.sel(stimulus=common)


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


def one_condition(response: xr.Dataset, which: str) -> xr.Dataset:
    """Return the response if it is of one condition and subject, (repeat, stimulus, place)."""
    place = place_of(response)
    more = set(response["bold"].dims) - {"repeat", "stimulus", place}
    if more:
        raise SchemaError(
            f"{which}: an adapter is fitted on one condition and subject; has also {listed(more)}"
        )
    if "repeat" not in response["bold"].dims:
        return response
    return response.transpose("repeat", "stimulus", place, ...)


def averaged(response: xr.Dataset, which: str) -> xr.Dataset:
    """Return the mean over repeats of one condition's response."""
    response = one_condition(response, which)
    if "repeat" not in response["bold"].dims:
        return response
    bold = response["bold"].mean("repeat", dtype=np.float32)
    return response.drop_dims("repeat").assign(bold=bold)
