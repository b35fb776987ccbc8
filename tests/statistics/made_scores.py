"""Scores with planted effects."""

from __future__ import annotations

import numpy as np
import xarray as xr

from insilico.schema import check


def scores(rows, metrics=("m",), direction="higher"):
    """Return a score from {(name, region): (stimulus, draw, metric)}."""
    names, regions = zip(*rows, strict=True)
    value = np.stack([np.asarray(row, float) for row in rows.values()])
    count = len(metrics)
    return check(
        xr.Dataset(
            {"value": (("condition", "stimulus", "draw", "metric"), value)},
            coords={
                "condition": [f"{name}/{region}" for name, region in rows],
                "name": ("condition", list(names)),
                "region": ("condition", list(regions)),
                "stimulus": [f"s{k}" for k in range(value.shape[1])],
                "draw": list(range(value.shape[2])),
                "metric": list(metrics),
                "definition": ("metric", ["d"] * count),
                "direction": ("metric", [direction] * count),
                "chance": ("metric", [0.0] * count),
            },
            attrs={"source": "simulated"},
        ),
        "score",
    )
