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
    said += [f"In place of others: {plan.note}."] if plan.note else []
    said += [*_stages(plan, nouns), *_conditions(plan)]
    said += dict.fromkeys(str(n.attrs["lesion"]) for n in nouns.values() if "lesion" in n.attrs)
    said += [*_scores(nouns), *_statistics(plan, nouns), _software(plan)]
    return "\n\n".join("\n".join(wrap(part, WIDTH)) for part in said) + "\n"


def _stages(plan: Plan, nouns: Mapping[str, xr.Dataset]) -> Iterator[str]:
    """Name what each stage was, with all that was set."""
    if (stimuli := nouns.get("stimuli")) is not None:
        source = stimuli.attrs.get("source", "stimuli of the protocol")
        settings = _settings(plan.resolved, "stimuli")
        yield f"Stimuli. n = {stimuli.sizes['stimulus']}; {source}; {settings}."
    used = {type(job.step) for job in walk(plan.targets())}
    for stage in STAGES:
        spec = plan.resolved.get(stage)
        if spec and kinds(stage)[spec["kind"]] in used:
            yield f"{stage.capitalize()}. {_settings(plan.resolved, stage)}."
    made = nouns["reconstruction"].attrs if "reconstruction" in nouns else {}
    if "variant" in made:
        draws = nouns["reconstruction"].sizes.get("draw", 1)
        yield f"Decoding, as run. {made['variant']}; {counted(draws, 'draw')}."


def _settings(sections: Mapping[str, Any], name: str) -> str:
    """Write a section's kind and what is set in it."""
    spec: Mapping[str, Any] = sections[name]
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
        yield f"Condition '{base}'. {_condition(plan.resolved['conditions'][base], group)}."


def _condition(spec: Mapping[str, Any], rows: list[Row]) -> str:
    """Write a condition's source, the stages that are its own, and its perturbation."""
    said = [SOURCES[rows[0].source]]
    own = {k: v for k, v in spec.items() if k not in ("source", "perturb", "refit", "variant")}
    said += [f"{stage} of its own: {_value(given)}" for stage, given in own.items()]
    if rows[0].perturb:
        asked = {**spec["perturb"], "atlas": rows[0].perturb.get("atlas")}
        kind, each = asked.pop("kind"), asked.pop("region", None)
        words = [f"{k} {_value(v)}" for k, v in asked.items() if not _empty(v)]
        said.append(", ".join([str(kind), *words]))
        acted = [str(row.perturb["region"]) for row in rows if row.perturb and each]
        if acted:
            what = "matched controls of" if asked.get("control") else "acts on"
            said.append(f"{what} {'; '.join(dict.fromkeys(acted))}")
    if rows[0].refit:
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


def _statistics(plan: Plan, nouns: Mapping[str, xr.Dataset]) -> Iterator[str]:
    for stem, made in nouns.items():
        if stem.startswith("estimate-"):
            unit = str(made.attrs.get("unit_of_inference", "stimulus"))
            n = listed(map(str, np.unique(made["n"].values[made["n"].values > 0]).astype(int)), 4)
            told = {"test": "", "null": "null: ", "correction": "correction: "}
            told |= {"interval": "interval: ", "caution": "caution: "}
            said = [head + str(made.attrs[key]) for key, head in told.items() if key in made.attrs]
            name = stem.removeprefix("estimate-")
            said = [str(made.attrs.get("statistic", "")), *said, f"n = {n}, unit {unit}"]
            said.append(f"as set: {_settings(plan.resolved['statistics'], name)}")
            yield f"Statistic '{name}'. {'; '.join(filter(None, said))}."


def _software(plan: Plan) -> str:
    used = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Software. insilico {insilico.__version__} (run {plan.key}, seed {plan.protocol.seed}); "
        f"Python {platform.python_version()}, {used}. Every setting stands in protocol.yaml, which "
        "runs again."
    )
