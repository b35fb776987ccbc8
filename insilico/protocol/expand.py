"""Conditions one by one: `each` region, every control, mask, level and draw of pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from insilico.protocol.document import merge
from insilico.protocol.model import CHAIN, Condition, Protocol, Spec
from insilico.protocol.regions import ATLAS_FIELDS, EACH, bound, expanded, spelled
from insilico.protocol.steps import build, kind_has, kinds
from insilico.spaces import atlases

NONE = -1
ALL = "all"
CHANGEABLE = tuple(section for section in CHAIN if section != "training")


@dataclass(frozen=True)
class Row:
    """One condition, ready to be built.

    Attributes
    ----------
    name : str
        ``silenced/Vis``, ``matched/Vis/0``, or the condition's own name.
    base : str
        The name in the file.
    region : str
        What the perturbation goes through: ``Vis``, ``fraction 0.5``, ``Vis, dose 2``; empty where
        it is one thing.
    control : int
        Number of the control; -1 where there is none.
    source : str
        ``encoder``, ``recording`` or ``pattern``.
    chain : dict
        Section to spec.
    perturb : dict, optional
    notes : tuple of str
        Which atlas stands for which.
    pairs, draw : int
        Of the adapter, where the condition goes through several; 0 and -1 where it does not.
    level : float, optional
        Of a curve: the fraction, dose or weight.
    refit : bool
        Whether the adapter is fitted again on pairs that are perturbed alike.
    variant : str
        What `stability` changed, such as ``alpha 10``.
    """

    name: str
    base: str
    region: str
    control: int
    source: str
    chain: dict[str, Spec]
    perturb: Spec | None
    notes: tuple[str, ...] = ()
    pairs: int = 0
    draw: int = NONE
    level: float | None = None
    refit: bool = False
    variant: str = ""


def rows(protocol: Protocol) -> list[Row]:
    """Return the conditions of a protocol, `each` expanded, in the order of the file."""
    return [row for base in protocol.conditions for row in rows_of(protocol, base)]


def rows_of(protocol: Protocol, base: str) -> list[Row]:
    """Return the conditions that one name in the file stands for."""
    condition = protocol.conditions[base]
    chain = {key: spec for key in CHANGEABLE if (spec := changed(protocol, condition, key))}
    return [
        replace(row, name=row.name + suffix, chain={**row.chain, **adapter}, pairs=pairs, draw=draw)
        for row in _perturbed(protocol, base, chain)
        for suffix, adapter, pairs, draw in _adapters(protocol, chain)
    ]


def _perturbed(protocol: Protocol, base: str, chain: dict[str, Spec]) -> list[Row]:
    condition = protocol.conditions[base]
    whole = Row(base, base, "", NONE, condition.source, chain, None, variant=condition.variant)
    if condition.perturb is None:
        return [whole]
    perturb, notes = bound(condition.perturb, protocol.bindings)
    whole = replace(whole, notes=tuple(notes), refit=perturb.pop("refit", False) is True)
    regions = expanded(perturb)
    many = isinstance(perturb.get("region"), list) or perturb.get("region") == EACH
    return [
        row
        for region in regions
        for row in _levels(whole, {**perturb, **({"region": region} if region else {})}, many)
    ]


def _levels(whole: Row, perturb: Spec, many: bool) -> list[Row]:
    """Return the rows of one region: every level of its curve, every control or mask of each."""
    region, curve = str(perturb.get("region", "")), curve_of(perturb)
    levels = perturb.get(curve)
    found = []
    for level in levels if isinstance(levels, list) else [None]:
        along = [] if level is None else [f"{curve} {level:g}"]
        name = "/".join([whole.name, *[region] * many, *along])
        spec = perturb if level is None else {**perturb, curve: level}
        label = ", ".join([*filter(None, [region]), *along])
        row = replace(whole, region=label, level=_number(spec.get(curve)))
        found += [
            replace(row, name=name + suffix, control=one.get("control_index", NONE), perturb=one)
            for suffix, one in _repeated(spec)
        ]
    return found


Sized = tuple[str, dict[str, Spec], int, int]


def _adapters(protocol: Protocol, chain: Mapping[str, Spec]) -> list[Sized]:
    """Return the sizes and draws of pairs that a condition goes through."""
    adapter = chain.get("adapter", {})
    sizes, draws = adapter.get("pairs"), adapter.get("draw")
    if not isinstance(sizes, list) and not isinstance(draws, list):
        plain = sizes == ALL
        spec = {**adapter, "pairs": all_pairs(protocol)} if plain else adapter
        return [("", {"adapter": spec} if adapter else {}, 0, NONE)]
    found: list[Sized] = []
    for size in sizes if isinstance(sizes, list) else [sizes]:
        n = all_pairs(protocol) if size == ALL else int(size or 0)
        for draw in draws if isinstance(draws, list) else [draws]:
            spec = {**adapter, "pairs": n} | ({} if draw is None else {"draw": draw})
            suffix = f"/{n}" + ("" if draw is None else f"/{draw}")
            found.append((suffix, {"adapter": spec}, n, NONE if draw is None else draw))
    return found


def all_pairs(protocol: Protocol) -> int:
    """Return how many stimuli the training holds; 0 where they cannot be numbered ahead."""
    return len(build("stimuli", protocol.training).ids() or ()) if protocol.training else 0


def _number(level: Any) -> float | None:
    return float(level) if isinstance(level, int | float) else None


def statistic(protocol: Protocol, name: str) -> tuple[Spec, list[str]]:
    """Return a statistic as it is meant, and which atlas stands for which in it.

    Its `regions` are those of a condition, by any spelling that the condition's atlas knows. An
    atlas that its kind takes by default is bound as one that is written.
    """
    asked = protocol.statistics[name]
    fields = kind_has("statistics", asked, "model_fields") or {}
    defaults = {key: fields[key].default for key in ATLAS_FIELDS if key in fields}
    spec, notes = bound(
        {k: v for k, v in defaults.items() if v in protocol.bindings} | asked, protocol.bindings
    )
    of = protocol.conditions.get(str(spec.get("of")))
    if "regions" in spec and of is not None and of.perturb is not None:
        atlas = bound(of.perturb, protocol.bindings)[0].get("atlas")
        if atlas in atlases.names():
            spec["regions"] = _own_names(spec["regions"], str(atlas))
    return spec, notes


def _own_names(given: Any, atlas: str) -> Any:
    """Return the regions' own names in lists, or in a mapping of names or lists."""
    if isinstance(given, dict):
        return {side: _own_names(part, atlas) for side, part in given.items()}
    if isinstance(given, list):
        return [_own_names(name, atlas) for name in given]
    return spelled(atlas, given) if isinstance(given, str) else given


