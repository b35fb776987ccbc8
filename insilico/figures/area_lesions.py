"""Necessity and sufficiency of areas: the score without each, and with each alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.errors import SchemaError, listed
from insilico.figures.lesions import across, disagreement, effect_panel, legend, legend_of
from insilico.figures.page import DOUBLE_MM, footer, need, sheet, stimuli_of, styled, together

ASKED = {
    "ablate": "necessary?\nthe score without it",
    "keep_only": "sufficient?\nthe score with it alone",
}
"""What a perturbation asks of a region; of others a row says the statistic's name."""


@styled
def area_lesions(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset]) -> Figure:
    """Draw what each area's lesion changes against matched controls, one row for each statistic.

    Parameters
    ----------
    estimate : estimate
        Of `paired`, such as lesions of each area against the intact response.
    beside : dict
        More of the same areas, such as each kept alone against a response silent everywhere. The
        attribute `perturbation` of each says what its row asks, `fill` what took the place.
    """
    every = {"": estimate, **beside}
    for one in every.values():
        need(one, "area_lesions", "effect", "ci_low", "ci_high", "metric", "control_effect")
        if not np.array_equal(one["contrast"], estimate["contrast"]):
            areas = [listed(both["contrast"].values) for both in (estimate, one)]
            raise SchemaError(f"area_lesions: rows of other areas: {areas[0]}, then {areas[1]}")
    count, metrics = estimate.sizes["contrast"], estimate["metric"].values
    figure = sheet(DOUBLE_MM, 40 + len(every) * (20 + 4.2 * count))
    panels = figure.subplots(len(every), len(metrics), sharey=True, squeeze=False)
    for row, label, one in zip(panels, _labels(every), every.values(), strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            effect_panel(axes, one.sel(metric=metric))
        row[0].set_ylabel(label)
        across(row, str(one.attrs.get("statistic", "effect")))
    for axes, metric in zip(panels[0], metrics, strict=True):
        axes.set_title(str(metric).replace("_", " "), loc="left")
    panels[0, 0].set_yticks(np.arange(count)[::-1], estimate["contrast"].values)
    panels[0, 0].set_ylim(-0.7, count - 0.3)
    legend(figure, legend_of(*every.values()))
    footer(figure, together(every), stimuli_of(estimate), *disagreement(*every.values()))
    return figure


def _labels(every: Mapping[str, xr.Dataset]) -> list[str]:
    """Return what each row asks; where two ask the same, with its fill, or else its name."""
    asked = [ASKED.get(str(one.attrs.get("perturbation")), "") for one in every.values()]
    fills = [str(one.attrs.get("fill", "")) for one in every.values()]
    found = []
    for (name, one), question, fill in zip(every.items(), asked, fills, strict=True):
        own = str(one.attrs.get("name") or name)
        alike = [f for q, f in zip(asked, fills, strict=True) if q == question]
        if question and len(alike) > 1:
            question += f"\nfill: {fill}" if len(set(alike)) == len(alike) else f"\n{own}"
        found.append(question or own)
    return found
