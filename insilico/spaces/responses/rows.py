"""Responses in rows: one row every TR, indexed by timeline and time.

A row's `time` is when what it responds to is shown, in seconds of its timeline. The scanner would
measure it `hemodynamic_offset_s` later; `at_acquisition` says so once, and refuses to say it twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from insilico.errors import SchemaError, listed
from insilico.schema import check


def as_rows(
    response: xr.Dataset, timeline: Sequence[str] | np.ndarray, time: Sequence[float] | np.ndarray
) -> xr.Dataset:
    """Return a response whose items are rows: they lose their ids, and get timeline and time.

    Parameters
    ----------
    response : response (stimulus, vertex or voxel)
    timeline : sequence of str
        Of each row; the rows of one timeline follow one another.
    time : sequence of float
        Start of each row in s, rising within a timeline.
    """
    names = np.asarray(timeline).astype(str)
    try:
        starts = np.asarray(time, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"times of rows must be numbers of seconds: {error}") from error
    check_labels(response.sizes["stimulus"], names, starts)
    rows = response.rename_dims(stimulus="row").drop_vars("stimulus")
    rows = rows.assign_coords(timeline=("row", names), time=("row", starts))
    return check(rows, "response", rows=True)


def check_labels(n: int, timeline: np.ndarray, time: np.ndarray) -> None:
    """Raise `SchemaError` unless timelines (str) and times (s) can label `n` rows."""
    if timeline.shape != (n,) or time.shape != (n,):
        raise SchemaError(
            f"{n} rows of bold, but {timeline.size} timelines and {time.size} times: "
            "they must correspond one to one"
        )
    for what, bad in (("time", ~np.isfinite(time)), ("timeline", timeline == "")):
        if bad.any():
            raise SchemaError(f"rows without a {what}: {listed(np.flatnonzero(bad), 3)}")
    same = timeline[1:] == timeline[:-1]
    starts = timeline[np.r_[True, ~same]]
    falling = timeline[1:][same & (np.diff(time) <= 0)]
    double = {*starts[pd.Series(starts).duplicated()], *falling}
    if double:
        raise SchemaError(
            f"two timelines are called {listed(sorted(double), 3)}, or their rows are not in order "
            "of time; each timeline needs a name of its own and rising times"
        )


def mean_rows(response: xr.Dataset) -> xr.Dataset:
    """Average the rows of each timeline: a response in rows becomes one of stimuli.

    A stimulus is a timeline, in order of appearance; `n_rows` counts what was averaged.
    """
    check(response, "response", rows=True)
    if "row" not in response.dims:
        return response
    group, names = pd.factorize(response["timeline"].values.astype(str))
    order, counts = np.argsort(group, kind="stable"), np.bincount(group)
    bold, starts = response["bold"].values[..., order, :], np.cumsum(counts) - counts
    sums = np.add.reduceat(bold, starts, axis=-2, dtype=np.float64)
    dims = [str(dim).replace("row", "stimulus") for dim in response["bold"].dims]
    rest = response.drop_dims("row").assign_coords(stimulus=list(names))
    means = (dims, (sums / counts[:, None]).astype(np.float32))
    return check(rest.assign(bold=means).assign_coords(n_rows=("stimulus", counts)), "response")


def at_acquisition(response: xr.Dataset) -> xr.Dataset:
    """Return a response in rows on the scanner's clock: every time plus the hemodynamic offset."""
    check(response, "response", rows=True)
    if "row" not in response.dims:
        raise SchemaError("this response has no rows, so no times that could be shifted")
    offset = float(response.attrs["hemodynamic_offset_s"])
    if response.attrs.get("time_counts") == "acquisition":
        raise SchemaError(f"the hemodynamic offset of {offset:g} s was applied before")
    shifted = response.assign_coords(time=response["time"] + offset)
    return shifted.assign_attrs(time_counts="acquisition")
