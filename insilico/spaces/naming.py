"""Classes named by sentences: what a stimulus is, in words that its own labels fill."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, listed


def fields(prompts: Sequence[str]) -> tuple[str, ...]:
    """Return the names in braces that prompts have in common.

    Raises
    ------
    ParameterError
        A prompt without a name, with another's names, or that cannot be read.
    """
    found = [_fields(prompt) for prompt in prompts]
    if not found or not found[0]:
        raise ParameterError(
            f"prompts {listed(map(repr, prompts))} name no class; write a label of the stimuli in "
            "braces, such as 'a {colour} {object}'"
        )
    for prompt, own in zip(prompts, found, strict=True):
        if set(own) != set(found[0]):
            raise ParameterError(
                f"prompt '{prompt}' names {listed(own) or 'nothing'}, the first one "
                f"{listed(found[0])}; all prompts of a class name the same"
            )
    return found[0]


def _fields(prompt: str) -> tuple[str, ...]:
    try:
        parts = list(Formatter().parse(prompt))
    except ValueError as error:
        raise ParameterError(f"prompt '{prompt}' cannot be read: {error}") from error
    names = [name for _, name, _, _ in parts if name is not None]
    if any(not name.isidentifier() for name in names):
        raise ParameterError(f"prompt '{prompt}': a name in braces is one word, such as {{object}}")
    return tuple(dict.fromkeys(names))


def classes(stimuli: xr.Dataset, names: Sequence[str]) -> np.ndarray:
    """Return the class of each stimulus, its labels joined by a bar, str (stimulus,).

    Raises
    ------
    SchemaError
        If the stimuli have no such label.
    """
    missing = [name for name in names if name not in stimuli.variables]
    if missing:
        raise SchemaError(
            f"the stimuli have no label {listed(missing)}; they have {listed(stimuli.variables)}"
        )
    columns = [stimuli[name].values.astype(str) for name in names]
    return np.array(["|".join(row) for row in zip(*columns, strict=True)])


def sentences_of(known: Sequence[str], prompts: Sequence[str]) -> list[list[str]]:
    """Return every prompt filled for each class, as `classes` writes it."""
    names = fields(prompts)
    filled = [dict(zip(names, one.split("|"), strict=True)) for one in known]
    return [[prompt.format(**labels) for prompt in prompts] for labels in filled]
