"""The figures of a protocol: what each draws, and what is wrong with it before anything is run."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from insilico.errors import listed, not_one_of
from insilico.protocol.document import Loc
from insilico.protocol.model import Protocol, Spec
from insilico.protocol.steps import Complaint, kinds
from insilico.step import Registry, in_words

NOUNS = ("estimate", "stimuli", "response", "reconstruction", "score")
"""What a figure is given of a run, by the names of its parameters."""
OWN = ("kind", "of", "name")
"""Keys that the protocol itself uses and no figure sees."""


def figure_kinds() -> Registry:
    """Return the figures' registry: name to the function that draws."""
    return importlib.import_module("insilico.figures").KINDS


def spec_of(figure: str | Spec) -> Spec:
    """Return a figure as a mapping; a word alone is its kind."""
    return {"kind": figure} if isinstance(figure, str) else dict(figure)


def stem_of(figure: str | Spec) -> str:
    """Return the name of a figure's files: ``name``, or its kind."""
    spec = spec_of(figure)
    return str(spec.get("name", spec.get("kind")))


def beside_of(spec: Spec) -> list[str]:
    """Return the statistics that are drawn beside; one alone may be written without brackets."""
    beside = spec.get("beside", [])
    return [str(one) for one in (beside if isinstance(beside, list) else [beside])]


def statistic_of(protocol: Protocol, spec: Spec) -> str | None:
    """Return the statistic that a figure draws: ``of``, or the first of the kind it is made for."""
    if "of" in spec:
        return str(spec["of"])
    kind = _wanted(spec["kind"])
    fit = [name for name, one in protocol.statistics.items() if kind in (None, one.get("kind"))]
    return fit[0] if fit else None


def parameters_of(kind: str) -> dict[str, inspect.Parameter]:
    """Return what a figure can be told in a protocol, beside `of` and `name`."""
    known = inspect.signature(figure_kinds()[kind]).parameters
    return {name: one for name, one in known.items() if name not in NOUNS}


def figure_complaints(protocol: Protocol) -> Iterator[Complaint]:
    """Yield what is wrong with the figures that a protocol names."""
    stems: set[str] = set()
    for position, figure in enumerate(protocol.figures):
        loc: Loc = ("figures", position)
        found = list(_one(protocol, spec_of(figure), loc))
        yield from found
        stem = stem_of(figure)
        if not found and stem in stems:
            fix = f"give one a name: {{kind: {spec_of(figure)['kind']}, name: another}}"
            yield loc, f"two figures would be written to {stem}.png; {fix}"
        stems.add(stem)


def _one(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    if "kind" not in spec:
        (first, *_) = [*(key for key in spec if key in figure_kinds()), ""]
        if not first and str(spec.get("of")) in protocol.statistics:
            drawn = protocol.statistics[str(spec["of"])].get("kind")
            first = next((kind for kind in figure_kinds() if _wanted(kind) == drawn), "")
        hint = f" (write {{kind: {first}, of: {spec.get(first, spec.get('of'))}}})" if first else ""
        yield loc, f"'kind' is missing{hint}; one of: {', '.join(figure_kinds())}"
    elif not isinstance(spec["kind"], str) or spec["kind"] not in list(figure_kinds()):
        yield loc, not_one_of("figure", spec["kind"], figure_kinds())
    else:
        yield from _options(spec, loc)
        yield from _shown(protocol, spec, loc)


def _options(spec: Spec, loc: Loc) -> Iterator[Complaint]:
    """Yield options that a figure does not take, and those that it lacks."""
    parameters = parameters_of(spec["kind"])
    known = [*OWN, *parameters]
    for option in spec:
        if option not in known:
            yield (*loc, option), not_one_of("key", option, known)
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and not spec.get(name):
            more = ", a list of statistics" if name == "beside" else ""
            yield loc, f"{spec['kind']} needs '{name}'{more}: add {name}: [...]"
    hints = get_type_hints(figure_kinds()[spec["kind"]], include_extras=True)
    for name in [one for one in parameters if one in spec and one != "beside"]:
        try:
            TypeAdapter(hints[name]).validate_python(spec[name], strict=True)
        except ValidationError as error:
            item = {**error.errors()[0], "loc": (name,)}
            yield (*loc, name), in_words(item)
    if "name" in spec and not re.fullmatch(r"\w[\w. -]*", str(spec["name"])):
        met = f"met {spec['name']!r}; allowed: the name of a file, without folder"
        yield (*loc, "name"), met


def _shown(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    """Yield statistics that a figure asks for and that are not there, or cannot be drawn so."""
    wanted, statistics = _wanted(spec["kind"]), protocol.statistics
    asked = [(("of",), str(spec["of"]))] if "of" in spec else []
    asked += [(("beside",), name) for name in beside_of(spec)]
    for field, name in asked:
        if name not in statistics:
            yield (*loc, *field), not_one_of("statistic", name, statistics)
    shown = statistic_of(protocol, spec)
    if shown is None and wanted:
        message = f"{spec['kind']} draws a statistic of kind {wanted}, and there is none"
        yield loc, f"{message}: add one"
    elif "of" in spec and shown in statistics and wanted:
        kind = statistics[shown].get("kind")
        if kind != wanted:
            yield (*loc, "of"), f"'{shown}' is of kind {kind}; {spec['kind']} draws {wanted}"
    if spec["kind"] in _module().WITH_CONTROLS:
        yield from _controls(statistics, [shown, *beside_of(spec)], spec["kind"], loc)


def _controls(
    statistics: Mapping[str, Spec], names: list[str | None], kind: str, loc: Loc
) -> Iterator[Complaint]:
    known = [name for name in names if name is not None and name in statistics]
    lacking = [name for name in known if not statistics[name].get("control")]
    if lacking:
        yield loc, f"{kind} draws matched controls; add control: to {listed(lacking)}"


def _wanted(kind: str) -> str | None:
    """Return the kind of statistic that a figure draws, None where any or none will do."""
    own = kind if kind in kinds("statistics").addresses() else None
    return _module().DRAWS.get(kind, own)


def _module() -> Any:
    return importlib.import_module("insilico.figures")
