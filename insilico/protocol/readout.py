"""The jobs of a linear read-out along a curve: what it learns from, and what it is then given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr

from insilico.errors import SchemaError
from insilico.job import Job
from insilico.protocol.branches import Branch
from insilico.protocol.document import Loc
from insilico.protocol.expand import Row, rows_of
from insilico.protocol.model import Protocol, Spec
from insilico.protocol.steps import Complaint, kinds
from insilico.protocol.told import asked, fields
from insilico.step import Step

if TYPE_CHECKING:
    from insilico.protocol.plan import Planner


class Levels(Step):
    """Stack responses, or tokens, of the levels of a curve along `condition`.

    Attributes
    ----------
    level : tuple of float
        Ascending; one stands several times where it has several masks or controls.
    """

    kind: ClassVar[str] = "stacked levels"
    stored: ClassVar[bool] = False
    level: tuple[float, ...]

    def __call__(self, *data: xr.Dataset) -> xr.Dataset:
        """Return one dataset, (condition, stimulus, ...), with the coordinate `level`."""
        first = data[0]["stimulus"].values
        if any(list(one["stimulus"].values) != list(first) for one in data):
            raise SchemaError("levels of a curve are of other stimuli; give them the same")
        joined = xr.concat(
            data, "condition", coords="minimal", compat="override", combine_attrs="drop_conflicts"
        )
        lesions = [str(one.attrs["lesion"]) for one in data if "lesion" in one.attrs]
        joined.attrs |= {"lesion": lesions[-1]} if lesions else {}
        return joined.assign_coords(level=("condition", list(self.level)))


def readout(planner: Planner, spec: Spec, shown: Job) -> list[Job]:
    """Return the jobs: training stimuli and features; stimuli shown, and features by level.

    Parameters
    ----------
    planner : Planner
    spec : dict
        Of the statistic: `of` and `against` name conditions, `tokens` what is read, `training` how
        many stimuli are learned from: those after the adapter's own, on which it would flatter.
    shown : Job
        The statistic's stimuli.
    """
    rows = [replace(row, level=0.0) for row in rows_of(planner.protocol, spec["against"])]
    curve = [row for row in rows_of(planner.protocol, spec["of"]) if row.level]
    rows += sorted(curve, key=lambda row: row.level or 0)
    chain = rows[0].chain
    learned = planner.protocol.training or {}
    start = int(learned.get("start", 0)) + int(chain.get("adapter", {}).get("pairs", 0))
    n = planner.step("statistics", spec, seeded=True).model_dump()["training"]
    stimuli = planner.stimuli({**learned, "start": start, "n": n})
    known = replace(rows[0], name=f"training {n}")
    each = [(known, stimuli), *((row, shown) for row in rows)]
    training, *given = [_features(planner, *one, spec.get("tokens")) for one in each]
    levels = Levels(level=tuple(float(row.level or 0) for row in rows))
    return [stimuli, training, shown, planner.job(f"levels of {spec['of']}", levels, *given)]


def _features(planner: Planner, row: Row, stimuli: Job, tokens: str | None) -> Job:
    """Return the job of a condition's responses, or of the decoder's tokens of them."""
    if row.source == "recording":
        response = planner.recorded(row.chain["recording"], stimuli, "voxels", "mean")
    else:
        response = planner.encoded(row.chain["encoder"], stimuli)
    response = planner.perturbed(row, response)
    if not tokens:
        return response
    name = response.name.partition(" ")[2]
    if row.source == "encoder" and "adapter" in row.chain:
        response = planner.adapted_by(row.chain, name, response)
    step = planner.step("decoder", {**row.chain["decoder"], "keep": [tokens]}, seeded=True)
    return planner.job(f"{tokens} tokens {name}", step, response, method="represent")


def complained(protocol: Protocol, spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield what is missing for a read-out along a curve."""
    rows = rows_of(protocol, spec["of"])
    curves = {row.region for row in rows}
    sources = {protocol.conditions[spec[field]].source for field in ("of", "against")}
    if len({row.level for row in rows}) < len(curves) or any(row.level is None for row in rows):
        several = "give its perturbation a list, such as fraction: [0.2, 0.5], of one region"
        yield (*loc, "of"), f"'{spec['of']}' is no curve of one region: {several}"
    elif rows_of(protocol, spec["against"])[0].perturb is not None:
        yield (*loc, "against"), f"'{spec['against']}' is changed; name a condition that is not"
    elif len(sources) > 1:
        yield (*loc, "against"), f"'{spec['of']}' is of another source; name one of its own"
    elif protocol.training is None:
        yield loc, "it learns from training stimuli: add 'training', or a preset"
    elif not {"start", "n"} <= {*fields(protocol.training)}:
        yield loc, "it learns from stimuli after the adapter's pairs: 'training' takes no 'start'"
    decoder = str((protocol.decoder or {}).get("kind"))
    known = decoder in kinds("decoder") and hasattr(kinds("decoder")[decoder], "represent")
    if spec.get("tokens") and not known:
        yield (*loc, "tokens"), f"decoder '{decoder}' has no tokens; mindeye2 has"


def _jobs(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    return readout(planner, spec, planner.stimuli(asked(planner.protocol, spec)))


JOBS = {"readout": _jobs}
COMPLAINTS = {"readout": complained}
BEHIND = {"readout": ("encoder", "training", "recording", "adapter")}
"""Name of a statistic's input to its jobs, to what may be wrong, and to the sections behind it."""
