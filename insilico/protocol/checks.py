"""The second look at a protocol: what one section says about another, and every step's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from insilico.errors import ParameterError, not_one_of
from insilico.protocol.controlled import comparisons
from insilico.protocol.document import Loc
from insilico.protocol.drawn import figure_complaints
from insilico.protocol.expand import (
    ALL,
    CHANGEABLE,
    all_pairs,
    changed,
    curve_of,
    numbered,
    rows_of,
    statistic,
)
from insilico.protocol.inputs import inputs, used
from insilico.protocol.leakage import leaks
from insilico.protocol.model import CHAIN, Protocol
from insilico.protocol.patterns import pattern_complaints
from insilico.protocol.regions import bound, region_complaints
from insilico.protocol.scored import names_of, scored
from insilico.protocol.spared import CONDITION_FIELDS
from insilico.protocol.steps import (
    Complaint,
    build,
    called,
    complaints,
    kind_has,
    kinds,
    not_linear,
)
from insilico.scores.settings import expanded
from insilico.spaces.controls import in_voxels


def cross_checks(protocol: Protocol) -> Iterator[Complaint]:
    """Yield complaints of a protocol whose shape is right."""
    steps = [*_asked(protocol), *_chain(protocol)]
    for name in protocol.conditions:
        steps += _condition(protocol, name)
    said = steps or [*pattern_complaints(protocol), *leaks(protocol), *comparisons(protocol)]
    yield from said
    yield from _scores(protocol)
    for name in protocol.statistics:
        yield from _statistic(protocol, name)
    yield from figure_complaints(protocol)


def _asked(protocol: Protocol) -> Iterator[Complaint]:
    """Yield what is asked of conditions that are not there, or of a chain without a decoder."""
    if not protocol.conditions and not protocol.statistics:
        yield ("conditions",), "none, and no statistics: name what is decoded, or what is estimated"
    elif not protocol.conditions and protocol.scores:
        yield ("scores",), "they are of conditions, and there are none: add conditions"
    for name, condition in protocol.conditions.items():
        for section in ("decoder",) if condition.source == "recording" else ("encoder", "decoder"):
            if not changed(protocol, condition, section):
                yield ("conditions", name), f"it needs '{section}': add it, or a preset"


def _chain(protocol: Protocol) -> Iterator[Complaint]:
    needed = used(protocol)
    for section in CHAIN:
        spec = getattr(protocol, section)
        if spec is not None:
            bound_spec, files = _bound(protocol, section, spec), section in needed
            yield from complaints(section, bound_spec, (section,), files=files)
    if protocol.adapter is not None and "adapter" in needed:
        yield from _pairs(protocol, protocol.adapter, ("adapter",))


def _bound(protocol: Protocol, section: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a section with the atlas that stands for another in an adapter's bands."""
    return bound(spec, protocol.bindings)[0] if section == "adapter" else spec


