"""A run in a page of text: what was done, on what, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import counted, listed
from insilico.protocol.branches import Plan
from insilico.run.runner import Failure
from insilico.schema import PLACES

WIDTH = 96


def summary(plan: Plan, nouns: Mapping[str, xr.Dataset], failures: Mapping[str, Failure]) -> str:
    """Return the summary of a run.

    Parameters
    ----------
    plan : Plan
    nouns : dict
        File stem to dataset.
    failures : dict
        Key to `Failure`.
    """
    parts = [_head(plan, nouns)]
    if "score" in nouns:
        parts.append(_scores(nouns["score"]))
    for stem, noun in nouns.items():
        if stem.startswith("estimate-"):
            parts.append(_estimate(stem.removeprefix("estimate-"), noun))
    if failures:
        parts.append(_failed(failures))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _head(plan: Plan, nouns: Mapping[str, xr.Dataset]) -> list[str]:
    title = plan.protocol.title
    lines = [title, "=" * len(title)]
    if simulated(nouns):
        lines.append("Simulated: these are responses of the phantom, not of a person's brain.")
    made = nouns["reconstruction"].attrs if "reconstruction" in nouns else {}
    notes = [*plan.note.split("; "), *str(made.get("note", "")).split("; ")]
    if any(notes):
        lines.append(f"Note: {'; '.join(dict.fromkeys(filter(None, notes)))}.")
    lines += dict.fromkeys(str(n.attrs["lesion"]) for n in nouns.values() if "lesion" in n.attrs)
    stimuli = nouns.get("stimuli")
    if stimuli is not None:
        shown = stimuli.sizes["stimulus"]
        if plan.branches:
            conditions = counted(len(plan.branches), "condition")
            lines.append(f"{counted(shown, 'stimulus')}, {conditions}.")
        elif _of_others(nouns, shown):
            lines.append("Nothing is decoded.")
        else:
            lines.append(f"{counted(shown, 'stimulus')}, nothing is decoded.")
    return lines


def simulated(nouns: Mapping[str, xr.Dataset]) -> bool:
    """Return whether anything in a run comes from the phantom."""
    sources = {str(noun.attrs["source"]) for noun in nouns.values() if "source" in noun.attrs}
    return any("phantom" in source or "simulated" in source for source in sources)


def _of_others(nouns: Mapping[str, xr.Dataset], shown: int) -> bool:
    """Return whether all estimates are over more stimuli than are shown: those of training."""
    made = [one for name, one in nouns.items() if name.startswith("estimate-")]
    units = {str(one.attrs.get("unit_of_inference", "stimulus")) for one in made}
    return units == {"stimulus"} and all(one["n"].min() > shown for one in made)


def _scores(score: xr.Dataset) -> list[str]:
    """Write mean scores: one row for each name in the protocol."""
    also = _averaged(score)
    items = "stimulus" in score["value"].dims
    lines = [f"Scores, mean over stimuli{also}" if items else f"Scores of sets{also}"]
    lines += _table(score, score["value"], score["metric"].values, score["chance"].values)
    if "set_value" in score:
        lines += ["", f"Scores of sets{also}; they say nothing of single pictures"]
        lines += _table(score, score["set_value"], score["set_metric"].values)
    return lines + _warnings(score)


def _averaged(score: xr.Dataset) -> str:
    """Say over what the conditions of one name differ: regions, and doses, fractions or weights."""
    labels = score["region"].values.astype(str)
    if "level" not in score.coords:
        return " (and over regions)" if any(labels) else ""
    curve = np.isfinite(score["level"].values)
    parts = [label.rpartition(", ") if on else (label, "", "") for label, on in
             zip(labels, curve, strict=True)]  # fmt: skip
    over = ["regions"] if any(region for region, _, _ in parts) else []
    over += dict.fromkeys(f"{last.rpartition(' ')[0]}s" for _, _, last in parts if last)
    return f" (and over {' and '.join(over)})" if over else ""


def _table(
    score: xr.Dataset, values: xr.DataArray, labels: np.ndarray, chance: np.ndarray | None = None
) -> list[str]:
    """Write one row for each name in the protocol, and chance where there is one."""
    value = values.mean([dim for dim in ("stimulus", "draw") if dim in values.dims])
    widths = [max(15, len(str(label)) + 2) for label in labels]
    lines = [" " * 16 + "".join(f"{label!s:>{w}}" for label, w in zip(labels, widths, strict=True))]

    def row(name: str, numbers: np.ndarray) -> str:
        cells = zip(numbers, widths, strict=True)
        return f"{name:<16}" + "".join(f"{number:{width}.3f}" for number, width in cells)

    for name in dict.fromkeys(score["name"].values.astype(str)):
        rows = value.sel(condition=score["name"].values == name)
        lines.append(row(name, rows.mean("condition").values))
    known = chance is not None and np.isfinite(chance).any()
    return [*lines, row("chance", chance)] if known else lines  # type: ignore[arg-type]


def _warnings(score: xr.Dataset) -> list[str]:
    """Write what scores of sets were computed against advice."""
    lines = []
    for metric, warning in (("metric", "warning"), ("set_metric", "set_warning")):
        if warning in score.coords:
            pairs = zip(score[metric].values, score[warning].values, strict=True)
            lines += [f"WARNING {name}: {text}" for name, text in pairs if text]
    return lines


def _estimate(name: str, estimate: xr.Dataset) -> list[str]:
    what = str(estimate.attrs.get("statistic", estimate.attrs.get("test", "")))
    counts = estimate["n"].values  # NaN where nothing was counted
    n = ", ".join(map(str, np.unique(counts[np.isfinite(counts)]).astype(int)))
    unit = str(estimate.attrs.get("unit_of_inference", "stimulus"))
    lines = [f"{name}: {what} (n = {counted(n, unit)})"]
    lines += _floor(estimate)
    if "caution" in estimate.attrs:
        lines.append(f"  caution: {estimate.attrs['caution']}")
    if "dissociation" in estimate.attrs:
        lines.append(f"  double dissociation: {estimate.attrs['dissociation']}")
    if "top" in estimate:
        return [*lines, *_words(estimate)]
    if "variant_effect" in estimate:
        return [*lines, *_orders(estimate)]
    if "chance_level" in estimate:
        return [*lines, *_levels(estimate)]
    if "metric" in estimate.dims:
        return [*lines, *_strongest(_flat(estimate))]
    if estimate["effect"].dims[-1] in PLACES:
        return [*lines, *_maps(estimate)]
    for contrast in estimate["contrast"].values:
        lines.append(_row(str(contrast), estimate.sel(contrast=contrast)))
    return lines


def _floor(estimate: xr.Dataset) -> list[str]:
    """Say how small p can be, where that is much or some p cannot be smaller."""
    each = estimate.get("smallest_p", float(estimate.attrs.get("smallest_p", 0)))
    least, most = float(np.min(each)), float(np.max(each))
    p = estimate["p"]
    there = int((p <= each * (1 + 1e-9)).sum())
    if not there and most <= 0.01:
        return []
    more = f" ({most:.3g} where most differences are zero)" if most > least else ""
    span = f"{least:.3g}{more}"
    lie = f", before correction; {there} of {int(np.isfinite(p).sum())} lie there" * bool(there)
    return [f"  no p can lie below {span} here{lie}"]


def _words(estimate: xr.Dataset) -> list[str]:
    """Write the words that are said more for each region than for the others."""
    regions = zip(estimate["contrast"].values, estimate["top"].values, strict=True)
    return [
        f"  {region!s:<28} {words or 'no word'} (p corrected < .05)" for region, words in regions
    ]


def _maps(estimate: xr.Dataset) -> list[str]:
    """Write the median of each map, and over how many vertices or voxels it is defined."""
    effect, lines = estimate["effect"], []
    maps = {str(name): effect.sel(contrast=name) for name in estimate["contrast"].values}
    if "noise_ceiling" in estimate:
        maps["noise ceiling (R²)"] = estimate["noise_ceiling"]
    plural = {"vertex": "vertices", "voxel": "voxels"}[str(effect.dims[-1])]
    for name, one in maps.items():
        known = one.values[np.isfinite(one.values)]
        middle = f"{np.median(known):+.3f}" if len(known) else "none"
        lines.append(f"  {name:<28} median {middle} over {len(known)} of {one.size} {plural}")
    return lines


def _orders(estimate: xr.Dataset) -> list[str]:
    """Write W with its range and p, and how like the first each further variant is."""
    lines = []
    for metric in estimate["metric"].values:
        column = estimate.sel(metric=metric)
        for k, contrast in enumerate(column["contrast"].values):
            label = f"  {contrast}" if k else f"{metric}: {contrast}"
            told = _order(column.isel(contrast=k), "rho" if k else "W", column)
            lines.append(f"  {label:<28} {told}")
    return lines


def _order(one: xr.Dataset, what: str, column: xr.Dataset) -> str:
    """Write an agreement with its range and p, or why there is none."""
    if not np.isfinite(one["effect"].item()):
        spread = np.ptp(column["variant_effect"].transpose("variant", "region").values, axis=1)
        tied = column["variant"].values[spread < 1e-9]
        return f"no {what}: all regions are tied in {listed(tied)}" if len(tied) else f"no {what}"
    low, high = one["range_low"].item(), one["range_high"].item()
    told = f" (range {low:.3f} to {high:.3f})" if np.isfinite([low, high]).all() else ""
    return f"{what} {one['effect'].item():.3f}{told}, p {one['p'].item():.3g}"


def _levels(estimate: xr.Dataset) -> list[str]:
    """Write every condition's level for each metric, with chance and the share of the reference."""
    lines = []
    for metric in estimate["metric"].values:
        for contrast in estimate["contrast"].values:
            one = estimate.sel(metric=metric, contrast=contrast)
            what = one["score"].item() if "score" in one.coords else metric
            row = _row(f"{what}: {contrast}", one)
            row += f", chance {one['chance_level'].item():.3f}"
            if "ratio" in one:
                other, base = one["reference"].item(), one["reference_chance"].item()
                row += f"; {one['against'].item()} {other:+.3f}, chance {base:.3f}"
                row += f"; ratio above chance {one['ratio'].item():.2f}"
                row += f", raw {one['raw_ratio'].item():.2f}"
            lines += [row, _beyond(one)] if "effect_control" in one else [row]
        lines += _trends(estimate.sel(metric=metric)) if "trend" in estimate else []
    return lines


