"""`insilico phantom check`: the table of gates."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields
from pathlib import Path

from insilico.phantom.gates import Gates
from insilico.phantom.shares import Row, written
from insilico.phantom.stimuli import Scenes
from insilico.run.store import write_bytes
from insilico.step import computing


def check(n: int = 300, weights: str = "phantom", device: str = "cpu") -> list[Row]:
    """Measure all gates on `n` scenes of held-out combinations.

    Parameters
    ----------
    n : int
    weights : str
        ``"phantom"``, or a folder of networks as `insilico phantom train` makes it.
    device : str

    Raises
    ------
    WeightsError
        If a network is missing.
    """
    gates, rows = Gates(Scenes(split="unseen", n=n)(), weights), []
    with computing(device=device):
        for part in (gates.true_pictures, gates.true_tokens, gates.measured_and_synthetic):
            rows += part()
            print(f"{part.__name__.replace('_', ' ')} done", flush=True)
    return rows


def main(
    n: int = 300, out: Path | None = None, weights: str = "phantom", device: str = "cpu"
) -> int:
    """Print the gates, write them as CSV where asked for, and return 1 if one is missed."""
    rows = check(n, weights, device)
    print(written(rows))
    if out is not None:
        text = io.StringIO()
        table = csv.DictWriter(text, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)
        write_bytes(text.getvalue().encode(), out)
    return int(any(row.failed for row in rows))
