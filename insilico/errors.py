"""Typed errors: what was met, what is allowed, how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class InsilicoError(Exception):
    """Root of every error that a user can cause and mend; the command line exits with 2."""


class ParameterError(InsilicoError, ValueError):
    """A parameter has a value that is not allowed."""


class SchemaError(InsilicoError, ValueError):
    """A dataset is not the noun that it was taken for."""


class SpaceError(InsilicoError, ValueError):
    """A response lies in another space than the one needed."""


class RegionError(InsilicoError, ValueError):
    """A region, or the atlas it belongs to, is unknown, empty or cannot be had."""


class ProtocolError(InsilicoError, ValueError):
    """A protocol file cannot be read as one."""


class StimulusError(InsilicoError, ValueError):
    """A stimulus file is missing, broken or not what its name says."""


class RecordingError(InsilicoError, ValueError):
    """Measured data are missing, damaged or those of another subject."""


class EventError(StimulusError):
    """A table of events breaks a rule of its format."""


class WeightsError(InsilicoError, RuntimeError):
    """Weights are missing, damaged or those of another model."""


class SeveralMissing(WeightsError):
    """Weights of several networks are missing, damaged or those of another model.

    Attributes
    ----------
    each : list of WeightsError
        One for each network.
    """

    def __init__(self, each: Sequence[WeightsError]) -> None:
        super().__init__("; and ".join(map(str, each)))
        self.each = list(each)


class StoreError(InsilicoError, OSError):
    """Results cannot be written or read."""


class MissingPackage(InsilicoError, ImportError):
    """An optional package is needed."""

    def __init__(self, package: str, extra: str, purpose: str, how: str = "") -> None:
        how = how or f"pip install 'insilico[{extra}]'"
        super().__init__(f"{purpose} needs {package}: {how}")


def listed(values: Iterable[object], limit: int = 12) -> str:
    """Write values as a readable list, cut after `limit`."""
    words = [str(value) for value in values]
    tail = f", and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + tail


def counted(n: int | str, what: str) -> str:
    """Write a number of things: ``1 region``, ``3 regions``, ``20-24 stimuli``, ``9 vertices``."""
    odd = {"stimulus": "stimuli", "vertex": "vertices"}
    return f"{n} {what}" if str(n) == "1" else f"{n} {odd.get(what, what + 's')}"


def did_you_mean(value: object, allowed: Iterable[object]) -> str:
    """Return `` (did you mean 'x'?)`` for a near miss, else an empty string."""
    names = {str(name).casefold(): str(name) for name in allowed}
    close = difflib.get_close_matches(str(value).casefold(), names, n=1, cutoff=0.5)
    return f" (did you mean '{names[close[0]]}'?)" if close else ""


def not_one_of(what: str, value: object, allowed: Iterable[object]) -> str:
    """Write the message for a value outside a closed list."""
    allowed = list(allowed)
    return f"unknown {what} '{value}'; one of: {listed(allowed)}{did_you_mean(value, allowed)}"
