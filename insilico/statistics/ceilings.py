"""Noise ceilings from repeats: reliabilities in R² units, never squared, never capped."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from insilico.errors import SchemaError
from insilico.schema import check, place_of
from insilico.step import Step


def reliability(bold: np.ndarray) -> np.ndarray:
    """Return the noise ceiling of the mean over repeats, (place,), from (repeat, stimulus, place).

    One-way random-effects analysis of variance, unbiased: ``1 - MSW / MSB``, which is ICC(1, k).
    Facts: Shrout and Fleiss (1979), https://doi.org/10.1037/0033-2909.86.2.420. A constant place
    has NaN.
    """
    repeats = len(bold)
    means = bold.mean(0, dtype=np.float64)
    between = repeats * means.var(0, ddof=1)
    within = ((bold - means) ** 2).sum(0, dtype=np.float64).mean(0) / (repeats - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(between > 0, 1 - within / between, np.nan)


class NoiseCeiling(Step):
    """Noise ceiling of each vertex or voxel, for the mean over the repeats at hand."""

    kind: ClassVar[str] = "noise_ceiling"

    def __call__(self, measured: xr.Dataset) -> xr.Dataset:
        """Estimate the ceiling.

        Parameters
        ----------
        measured : response, (repeat, stimulus, place)

        Returns
        -------
        estimate, over place; `effect` is the ceiling of R² (its square root is that of r).
        """
        check(measured, "response")
        if measured.sizes.get("repeat", 1) < 2:
            raise SchemaError("noise_ceiling: at least two repeats are needed (repeats='keep')")
        place = place_of(measured)
        value = reliability(measured["bold"].transpose("repeat", "stimulus", place).values)
        empty = np.full((1, len(value)), np.nan)
        rows = dict.fromkeys(("ci_low", "ci_high", "p", "p_corrected"), empty)
        rows |= {"effect": value[None], "n": np.full((1, len(value)), measured.sizes["stimulus"])}
        return xr.Dataset(
            {name: (("contrast", place), values) for name, values in rows.items()},
            coords={"contrast": ["noise ceiling"], **{place: measured[place]}},
            attrs={
                "test": "one-way ANOVA, 1 - MSW / MSB = ICC(1, k)",
                "null": "none",
                "correction": "none",
                "unit_of_inference": "stimulus",
                "repeats": measured.sizes["repeat"],
            },
        )
