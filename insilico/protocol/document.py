"""YAML files as plain values that remember the line of every key.

YAML 1.2, loaded safely: no tags that run code, no repeated keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insilico.errors import ProtocolError

Loc = tuple[str | int, ...]
"""The way to a value: keys and positions from the top."""


@dataclass
class Document:
    """Values of a file, and where each was written.

    Attributes
    ----------
    data : dict
    marks : dict
        ``(keys...)`` to ``"file:line"``.
    name : str
        The file as the user wrote it.
    """

    data: dict[str, Any]
    marks: dict[Loc, str] = field(default_factory=dict)
    name: str = ""

    def where(self, loc: Loc) -> str:
        """Return ``file:line:key`` of a value, or of what would hold it."""
        for end in range(len(loc), -1, -1):
            if loc[:end] in self.marks:
                key = ".".join(map(str, loc))
                mark = self.marks[loc[:end]]
                return f"{mark}:{key}" if key and mark != f"--set {key}" else mark
        return self.name


def read_document(path: str | Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    ProtocolError
        Missing or unreadable file, broken YAML, repeated key, or another top level.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProtocolError(f"{path}: {reason[0].lower()}{reason[1:]}") from error
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{path}: not a text file in UTF-8 ({error.reason})") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    """Parse YAML text; `name` stands for the file in messages."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        yaml = YAML(typ="safe", pure=True)
        node, document = yaml.compose(text), Document({}, name=name)
        if node is not None:
            document.marks = dict(_marks(node, (), name, set()))
            document.data = yaml.constructor.construct_document(node)
    except YAMLError as error:
        raise ProtocolError(_unreadable(error, name)) from error
    if not isinstance(document.data, dict) or not document.data:
        met = "nothing" if not document.data else type(document.data).__name__
        raise ProtocolError(f"{name}:1: a protocol is 'key: value' lines; met {met}")
    return document


def _marks(node: Any, loc: Loc, name: str, seen: set[int]) -> Iterator[tuple[Loc, str]]:
    """Yield the place of every key and item below a YAML node; refuse repeated and odd keys."""
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    if id(node) in seen:
        raise ProtocolError(
            f"{name}:{node.start_mark.line + 1}:{_dotted(loc)}: anchors (&) and aliases (*) are "
            "not allowed; write the value in both places"
        )
    seen.add(id(node))
    if not loc:
        yield loc, f"{name}:{node.start_mark.line + 1}"
    if isinstance(node, MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line, here = key.start_mark.line + 1, (*loc, _key(key, loc, name))
            if here[-1] in first:
                raise ProtocolError(
                    f"{name}:{line}:{_dotted(here)}: this key is repeated; it stands in line "
                    f"{first[here[-1]]} already: keep one of them"
                )
            first[here[-1]] = line  # type: ignore[index]
            yield here, f"{name}:{line}"
            yield from _marks(value, here, name, seen)
    elif isinstance(node, SequenceNode):
        for position, value in enumerate(node.value):
            here = (*loc, position)
            yield here, f"{name}:{value.start_mark.line + 1}"
            yield from _marks(value, here, name, seen)


def _key(node: Any, loc: Loc, name: str) -> str:
    """Return a key as the word that was written, also where YAML would read null or a number."""
    from ruamel.yaml.nodes import ScalarNode

    if not isinstance(node, ScalarNode):
        line = node.start_mark.line + 1
        raise ProtocolError(f"{name}:{line}:{_dotted(loc)}: keys are words; met a list or mapping")
    node.tag = "tag:yaml.org,2002:str"
    return str(node.value)


def _dotted(loc: Loc) -> str:
    return ".".join(map(str, loc))


def _unreadable(error: Exception, name: str) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if "constructor for the tag" in problem:
        tag = re.sub(r".*tag ", "", problem)
        problem = f"the tag {tag} is not allowed: write plain values"
    else:
        problem = f"not YAML: {problem}"
    return f"{name}:{mark.line + 1}: {problem}" if mark else f"{name}: {problem}"


# --- one over another -----------------------------------------------------------------------------


def merged(below: Document, above: Document) -> Document:
    """Lay one document over another: mappings are merged, all else is replaced.

    Where the upper names another `kind`, the parameters of the lower one do not apply and go; what
    belongs to the protocol (`KEPT`) stays.
    """
    marks = {**below.marks, **above.marks}
    return Document(merge(below.data, above.data), marks, above.name)


KEPT = ("pairs", "draw", "half")
"""Keys of a section that no kind of step knows."""


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; see `merged`."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, str) and "kind" in old:
            value = {"kind": value}
        if isinstance(old, dict) and isinstance(value, dict):
            kept = {k: old[k] for k in KEPT if k in old}
            result[key] = merge(kept if _other_kind(old, value) else old, value)
        else:
            result[key] = value
    return result


def _other_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return "kind" in old and "kind" in new and old["kind"] != new["kind"]


def replaced(document: Document, changes: Mapping[str, Any] | None) -> Document:
    """Set several dotted keys; see `assigned`."""
    if changes is not None and not isinstance(changes, Mapping):
        raise ProtocolError(
            f"set is {changes!r}; allowed: a mapping of dotted keys to values, such as "
            '{"stimuli.n": 6}'
        )
    for key, value in (changes or {}).items():
        document = assigned(document, str(key), value)
    return document


def assigned(document: Document, key: str, value: Any) -> Document:
    """Set a dotted key, as ``--set stimuli.n=6`` does; `value` may be YAML text.

    Raises
    ------
    ProtocolError
        If the way to the key leads through something that is no mapping.
    """
    source = f"--set {key}"
    keys = key.split(".")
    if not all(keys):
        raise ProtocolError(f"{source}: a key looks like stimuli.n; met '{key}'")
    above: dict[str, Any] = {}
    marks: dict[Loc, str] = {}
    inner, below = above, document.data
    for position, part in enumerate(keys[:-1]):
        if below is not None and not isinstance(below.get(part, {}), dict):
            whole, held = ".".join(keys[: position + 1]), below[part]
            new = f"[{value}]" if isinstance(held, list) else "{...}"
            what = "a list" if isinstance(held, list) else "no keys"
            raise ProtocolError(
                f"{source}: '{whole}' holds {held!r}, {what}; set it whole: --set '{whole}={new}'"
            )
        below = (below or {}).get(part)  # type: ignore[assignment]
        inner[part] = {}
        inner = inner[part]
    inner[keys[-1]] = _value(value, source)
    marks[tuple(keys)] = source
    return Document(merge(document.data, above), {**document.marks, **marks}, document.name)


def _value(value: Any, source: str) -> Any:
    if not isinstance(value, str):
        return value
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        yaml = YAML(typ="safe", pure=True)
        node = yaml.compose(value)
        if node is None:
            return None
        list(_marks(node, (), source, set()))  # as in a file: keys are words, each once
        return yaml.constructor.construct_document(node)
    except YAMLError as error:
        raise ProtocolError(f"{source}: '{value}' is not a YAML value: {error}") from error
