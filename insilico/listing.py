"""What a protocol can name, as text; of one room also the parameters of its kinds."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insilico.step import Registry

ROOMS = (
    "stimuli",
    "recordings",
    "encoders",
    "perturbations",
    "adapters",
    "decoders",
    "captioners",
    "sounds",
    "describers",
    "scores",
    "statistics",
    "figures",
)
WHAT = ("protocols", "presets", *ROOMS, "atlases")


def listing(what: str | None = None) -> str:
    """Return the names of one kind of thing, or of all."""
    shown = WHAT if what is None else (what,)
    makers: dict[str, Callable[[], list[str]]] = {
        "protocols": _protocols,
        "presets": _presets,
        "atlases": _atlases,
    }
    parts = []
    for name in shown:
        rooms = _kinds if what is None else _parameters
        lines = makers[name]() if name in makers else rooms(name)
        parts.append("\n".join([name, *(f"  {line}" for line in lines)]))
    return "\n".join(parts)


TABLES = {
    "captioners": "decoders:CAPTIONERS",
    "sounds": "decoders:SOUNDS",
    "describers": "decoders:DESCRIBERS",
}
"""What is not listed under the name of its room."""


def _registry(name: str) -> Registry:
    room, _, table = TABLES.get(name, name).partition(":")
    return getattr(importlib.import_module(f"insilico.{room}"), table or "KINDS")


def _kinds(name: str) -> list[str]:
    return [", ".join(_registry(name))]


def _parameters(name: str) -> list[str]:
    """Return each kind with its parameters and what it is."""
    registry, lines = _registry(name), []
    for kind in registry:
        made = registry[kind]
        lines += [f"{kind}: {(inspect.getdoc(made) or '').partition(chr(10))[0]}", *_fields(made)]
    return lines


def _fields(made: Any) -> list[str]:
    from insilico.schema import canonical

    if inspect.isfunction(made):
        return _options(made)
    fields = getattr(made, "model_fields", {})
    return [
        f"  {name}" + ("" if field.is_required() else f" = {canonical(field.default)}")
        for name, field in fields.items()
    ]


def _options(figure: Any) -> list[str]:
    """Return what a figure can be told in a protocol."""
    from insilico.protocol.drawn import NOUNS
    from insilico.schema import canonical

    lines = []
    for name, one in inspect.signature(figure).parameters.items():
        default = "" if one.default is one.empty else f" = {canonical(one.default)}"
        if name == "estimate":
            lines.append("  of" + default)
        elif name not in NOUNS:
            lines.append(f"  {name}{default}")
    return lines


def _protocols() -> list[str]:
    from insilico.protocol.document import read_document
    from insilico.protocol.read import shipped_protocols

    found = shipped_protocols().items()
    return [f"{name}: {read_document(path).data.get('title', '')}" for name, path in found]


def _presets() -> list[str]:
    from insilico.protocol.document import read_document
    from insilico.protocol.read import presets

    lines = []
    for name, path in presets().items():
        bindings = read_document(path).data.get("bindings", {})
        bound = "; ".join(f"{other} in place of {one}" for one, other in bindings.items())
        lines.append(f"{name} ({bound})" if bound else name)
    return lines


def _atlases() -> list[str]:
    from insilico.spaces import atlases
    from insilico.spaces.nsd.names import REGIONS

    lines = []
    for name in atlases.names():
        about = atlases.describe(name)
        how = "ships with insilico" if about["kind"] == "shipped" else _whether_here(name)
        lines.append(f"{name}: {about['title']} ({how})")
        lines.append(f"  {', '.join(about['regions'])}")
    for family, regions in REGIONS.items():
        lines.append(f"{family}: labels that recordings of NSD carry")
        lines.append(f"  {', '.join(regions)}")
    return lines


def _whether_here(name: str) -> str:
    from insilico.errors import RegionError
    from insilico.spaces import atlases

    try:
        atlases.load(name)
    except RegionError:
        return "published labels needed"
    return "published labels found"
