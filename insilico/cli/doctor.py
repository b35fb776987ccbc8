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
    broken = 0
    for title, lines in (
        ("NSD", _nsd(arguments.nsd)),
        ("MindEye2's data files", _hub(arguments.hub)),
        ("weights", _weights(arguments.weights)),
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


def _hub(given: Path | None) -> Iterator[Finding]:
    from insilico.recordings.inventory import of_hub
    from insilico.spaces.nsd.hub import ACCESS, VARIABLE, root_of

    if given is None and not os.environ.get(VARIABLE):
        yield _unset("--hub", VARIABLE, ACCESS)
        return
    yield from of_hub(root_of(given))


def _weights(given: Path | None) -> Iterator[Finding]:
    """Yield which networks of the decoder a folder of weights holds."""
    from insilico.errors import InsilicoError
    from insilico.recordings.inventory import Finding
    from insilico.weights.folders import source

    weights = "published" if given is None else str(given)
    for network in ("mindeye2", "unclip", "captioner"):
        try:
            yield Finding(f"{weights} {network}", "usable", str(source(weights, network)))
        except InsilicoError as error:
            yield Finding(f"{weights} {network}", "missing", str(error))


def _unset(option: str, variable: str, source: str) -> Finding:
    from insilico.recordings.inventory import Finding

    return Finding("not looked for", "missing", f"give {option} ROOT or set {variable}; {source}")
