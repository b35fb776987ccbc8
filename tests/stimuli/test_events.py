from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
import xarray as xr

from insilico.errors import EventError, MissingPackage, StimulusError
from insilico.schema import sample
from insilico.stimuli.captions import Captions
from insilico.stimuli.events import grid, read, standard, write
from insilico.stimuli.sounds import RATE_HZ, read_sound

IDS = {"coords": {"split": ("stimulus", ["given"])}, "attrs": {"source": "test"}}


def shown(**variables):
    """One stimulus."""
    dims = {
        "film": ("stimulus", "frame", "y_pixel", "x_pixel", "rgb"),
        "sound": ("stimulus", "sample"),
    }
    arrays = {name: (dims[name], np.asarray(values)[None]) for name, values in variables.items()}
    return xr.Dataset(arrays, **IDS).assign_coords(stimulus=["x"])


def sounding(seconds):
    wave = np.linspace(-1, 1, round(seconds * RATE_HZ), dtype=np.float32)
    return shown(sound=wave).assign_attrs(modality="sound", sampling_rate_hz=RATE_HZ)


# --- tables ---------------------------------------------------------------------------------------


def words(**columns):
    table = {"type": "Word", "start": [0.0, 0.3], "duration": 0.3, "timeline": "a", "text": "w"}
    return pd.DataFrame({**table, **columns})


def test_the_form_of_a_table():
    given = words(timeline=["b", "a"], extra=[1, 2], index=[5, 6], subject=[None, "s1"])
    table = standard(given)
    assert table.columns.tolist() == [
        *("type", "start", "duration", "timeline", "subject", "session", "task", "run"),
        *("filepath", "frequency", "offset", "text", "modality", "extra", "stop"),
    ]
    assert table["timeline"].tolist() == ["b", "a"]
    assert table["subject"].tolist() == ["", "s1"]
    np.testing.assert_allclose(table["stop"], [0.3, 0.6])
    assert {str(table[name].dtype) for name in ("start", "duration", "stop")} == {"float64"}
    pd.testing.assert_frame_equal(standard(table), table)


def test_order_is_timeline_first_seen_then_start_then_longer_first():
    starts, lasts, names = [2, 0, 0, 1, 0], [1, 1, 3, 1, 9], list("zazza")
    given = (
        words(start=[0.0, 0.0]).loc[[0] * 5].assign(start=starts, duration=lasts, timeline=names)
    )
    given["type"] = "Sentence"  # words do not go back in time
    table = standard(given)
    assert table["timeline"].tolist() == ["z", "z", "z", "a", "a"]
    assert table["start"].tolist() == [0, 1, 2, 0, 0]
    assert table["duration"].tolist() == [3, 1, 1, 9, 1]


def test_rows_start_at_the_first_event_of_each_timeline():
    given = words(start=[12.25, 0.0], duration=[2.0, 0.5], timeline=["late", "early"])
    table = grid(standard(given))
    assert table["timeline"].tolist() == ["late"] * 3 + ["early"]
    assert table["time"].tolist() == [12.25, 13.25, 14.25, 0.0]


def test_a_missing_duration_is_that_of_the_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(4_000), 8_000)
    (tmp_path / "t.csv").write_text("type,start,timeline,filepath,offset\nAudio,3,a,a.wav,0.1\n")
    table = read(tmp_path / "t.csv")
    assert table["duration"].tolist() == pytest.approx([0.4])
    assert table["stop"].tolist() == pytest.approx([3.4])
    assert table["filepath"].tolist() == [str(tmp_path / "a.wav")]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_a_written_table_is_read_unchanged(tmp_path, name):
    table = standard(words(start=[0.1 + 0.2, 1 / 3], text=['say "hi",\nthere', "NA \U0001f431"]))
    write(table, tmp_path / name)
    pd.testing.assert_frame_equal(read(tmp_path / name), table)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_tables_of_other_kinds_are_refused(tmp_path):
    for use in (read, lambda file: write(words(), file)):
        with pytest.raises(StimulusError, match=r"t\.xlsx: a table is a \.csv or a \.tsv file"):
            use(tmp_path / "t.xlsx")


