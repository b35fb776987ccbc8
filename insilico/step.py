"""The step: fields are its parameters and its YAML, calling it is the work.

A step takes datasets and gives one dataset back. It holds no state. What changes a result is a
field; how the result is computed (device, progress) is set around the call, with `computing`, and
never enters a step's identity.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, ValidationError

from insilico.errors import ParameterError, not_one_of
from insilico.schema import short_digest

Item = TypeVar("Item")
LEFT_OUT = "left_out"
"""Attribute of a result of which something was not written down, see `Step.kept`."""

if TYPE_CHECKING:  # the parameters of a step stay those of its fields
    from pydantic._internal._model_construction import ModelMetaclass as _Made
else:

    class _Made(type(BaseModel)):
        """Makes steps, and says in our words which parameters are wrong."""

        def __call__(cls, *args: Any, **parameters: Any) -> Step:
            """Return a step, or raise `ParameterError`."""
            try:
                return super().__call__(*args, **parameters)
            except ValidationError as error:
                raise ParameterError(explain(error, cls)) from error


class Step(BaseModel, metaclass=_Made):
    """Base of every stage: a frozen set of parameters that can be called.

    Subclasses set `kind` (the name used in protocols) and raise `version` whenever the same
    parameters would give another result. A step without inputs whose dataset only points to files
    sets `stored` to False: a run makes it anew instead of writing its gigabytes down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)
    kind: ClassVar[str]
    version: ClassVar[int] = 1
    stored: ClassVar[bool] = True

    def __call__(self, *inputs: Any, **named: Any) -> xr.Dataset:
        """Take datasets, give one back; every kind says which."""
        raise TypeError(f"{type(self).__name__} cannot be called")

    def identity(self) -> dict[str, Any]:
        """Return all parameters, defaults included, with kind and version, as plain JSON."""
        return {"kind": self.kind, "version": self.version, **self.model_dump(mode="json")}

    def digests(self) -> dict[str, str]:
        """Return digests of the files (weights, atlases) that the result depends on."""
        return {}

    def ready(self) -> None:
        """Raise if it cannot be computed the way `computing` says, before any work is done."""

    def require(self, *given: xr.Dataset) -> None:
        """Raise if it cannot be called with these datasets, before any work is done.

        Parameters
        ----------
        *given : Dataset
            What it is called with; where a protocol is checked, only what is known of it ahead:
            the stimuli, and of scores all labels. Dimensions may be missing, values are zero.
        """

    def kept(self, result: xr.Dataset) -> xr.Dataset:
        """Return what of a result is written down.

        What the inputs hold already may be left out: then the attribute `LEFT_OUT` names it, and
        `whole` gives it back.
        """
        return result

    def whole(self, kept: xr.Dataset, *inputs: xr.Dataset) -> xr.Dataset:
        """Return a result from what was `kept` of it and the datasets of its inputs, the same."""
        raise NotImplementedError(self.kind)

    def ids(self) -> Collection[str] | None:
        """Return the ids of the stimuli that are shown, or that a file has responses to.

        None where any stimulus will do, or only the work itself tells.
        """
        return None


@cache
def _offered(group: str) -> dict[str, str]:
    """Return the kinds that installed packages add; reading what is installed takes a while."""
    return {point.name: point.value for point in entry_points(group=group)}


@dataclass(frozen=True)
class Registry(Mapping[str, Any]):
    """The kinds of one room, addressed by strings and imported when asked for.

    Steps, but for figures: those are functions of datasets.

    Other packages add kinds through the entry-point group ``insilico.<room>``.
    """

    room: str
    kinds: dict[str, str] = field(default_factory=dict)

    def addresses(self) -> dict[str, str]:
        """Return ``{kind: "module:Class"}``, entry points included."""
        return {**_offered(f"insilico.{self.room}"), **self.kinds}

    def __getitem__(self, kind: str) -> Any:
        address = self.kinds.get(kind) or self.addresses().get(kind)
        if address is None:
            raise ParameterError(not_one_of(f"{self.room} kind", kind, self.addresses()))
        module, _, name = address.partition(":")
        return getattr(importlib.import_module(module), name)

    def __contains__(self, kind: object) -> bool:
        return kind in self.addresses()

    def __iter__(self) -> Iterator[str]:
        return iter(self.addresses())

    def __len__(self) -> int:
        return len(self.addresses())

    def build(self, spec: str | Mapping[str, Any]) -> Step:
        """Make a step from ``"kind"`` or ``{"kind": ..., parameter: ...}``."""
        spec = {"kind": spec} if isinstance(spec, str) else dict(spec)
        if "kind" not in spec:
            raise ParameterError(f"{self.room}: 'kind' is missing; one of: {', '.join(self)}")
        return self[spec.pop("kind")](**spec)


def explain(error: ValidationError, step: type[Step]) -> str:
    """Write pydantic's complaint as one line per parameter, with the allowed names."""
    kind, lines = getattr(step, "kind", step.__name__), []
    for item in error.errors():
        name = ".".join(map(str, item["loc"]))
        if item["type"] == "extra_forbidden":
            lines.append(f"{kind}: {not_one_of('parameter', name, step.model_fields)}")
        else:
            lines.append(f"{kind}{'.' if name else ''}{name}: {in_words(item)}")
    return "; ".join(lines)


