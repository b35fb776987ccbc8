"""One key that repeats a lesion study: over penalties, halves of the pairs, seeds and fills.

Every condition of the study, the intact ones included, is repeated in every variant: an effect is
always a difference within one variant. Names carry the variant: ``silenced alpha 10``. A statistic
of kind ``stability`` that names one condition is given all its variants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from insilico.errors import not_one_of
from insilico.protocol.branches import Plan
from insilico.protocol.document import Loc, merge
from insilico.protocol.half import SIDES
from insilico.protocol.model import ONWARD, Condition, Protocol
from insilico.protocol.steps import Complaint, kinds, told

SIDES_OF = ("of", "against")
SEEDED = ("perturb", "decoder", *ONWARD)
AGREES = "and agrees with it whatever is true"
Penalty = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Stability(BaseModel):
    """What a lesion study is repeated over; one thing is changed at a time.

    Attributes
    ----------
    of : tuple of str, optional
        Conditions to repeat; by default all that perturb, and all that decode synthetic responses
        as they are.
    alpha : tuple of float
        Penalties of the adapter.
    halves : int
        How often the adapter's pairs are dealt into two halves; each half fits an adapter.
    seed : tuple of int
        Of perturbations, controls and decoders.
    fill : tuple of str
        Fills of lesions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    of: tuple[str, ...] | None = None
    alpha: tuple[Penalty, ...] = ()
    halves: PositiveInt | None = None
    seed: tuple[Annotated[int, Field(ge=0)], ...] = ()
    fill: tuple[str, ...] = ()

    def variants(self) -> dict[str, dict[str, Any]]:
        """Return the name of every variant and what it changes."""
        halves = [f"{k + 1}{side}" for k in range(self.halves or 0) for side in SIDES]
        lists = {"alpha": self.alpha, "half": halves, "seed": self.seed, "fill": self.fill}
        return {
            f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}": {key: value}
            for key, values in lists.items()
            for value in values
        }


def varied(protocol: Protocol) -> Protocol:
    """Return a protocol with its variants as conditions of their own."""
    if protocol.stability is None:
        return protocol
    asked = Stability.model_validate(protocol.stability)
    conditions, names = dict(protocol.conditions), asked.variants()
    again = [name for name in repeated(protocol, asked) if name in protocol.conditions]
    for name in again:
        for variant, change in names.items():
            condition = _changed(protocol, protocol.conditions[name], change)
            conditions[f"{name} {variant}"] = condition.model_copy(update={"variant": variant})
    statistics = {
        name: {**spec, **{key: several(spec[key], names, again) for key in SIDES_OF if key in spec}}
        if spec.get("kind") == "stability"
        else spec
        for name, spec in protocol.statistics.items()
    }
    changed = {"conditions": conditions, "statistics": statistics, "stability": None}
    return protocol.model_copy(update=changed)


def several(named: Any, variants: Iterable[str], repeated: Collection[str]) -> Any:
    """Return a condition and its variants, where a statistic of order names one of the repeated."""
    one = named[0] if isinstance(named, list) and len(named) == 1 else named
    known = isinstance(one, str) and one in repeated
    return [one, *(f"{one} {name}" for name in variants)] if known else named


def repeated(protocol: Protocol, asked: Stability) -> list[str]:
    """Return the names of the conditions that are repeated."""
    if asked.of is not None:
        return list(asked.of)
    return [
        name
        for name, condition in protocol.conditions.items()
        if condition.perturb is not None or condition.source == "encoder"
    ]


def _changed(protocol: Protocol, condition: Condition, change: dict[str, Any]) -> Condition:
    """Lay a variant over a condition, as far as it concerns it."""
    above: dict[str, Any] = {}
    if "alpha" in change:
        below = merge({"it": protocol.adapter or {}}, {"it": condition.adapter or {}})["it"]
        above["adapter"] = {**change, **({"alphas": None} if "alphas" in below else {})}
    if "half" in change:
        above["adapter"] = change
    if "fill" in change and _knows("perturb", condition.perturb, "fill"):
        above["perturb"] = change
    if "seed" in change:
        for section in SEEDED:
            below = getattr(protocol, section, None) or {}
            spec = merge({"it": below}, {"it": getattr(condition, section) or {}})["it"]
            if _knows(section, spec, "seed"):
                above[section] = change
    data = merge(condition.model_dump(exclude_none=True), above)
    return Condition.model_validate(data)


