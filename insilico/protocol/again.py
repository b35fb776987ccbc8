"""What statistics ask of conditions: their responses, pictures and words, and these seen again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr
from pydantic import NonNegativeInt

from insilico.errors import SchemaError, listed
from insilico.job import Job
from insilico.protocol.branches import Branch
from insilico.protocol.document import Loc, merge
from insilico.protocol.expand import rows_of
from insilico.protocol.join import stacked
from insilico.protocol.model import Protocol, Spec
from insilico.protocol.steps import Complaint, kinds
from insilico.schema import check
from insilico.step import Step

if TYPE_CHECKING:
    from insilico.protocol.plan import Planner


class Again(Step):
    """Decoded pictures as stimuli, so that an encoder sees them.

    Attributes
    ----------
    draw : int
        Which draw of each stimulus.
    """

    kind: ClassVar[str] = "again"
    draw: NonNegativeInt = 0

    def __call__(self, reconstruction: xr.Dataset) -> xr.Dataset:
        """Return stimuli, whose ids end in ``decoded``: a file of responses has none to them.

        Parameters
        ----------
        reconstruction : reconstruction, with `image`
        """
        if "image" not in check(reconstruction, "reconstruction"):
            held = listed(reconstruction.data_vars)
            raise SchemaError(f"only pictures can be encoded again; these are {held}")
        if self.draw >= reconstruction.sizes["draw"]:
            there = reconstruction.sizes["draw"]
            raise SchemaError(f"draw {self.draw} is asked for and there are {there}, from 0")
        image = reconstruction["image"].isel(draw=self.draw, drop=True).variable
        ids = [f"{name} decoded" for name in reconstruction["stimulus"].values]
        split = ("stimulus", ["decoded"] * len(ids))
        attrs = {"source": reconstruction.attrs.get("source", "decoded"), "modality": "image"}
        made = xr.Dataset({"image": image}, {"stimulus": ids, "split": split}, attrs)
        return check(made, "stimuli")


class Together(Step):
    """The captions of several conditions side by side, as a run's `reconstruction` has them.

    Attributes
    ----------
    condition, name, region : tuple of str
        Of each condition: its label, its name in the protocol, the region that it perturbs.
    """

    kind: ClassVar[str] = "together"
    condition: tuple[str, ...]
    name: tuple[str, ...]
    region: tuple[str, ...]

    @classmethod
    def of(cls, branches: Iterable[Branch]) -> Together:
        """Return the step that joins these conditions."""
        rows = [branch.row for branch in branches]
        labels = [(row.name, row.base, row.region) for row in rows]
        condition, name, region = zip(*labels, strict=True)
        return cls(condition=condition, name=name, region=region)

    def __call__(self, *reconstructions: xr.Dataset) -> xr.Dataset:
        """Return `caption`, (condition, stimulus, draw)."""
        for one, name in zip(reconstructions, self.condition, strict=True):
            if "caption" not in one:
                raise SchemaError(f"condition '{name}' has no captions; set captions in 'decoder'")
        words = [one[["caption"]] for one in reconstructions]
        labels = {key: ("condition", list(getattr(self, key))) for key in ("name", "region")}
        return stacked(words, self.condition).assign_coords(labels)


# --- the jobs ---


def _named(spec: Spec, branches: tuple[Branch, ...]) -> list[Branch]:
    return [branch for name in spec["of"] for branch in branches if branch.row.base == name]


def again(planner: Planner, branch: Branch) -> Job:
    """Return the job of the response to what a condition decoded."""
    name = branch.row.name
    pictures = planner.job(f"pictures {name}", Again(), branch.reconstruction)
    encoder = branch.row.chain.get("encoder") or planner.protocol.encoder or {}
    return planner.job(f"encode again {name}", planner.step("encoder", encoder), pictures)


def _again(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    return [again(planner, branch) for branch in _named(spec, branches)]


def _pictures(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    return [branch.reconstruction for branch in _named(spec, branches)]


def _responses(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    return [branch.response for branch in _named(spec, branches) if branch.response]


def _spoken(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    asked = _named(spec, branches)
    made = [branch.reconstruction for branch in asked]
    return [planner.job(f"captions of {listed(spec['of'])}", Together.of(asked), *made)]


def _shown(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    return [planner.stimuli(planner.protocol.stimuli)]


def _recorded(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    shown, recording = planner.stimuli(planner.protocol.stimuli), planner.protocol.recording or {}
    return [planner.recorded(recording, shown, "voxels", "keep")]


def _training_shown(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    return [planner.training(planner.protocol.adapter or {})]


def _training_voxels(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    (shown,), recording = _training_shown(planner, spec, branches), planner.protocol.recording or {}
    return [planner.recorded(recording, shown, "voxels", "mean")]


def _voxel_entry(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    step = planner.step("decoder", planner.protocol.decoder or {}, seeded=True)
    (measured,) = _training_voxels(planner, spec, branches)
    return [planner.job("entry of the decoder", step, measured, method="entry_of")]


JOBS: dict[str, Callable[[Any, Spec, tuple[Branch, ...]], list[Job]]] = {
    "reconstructions": _pictures,
    "responses": _responses,
    "again": _again,
    "spoken": _spoken,
    "shown": _shown,
    "recorded": _recorded,
    "training_shown": _training_shown,
    "training_voxels": _training_voxels,
    "voxel_entry": _voxel_entry,
}
"""Name of a statistic's input to the jobs behind it, one for each condition that it names."""


