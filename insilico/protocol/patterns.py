"""Conditions whose source is a pattern: no stimulus is shown, a response is made up and decoded.

The pattern is the encoder's mean response to training stimuli, changed by the condition's
perturbation. A decoder reads it, or a search (`ascend`, `evolve`) finds the picture that the
encoder answers so. What the pictures do is asked of a second encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from insilico.errors import InsilicoError, SchemaError, listed
from insilico.job import CARRIED, Job
from insilico.protocol.branches import Branch
from insilico.protocol.document import Loc, merge
from insilico.protocol.expand import Row, changed
from insilico.protocol.first import First
from insilico.protocol.model import Protocol, Spec
from insilico.protocol.steps import Complaint, build, complaints, kinds, takes
from insilico.protocol.told import asked as shown
from insilico.schema import check
from insilico.step import Step

if TYPE_CHECKING:
    from insilico.protocol.plan import Planner

SOURCE, ID = "pattern", "pattern"


class Rest(Step):
    """The mean response over training stimuli, as the response to one stimulus, ``pattern``."""

    kind: ClassVar[str] = "rest"

    def __call__(self, training: xr.Dataset) -> xr.Dataset:
        """Return the mean of a response on fsaverage5, (1, vertex)."""
        bold = check(training, "response", space="fsaverage5")["bold"]
        mean = bold.mean("stimulus", dtype=np.float64).astype(np.float32).expand_dims("stimulus")
        over = {k: one for k, one in training.coords.items() if one.dims == ("vertex",)}
        made = xr.Dataset(
            {"bold": mean.variable}, {"stimulus": [ID], "split": ("stimulus", ["made"]), **over}
        )
        note = {"note": f"the mean of {training.sizes['stimulus']} predicted training responses"}
        return check(made.assign_attrs({**training.attrs, **note}), "response")


class Pictures(Step):
    """Reconstructions of several conditions as stimuli, one a condition and draw.

    Attributes
    ----------
    condition, way, region : tuple of str
        Of each condition: its full name, its name in the file, and the region raised, with atlas.
    control : tuple of int
        Number of the control; -1 for the region itself.
    """

    kind: ClassVar[str] = "pictures"
    condition: tuple[str, ...]
    way: tuple[str, ...]
    region: tuple[str, ...]
    control: tuple[int, ...]

    def __call__(self, *reconstructions: xr.Dataset) -> xr.Dataset:
        """Return stimuli, ``CONDITION/DRAW``, with what they were made for as coordinates."""
        sizes = {tuple(one["image"].shape[1:]) for one in reconstructions}
        if len(sizes) > 1:
            told = listed(f"{n} draws of {y} × {x} pixels" for n, y, x, _ in sorted(sizes))
            raise SchemaError(
                f"pictures are compared one by one; met {told}: give all conditions one "
                "decoder.draws, and searches decoder.size"
            )
        draws = reconstructions[0]["draw"].values
        images = np.concatenate([one["image"].values[0] for one in reconstructions])
        each = {name: np.repeat(getattr(self, name), len(draws)) for name in self._labels()}
        coords: dict[str, Any] = {name: ("stimulus", values) for name, values in each.items()}
        coords["draw"] = ("stimulus", np.tile(draws, len(reconstructions)))
        coords["split"] = ("stimulus", ["made"] * len(images))
        names = zip(each["condition"], coords["draw"][1], strict=True)
        coords["stimulus"] = [f"{condition}/{draw}" for condition, draw in names]
        said = {k: reconstructions[0].attrs[k] for k in CARRIED if k in reconstructions[0].attrs}
        pixels = ("stimulus", "y_pixel", "x_pixel", "rgb")
        made = xr.Dataset({"image": (pixels, images)}, coords, {"modality": "image", **said})
        return check(made, "stimuli")

    @staticmethod
    def _labels() -> tuple[str, ...]:
        return "condition", "way", "region", "control"


# --- jobs -----------------------------------------------------------------------------------------


def branch(planner: Planner, row: Row, shown: Job) -> Branch:
    """Return the jobs of a condition whose source is a pattern; nothing is scored."""
    pattern = planner.perturbed(row, rest(planner, row.chain))
    adapts = takes(decoder(planner, row.chain))[0] != ID and "adapter" in row.chain
    given = planner.adapted(row, pattern) if adapts else pattern
    return Branch(row, shown, None, planner.decoded(row, given, shown), ())


def rest(planner: Planner, chain: dict[str, Spec]) -> Job:
    """Return the job of the pattern before anything is raised."""
    return planner.job("rest", Rest(), planner.background(chain, "encoder")[0])


def decoder(planner: Planner, chain: dict[str, Spec]) -> Step:
    """Return the decoder of a chain; a search asks the chain's encoder if it names no other."""
    step = planner.step("decoder", chain["decoder"], seeded=True)
    if "encoder" not in type(step).model_fields or "encoder" in chain["decoder"]:
        return step
    encoder = planner.step("encoder", chain["encoder"]).identity()
    return planner.step("decoder", {"encoder": encoder, **chain["decoder"]}, seeded=True)


def beside(planner: Planner, what: str, chain: dict[str, Spec]) -> Job:
    """Return the job of what a decoder is called with beside the response, stimuli left out."""
    if what == "training":
        return planner.background(chain, "recording")[0]
    if what == "predicted":
        return planner.background(chain, "encoder")[0]
    scenes = planner.training(chain["adapter"])
    if what == "scenes":
        return scenes
    if what != "latents":
        raise TypeError(f"a decoder cannot be given '{what}'")
    found: Any = decoder(planner, chain)
    return planner.job("latents", found.latents(), scenes)


