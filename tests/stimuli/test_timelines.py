"""A table of events read back into stimuli."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile
import xarray as xr
from PIL import Image

from insilico.errors import EventError, ParameterError, StimulusError
from insilico.schema import check, sample
from insilico.spaces.presented import events, write_film
from insilico.stimuli import KINDS
from insilico.stimuli.captions import Captions
from insilico.stimuli.events import read, write
from insilico.stimuli.sounds import RATE_HZ

av = pytest.importorskip("av")


def back(file, **parameters):
    return check(KINDS.build({"kind": "events", "path": str(file), **parameters})(), "stimuli")


def there_and_back(stimuli, folder):
    write(events(stimuli, folder / "media"), folder / "table.csv")
    found = back(folder / "table.csv")
    assert found["stimulus"].values.tolist() == stimuli["stimulus"].values.tolist()
    assert found.attrs["modality"] == stimuli.attrs.get("modality", "image")
    assert found.attrs["source"] == "events"
    return found


def of_film(frames, counts, rate=4.0, **variables):
    """Films of noise, `counts` frames each."""
    n = len(counts)
    pixels = np.random.default_rng(0).integers(0, 256, (n, frames, 64, 64, 3), dtype=np.uint8)
    for k, count in enumerate(counts):
        pixels[k, count:] = 0
    films = xr.Dataset(
        {"film": (("stimulus", "frame", "y_pixel", "x_pixel", "rgb"), pixels), **variables},
        {"stimulus": [f"film {k}" for k in range(n)], "split": ("stimulus", ["given"] * n)},
        {"source": "test", "modality": "film", "frame_rate_hz": rate},
    )
    return films.assign_coords(n_frames=("stimulus", counts))


def waves(lengths):
    """Sounds of noise with zeros after the end of each."""
    sound = np.random.default_rng(1).uniform(-1, 1, (len(lengths), max(lengths))).astype("f4")
    for k, length in enumerate(lengths):
        sound[k, length:] = 0
    return ("stimulus", "sample"), sound


# --- there and back -------------------------------------------------------------------------------


def test_images(tmp_path):
    stimuli = sample("stimuli", 3)
    stimuli["image"][1] = 0  # a black picture is a picture
    found = there_and_back(stimuli, tmp_path)
    np.testing.assert_array_equal(found["image"], stimuli["image"])
    assert found["image"].dims == stimuli["image"].dims
    assert not {"film", "n_frames", "duration_s"} & set(found.variables)


def test_captions(tmp_path):
    texts = ("a red dog", "one", "to be . or not", "Ä \U0001f431 said “.”", ".")
    stimuli = Captions(text=texts)()
    assert there_and_back(stimuli, tmp_path)["caption"].values.tolist() == list(texts)


def test_sounds(tmp_path):
    lengths = [RATE_HZ, 2 * RATE_HZ + 7, 100, 50]
    dims, sound = waves(lengths)
    sound[3] = 0  # silence is a sound
    stimuli = xr.Dataset(
        {"sound": (dims, sound)},
        {"stimulus": ["z", "y", "x/1", "w"], "split": ("stimulus", ["given"] * 4)},
        {"source": "test", "modality": "sound", "sampling_rate_hz": RATE_HZ},
    ).assign_coords(n_samples=("stimulus", lengths))
    found = there_and_back(stimuli, tmp_path)
    np.testing.assert_array_equal(found["sound"], sound)
    assert found["n_samples"].values.tolist() == lengths
    assert found.attrs["sampling_rate_hz"] == RATE_HZ


@pytest.mark.parametrize("rate", [1.0, 4.0])
def test_silent_films(tmp_path, rate):
    stimuli = of_film(6, [6, 1, 3], rate)
    found = there_and_back(stimuli, tmp_path)
    np.testing.assert_array_equal(found["film"], stimuli["film"])
    assert found["n_frames"].values.tolist() == [6, 1, 3]
    assert found["duration_s"].values.tolist() == [6 / rate, 1 / rate, 3 / rate]
    assert found.attrs["frame_rate_hz"] == rate
    assert "sound" not in found


def test_films_with_sound(tmp_path):
    lengths = [24_000, 16_000, 0]
    stimuli = of_film(6, [6, 4, 2], sound=waves(lengths))
    stimuli = stimuli.assign_coords(
        n_samples=("stimulus", lengths), duration_s=("stimulus", [1.4, 1.0, 0.5])
    )
    found = there_and_back(stimuli, tmp_path)
    np.testing.assert_array_equal(found["film"], stimuli["film"])
    np.testing.assert_array_equal(found["sound"], stimuli["sound"])
    np.testing.assert_array_equal(found["sound"][1:, 5:9], stimuli["sound"][1:, 5:9])
    for name in ("n_frames", "n_samples", "duration_s"):
        assert found[name].values.tolist() == stimuli[name].values.tolist()


def test_one_frame_with_a_sound_is_a_film(tmp_path):
    stimuli = of_film(1, [1], 1.0, sound=waves([RATE_HZ]))
    found = there_and_back(stimuli, tmp_path)
    np.testing.assert_array_equal(found["sound"], stimuli["sound"])


def test_what_is_played_is_read_when_it_is_needed(tmp_path):
    found = there_and_back(sample("stimuli", 2), tmp_path)
    (tmp_path / "media" / "000001.mkv").unlink()
    assert found["image"][:1].values.any()
    with pytest.raises(StimulusError, match=r"000001\.mkv"):
        found["image"].load()


# --- tables of others -----------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """Return a folder with two sounds, two pictures and a film that has its own sound."""
    for name, seconds in (("a.wav", 2), ("b.wav", 1), ("silence-16000.flac", 1)):
        soundfile.write(tmp_path / name, np.full(seconds * 8000, 0.25), 8000)
    for name, grey in (("a.png", 10), ("b.png", 200)):
        Image.new("RGB", (32, 32), (grey,) * 3).save(tmp_path / name)
    write_film(tmp_path / "one.mkv", np.zeros((1, 32, 32, 3), np.uint8), 1.0)
    write_film(tmp_path / "one.mkv", np.zeros((1, 32, 32, 3), np.uint8), 1.0)
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        shown, heard = (
            out.add_stream("ffv1", rate=5),
            out.add_stream("pcm_s16le", rate=16_000, layout="mono"),
        )
        shown.width = shown.height = 32
        shown.pix_fmt = "bgr0"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), "rgb24")
            out.mux(shown.encode(frame.reformat(format="bgr0")))
        wave = av.AudioFrame.from_ndarray(np.full((1, 32_000), 8192, "i2"), "s16", "mono")
        wave.rate = 16_000
        for stream, frame in ((heard, wave), (heard, None), (shown, None)):
            out.mux(stream.encode(frame))
    return tmp_path


COLUMNS = ("timeline", "type", "start", "duration", "filepath", "text", "modality", "frequency")


def table(folder, *rows, **columns):
    """Write events, each `timeline type start duration file-or-text modality frequency`."""
    cells = []
    for timeline, kind, start, duration, what, *more in rows:
        named = [what, ""] if kind in ("Video", "Audio", "Image") else ["", what]
        cells.append([timeline, kind, start, duration, *named, *more, *[""] * (2 - len(more))])
    file = folder / "events.csv"
    pd.DataFrame(cells, columns=COLUMNS).assign(**columns).to_csv(file, index=False)
    return file


def test_picture_files(files):
    rows = [(n, "Image", 0, 1, f"{n}.png") for n in "ba"]
    found = back(table(files, *rows), size=16)
    assert found["image"].shape == (2, 16, 16, 3)
    assert found["image"][:, 0, 0, 0].values.tolist() == [200, 10]
    assert found["stimulus"].values.tolist() == ["b", "a"]


def test_words_are_in_order_of_their_starts_and_said_to_be_paced(files):
    rows = [("a", "Word", t, 0.3, word) for t, word in ((0.3, "dog"), (0, "red"), (0.6, "runs"))]
    assert back(table(files, *rows))["caption"].values.tolist() == ["red dog runs"]
    rows += [("b", "Word", t, 0.5, word) for t, word in ((0, "one"), (0.5, "two"))]
    with pytest.warns(UserWarning, match="words of 1 of 2 timelines do not follow at 0.3 s each"):
        found = back(table(files, *rows))
    assert "1 of 2 timelines" in found.attrs["note"]


def test_words_that_are_heard_are_in_the_sound(files):
    rows = [("a", "Audio", 0, "", "a.wav"), ("a", "Word", 0.4, 0.3, "hello", "heard")]
    found = back(table(files, *rows))
    assert found.attrs["modality"] == "sound"
    assert found["n_samples"].values.tolist() == [2 * RATE_HZ]


def test_a_film_has_its_own_sound_unless_the_table_says_another(files):
    film = ("a", "Video", 0, 2, "a.mkv", "", 5)
    own = back(table(files, film))
    assert own["film"].shape == (1, 10, 64, 64, 3)
    np.testing.assert_allclose(own["sound"], 0.25, atol=1e-3)
    other = back(table(files, film, ("a", "Audio", 0, 1, "b.wav")))
    assert other["n_samples"].values.tolist() == [RATE_HZ]
    silent = back(table(files, film, ("a", "Audio", 0, 1, "silence-16000.flac")))
    assert "sound" not in silent
    both = back(
        table(files, film, ("b", "Video", 0, 2, "a.mkv", "", 5), ("b", "Audio", 0, 1, "b.wav"))
    )
    assert both["n_samples"].values.tolist() == [0, RATE_HZ]
    assert not both["sound"].values[0].any()


def test_the_rate_of_films_can_be_set(files):
    rows = [("a", "Video", 0, 2, "a.mkv", "", 5), ("b", "Video", 0, 2, "a.mkv", "", 10)]
    with pytest.raises(EventError, match=r"frequency 5 \('a'\), 10 \('b'\); set frame_rate_hz"):
        back(table(files, *rows))
    assert back(table(files, *rows), frame_rate_hz=2)["film"].shape[1] == 4
    with pytest.raises(EventError, match="frequency 90.*at most 60"):
        back(table(files, *rows, frequency=90))
    assert back(table(files, *rows, frequency=""))["film"].shape[1] == 2
    with pytest.raises(ParameterError, match="frame_rate_hz"):
        back(table(files, *rows), frame_rate_hz=0)


MIXED = "stimuli are of one modality: split the table"


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (
            [("a", "Audio", 0, 2, "a.wav"), ("b", "Word", 0, 0.3, "dog")],
            f"timeline 'a' shows sound, 'b' text; {MIXED}",
        ),
        (
            [("a", "Image", 0, 1, "a.png"), ("b", "Video", 0, 2, "a.mkv", "", 5)],
            f"timeline 'a' shows picture, 'b' film; {MIXED}",
        ),
        (
            [("a", "Image", 0, 1, "a.png"), ("b", "Video", 0, 1, "one.mkv", "", 1)],
            f"timeline 'a' shows picture, 'b' film of one frame; {MIXED}",
        ),
        (
            [("a", "Audio", 0, 1, "silence-16000.flac"), ("a", "Word", 0, 0.3, ".")],
            "timeline 'a' shows nothing: its events are Audio, Word",
        ),
        ([("a", "Sentence", 0, 1, "a dog")], "'a' shows nothing: its events are Sentence"),
        (
            [("a", "Audio", 0, 2, "a.wav"), ("a", "Audio", 2, 1, "b.wav")],
            "'a': 2 events of type Audio; give each its own timeline",
        ),
        (
            [("a", "Image", 0, 1, "a.png"), ("a", "Image", 1, 1, "b.png")],
            "'a': 2 events of type Image",
        ),
        ([("a", "Image", 0, 3, "a.png")], "Image is shown for 3 s .* the whole can be shown, 1 s"),
        ([("a", "Audio", 0, 1, "a.wav")], "Audio is shown for 1 s from 0 s on; .* 2 s"),
        ([("a", "Video", 0, 1, "a.mkv", "", 5)], "Video is shown for 1 s from 0 s on; .* 2 s"),
        ([("a", "Audio", 3, 2, "a.wav")], "Audio begins at 3 s; let it begin at 0"),
        ([("a", "Word", 1.5, 0.3, "dog")], "Word begins at 1.5 s"),
        (
            [("a", "Image", 0, 1, "a.png"), ("a", "Audio", 0, 1, "b.wav")],
            "'a' shows Audio, Image at once; no stimulus is both",
        ),
        (
            [("a", "Audio", 0, 2, "a.wav"), ("a", "Word", 0, 0.3, "dog", "read")],
            "'a' shows Audio, Word at once",
        ),
        ([("a", "Word", 0, -1, "dog")], "row 1: duration -1 is negative"),
    ],
)
def test_what_no_stimulus_can_be_is_refused(files, rows, complaint):
    with pytest.raises(EventError, match=rf"events\.csv.*{complaint}"):
        back(table(files, *rows))


def test_a_piece_from_the_middle_is_refused(files):
    file = table(files, ("a", "Audio", 0, 1, "a.wav"), offset=1.0)
    with pytest.raises(EventError, match="for 1 s from 1 s on; only the whole can be shown, 2 s"):
        back(file)


def test_a_broken_file_is_named(files):
    (files / "a.png").write_bytes(b"no picture")
    with pytest.raises(StimulusError, match=r"a\.png: not a picture"):
        back(table(files, ("a", "Image", 0, 1, "a.png")))


def test_the_table_and_what_it_plays_are_known_by_their_content(files):
    file = table(files, ("a", "Image", 0, 1, "a.png"), ("b", "Image", 0, 1, "b.png"))
    step = KINDS.build({"kind": "events", "path": str(file)})
    before = step.digests()
    assert set(before) == {str(file), *read(file)["filepath"]}
    Image.new("RGB", (9, 9)).save(files / "a.png")
    assert [k for k, v in step.digests().items() if before[k] != v] == [str(files / "a.png")]
