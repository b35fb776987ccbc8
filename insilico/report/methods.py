"""What a run did, in words for the methods of a paper: taken from its plan and its results."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from textwrap import wrap
from typing import Any

import numpy as np
import xarray as xr

import insilico
from insilico.errors import counted, listed
from insilico.job import walk
from insilico.protocol.branches import Plan
from insilico.protocol.expand import Row
from insilico.protocol.steps import kinds
from insilico.report.summary import WIDTH, simulated

SOURCES = {
    "encoder": "Predicted responses",
    "recording": "Measured responses",
    "pattern": "A synthetic pattern in the place of a response",
}
STAGES = ("encoder", "recording", "adapter", "decoder", "captioner", "sound")
PACKAGES = ("torch", "numpy", "scipy", "xarray", "diffusers", "transformers")


def methods(plan: Plan, nouns: Mapping[str, xr.Dataset]) -> str:
    """Return what was done: stimuli, stages, conditions, scores, statistics, software.

    Parameters
    ----------
    plan : Plan
    nouns : dict
        File stem to dataset.
    """
    said = [f"{plan.protocol.title}: methods"]
    if simulated(nouns):
        said.append("All responses are simulated: those of the phantom, not of a person's brain.")
    said += [*_stages(plan, nouns), *_conditions(plan)]
    said += dict.fromkeys(str(n.attrs["lesion"]) for n in nouns.values() if "lesion" in n.attrs)
    said += [*_scores(nouns), *_statistics(nouns), _software(plan)]
    return "\n\n".join("\n".join(wrap(part, WIDTH)) for part in said) + "\n"


def _stages(plan: Plan, nouns: Mapping[str, xr.Dataset]) -> Iterator[str]:
    """Name what each stage was, with all that was set."""
    if (stimuli := nouns.get("stimuli")) is not None:
        source = stimuli.attrs.get("source", "stimuli of the protocol")
        yield f"Stimuli. n = {stimuli.sizes['stimulus']}; {source}; {_settings(plan, 'stimuli')}."
    used = {type(job.step) for job in walk(plan.targets())}
    for stage in STAGES:
        spec = plan.resolved.get(stage)
        if spec and kinds(stage)[spec["kind"]] in used:
            yield f"{stage.capitalize()}. {_settings(plan, stage)}."
    made = nouns["reconstruction"].attrs if "reconstruction" in nouns else {}
    if "variant" in made:
        yield f"Decoding, as run. {made['variant']}; {counted(int(_draws(nouns)), 'draw')}."


def _draws(nouns: Mapping[str, xr.Dataset]) -> int:
    return nouns["reconstruction"].sizes.get("draw", 1)


def _settings(plan: Plan, stage: str) -> str:
    """Write a section's kind and what is set in it."""
    spec: Mapping[str, Any] = plan.resolved[stage]
    given = {k: v for k, v in spec.items() if k != "kind" and not _empty(v)}
    words = ", ".join(f"{name} {_value(value)}" for name, value in given.items())
    kind = str(spec.get("kind", ""))
    return f"{kind} ({words})" if kind and words else kind or words


def _empty(value: object) -> bool:
    return value is None or value is False or (isinstance(value, list | dict | str) and not value)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{k} {_value(v)}" for k, v in value.items() if not _empty(v)) + ")"
    return listed(map(str, value)) if isinstance(value, list) else str(value)


def _conditions(plan: Plan) -> Iterator[str]:
    """Say of each condition of the file what is read out, what is done to it, and where."""
    rows: dict[str, list[Row]] = {}
    for branch in plan.branches:
        rows.setdefault(branch.row.base, []).append(branch.row)
    for base, group in rows.items():
        yield f"Condition '{base}'. {_condition(group)}."


def _condition(rows: list[Row]) -> str:
    row = rows[0]
    said = [SOURCES[row.source]]
    if row.perturb:
        skipped = {"kind", "region", "control", "control_index", "seed"}
        words = [f"{k} {_value(v)}" for k, v in row.perturb.items() if k not in skipped]
        said.append(", ".join([str(row.perturb["kind"]), *words]))
        regions = list(dict.fromkeys(one.region for one in rows if one.region))
        if regions:
            said.append(f"at {'; '.join(regions)}")
        if row.control >= 0:
            each = len({one.control for one in rows})
            what = f"{counted(each, 'matched control')} ({row.perturb['control']})"
            said.append(f"not there itself but in {what} of each")
    if row.refit:
        said.append("the adapter fitted again on pairs perturbed alike")
    variants = list(dict.fromkeys(one.variant for one in rows if one.variant))
    if variants:
        said.append(f"repeated with {listed(variants, len(variants))}")
    return "; ".join(said)


def _scores(nouns: Mapping[str, xr.Dataset]) -> Iterator[str]:
    if "score" in nouns:
        score = nouns["score"]
        for name, what in zip(score["metric"].values, score["definition"].values, strict=True):
            chance = score["chance"].sel(metric=name).item()
            known = f"; chance {chance:.3g}" if np.isfinite(chance) else ""
            yield f"Score '{name}'. {what}{known}."


def _statistics(nouns: Mapping[str, xr.Dataset]) -> Iterator[str]:
    for stem, made in nouns.items():
        if stem.startswith("estimate-"):
            unit = str(made.attrs.get("unit_of_inference", "stimulus"))
            n = listed(map(str, np.unique(made["n"].values[made["n"].values > 0]).astype(int)), 4)
            told = {"test": "", "null": "null: ", "correction": "correction: "}
            told |= {"interval": "interval: ", "caution": "caution: "}
            said = [head + str(made.attrs[key]) for key, head in told.items() if key in made.attrs]
            what = str(made.attrs.get("statistic", "")) or "no further words"
            name = stem.removeprefix("estimate-")
            yield f"Statistic '{name}'. {what}; {'; '.join([*said, f'n = {n}, unit {unit}'])}."


def _software(plan: Plan) -> str:
    used = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Software. insilico {insilico.__version__} (run {plan.key}, seed {plan.protocol.seed}); "
        f"Python {platform.python_version()}, {used}. Every setting stands in protocol.yaml, which "
        "runs again."
    )