def curve_of(perturb: Mapping[str, Any]) -> str:
    """Return the parameter of a perturbation that may be a list; empty if its kind has none."""
    return _of_kind(perturb, "curve")


def numbered(perturb: Mapping[str, Any]) -> str:
    """Return the parameter that `n` of a perturbation counts; empty if there is nothing to."""
    return "control_index" if perturb.get("control") else _of_kind(perturb, "repeats")


def _of_kind(perturb: Mapping[str, Any], name: str) -> str:
    known, kind = kinds("perturb"), perturb.get("kind")
    return getattr(known[kind], name, "") if kind in known.addresses() else ""


def changed(protocol: Protocol, condition: Condition, section: str) -> Spec:
    """Return a section of the chain as a condition changes it."""
    below, above = getattr(protocol, section), getattr(condition, section)
    return merge({"it": below or {}}, {"it": above or {}})["it"]


def _repeated(perturb: Mapping[str, Any]) -> list[tuple[str, Spec]]:
    """Return a suffix of the name and a spec for each control or mask; the spec itself if one."""
    one = {key: value for key, value in perturb.items() if key not in ("n", "combine")}
    if perturb.get("n") is None:
        return [("", {"control_index": 0, **one} if perturb.get("control") else one)]
    return [(f"/{k}", {**one, numbered(perturb): k}) for k in range(perturb["n"])]
