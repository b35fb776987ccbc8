"""The five nouns of a run, put together from the store."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
import xarray as xr

import insilico
from insilico.job import Job, notes_of
from insilico.protocol.branches import Branch, Plan
from insilico.protocol.join import noted, stacked
from insilico.protocol.model import Protocol
from insilico.protocol.steps import kind_has
from insilico.run.runner import obtain
from insilico.run.store import Store
from insilico.schema import NOUNS

LABELS = {
    "name": "base",
    "region": "region",
    "control": "control",
    "chain": "source",
    "variant": "variant",
}
"""Coordinate of `condition` to the field of the plan's row."""

KEPT = ("perturbed", "fill", "subject")
"""Attributes that differ between conditions: they become coordinates."""


class Assembly:
    """Puts together what a run gave; what failed is left out.

    Parameters
    ----------
    plan : Plan
    store : Store
    failed : keys
    instead : dict
        Key to the job that takes a failed one's place, see `insilico.protocol.spared`.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        failed: Container[str] = (),
        instead: Mapping[str, Job] = MappingProxyType({}),
    ) -> None:
        self.plan, self.store, self.failed, self.instead = plan, store, failed, instead

    def nouns(self) -> dict[str, xr.Dataset]:
        """Return file stem to dataset, as far as there is something."""
        makers: dict[str, Callable[[], xr.Dataset | None]] = {
            "stimuli": lambda: self._one(self.plan.stimuli),
            "response": lambda: self._stacked(lambda branch: branch.response),
            "reconstruction": lambda: self._stacked(lambda branch: branch.reconstruction),
            "score": lambda: self._one(self.plan.score),
        }
        for name, job in self.plan.statistics.items():
            makers[f"estimate-{name}"] = lambda job=job: self._one(job)  # type: ignore[misc]
        found = {stem: make() for stem, make in makers.items()}
        protocol = self.plan.protocol
        named = {
            stem: _named(noun, stem, protocol) for stem, noun in found.items() if noun is not None
        }
        return {stem: self._titled(noun) for stem, noun in named.items()}

    def _one(self, job: Job | None) -> xr.Dataset | None:
        job = job and self.instead.get(job.key, job)
        return None if job is None or job.key in self.failed else obtain(job, self.store)

    def _stacked(self, of: Callable[[Branch], Job | None]) -> xr.Dataset | None:
        pairs = [(branch, of(branch)) for branch in self.plan.branches]
        there = [(b, job) for b, job in pairs if job is not None and job.key not in self.failed]
        if not there:
            return None
        datasets = [obtain(job, self.store) for _, job in there]
        joined = stacked(datasets, [branch.row.name for branch, _ in there])
        bases = [branch.row.base for branch, _ in there]
        joined = noted(joined, datasets, bases, notes_of({"note": self.plan.note}))
        for name in KEPT:
            texts = [str(dataset.attrs.get(name, "")) for dataset in datasets]
            if len(set(texts)) > 1:
                joined = joined.assign_coords({name: ("condition", texts)})
        return joined.assign_coords(self._labels([branch for branch, _ in there]))

    def _labels(self, branches: list[Branch]) -> dict[str, Any]:
        return {
            key: ("condition", [getattr(branch.row, field) for branch in branches])
            for key, field in LABELS.items()
        }

    def _titled(self, noun: xr.Dataset) -> xr.Dataset:
        about = {"title": self.plan.protocol.title, "protocol_key": self.plan.key}
        about["insilico_version"] = insilico.__version__  # type: ignore[assignment]
        noun = noun.assign_attrs(about)
        said = notes_of(noun.attrs)
        more = [note for note in notes_of({"note": self.plan.note}) if note not in said]
        return noun.assign_attrs(note="; ".join([*said, *more])) if more else noun


BESIDE_ROWS = ("vertex", "voxel", "variant", "stimulus", "label")
"""Dimensions of an estimate that are no row of the table."""


def table(estimates: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Return all estimates as rows; maps, variants, and what is of each stimulus or label stay out.

    Parameters
    ----------
    estimates : dict
        Name of the statistic to estimate.
    """
    frames = []
    for name, estimate in estimates.items():
        rows = [v for v in estimate.data_vars if not set(BESIDE_ROWS) & set(estimate[v].dims)]
        frame = estimate[rows].drop_dims(BESIDE_ROWS, errors="ignore")
        frame = _with_dims(frame, estimate).to_dataframe().reset_index()
        frame.insert(0, "statistic", name)
        frame["note"] = [_note_of(contrast, estimate) for contrast in frame["contrast"]]
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    first = ["statistic", "contrast", "metric", "region", *NOUNS["estimate"].variables]
    ordered = [column for column in first if column in table]
    return table[ordered + [column for column in table if column not in ordered]]


def _note_of(contrast: str, estimate: xr.Dataset) -> str:
    """Return the notes on an estimate but those on other conditions that it has as contrasts."""
    others = {str(name) for name in estimate["contrast"].values} - {contrast}
    found = []
    for note in notes_of(estimate.attrs):
        names = set(note.partition(": ")[0].split(", "))
        found += [note] if not names & others or contrast in names else []
    return "; ".join(found)


def _with_dims(frame: xr.Dataset, estimate: xr.Dataset) -> xr.Dataset:
    """Order dimensions so that rows come contrast by contrast."""
    dims = [dim for dim in ("contrast", "metric", "region") if dim in frame.dims]
    return frame.transpose(*dims, ...) if dims else estimate


def _named(noun: xr.Dataset, stem: str, protocol: Protocol) -> xr.Dataset:
    """Return an estimate with its name in the protocol, which figures show; others as they are."""
    _, estimate, name = stem.partition("estimate-")
    return noun.assign_attrs(name=name, **_made(protocol, name)) if estimate else noun


def _made(protocol: Protocol, name: str) -> dict[str, str]:
    """Return how a statistic's condition is perturbed, what fills it, and its kind of control."""
    spec, known = protocol.statistics.get(name, {}), protocol.conditions
    of, control = (known.get(str(spec.get(key))) for key in ("of", "control"))
    if of is None or of.perturb is None:
        return {}
    found = {"perturbation": str(of.perturb.get("kind", ""))}
    fields = kind_has("perturb", of.perturb, "model_fields") or {}
    if "fill" in fields:
        fill = str(of.perturb.get("fill", fields["fill"].default))
        found["fill"] = f"{fill}, adapter refitted" if of.perturb.get("refit") is True else fill
    if control is not None and control.perturb is not None:
        found["control"] = str(control.perturb.get("control", ""))
    return found