def learned(planner: Planner, encoder: Spec) -> Job:
    """Return the job of a second encoder's fit, on the stimuli after the adapter's pairs."""
    step: Any = planner.step("encoder", encoder)
    protocol = planner.protocol
    training, first = protocol.training or {}, (protocol.adapter or {}).get("pairs", 0)
    if "n" in kinds("stimuli")[training["kind"]].model_fields:
        training = {**training, "n": first + step.pairs}
    name = f"training of {step.kind}"
    shown = planner.job(name, First(n=step.pairs, after=first), planner.stimuli(training))
    measured = planner.recorded(protocol.recording or {}, shown, "fsaverage5", "mean")
    return planner.job(f"fit {step.kind}", step, shown, measured, method="fit")


def _second(planner: Planner, spec: Spec) -> Spec:
    return merge({"it": planner.protocol.encoder or {}}, {"it": spec["encoder"]})["it"]


def _natural(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    return [planner.encoded(_second(planner, spec), planner.stimuli(shown(planner.protocol, spec)))]


def _pictures(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    made = [branch for branch in branches if branch.row.base in asked(spec)]
    labels = [(b.row.name, b.row.base, named(b.row), b.row.control) for b in made]
    condition, way, region, control = zip(*labels, strict=True)
    step = Pictures(condition=condition, way=way, region=region, control=control)
    return [planner.job("pictures", step, *(branch.reconstruction for branch in made))]


def _answers(planner: Planner, spec: Spec, branches: tuple[Branch, ...]) -> list[Job]:
    (pictures,) = _pictures(planner, spec, branches)
    return [planner.encoded(_second(planner, spec), pictures)]


def named(row: Row) -> str:
    """Return the region that a row raises, with its atlas."""
    perturb = row.perturb or {}
    bare = "atlas" not in perturb or ":" in row.region
    return row.region if bare else f"{perturb['atlas']}:{row.region}"


def asked(spec: Spec) -> list[str]:
    """Return the conditions that a statistic names."""
    return [str(name) for field in ("of", "control") for name in spec.get(field) or []]


# --- what is wrong --------------------------------------------------------------------------------


def pattern_complaints(protocol: Protocol) -> Iterator[Complaint]:
    """Yield what is wrong with conditions whose source is a pattern."""
    patterns = [n for n, condition in protocol.conditions.items() if condition.source == SOURCE]
    if patterns and len(patterns) < len(protocol.conditions):
        other = next(name for name in protocol.conditions if name not in patterns)
        yield (
            ("conditions", other, "source"),
            "it shows stimuli, and other conditions show none (source: pattern); "
            "they cannot be compared: write two protocols",
        )
    if patterns and protocol.scores:
        yield ("scores",), "they compare with what was shown, and a pattern shows nothing: take out"
    for name, condition in protocol.conditions.items():
        spec = changed(protocol, condition, "decoder")
        if name in patterns:
            yield from _pattern(protocol, name)
        elif spec and ID in takes(kinds("decoder")[spec["kind"]].model_construct()):
            searches = f"{spec['kind']} looks for the picture of a pattern, and stimuli are shown"
            place = ("conditions", name) if condition.decoder else ()
            yield (*place, "decoder"), f"{searches}: add source: pattern to the condition"


def _pattern(protocol: Protocol, name: str) -> Iterator[Complaint]:
    condition, loc = protocol.conditions[name], ("conditions", name)
    adapter = changed(protocol, condition, "adapter")
    if condition.perturb is None:
        yield loc, "a pattern is rest with something raised: add perturb: {kind: stimulate, ...}"
    if protocol.training is None or not isinstance(adapter.get("pairs"), int):
        yield loc, "rest is the mean over an adapter's pairs: add 'training' and adapter.pairs"
    spec, encoder = (changed(protocol, condition, section) for section in ("decoder", "encoder"))
    searches = "kind" in spec and spec["kind"] in list(kinds("decoder"))
    if searches and "encoder" in kinds("decoder")[spec["kind"]].model_fields:
        try:
            build("decoder", {"encoder": encoder, **spec}).ready()
        except InsilicoError as error:
            yield (*loc, "decoder"), str(error)


def second_complaints(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    """Yield what a statistic of optimal pictures lacks."""
    for name in asked(spec):
        if protocol.conditions[name].source != SOURCE:
            yield loc, f"'{name}' shows stimuli: it is about conditions with source: pattern"
    if "encoder" not in spec:
        yield loc, "pictures are judged by a second encoder: add encoder: {kind: linear}"
        return
    encoder = merge({"it": protocol.encoder or {}}, {"it": spec["encoder"]})["it"]
    found = list(complaints("encoder", encoder, (*loc, "encoder")))
    yield from found
    if not found and encoder["kind"] == (protocol.encoder or {}).get("kind"):
        yield (
            (*loc, "encoder"),
            f"'{encoder['kind']}' is the chain's own encoder: what it was asked for it will find; "
            "name another, such as {kind: linear}",
        )
    elif not found and hasattr(build("encoder", encoder), "fit") and protocol.recording is None:
        yield (*loc, "encoder"), "it is fitted on measured responses: add 'recording', or a preset"


def _told_already(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    """Yield nothing: what `pictures` lacks, these lack."""
    yield from ()


JOBS = {"pictures": _pictures, "answers": _answers, "natural": _natural}
COMPLAINTS = {
    "pictures": second_complaints,
    "answers": _told_already,
    "natural": _told_already,
}
BEHIND = {"answers": ("recording", "training")}
"""Name of a statistic's input to its jobs, to what may be wrong, and to the sections behind it."""
