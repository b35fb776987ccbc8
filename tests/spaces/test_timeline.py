from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import EventError, StimulusError
from insilico.spaces.timeline import film_seconds, rows


@pytest.mark.parametrize(
    ("seconds", "tr", "n"),
    [
        (1, 1, 2),  # the seed: an image has 2
        (2.7, 1, 3),  # nine words: the seed's 3
        (3.0, 1, 4),  # ten words: the seed's 4
        (60, 1, 61),  # the seed says 60
        (59.9, 1, 60),
        (0.1, 1, 1),
        (1, 1.49, 1),
        (2.98, 1.49, 3),
        (3 * 0.3, 0.3, 4),  # 0.8999999999999999 / 0.3
        (10 * 0.1, 0.1, 11),
        (60, 1.5, 41),
        (100, 1.49, 68),
    ],
)
def test_rows_stand_at_every_tr_from_start_to_end(seconds, tr, n):
    assert rows(seconds, tr) == n


@pytest.mark.parametrize(("seconds", "tr"), [(0, 1), (-1, 1), (1, 0), (np.nan, 1), (np.inf, 1)])
def test_rows_of_nothing(seconds, tr):
    with pytest.raises(EventError, match="above 0 s"):
        rows(seconds, tr)


def films(**coords):
    dims = ("stimulus", "frame", "y_pixel", "x_pixel", "rgb")
    labels = {name: ("stimulus", values) for name, values in coords.items()}
    pixels = np.zeros((2, 6, 1, 1, 3), np.uint8)
    attrs = {"frame_rate_hz": 2.0}
    return xr.Dataset({"film": (dims, pixels)}, {"stimulus": ["a", "b"], **labels}, attrs)


def test_a_film_lasts_as_it_says_else_as_its_frames():
    assert film_seconds(films()).tolist() == [3.0, 3.0]
    counted = films(n_frames=[5, 6])
    assert film_seconds(counted).tolist() == [2.5, 3.0]
    timed = counted.assign_coords(duration_s=("stimulus", [2.25, 3.0]))
    assert film_seconds(timed).tolist() == [2.25, 3.0]
    assert film_seconds(timed.isel(stimulus=0)).tolist() == [2.25]
    assert film_seconds(counted.isel(stimulus=0)).tolist() == [2.5]


@pytest.mark.parametrize("seconds", [np.nan, np.inf, 0.0, -1.0, 1.8, 2.6])
def test_a_duration_that_is_not_of_so_many_frames_is_refused(seconds):
    wrong = films(n_frames=[6, 5], duration_s=[3.0, seconds])
    with pytest.raises(StimulusError, match=f"film of b: duration_s is {seconds}.*5 frames at 2"):
        film_seconds(wrong)
