"""What a statistic compares: a lesion with controls that repeat it elsewhere, never with itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from insilico.errors import listed
from insilico.protocol.document import Loc
from insilico.protocol.expand import NONE, Row, rows_of
from insilico.protocol.model import Protocol, Spec
from insilico.protocol.steps import Complaint, build

ELSEWHERE = ("control", "control_index", "mask_index", "overlap", "seed")
"""Parameters in which a control may differ from its lesion."""
PAIRED = ("paired", "interaction")
"""Kinds of statistics that compare with one condition."""


def comparisons(protocol: Protocol) -> Iterator[Complaint]:
    """Yield comparisons that say nothing, in a protocol whose conditions are right."""
    for name, spec in protocol.statistics.items():
        loc: Loc = ("statistics", name)
        of, against = spec.get("of"), spec.get("against")
        known = isinstance(against, str) and against in protocol.conditions
        if known and of == against:
            yield (*loc, "against"), f"met '{against}', which is 'of' too: name another condition"
        elif known and spec.get("kind") in PAIRED:
            yield from _one(protocol, str(against), (*loc, "against"))
            yield from _source(protocol, of, str(against), (*loc, "against"))
        yield from _controls(protocol, spec, (*loc, "control"))


def _one(protocol: Protocol, against: str, loc: Loc) -> Iterator[Complaint]:
    many = len(rows_of(protocol, against))
    if many > 1:
        yield loc, f"'{against}' stands for {many} conditions; allowed: one, such as the intact one"


def _source(protocol: Protocol, of: Any, against: str, loc: Loc) -> Iterator[Complaint]:
    """Yield a lesion that is compared with responses of another source: that differs too."""
    if not isinstance(of, str) or of not in protocol.conditions:
        return
    both = {name: protocol.conditions[name].source for name in (of, against)}
    if protocol.conditions[of].perturb and set(both.values()) == {"encoder", "recording"}:
        words = {"encoder": "predicted", "recording": "measured"}
        met = " and ".join(f"'{name}' has {words[source]}" for name, source in both.items())
        yield (
            loc,
            f"{met} responses, so that no effect is the perturbation's: compare like with like",
        )


def _controls(protocol: Protocol, spec: Spec, loc: Loc) -> Iterator[Complaint]:
    of, control = (one if isinstance(one, list) else [one] for one in _named(spec))
    for lesion, matched in zip(of, control, strict=False):
        if lesion in protocol.conditions and matched in protocol.conditions:
            yield from _matched(protocol, lesion, matched, loc)


def _named(spec: Spec) -> tuple[Any, Any]:
    return spec.get("of"), spec.get("control")


def _matched(protocol: Protocol, lesion: str, matched: str, loc: Loc) -> Iterator[Complaint]:
    """Yield how a control differs from its lesion in more than where it acts."""
    perturb = protocol.conditions[matched].perturb or {}
    if not perturb.get("control"):
        fix = f"name a condition that repeats the perturb of '{lesion}' with control: patch"
        yield loc, f"'{matched}' holds no matched controls; {fix}"
        return
    there = {row.region: row for row in rows_of(protocol, matched)}
    lesions = [row for row in rows_of(protocol, lesion) if row.control == NONE]
    missing = [row.region or "(no region)" for row in lesions if row.region not in there]
    if missing:
        has = f"it has {listed(there)}"
        yield loc, f"'{matched}' has no controls of {listed(missing)}; {has}: give both the same"
    for row in lesions:
        differs = _differs(row, there[row.region]) if row.region in there else ""
        if differs:
            fix = "a control repeats its lesion elsewhere, all else equal"
            yield loc, f"'{matched}' is no control of '{lesion}': {differs}; {fix}"
            return


def _differs(lesion: Row, control: Row) -> str:
    """Say in what a control differs; empty where it is only in where it acts."""
    both = [_told(lesion), _told(control)]
    keys = [key for key in {**both[0], **both[1]} if both[0].get(key) != both[1].get(key)]
    keys = keys[:1] if "kind" in keys else keys
    return listed(f"{key} is {both[1].get(key)}, not {both[0].get(key)}" for key in keys)


def _told(row: Row) -> dict[str, Any]:
    """Return all that is done, without where its control lies."""
    own: dict[str, Any] = {}
    if row.perturb is not None:
        step = build("perturb", row.perturb)
        own = {k: v for k, v in step.model_dump().items() if k not in ELSEWHERE}
        own = {"kind": step.kind, **own}
    return {**own, "source": row.source, "refit": row.refit, **row.chain}