def _trends(column: xr.Dataset) -> list[str]:
    """Write the slope over ranks of the doses, area by area, and that beyond the controls."""
    lines = []
    for area in dict.fromkeys(column["area"].values.astype(str)):
        one = column.isel(contrast=int(np.argmax(column["area"].values == area)))
        what = one["score"].item() if "score" in one.coords else one["metric"].item()
        for end in ("", "_control"):
            if f"trend{end}" in one:
                label = f"{what}: {area}, trend a step" if not end else "  less its controls"
                lines.append(_row(label, _slope(one, end)))
    return lines


def _slope(one: xr.Dataset, end: str) -> xr.Dataset:
    names = {"trend": "effect", "trend_low": "ci_low", "trend_high": "ci_high"}
    names |= {"trend_p_corrected": "p_corrected"}
    return xr.Dataset({new: one[f"{old}{end}"] for old, new in names.items()}, attrs=one.attrs)


def _strongest(estimate: xr.Dataset) -> list[str]:
    """Write, for each metric, the largest effect, its controls, and how many are significant."""
    lines = []
    for metric in estimate["metric"].values:
        column = estimate.sel(metric=metric)
        most = column.isel(contrast=int(np.abs(column["effect"].values).argmax()))
        many = f" (largest of {column.sizes['contrast']})" if column.sizes["contrast"] > 1 else ""
        lines.append(_row(f"{metric}: {most['contrast'].item()}", most, many) + _signs(column))
        if "effect_control" in column:
            lines.append(_beyond(most) + _signs(column, "_control"))
        lines += _equivalent(column)
    return lines