NAME = r"^[A-Za-z][\w. -]*$"
WORDED = {NAME: "a name that begins with a letter: letters, digits, spaces and . _ -"}
"""Patterns of text in words."""


def in_words(item: Mapping[str, Any]) -> str:
    """Return what pydantic says of one value in our words: what was met, what is allowed."""
    if item["type"] == "missing":
        return "is missing; give it a value"
    if item["type"] in ("literal_error", "enum"):
        allowed = re.findall(r"'([^']*)'", str(item.get("ctx", {}).get("expected", "")))
        return not_one_of("value", item["input"], allowed)
    wanted = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    wanted = re.sub("valid (tuple|array)", "list in [ ]", wanted)
    wanted = re.sub(
        "(a valid dictionary|an object)( or instance of .*)?", "a mapping in { }", wanted
    )
    if item["type"] == "string_pattern_mismatch":
        pattern = item["ctx"]["pattern"]
        wanted = WORDED.get(pattern, f"a word of the form {pattern}")
    return f"met {item['input']!r}; allowed: {wanted}" if item["loc"] else wanted


def generator(seed: int, *names: object) -> np.random.Generator:
    """Return the random generator of one item, named by seed and labels.

    The same item draws the same numbers whatever else is computed beside it.
    """
    digest = short_digest(int(seed), [str(name) for name in names])
    return np.random.default_rng(int(digest, 16))


# --- how a result is computed: never part of what it is ------------------------------------------

Progress = Callable[[str, int, int], None]
_device: ContextVar[str] = ContextVar("device", default="cpu")
_batch: ContextVar[int | None] = ContextVar("batch", default=None)
_compile: ContextVar[bool] = ContextVar("compile", default=False)
_memory: ContextVar[int | None] = ContextVar("memory", default=None)
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
UNITS |= {f"{unit}I": 2 ** (10 * power) for power, unit in enumerate(UNITS) if unit}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?|)B?", re.IGNORECASE)
_progress: ContextVar[Progress | None] = ContextVar("progress", default=None)
_scratch: ContextVar[Path | None] = ContextVar("scratch", default=None)


@contextmanager
def computing(
    device: str | None = None,
    progress: Progress | None = None,
    batch: int | None = None,
    compile: bool | None = None,
    memory: int | str | None = None,
    scratch: Path | None = None,
) -> Iterator[None]:
    """Set how the steps called inside compute; what is None stays as it is.

    Parameters
    ----------
    device : str
        Of torch.
    progress : function
        Called with what is done, how many items are, and of how many.
    batch : int
        Items that go through a network together, in place of each step's own choice.
    compile : bool
        Whether networks that are called many times go through `torch.compile`.
    memory : int or str
        Bytes of the device that networks and what they compute may take, or a text such as
        ``"24GB"``: it decides which networks stay loaded and how many items go together.
    scratch : path
        Where checkpoints lie.
    """
    if batch is not None and batch < 1:
        raise ParameterError(f"batch must be 1 or more, got {batch}")
    budget = None if memory is None else in_bytes(memory)
    known: list[ContextVar[Any]] = [_device, _progress, _batch, _compile, _memory, _scratch]
    given = zip(known, (device, progress, batch, compile, budget, scratch), strict=True)
    tokens = [(variable, variable.set(value)) for variable, value in given if value is not None]
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


def device() -> str:
    """Return the torch device on which steps compute now."""
    return _device.get()


def compiling() -> bool:
    """Return whether networks are to be compiled."""
    return _compile.get()


def memory() -> int | None:
    """Return the bytes that networks may take, None where nobody set them."""
    return _memory.get()


def asked_batch() -> int | None:
    """Return how many items are to go together, None where nobody said."""
    return _batch.get()


def in_bytes(size: int | str) -> int:
    """Return a number of bytes from itself or from a text such as ``"24GB"`` or ``"1.5 GiB"``.

    Raises
    ------
    ParameterError
    """
    if isinstance(size, str) and size.strip().isdigit():
        raise ParameterError(f"memory is '{size}', of what? Write {size.strip()}GB or another unit")
    found = SIZE.fullmatch(str(size).strip())
    count = int(float(found[1]) * UNITS[found[2].upper()]) if found else 0
    if count < 1:
        raise ParameterError(f"memory is '{size}'; write it with a unit, such as 24GB or 24GiB")
    return count


def scratch() -> Path | None:
    """Return a folder that outlives a killed computation of this very result, if there is one."""
    return _scratch.get()


def progress(what: str, done: int, total: int) -> None:
    """Tell whoever hears of progress."""
    tell = _progress.get()
    if tell:
        tell(what, done, total)


def batches(
    items: Iterable[Item], size: int, what: str, most: int | None = None
) -> Iterator[list[Item]]:
    """Cut items into batches and report progress under the name `what`.

    `size` is the step's own choice, for when `computing` sets none; `most` is what fits into
    memory, whoever chose.
    """
    items, size = list(items), _batch.get() or size
    size = size if most is None else min(size, most)
    for start in range(0, len(items), size):
        yield items[start : start + size]
        progress(what, min(start + size, len(items)), len(items))


def one_by_one(items: Iterable[Item], what: str) -> Iterator[Item]:
    """Give items in turn and report progress under the name `what`."""
    items = list(items)
    for done, item in enumerate(items, 1):
        yield item
        progress(what, done, len(items))
