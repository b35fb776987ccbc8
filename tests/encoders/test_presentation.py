from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from tiny import TINY, VISION, dataset, tokenizer

from insilico.encoders.presentation import Presentation, frames
from insilico.errors import StimulusError, WeightsError


def shown(stimuli: xr.Dataset) -> Presentation:
    return Presentation(stimuli, TINY, tokenizer())


def test_every_modality_has_rows_by_its_duration():
    assert shown(dataset("image")).rows.tolist() == [2] * 5
    assert shown(dataset("text")).rows.tolist() == [2, 3, 4, 5, 7]
    assert shown(dataset("sound")).rows.tolist() == [2] * 5
    assert shown(dataset("film")).rows.tolist() == [4] * 5


def test_padding_is_neither_heard_nor_seen():
    sounds = dataset("sound").assign_coords(n_samples=("stimulus", [24_000, 8_000, 100, 1, 16_000]))
    assert shown(sounds).rows.tolist() == [2, 1, 1, 1, 2]
    lengths = {int(b.wave.shape[1]) for _, b in shown(sounds).batches(8)}
    assert lengths == {24_000, 8_000, 100, 1, 16_000}
    films = dataset("film").assign_coords(n_frames=("stimulus", [6, 6, 3, 1, 6]))
    assert shown(films).rows.tolist() == [4, 4, 2, 1, 4]


def test_batches_hold_stimuli_of_one_length_and_miss_none():
    stimuli = dataset("text", 9)
    batches = list(shown(stimuli).batches(6))
    assert sorted(np.concatenate([numbers for numbers, _ in batches])) == list(range(9))
    for numbers, batch in batches:
        assert len(numbers) * batch.rows <= max(6, batch.rows)
        assert {int(shown(stimuli).rows[k]) for k in numbers} == {batch.rows}


def test_a_word_is_read_for_its_time_whatever_its_tokens():
    (_, batch), *_ = shown(dataset("text", 1)).batches(4)
    assert batch.tokens.tolist() == [[1, 2, 3, 6]]
    torch.testing.assert_close(batch.spans[0, :, 0], torch.tensor([0, 0.3, 0.6, 0.9]))


def test_pictures_of_other_sizes_are_cut_and_resized():
    square = np.full((1, 40, 40, 3), 200, np.uint8)
    wide = np.concatenate([square[:, :, :10] * 0, square, square[:, :, :10]], 2)
    made = frames(wide, VISION)
    assert made.shape == (1, 3, 16, 16)
    torch.testing.assert_close(made, frames(square, VISION))
    assert frames(np.full((1, 1, 7, 3), 255, np.uint8), VISION).min() == 1


def test_film_with_sound_is_seen_and_heard():
    film = dataset("film").assign(sound=dataset("sound")["sound"])
    (_, batch), *_ = shown(film.assign_attrs(sampling_rate_hz=16_000)).batches(4)
    assert batch.film is not None
    assert batch.wave is not None


def test_a_film_has_the_rows_of_its_events(tmp_path):
    """2.5 s at 1 Hz are three frames, the last of them half a second on screen."""
    pytest.importorskip("av")
    from insilico.spaces import presented
    from insilico.stimuli import events

    film = dataset("film", frame_rate_hz=1.0).isel(frame=slice(3))
    film = film.assign_coords(n_frames=("stimulus", [3, 3, 2, 1, 1]))
    film = film.assign_coords(duration_s=("stimulus", [2.5, 3.0, 1.2, 1.0, 0.4]))
    heard = film.assign(sound=dataset("sound")["sound"]).assign_attrs(sampling_rate_hz=16_000)
    for k, stimuli in enumerate((film, film.drop_vars("duration_s"), heard)):
        grid = events.grid(presented.events(stimuli, tmp_path / str(k)))
        assert shown(stimuli).rows.tolist() == grid.groupby("timeline").size().tolist()
    assert shown(film).rows.tolist() == [3, 4, 2, 2, 1]


def test_a_film_without_sound_among_films_with_sound_is_only_seen():
    heard = dataset("film").assign(sound=dataset("sound")["sound"])
    heard = heard.assign_attrs(sampling_rate_hz=16_000)
    heard = heard.assign_coords(n_samples=("stimulus", [24_000, 0, 24_000, 0, 24_000]))
    found = list(shown(heard).batches(64))
    assert {tuple(numbers): batch.wave is None for numbers, batch in found} == {
        (0, 2, 4): False,
        (1, 3): True,
    }
    with pytest.raises(StimulusError, match="test-1: n_samples must lie between 0 and 24000"):
        shown(heard.assign_coords(n_samples=("stimulus", [1, -1, 1, 1, 1])))


def test_known_truth_beside_the_stimulus_is_not_shown():
    image = dataset("image").assign(caption=dataset("text")["caption"])
    (_, batch), *_ = shown(image).batches(64)
    assert batch.tokens is None
    assert batch.wave is None


@pytest.mark.parametrize(
    ("stimuli", "message"),
    [
        (dataset("image").assign_attrs(modality="smell"), "smell.*image, text, sound, film"),
        (dataset("image").assign_attrs(modality="sound"), "need sound; these hold image"),
        (dataset("text").assign(caption=("stimulus", ["a", " ", "a", "", "a"])), "test-1, test-3"),
        (dataset("sound", sampling_rate_hz=192_000), "16000; it is 192000: resample"),
        (dataset("sound").expand_dims(channel=2, axis=2), "mono"),
        (dataset("sound").assign_coords(n_samples=("stimulus", [0, 1, 1, 1, 1])), "test-0"),
        (dataset("film", frame_rate_hz=0.0), "above 0"),
        (dataset("film").assign_coords(duration_s=("stimulus", [9.0] * 5)), "test-0.*duration_s"),
        (dataset("film").isel(rgb=[0]), "uint8 .stimulus, frame, y_pixel, x_pixel, rgb"),
        (dataset("image").isel(rgb=[0]), "uint8 .stimulus, y_pixel, x_pixel, rgb"),
    ],
)
def test_bad_input_is_one_clear_error(stimuli: xr.Dataset, message: str):
    with pytest.raises(StimulusError, match=message):
        shown(stimuli)


def test_samples_that_are_no_numbers_are_named():
    stimuli = dataset("sound")
    stimuli["sound"][3, 5] = np.nan
    with pytest.raises(StimulusError, match="test-3"):
        list(shown(stimuli).batches(64))


def test_texts_need_a_tokenizer_and_a_word():
    with pytest.raises(WeightsError, match="cannot read texts"):
        Presentation(dataset("text"), TINY)


def test_unknown_words_are_named():
    stimuli = dataset("text", 2).assign(caption=("stimulus", ["a zebra sleeps", "жираф 🦒 a"]))
    assert shown(stimuli).unknown_words() == ["zebra", "жираф", "🦒"]
