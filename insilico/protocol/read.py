"""A protocol file, its preset and what ``--set`` changes -> a checked `Protocol`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from insilico.errors import ParameterError, ProtocolError, did_you_mean, listed, not_one_of
from insilico.protocol.checks import cross_checks
from insilico.protocol.document import Document, merged, read_document, replaced
from insilico.protocol.held import planned
from insilico.protocol.model import CHAIN, Condition, Protocol
from insilico.protocol.stability import stability_complaints, varied
from insilico.protocol.steps import Complaint, told
from insilico.scores.settings import expanded
from insilico.spaces.shipped import shipped


@dataclass(frozen=True)
class Reading:
    """A protocol and the document that it was read from."""

    protocol: Protocol
    document: Document


def shipped_protocols() -> dict[str, Path]:
    """Return the protocols that ship with the package, by name."""
    return {path.stem: path for path in sorted(shipped("protocols").glob("*.yaml"))}


def presets() -> dict[str, Path]:
    """Return the presets that ship with the package, by name."""
    folder = shipped("protocols") / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(file: str | Path) -> Path:
    """Return the path of a protocol: a file, or the name of a shipped one."""
    if not isinstance(file, str | Path):
        raise ProtocolError(
            f"met a {type(file).__name__}; allowed: a path, or the name of a shipped protocol; "
            "write a protocol that is made in a script to a file (yaml.safe_dump)"
        )
    path = Path(file).expanduser()
    if path.exists():
        return path
    known = shipped_protocols()
    if (
        path.stem in known
        and path.suffix in ("", ".yaml")
        and path.parent.name
        in (
            "",
            "protocols",
        )
    ):
        return known[path.stem]
    raise ProtocolError(
        f"{file}: no such file; give a path, or one of the shipped protocols: "
        f"{', '.join(known)}{did_you_mean(path.stem, known)}"
    )


def read(file: str | Path, changes: Mapping[str, Any] | None = None) -> Reading:
    """Read and check a protocol.

    Parameters
    ----------
    file : path
        Or the name of a shipped protocol.
    changes : dict
        Dotted keys to values, such as ``{"stimuli.n": 6}``.

    Raises
    ------
    ProtocolError
        With ``file:line:key: what was met; what is allowed; the fix``.
    """
    document = complete(find(file), changes)
    found = _all(document)
    if found:
        raise ProtocolError(_first(found, document))
    return Reading(varied(Protocol.model_validate(document.data)), document)


def mistakes(file: str | Path, changes: Mapping[str, Any] | None = None) -> list[str]:
    """Return every mistake of a protocol that can be parsed, one line each.

    What is wrong in several places for the same reason is said once, at the first of them.
    """
    document = complete(find(file), changes)
    places: dict[str, dict[str, None]] = {}
    for loc, message in _all(document):
        places.setdefault(message, {})[document.where(loc)] = None
    return [_once(message, list(found)) for message, found in places.items()]


def _all(document: Document) -> list[Complaint]:
    return problems(document) or list(planned(varied(Protocol.model_validate(document.data))))


def _once(message: str, places: list[str]) -> str:
    also = f" (the same at {listed(places[1:], 4)})" if len(places) > 1 else ""
    return f"{places[0]}: {message}{also}"


def complete(path: Path, changes: Mapping[str, Any] | None = None) -> Document:
    """Read a file, apply changes, and lay it over its preset."""
    document = replaced(read_document(path), changes)
    if "preset" in document.data:
        document = merged(preset(document), document)
    return filled(document)


def filled(document: Document) -> Document:
    """Write short forms in full: ``adapter: pca``, ``intact:``, a paper's scores."""
    data = _normal(document.data)
    if not isinstance(data.get("scores"), list):
        return Document(data, document.marks, document.name)
    data["scores"], origins = _scores(data["scores"])
    marks = {loc: mark for loc, mark in document.marks.items() if loc[:1] != ("scores",)}
    for loc, mark in document.marks.items():
        if loc[:1] == ("scores",):
            own = [k for k, p in enumerate(origins) if loc[1:2] == (p,)]
            marks |= {("scores", k, *loc[2:]): mark for k in own} or {loc: mark}
    return Document(data, marks, document.name)


def _scores(specs: list[Any]) -> tuple[list[Any], list[int]]:
    """Return each score that is asked for, and the position of the entry that stands for it."""
    found: list[Any] = []
    origins: list[int] = []
    for position, spec in enumerate(specs):
        try:
            each = expanded(spec) if isinstance(spec, dict) else [spec]
        except ParameterError:  # told by `problems`, with its place
            each = [spec]
        found += each
        origins += [position] * len(each)
    return found, origins


def preset(document: Document) -> Document:
    """Read the preset that a document names."""
    name = document.data["preset"]
    known = presets()
    if isinstance(name, str) and name in known:
        return read_document(known[name])
    near = Path(document.name).parent / str(name)
    if near.suffix == ".yaml" and near.exists():
        return read_document(near)
    raise ProtocolError(f"{document.where(('preset',))}: {not_one_of('preset', name, known)}")


def _normal(data: dict[str, Any]) -> dict[str, Any]:
    data = {key: _spec(value) if key in CHAIN else value for key, value in data.items()}
    conditions = data.get("conditions")
    if isinstance(conditions, dict):
        data["conditions"] = {name: _condition(value) for name, value in conditions.items()}
    return data


def _spec(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _condition(value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    plain = ("source", "variant")
    return {key: part if key in plain else _spec(part) for key, part in value.items()}


def problems(document: Document) -> list[Complaint]:
    """Return everything that is wrong, in the file's own order where that is known."""
    try:
        protocol = Protocol.model_validate(document.data)
    except ValidationError as error:
        return list(_told(error))
    wrong = [] if protocol.stability is None else list(stability_complaints(protocol))
    return wrong or list(cross_checks(varied(protocol)))


def _told(error: ValidationError) -> list[Complaint]:
    found: list[Complaint] = []
    for loc, message in told(error, (), list(Protocol.model_fields)):
        if len(loc) == 3 and loc[0] == "conditions" and message.startswith("unknown key"):
            message = not_one_of("key", loc[2], Condition.model_fields)
        found.append((loc, message))
    return found


def lines(found: list[Complaint], document: Document) -> list[str]:
    """Write complaints as ``file:line:key: message``."""
    return [f"{document.where(loc)}: {message}" for loc, message in found]


def _first(found: list[Complaint], document: Document) -> str:
    first, *more = lines(found, document)
    return f"{first} (and {len(more)} more: insilico check {document.name})" if more else first