def sound_event(folder, **columns):
    soundfile.write(folder / "a.wav", np.zeros(32_000), 16_000)
    table = {"type": "Audio", "start": [0.0, 5.0], "duration": 2.0, "timeline": "a"}
    return pd.DataFrame({**table, "filepath": str(folder / "a.wav"), **columns})


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"duration": [0.3, -1.0]}, "row 2: duration -1 is negative; 0 or more is allowed"),
        ({"type": "word"}, "row 1: unknown event type 'word'.*did you mean 'Word'.* 1 rows more"),
        ({"type": "Smell"}, "row 1: unknown event type 'Smell'; one of: Video, Audio"),
        ({"start": [0.0, np.nan]}, "row 2: start is missing"),
        ({"start": ["0", "soon"]}, "row 2: start 'soon' is no number"),
        ({"start": [0.0, np.inf]}, "row 2: start 'inf' is no number"),
        ({"duration": [0.3, None]}, "row 2: duration is missing"),
        ({"timeline": ["a", " "]}, "row 2: timeline is missing"),
        ({"text": ["w", ""]}, "row 2: an event of type Word needs a text"),
        ({"modality": "sung"}, "row 1: unknown event modality 'sung'; one of: heard, read"),
        ({"stop": [0.3, 9.0]}, r"row 2: stop 9 is not start \+ duration"),
        ({"subject": ["s1", "s2"]}, "row 2: timeline 'a' has another subject before"),
        ({"duration": [0.3, 0.0]}, "row 2: duration 0; an event of type Word lasts more than 0 s"),
        ({"start": [0.0, 0.0]}, "row 2: timeline 'a' has two events of type Word at once"),
        ({"start": [0.2, 0.0]}, "row 2: .* of type Word at once.* give each its own name"),
        ({"run": ["1", "2"]}, "row 2: timeline 'a' has another run before"),
    ],
)
def test_each_mistake_is_named(columns, complaint):
    with pytest.raises(EventError, match=f"t.csv, {complaint}"):
        standard(words(**columns), "t.csv")


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"filepath": ["", ""]}, "row 1: an event of type Audio needs a filepath"),
        ({"filepath": "gone.wav"}, r"row 1: gone\.wav: no such file"),
        ({"offset": [0.0, -1.0]}, "row 2: offset -1 is negative"),
        ({"frequency": [-16e3, 0.0]}, "row 1: frequency -16000 is negative"),
        (
            {"offset": [0.0, 9.0], "duration": [1.0, None]},
            r"row 2: offset 9 is beyond the end of .*a\.wav, which lasts 2 s",
        ),
        ({"offset": [0.0, 9.0], "duration": [2.0, 1.0]}, "row 2: offset 9 is beyond the end"),
        ({"offset": [0.0, 2.0], "duration": [2.0, None]}, "row 2: offset 2 is beyond the end"),
        (
            {"duration": [2.05, 2.5]},
            r"row 2: duration 2.5 is longer than .*a\.wav plays: 2 s from offset 0 on",
        ),
        ({"offset": [0.0, 0.5]}, "row 2: duration 2 is longer than .* 1.5 s from offset 0.5 on"),
        ({"duration": [0.0, 2.0]}, "row 1: duration 0; an event of type Audio lasts more than 0 s"),
        ({"type": "Image", "start": [0.0, 1.0]}, "row 2: .* two events of type Image at once"),
        ({"type": "Image", "duration": 0}, "row 1: duration 0; an event of type Image"),
        ({"type": "Video", "duration": 0}, "row 1: duration 0; an event of type Video"),
        ({"start": [0.0, 1.5]}, "row 2: timeline 'a' has two events of type Audio at once"),
        ({"start": [1.5, 0.0]}, "row 1: timeline 'a' has two events of type Audio at once"),
        ({"start": [0.0, 0.0]}, "two timelines, give each its own name"),
    ],
)
def test_each_mistake_with_files_is_named(tmp_path, columns, complaint):
    with pytest.raises(EventError, match=complaint):
        standard(sound_event(tmp_path, **columns))


