"""The one grid of time: how long things are shown, and which rows of a response they have.

Row `k` stands at `k` repetition times (TR) from the start of a stimulus; there is one at every TR
from its start to its end, both included.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from insilico.errors import EventError, StimulusError, listed

IMAGE_S, WORD_S = 1.0, 0.3
"""Seconds for which an image is shown, and a word read."""
NEARLY = 1e-6
LOST_S = 0.1
"""How much sooner than its last frame begins a film may end, as tables of events are rounded."""


def rows(duration_s: float, tr_s: float = 1.0) -> int:
    """Return the rows of a response to a stimulus: one at every TR from its start to its end.

    Parameters
    ----------
    duration_s : float
        Of the stimulus, more than 0.
    tr_s : float
        Repetition time, more than 0.

    Returns
    -------
    int
        ``floor(duration / TR) + 1``: an image (1 s) has 2 at a TR of 1 s, 60 s have 61.

    Raises
    ------
    EventError
        If either is not above 0.
    """
    if not (0 < duration_s < math.inf and 0 < tr_s < math.inf):
        raise EventError(f"rows need a duration and a TR above 0 s; met {duration_s} and {tr_s}")
    return math.floor(duration_s / tr_s + NEARLY) + 1


def film_seconds(films: xr.Dataset) -> np.ndarray:
    """Return how long films last.

    Parameters
    ----------
    films : stimuli
        With `film`; or one of them, without the dimension `stimulus`. The last frame is on screen
        until `duration_s`, where that coordinate is there, else as long as the others.

    Returns
    -------
    float64, (n,)

    Raises
    ------
    StimulusError
        If `duration_s` is not the time of that many frames.
    """
    rate, whole = float(films.attrs["frame_rate_hz"]), films.sizes["frame"]
    ids = np.atleast_1d(films["stimulus"].values)
    frames = np.broadcast_to(films["n_frames"] if "n_frames" in films.coords else whole, ids.shape)
    if "duration_s" not in films.coords:
        return frames / rate
    seconds = np.atleast_1d(films["duration_s"].values).astype(float)
    right = (
        (seconds > 0)
        & (seconds > (frames - 1) / rate - LOST_S)
        & (seconds <= frames / rate + NEARLY)
    )
    if not right.all():
        raise StimulusError(
            f"film of {listed(ids[~right], 3)}: duration_s is {listed(seconds[~right], 3)}, which "
            f"is not the time of {listed(frames[~right], 3)} frames at {rate:g} a second"
        )
    return seconds