def _pairs(protocol: Protocol, adapter: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    other, pairs = adapter.get("encoder"), adapter.get("pairs")
    if not _learns(adapter) and pairs is None:
        return
    for section in ("training", "recording"):
        if getattr(protocol, section) is None:
            yield loc, f"an adapter is fitted on measured pairs: add '{section}', or a preset"
    if isinstance(other, dict):
        yield from complaints("encoder", other, (*loc, "encoder"))
    elif other is not None:
        yield (*loc, "encoder"), f"met {other!r}; allowed: a mapping, such as {{kind: mary_nano}}"
    half = adapter.get("half")
    if half is not None and not re.fullmatch(r"[1-9]\d*[ab]", str(half)):
        yield (*loc, "half"), f"met {half!r}; allowed: a dealing and a side, such as 1a and 1b"
    several, sizes = loc[0] == "conditions", _listed(pairs)
    plain = not isinstance(pairs, list) and pairs != ALL
    if not (several or plain) or not sizes or not all(map(_size, sizes)):
        lists = ", all, or a list of these" if several else ""
        wanted = f"a whole number of pairs, at least 2{lists}"
        yield (*loc, "pairs"), f"met {pairs!r}; allowed: {wanted}"
    else:
        yield from _drawn(protocol, adapter, loc)
        yield from _too_many(protocol, max((n for n in sizes if n != ALL), default=0), loc)


def _too_many(protocol: Protocol, most: int, loc: Loc) -> Iterator[Complaint]:
    """Yield that the training cannot be asked for so many stimuli."""
    training = protocol.training or {}
    if most and "n" in (kind_has("stimuli", training, "model_fields") or ()):
        for place, message in complaints("training", {**training, "n": most}, (), files=False):
            if place == ("n",):
                yield (*loc, "pairs"), f"of 'training', {message}"


def _drawn(protocol: Protocol, adapter: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield what is wrong with random draws of pairs."""
    draws, sizes = _listed(adapter.get("draw", 0)), _listed(adapter["pairs"])
    if not draws or not all(_whole(draw, least=0) for draw in draws) or _repeats(draws):
        met = f"met {adapter['draw']!r}; allowed: a whole number"
        yield (*loc, "draw"), f"{met}, or (in a condition) a list of different ones"
        return
    if isinstance(adapter.get("draw"), list) and loc[0] != "conditions":
        yield (*loc, "draw"), "a list of draws stands for conditions: write it in a condition"
        return
    if protocol.training is None or ("draw" not in adapter and ALL not in sizes):
        return
    held = all_pairs(protocol)
    if not held and ALL in sizes:
        yield (*loc, "pairs"), "'all' of how many? The training cannot be numbered; write a number"
    most = max((size for size in sizes if size != ALL), default=0)
    if held and most > held:
        yield (*loc, "pairs"), f"asks for {most} pairs, and 'training' shows {held} stimuli"
    if _repeats([held if size == ALL else size for size in sizes]):
        yield (*loc, "pairs"), f"{sizes} names a number twice ('all' is {held}): name each once"


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _repeats(values: list[Any]) -> bool:
    return len(set(values)) < len(values)


def _size(value: object) -> bool:
    return value == ALL or _whole(value, least=2)


def _learns(adapter: dict[str, Any]) -> bool:
    """Say whether an adapter's kind is fitted here; an unknown kind has its own complaint."""
    known, kind = kinds("adapter"), adapter.get("kind")
    return not isinstance(kind, str) or kind not in known or getattr(known[kind], "learns", True)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _condition(protocol: Protocol, name: str) -> Iterator[Complaint]:
    condition, loc = protocol.conditions[name], ("conditions", name)
    for section in CHANGEABLE:
        if getattr(condition, section) is not None:
            spec = changed(protocol, condition, section)
            yield from complaints(section, _bound(protocol, section, spec), (*loc, section))
            if section == "adapter":
                yield from _pairs(protocol, spec, (*loc, section))
    if condition.source == "recording" and not changed(protocol, condition, "recording"):
        yield (*loc, "source"), "no recording is named: add 'recording', or a preset"
    if condition.perturb is not None:
        yield from _perturb(protocol, name, (*loc, "perturb"))


def _perturb(protocol: Protocol, name: str, loc: Loc) -> Iterator[Complaint]:
    spec, _ = bound(protocol.conditions[name].perturb or {}, protocol.bindings)
    found = list(region_complaints(spec, loc))
    count = spec.get("n")
    if "n" in spec and not _whole(count, least=1):
        found.append(((*loc, "n"), f"met {count!r}; allowed: a whole number, at least 1"))
    elif "n" in spec and not numbered(spec):
        found.append(
            ((*loc, "n"), "counts controls, or masks; add control: patch, or leave it out")
        )
    elif "n" in spec and (one := numbered(spec)) in spec:
        told = "names one of them, and n takes the first ones: leave one of both out"
        found.append(((*loc, one), told))
    found += list(_refit(protocol, name, spec, loc))
    found += list(_curve(spec, loc))
    if found:
        yield from found
        return
    one_a_level = {row.level: row.perturb or {} for row in reversed(rows_of(protocol, name))}
    for perturb in one_a_level.values():
        yield from complaints("perturb", perturb, loc)


def _refit(protocol: Protocol, name: str, spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield what is wrong with what a perturbation asks of the adapter."""
    condition = protocol.conditions[name]
    adapter = changed(protocol, condition, "adapter")
    fitted = "pairs" in adapter and _learns(adapter) and condition.source != "recording"
    if not isinstance(spec.get("refit", False), bool):
        yield (*loc, "refit"), f"met {spec['refit']!r}; allowed: true or false"
    elif spec.get("refit") and not fitted:
        yield (*loc, "refit"), "no adapter is fitted here: add 'adapter', or leave it out"
    measured = condition.source == "recording"
    if measured and (message := in_voxels(str(spec.get("control")))):
        yield (*loc, "control"), message
    elif spec.get("control") == "leverage" and not fitted:
        message = "leverage is matched in an adapter that is fitted here: add 'adapter'"
        yield (*loc, "control"), message
    elif spec.get("control") == "leverage" and (message := not_linear(adapter)):
        yield (*loc, "control"), f"leverage is matched in a matrix: {message}"


def _curve(spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield what is wrong with a list of levels."""
    curve = curve_of(spec)
    levels = spec.get(curve)
    if not isinstance(levels, list):
        return
    numbers = [one for one in levels if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(set(numbers)) < len(levels) or not levels:
        yield (*loc, curve), f"met {levels!r}; allowed: a number, or a list of different numbers"


def _scores(protocol: Protocol) -> Iterator[Complaint]:
    seen: set[str] = set()
    for position, spec in enumerate(protocol.scores):
        spec, loc = {"kind": spec} if isinstance(spec, str) else spec, ("scores", position)
        found = list(_setting(spec, loc)) or list(complaints("scores", spec, loc))
        yield from found
        if not found:
            label = called(build("scores", spec))
            if label in seen:
                yield loc, f"the score {label} is repeated; keep one, or give one another 'name'"
            seen.add(label)
            yield from scored(protocol, spec, loc)


def _setting(spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield what is wrong with an entry that should stand for a paper's scores."""
    try:
        expanded(spec)
    except ParameterError as error:
        yield loc, str(error)


def _statistic(protocol: Protocol, name: str) -> Iterator[Complaint]:
    loc = ("statistics", name)
    spec, _ = statistic(protocol, name)
    own = kind_has("statistics", spec, "own_labels")
    found = list(_unknown(protocol, spec, loc))
    found = found or list(region_complaints(spec, loc, own_labels=bool(own)))
    found = found or list(complaints("statistics", spec, loc)) or list(_space(spec, loc))
    found = found or list(_sides(protocol, spec, loc))
    yield from found
    if not found:
        yield from inputs(protocol, spec, loc)


def _space(spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield what is wrong with the space in which a statistic takes responses."""
    known = kind_has("statistics", spec, "spaces")
    if "space" in spec and not known:
        yield (*loc, "space"), f"{spec['kind']} takes no space: leave it out"
    elif "space" in spec and spec["space"] not in known:
        yield (*loc, "space"), not_one_of("space", spec["space"], known)


def _unknown(protocol: Protocol, spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield names of conditions that a statistic asks for and the protocol does not have."""
    for field in CONDITION_FIELDS:
        for asked in _listed(spec.get(field) or []):
            if str(asked) not in protocol.conditions:
                yield (*loc, field), not_one_of("condition", asked, protocol.conditions)


def _sides(protocol: Protocol, spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield regions and metrics that a statistic names and its conditions do not have."""
    scores = [name for score in protocol.scores for name in names_of(score)]
    for field in ("scores", "equivalent_within"):
        given = spec.get(field)
        names = given if field == "equivalent_within" and isinstance(given, dict) else _flat(given)
        for name in names:
            if name not in scores:
                yield (*loc, field), not_one_of("score", name, scores)
    if "regions" in spec:
        known = [row.region for row in rows_of(protocol, str(spec["of"]))]
        for name in _flat(spec["regions"]):
            if name not in known:
                yield (*loc, "regions"), not_one_of(f"region of '{spec['of']}'", name, known)


def _flat(given: Any) -> list[str]:
    """Return the names in a list, or in a mapping of names or lists."""
    if isinstance(given, dict):
        return [name for part in given.values() for name in _flat(part)]
    several = given if isinstance(given, list) else [given]
    return [name for name in several if isinstance(name, str)]