def test_pieces_of_one_sound_follow_each_other(tmp_path):
    table = standard(sound_event(tmp_path, start=[0.0, 1.0], offset=[0.0, 1.0], duration=1))
    assert table["stop"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("starts", "row"),
    [
        ([0.0, 0.3, 0.0, 0.3], 3),  # one timeline after the other
        ([0.0, 0.0, 0.3, 0.3], 2),  # word by word
        ([0.0, 0.3, 0.6, 0.1, 0.4, 0.7], 4),  # the second begins later
    ],
)
def test_two_timelines_of_words_under_one_name_are_refused(starts, row):
    given = words().loc[[0] * len(starts)].assign(start=starts)
    with pytest.raises(EventError, match=f"row {row}: .*two events of type Word at once"):
        standard(given)
    given["timeline"] = ["a", "b", "a", "b", "a", "b"][: len(starts)]
    if row == 2:
        assert standard(given)["timeline"].tolist() == ["a", "a", "b", "b"]


def test_words_of_speech_may_overlap_and_their_rows_be_in_any_order():
    assert standard(words(start=[0.0, 0.2]))["stop"].tolist() == [0.3, 0.5]
    assert standard(words(start=[0.3, 0.0]))["start"].tolist() == [0.0, 0.3]
    both = standard(words(start=[0.0, 0.0], modality=["heard", "read"]))
    assert both["modality"].tolist() == ["heard", "read"]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (
            pd.DataFrame({"type": ["Word"], "start": [0.0]}),
            "column timeline missing; has type, start",
        ),
        (words().iloc[:0], "no events"),
        (pd.concat([words(), words()], axis=1), "two columns of one name"),
    ],
)
def test_tables_without_rows_or_columns(table, complaint):
    with pytest.raises(EventError, match=complaint):
        standard(table)


# --- made from stimuli ----------------------------------------------------------------------------


def made(stimuli, folder):
    pytest.importorskip("av")
    from insilico.spaces.presented import events

    table = events(stimuli, folder)
    pd.testing.assert_frame_equal(table, standard(table))  # it is made in the one form
    return table


def times(table, kind):
    part = table[table["type"] == kind]
    return list(zip(part["start"].round(6), part["duration"].round(6), strict=True))


def played(table, kind):
    from insilico.stimuli.films import film_head, read_frames

    path = table.loc[table["type"] == kind, "filepath"].iloc[0]
    if kind == "Audio":
        return read_sound(path)
    return read_frames(path, 64, 1.0), film_head(path).lasts_s


def test_an_image_is_a_film_of_one_second_and_one_frame(tmp_path):
    stimuli = sample("stimuli", 3)
    table = made(stimuli, tmp_path)
    assert table["timeline"].unique().tolist() == stimuli["stimulus"].values.tolist()
    first = table[table["timeline"] == "sample-000000"]
    assert first["type"].tolist() == ["Video", "Audio", "Word"]
    assert first["frequency"].tolist() == [1.0, 16_000.0, 0.0]
    assert times(first, "Video") == times(first, "Audio") == [(0, 1)]
    assert first["text"].tolist() == ["", "", "."]
    frames, lasts = played(first, "Video")
    np.testing.assert_array_equal(frames, stimuli["image"].values[:1])
    assert lasts == 1
    assert played(first, "Audio").tolist() == [0.0] * RATE_HZ
    assert (grid(table).groupby("timeline").size() == 2).all()
    assert len(list(tmp_path.iterdir())) == 4  # they share their silence


