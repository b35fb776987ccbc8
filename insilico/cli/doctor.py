"""``insilico doctor``: what of the published data and weights is on this machine."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from insilico.recordings.inventory import Finding

SIGNS = {"usable": "ok", "partly": "part", "missing": "--", "broken": "BAD"}
PHANTOM = "the phantom needs none of this: insilico run yeo7_gap"


def doctor(arguments: argparse.Namespace) -> int:
    """Say what is there and usable; 1 if something is there and broken."""
    from insilico.cli.weights import folder_of

    broken, folder = 0, folder_of(arguments.weights)
    for title, lines in (
        ("NSD", _nsd(arguments.nsd)),
        ("MindEye2's data files", _hub(folder)),
        ("weights", _weights(folder)),
    ):
        print(title)
        for finding in lines:
            broken += finding.state == "broken"
            print(f"  {SIGNS[finding.state]:4} {finding.what:28} {finding.about}".rstrip())
    print(PHANTOM)
    return int(broken > 0)


def _nsd(given: Path | None) -> Iterator[Finding]:
    from insilico.recordings.inventory import of_nsd
    from insilico.spaces.nsd.layout import VARIABLE, root_of

    if given is None and not os.environ.get(VARIABLE):
        yield _unset("--nsd", VARIABLE, "naturalscenesdataset.org, under a data-use agreement")
        return
    yield from of_nsd(root_of(given))


def _hub(folder: Path) -> Iterator[Finding]:
    """Yield which subjects' data files lie beside the networks, as on the hub."""
    from insilico.recordings.inventory import Finding, of_hub
    from insilico.spaces.nsd.hub import ACCESS

    found = list(of_hub(folder))
    readers = "only 'recording: mindeye2' and stimuli of 'layout: mindeye2' read them"
    about = f"not in {folder}; {readers}; {ACCESS}"
    yield from found or [Finding("betas and trials", "missing", about)]


def _weights(folder: Path) -> Iterator[Finding]:
    """Yield which networks of the decoder a folder of weights holds, and whether they are whole."""
    from insilico.weights.authors import runs

    models: list[str | None] = [*runs(folder)] or [None]
    for model in models:
        yield _network(folder, "mindeye2", model)
    for network in ("unclip", "captioner"):
        yield _network(folder, network)


def _network(folder: Path, network: str, model: str | None = None) -> Finding:
    from insilico.errors import InsilicoError
    from insilico.recordings.inventory import Finding
    from insilico.weights.folders import sound, source

    state, what, weights = "missing", network, str(folder)
    try:
        source(weights, network, model)
        state = "broken"
        return Finding(what, "usable", str(sound(weights, network, model)))
    except InsilicoError as error:
        return Finding(what, state, str(error))


def _unset(option: str, variable: str, source: str) -> Finding:
    from insilico.recordings.inventory import Finding

    return Finding("not looked for", "missing", f"give {option} ROOT or set {variable}; {source}")
