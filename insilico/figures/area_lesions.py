"""Necessity and sufficiency of areas: the score without each, and with each alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.lesions import across, effect_panel, legend_of, plain
from insilico.figures.page import DOUBLE_MM, footer, need, sheet, stimuli_of, styled

ASKED = ("necessary? the score without it", "sufficient? the score with it alone")


@styled
def area_lesions(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset]) -> Figure:
    """Draw what is lost without each area above what each alone gives, against matched controls.

    Parameters
    ----------
    estimate : estimate
        Of `paired`: lesions of each area against the intact response.
    beside : dict
        One estimate of `paired`: each area kept alone, against a response silent everywhere.
    """
    both = [estimate, *beside.values()][:2]
    for one in both:
        need(one, "area_lesions", "effect", "ci_low", "ci_high", "metric", "control_effect")
    count, metrics = estimate.sizes["contrast"], estimate["metric"].values
    figure = sheet(DOUBLE_MM, 40 + 2 * (20 + 4.2 * count))
    panels = figure.subplots(len(both), len(metrics), sharey=True, squeeze=False)
    for row, one, asked in zip(panels, both, ASKED, strict=False):
        for axes, metric in zip(row, metrics, strict=True):
            effect_panel(axes, one.sel(metric=metric))
        row[0].set_ylabel(asked.replace("? ", "?\n"))
        across(row, str(one.attrs.get("statistic", "effect")))
    for axes, metric in zip(panels[0], metrics, strict=True):
        axes.set_title(str(metric).replace("_", " "), loc="left")
    panels[0, 0].set_yticks(np.arange(count)[::-1], estimate["contrast"].values)
    panels[0, 0].set_ylim(-0.7, count - 0.3)
    figure.legend(handles=legend_of(both[-1]), loc="outside upper right", ncols=5)
    attrs = {**estimate.attrs, "null": plain(estimate.attrs.get("null", ""))}
    footer(figure, attrs, stimuli_of(estimate), *_second(both))
    return figure


def _second(both: list[xr.Dataset]) -> list[str]:
    """Say in what the second row differs from the first."""
    if len(both) < 2:
        return []
    keys = {"interval": "bars", "null": "null", "correction": "correction"}
    first, second = ({**one.attrs, "null": plain(one.attrs.get("null", ""))} for one in both)
    told = {key: second[key] for key in keys if second.get(key) not in ("", None, first.get(key))}
    return ["; ".join(f"second row, {keys[key]}: {value}" for key, value in told.items())]