def _beyond(one: xr.Dataset) -> str:
    """Write an effect less that of its controls."""
    names = ("effect", "ci_low", "ci_high", "p_corrected")
    less = one[[f"{name}_control" for name in names]]
    return _row("  less its controls", less.rename({f"{name}_control": name for name in names}))


def _flat(estimate: xr.Dataset) -> xr.Dataset:
    """Return an estimate whose regions, where it has such, are contrasts: ``decoded/V1``."""
    if "region" not in estimate["effect"].dims:
        return estimate
    contrasts = estimate["contrast"].values
    parts = [
        estimate.sel(region=name).assign_coords(contrast=[f"{one}/{name}" for one in contrasts])
        for name in estimate["region"].values
    ]
    return xr.concat(parts, "contrast", data_vars="minimal", coords="minimal", compat="override")


def _equivalent(column: xr.Dataset) -> list[str]:
    """Name the contrasts that are no larger than the bound that the protocol set, if it did."""
    if "p_equivalent" not in column or not np.isfinite(column["p_equivalent"].values).any():
        return []
    names = column["contrast"].values[column["p_equivalent"].values < 0.05]
    return [f"    within the bound: {listed(names) or 'none'} (of {column.sizes['contrast']})"]


def _signs(column: xr.Dataset, which: str = "") -> str:
    """Say how many of several contrasts are significant, and in which direction."""
    p = column[f"p_corrected{which}"].values
    if len(p) < 2 or not np.isfinite(p).any():
        return ""
    sure = column[f"effect{which}"].values[p < 0.05]
    if not len(sure):
        return f"; none of {len(p)} has p < .05"
    return f"; with p < .05: {(sure < 0).sum()} below zero, {(sure > 0).sum()} above"


