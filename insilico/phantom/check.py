"""All gates of `insilico phantom check`."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from insilico.phantom.gates import Gates
from insilico.phantom.shares import Row
from insilico.phantom.stimuli import Scenes
from insilico.step import computing


def check(
    n: int = 300, weights: str = "phantom", *, device: str = "cpu", watch: Any = None
) -> list[Row]:
    """Measure all gates on `n` scenes of held-out combinations.

    Parameters
    ----------
    n : int
    weights : str
        ``"phantom"``, or a folder of networks as `insilico phantom train` makes it.
    device : str
    watch : optional
        Told of progress, as by `insilico.run`.

    Raises
    ------
    WeightsError
        If a network is missing.
    """
    gates, rows = Gates(Scenes(split="unseen", n=n)(), weights), []
    parts = (
        gates.true_pictures,
        gates.true_tokens,
        gates.measured,
        gates.synthetic,
        gates.sounds,
        gates.convergence,
    )
    with computing(device=device, progress=watch.news if watch else None):
        for part in parts:
            start = perf_counter()
            rows += part()
            if watch:
                watch.ended(part.__name__.replace("_", " "), perf_counter() - start, None)
    return rows