# --- what may be wrong ---

NO_PAIRS = "it learns from training stimuli: add 'training' and adapter.pairs, or a preset"


def _one_each(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    for asked in spec["of"]:
        if (many := len(rows_of(protocol, asked))) > 1:
            message = (
                f"'{asked}' stands for {many} conditions, and their reconstructions are not one: "
                "name a condition of one region, without controls"
            )
            yield (*loc, "of"), message


def _on_cortex(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    for asked in spec["of"]:
        condition = protocol.conditions[asked]
        if condition.source == "recording" and condition.perturb is not None:
            message = f"'{asked}' changes a recording in voxels: it has no response on fsaverage5"
            yield (*loc, "of"), message


def _seen_again(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    yield from _one_each(protocol, spec, loc)
    for asked in spec["of"]:
        above = protocol.conditions[asked].encoder
        encoder = merge({"it": protocol.encoder or {}}, {"it": above or {}})["it"]
        if not encoder:
            yield loc, "decoded pictures are encoded: add 'encoder', or a preset"
        elif encoder.get("file"):
            message = (
                f"encoder '{encoder['kind']}' reads a file, which has no response to pictures that "
                "are yet to be decoded: name one that sees them, such as {kind: tribe, python: ...}"
                " or {kind: mary_nano, weights: ...}"
            )
            yield ("encoder",), message


def _speaking(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    many = sum(len(rows_of(protocol, asked)) for asked in spec["of"])
    if many < 2:
        yield (*loc, "of"), f"regions are compared, and '{listed(spec['of'])}' has {many}: add one"


def _measured(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if protocol.recording is None:
        yield loc, "it needs measured responses: add 'recording', or a preset"


def _learnt(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    pairs = (protocol.adapter or {}).get("pairs")
    if protocol.training is None or not isinstance(pairs, int):
        yield loc, NO_PAIRS


def _learnt_voxels(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    yield from _measured(protocol, spec, loc)
    yield from _learnt(protocol, spec, loc)


def _entered(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    kind = (protocol.decoder or {}).get("kind")
    if kind is None or not hasattr(kinds("decoder")[kind], "entry_of"):
        yield loc, f"it reads a decoder's linear entry, and '{kind}' has none; mindeye2 has"


def _nothing(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    yield from ()


COMPLAINTS: dict[str, Callable[[Protocol, dict[str, Any], Loc], Iterator[Complaint]]] = {
    "reconstructions": _one_each,
    "responses": _on_cortex,
    "again": _seen_again,
    "spoken": _speaking,
    "shown": _nothing,
    "recorded": _measured,
    "training_shown": _learnt,
    "training_voxels": _learnt_voxels,
    "voxel_entry": _entered,
}
"""Name of an input to what may be wrong with it."""
BEHIND = {
    "again": ("encoder",),
    "recorded": ("recording",),
    "training_shown": ("training",),
    "training_voxels": ("training", "recording"),
    "voxel_entry": ("decoder", "training", "recording"),
}
"""Name of an input to the sections behind it."""