def _p(one: xr.Dataset) -> str:
    """Say whether the p that is shown is corrected."""
    return "p" if str(one.attrs.get("correction", "")).startswith("none") else "p corrected"


def _row(label: str, one: xr.Dataset, more: str = "") -> str:
    low, high = one["ci_low"].item(), one["ci_high"].item()
    text = f"  {label:<28} {one['effect'].item():+.3f}"
    text += f" [{low:+.3f}, {high:+.3f}]" if np.isfinite([low, high]).any() else " (no interval)"
    text += more
    if "ceiling" in one:
        text += f", ceiling {one['ceiling'].item():.3f}"
    if np.isfinite(one["p_corrected"].item()):
        text += f", {_p(one)} {one['p_corrected'].item():.3g}"
    if "p_spin_corrected" in one:
        beyond, p = one["gap_against_elsewhere"].item(), one["p_spin_corrected"].item()
        text += f"; gap to ceiling against elsewhere {beyond:+.3f}, p spin {p:.3g}"
    return text


def _failed(failures: Mapping[str, Failure]) -> list[str]:
    causes: dict[tuple[str, str], int] = {}
    for failure in failures.values():
        cause = (failure.job, failure.message)
        causes[cause] = causes.get(cause, 0) + 1
    lines = [f"NOT COMPLETE: {counted(len(failures), 'job')} gave no result"]
    for (job, message), count in causes.items():
        more = f" (and {counted(count - 1, 'job')} behind it)" if count > 1 else ""
        whole: Any = {"break_long_words": False, "break_on_hyphens": False}  # paths stay whole
        lines += wrap(f"{job}: {message}{more}", WIDTH, subsequent_indent="  ", **whole)
    return lines
