"""The segments of TRIBE v2: which second of which timeline each predicted row stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from insilico.errors import SchemaError, StoreError, listed

COLUMNS = ("timeline", "start", "duration")
TOLERANCE_S = 1e-3
"""How far a start written as text may lie off the grid of rows."""


def segments_table(segments: Any) -> pd.DataFrame:
    """Return timeline, start and duration of every row.

    Parameters
    ----------
    segments : path, DataFrame, or the list that TRIBE v2's ``predict`` returns
        A file is CSV, TSV or JSON (a list of objects).

    Returns
    -------
    DataFrame
        Columns timeline (str), start (s), duration (s); one line for each row, in order.
    """
    if isinstance(segments, str | Path):
        table = _read(Path(segments))
    else:
        table = segments if isinstance(segments, pd.DataFrame) else _of_objects(segments)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise SchemaError(
            f"segments: column {listed(missing)} missing; has {listed(table.columns) or 'none'}"
        )
    times = {name: [_seconds(value) for value in table[name]] for name in COLUMNS[1:]}
    for name, values in times.items():
        if bad := [k for k, value in enumerate(values) if not np.isfinite(value)]:
            raise SchemaError(f"segments: {name} is no number in lines {listed(bad, 3)}")
    return pd.DataFrame({"timeline": [str(name) for name in table["timeline"]], **times})


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".json":
            return pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
        separator = "\t" if path.suffix == ".tsv" else ","
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read as segments: {error}") from error


def _of_objects(segments: Sequence[Any]) -> pd.DataFrame:
    try:
        lines = [{name: getattr(one, name) for name in COLUMNS} for one in segments]
    except (TypeError, AttributeError) as error:
        raise SchemaError(
            f"segments must be a file, a DataFrame, or objects with {listed(COLUMNS)}: {error}"
        ) from error
    return pd.DataFrame(lines, columns=list(COLUMNS))


def check_grid(table: pd.DataFrame, tr_s: float) -> None:
    """Raise `SchemaError` unless each timeline's rows lie on a grid of `tr_s` from its first."""
    off = np.abs(table["duration"] - tr_s) > TOLERANCE_S
    if off.any():
        raise SchemaError(
            f"segments: rows last {tr_s:g} s, but lines {listed(np.flatnonzero(off), 3)} last "
            f"{listed(table['duration'][off].unique(), 3)} s"
        )
    steps = _since_first(table) / tr_s
    off = np.abs(steps - steps.round()) * tr_s > TOLERANCE_S
    if off.any():
        raise SchemaError(
            f"segments: starts must lie whole rows of {tr_s:g} s after the first of their "
            f"timeline; lines {listed(np.flatnonzero(off), 3)} do not: do these segments belong "
            "to these rows?"
        )


def windows(table: pd.DataFrame, window_s: float) -> np.ndarray:
    """Return which window of context each row was predicted in, counted from 0 in its timeline.

    Windows do not overlap, so that the context breaks where the number changes.
    """
    return np.floor((_since_first(table) + TOLERANCE_S) / window_s).to_numpy(np.int64)


def _since_first(table: pd.DataFrame) -> pd.Series:
    return table["start"] - table.groupby("timeline")["start"].transform("first")