def test_a_caption_is_read_300_ms_a_word(tmp_path):
    table = made(Captions(text="one two three four five six seven eight nine ten")(), tmp_path)
    assert times(table, "Word") == [(round(0.3 * k, 6), 0.3) for k in range(10)]
    assert table.loc[table["type"] == "Word", "text"].tolist()[::9] == ["one", "ten"]
    assert set(table.loc[table["type"] == "Word", "modality"]) == {"read"}
    assert times(table, "Video") == times(table, "Audio") == [(0, 3)]
    frames, lasts = played(table, "Video")
    assert lasts == 3
    assert not frames.any()
    heard = played(table, "Audio")
    assert len(heard) == 3 * RATE_HZ
    assert not heard.any()
    assert len(grid(table)) == 4


def test_10_000_words_take_50_minutes(tmp_path):
    table = made(Captions(text=" ".join(["word"] * 10_000))(), tmp_path)
    assert len(table) == 10_002
    assert table["stop"].max() == pytest.approx(3_000)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2e7


def test_a_sound_has_black_frames_and_a_placeholder_each_second(tmp_path):
    stimuli = sounding(2.25)
    table = made(stimuli, tmp_path)
    assert times(table, "Audio") == times(table, "Video") == [(0, 2.25)]
    assert times(table, "Word") == [(0, 0.3), (1, 0.3), (2, 0.25)]
    np.testing.assert_array_equal(played(table, "Audio"), stimuli["sound"].values[0])
    assert not played(table, "Video")[0].any()
    assert len(grid(table)) == 3


def test_only_the_samples_that_a_stimulus_has_are_played(tmp_path):
    stimuli = sounding(2.0).assign_coords(n_samples=("stimulus", [RATE_HZ]))
    assert times(made(stimuli, tmp_path), "Audio") == [(0, 1)]


@pytest.mark.parametrize("heard", [True, False])
def test_a_film_has_its_own_sound_or_silence(tmp_path, heard):
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    stimuli = shown(film=frames).assign_attrs(modality="film", frame_rate_hz=1.0)
    stimuli = stimuli.assign_coords(n_frames=("stimulus", [4]))
    if heard:
        stimuli["sound"] = (("stimulus", "sample"), np.full((1, 64_000), 0.5, np.float32))
    table = made(stimuli, tmp_path)
    assert times(table, "Video") == times(table, "Audio") == [(0, 4)]
    assert len(times(table, "Word")) == 4
    np.testing.assert_array_equal(played(table, "Video")[0], frames[:4])
    assert (played(table, "Audio") == (0.5 if heard else 0)).all()


def test_what_cannot_be_presented_is_refused(tmp_path):
    stimuli = sample("stimuli", 1)
    with pytest.raises(StimulusError, match="unknown modality 'smell'; one of: image, text"):
        made(stimuli.assign_attrs(modality="smell"), tmp_path / "a")
    with pytest.raises(StimulusError, match="modality text need the variable caption"):
        made(stimuli.assign_attrs(modality="text"), tmp_path / "b")
    with pytest.raises(StimulusError, match="a sound without samples"):
        made(sounding(1).assign_coords(n_samples=("stimulus", [0])), tmp_path / "c")
    with pytest.raises(StimulusError, match="have 16000 Hz, these 8000: resample them"):
        made(sounding(1).assign_attrs(sampling_rate_hz=8000), tmp_path / "f")
    stimuli["caption"] = ("stimulus", [" "])
    with pytest.raises(StimulusError, match="sample-000000: an empty caption"):
        made(stimuli.assign_attrs(modality="text"), tmp_path / "d")
    made(stimuli, tmp_path / "e")
    with pytest.raises(EventError, match="e is not empty; name a new folder"):
        made(stimuli, tmp_path / "e")


def test_without_pyav_it_is_said_what_to_install(tmp_path, monkeypatch):
    from insilico.spaces.presented import events

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackage, match=r"pip install 'insilico\[film\]'"):
        events(sample("stimuli", 1), tmp_path)