def _knows(section: str, spec: dict[str, Any] | None, parameter: str) -> bool:
    known, kind = kinds(section), (spec or {}).get("kind")
    return kind in known.addresses() and parameter in known[kind].model_fields


def stability_complaints(protocol: Protocol) -> Iterator[Complaint]:
    """Yield what is wrong with the key `stability`."""
    loc: Loc = ("stability",)
    try:
        asked = Stability.model_validate(protocol.stability)
    except ValidationError as error:
        yield from told(error, loc, list(Stability.model_fields))
        return
    if not asked.variants():
        yield (
            loc,
            "it changes nothing: name alpha, halves, seed or fill, such as alpha: [10, 100000]",
        )
    for name in asked.of or ():
        if name not in protocol.conditions:
            yield (*loc, "of"), not_one_of("condition", name, protocol.conditions)
    for key in ("alpha", "seed", "fill"):
        values = getattr(asked, key)
        if len(set(values)) < len(values):
            met = f"met {list(values)}; allowed: different ones"
            yield (*loc, key), f"{met}, since a variant agrees with itself"
    for key in ("alpha", "halves"):
        if getattr(asked, key) and protocol.adapter is None:
            yield (*loc, key), "it changes the adapter, and there is none: add 'adapter'"
    if asked.alpha and not _knows("adapter", protocol.adapter, "alpha"):
        kind = (protocol.adapter or {}).get("kind")
        yield (*loc, "alpha"), f"adapter '{kind}' has no alpha; adapter: ridge has"
    yield from _fills(protocol, asked, (*loc, "fill"))


def copies(work: Plan) -> Iterator[Complaint]:
    """Yield variants whose every result is the study's own: they would agree, and show nothing.

    Jobs are compared by their keys, so that defaults count as if they were written.
    """
    made: dict[str, list[str]] = {}
    variants: dict[str, set[str]] = {}
    for branch in work.branches:
        made.setdefault(branch.row.base, []).append(branch.reconstruction.key)
        variants.setdefault(branch.row.variant, set()).add(branch.row.base)
    found = False
    for variant in filter(None, variants):
        if all(made[name] == made.get(_before(name, variant)) for name in variants[variant]):
            found = True
            loc: Loc = ("stability", "halves" if variant.startswith("half") else variant.split()[0])
            yield loc, f"{variant} is what the study has already, {AGREES}: take it out"
    for name, job in () if found else work.statistics.items():
        if job.step.kind == "stability":
            yield from _named_twice(job.step.model_dump()["of"], made, ("statistics", name, "of"))


def _before(name: str, variant: str) -> str:
    return name.removesuffix(f" {variant}")


def _named_twice(of: Iterable[str], made: dict[str, list[str]], loc: Loc) -> Iterator[Complaint]:
    """Yield conditions of a statistic of order that are one of those before them."""
    seen: list[str] = []
    for name in of:
        same = [other for other in seen if made[other] == made[name]]
        if same:
            fix = "leave it out, or do not repeat it: stability: {of: [...]}"
            yield loc, f"'{name}' has the very results of '{same[0]}', {AGREES}: {fix}"
        seen.append(name)


def _fills(protocol: Protocol, asked: Stability, loc: Loc) -> Iterator[Complaint]:
    specs = [one.perturb for one in protocol.conditions.values()]
    filled = [spec for spec in specs if _knows("perturb", spec, "fill")]
    if asked.fill and not filled:
        yield loc, "no condition has a fill: add one that ablates, or leave it out"
        return
    for fill in asked.fill:
        for spec in filled[:1]:
            field = kinds("perturb")[(spec or {})["kind"]].model_fields["fill"]
            if fill not in get_args(field.annotation):
                yield loc, not_one_of("fill", fill, get_args(field.annotation))
