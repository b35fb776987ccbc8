"""The figures that a protocol names, drawn from the nouns of its run."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from insilico.errors import InsilicoError, StoreError
from insilico.protocol.checks import statistic_of
from insilico.protocol.model import Protocol
from insilico.run.runner import Failure
from insilico.run.store import writing


def draw(
    protocol: Protocol, nouns: Mapping[str, xr.Dataset], folder: Path
) -> tuple[list[str], dict[str, Failure]]:
    """Draw and save figures as PDF and PNG.

    A figure whose dataset is missing, because a job failed, is left out.

    Returns
    -------
    names : list of str
        Of the files.
    failures : dict
        Of figures that could not be drawn.
    """
    names: list[str] = []
    failures: dict[str, Failure] = {}
    for figure in protocol.figures:
        spec = {"kind": figure} if isinstance(figure, str) else dict(figure)
        try:
            names += _drawn(spec, protocol, nouns, folder)
        except StoreError:
            raise
        except Exception as error:  # one figure's bug must not end the others
            what = str(error) if isinstance(error, InsilicoError) else repr(error)
            name = f"figure {spec['kind']}"
            failures[name] = Failure(name, what, traceback.format_exc())
    return names, failures


def _drawn(
    spec: dict[str, Any], protocol: Protocol, nouns: Mapping[str, xr.Dataset], folder: Path
) -> list[str]:
    function = figure_function(spec["kind"])
    given = _given(function, spec, protocol, nouns)
    if given is None:
        return []
    options = {k: v for k, v in spec.items() if k not in ("kind", "of", "name", "beside")}
    stem = str(spec.get("name", spec["kind"]))
    return _saved(function(**given, **options), folder, stem)


def figure_function(kind: str) -> Any:
    """Return the function that draws a figure."""
    return importlib.import_module("insilico.figures").KINDS[kind]


def _given(
    function: Any, spec: dict[str, Any], protocol: Protocol, nouns: Mapping[str, xr.Dataset]
) -> dict[str, Any] | None:
    given: dict[str, Any] = {}
    if "beside" in spec:
        several = {name: nouns.get(f"estimate-{name}") for name in spec["beside"]}
        given["beside"] = {name: one for name, one in several.items() if one is not None}
    for name, parameter in inspect.signature(function).parameters.items():
        stem = f"estimate-{statistic_of(protocol, spec)}" if name == "estimate" else name
        if name not in ("estimate", "stimuli", "response", "reconstruction", "score"):
            continue
        if stem in nouns:
            given[name] = nouns[stem]
        elif parameter.default is inspect.Parameter.empty:
            return None
    return given


def _saved(figure: Any, folder: Path, stem: str) -> list[str]:
    from insilico.figures import save

    with writing(folder / stem):
        save(figure, folder, stem)
    return [f"{stem}.pdf", f"{stem}.png"]
