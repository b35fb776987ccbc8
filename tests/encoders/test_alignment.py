from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from insilico.encoders.alignment import align, clip_frames, even_spans, overlap
from insilico.spaces.timeline import rows


def test_a_row_covers_the_two_tr_around_it():
    spans = torch.tensor([[[0.0, 1.0], [1.0, 3.0], [0.0, 0.0]]])
    assert overlap(spans, 4, 1.0)[0].tolist() == [[1, 0, 0], [1, 1, 0], [0, 2, 0], [0, 1, 0]]


def test_features_are_means_over_what_a_row_covers():
    spans = torch.tensor([[[0.0, 1.0], [1.0, 3.0]]])
    aligned, present = align(torch.tensor([[[2.0], [4.0]]]), spans, 5, 1.0)
    assert aligned[0, :, 0].tolist() == [2, 3, 4, 4, 0]
    assert present[0].tolist() == [True, True, True, True, False]


@given(st.integers(1, 12), st.floats(0.2, 9), st.sampled_from([0.5, 1.0, 1.49]))
def test_constant_features_stay_constant_in_every_row(tokens: int, seconds: float, tr_s: float):
    spans = even_spans(tokens, 0, seconds)[None]
    aligned, present = align(torch.full((1, tokens, 2), 3.0), spans, rows(seconds, tr_s), tr_s)
    assert present.all()
    torch.testing.assert_close(aligned, torch.full_like(aligned, 3.0))


def test_clips_show_an_image_after_and_before_grey():
    at = clip_frames(1, 1.0, torch.arange(2), 1.0, 4)
    assert at.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_clips_of_a_film_follow_its_frame_rate():
    assert clip_frames(6, 2.0, torch.tensor([1, 2]), 1.0, 4).tolist() == [
        [0, 1, 2, 3],
        [2, 3, 4, 5],
    ]
