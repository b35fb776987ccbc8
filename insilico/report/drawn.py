"""The figures that a protocol names, drawn from the nouns of its run."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from insilico.errors import InsilicoError, StoreError
from insilico.protocol.drawn import (
    NOUNS,
    OWN,
    beside_of,
    figure_kinds,
    spec_of,
    statistic_of,
    stem_of,
)
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
        spec = spec_of(figure)
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
    function = figure_kinds()[spec["kind"]]
    given = _given(function, spec, protocol, nouns)
    if given is None:
        return []
    options = {k: v for k, v in spec.items() if k not in (*OWN, "beside")}
    return _saved(function(**given, **options), folder, stem_of(spec))


def _given(
    function: Any, spec: dict[str, Any], protocol: Protocol, nouns: Mapping[str, xr.Dataset]
) -> dict[str, Any] | None:
    given: dict[str, Any] = {}
    if "beside" in spec:
        several = {name: nouns.get(f"estimate-{name}") for name in beside_of(spec)}
        given["beside"] = {name: one for name, one in several.items() if one is not None}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in NOUNS:
            continue
        stem = f"estimate-{statistic_of(protocol, spec)}" if name == "estimate" else name
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
