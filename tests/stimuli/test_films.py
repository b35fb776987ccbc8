from __future__ import annotations

import struct
import sys

import numpy as np
import pytest

from insilico import schema
from insilico.errors import MissingPackage, StimulusError
from insilico.stimuli import KINDS
from insilico.stimuli.films import Films, read_frames, read_track
from insilico.stimuli.sounds import RATE_HZ

av = pytest.importorskip("av")

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 30), (30, 30, 200)
CODECS = {"mp4": "mpeg4", "mov": "mpeg4", "avi": "mjpeg", "mkv": "ffv1", "webm": "libvpx"}
CODECS |= {"ts": "mpeg2video", "wmv": "wmv2", "flv": "flv1"}


def tone(seconds, rate=RATE_HZ):
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype("f4")


def film(path, colours=(RED, GREEN, BLUE), rate=5, sound=None, right=None):
    """Write a film that shows one colour after another, each for a second."""
    extent = (64, 48)
    with av.open(str(path), "w") as out:
        shown = out.add_stream(CODECS[path.suffix[1:]], rate=rate)
        shown.width, shown.height = extent
        shown.pix_fmt = {"ffv1": "bgr0", "mjpeg": "yuvj420p"}.get(shown.codec.name, "yuv420p")
        heard = None if sound is None else out.add_stream("aac", rate=RATE_HZ, layout="mono")
        for colour in colours:
            pixels = np.full((extent[1], extent[0], 3), colour, np.uint8)
            pixels[:, 32:] = pixels[:, 32:] if right is None else right
            for _ in range(rate):
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=shown.pix_fmt)
                out.mux(shown.encode(frame))
        out.mux(shown.encode(None))
        if heard is not None:
            wave = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
            wave.rate = RATE_HZ
            out.mux(heard.encode(wave))
            out.mux(heard.encode(None))
    return path


def near(pixels, colour, within=25):
    return np.abs(pixels.reshape(-1, 3).mean(0) - colour).max() <= within


@pytest.mark.parametrize("suffix", CODECS)
def test_formats_and_times(tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", rate=25)
    stimuli = KINDS.build({"kind": "films", "path": str(path), "size": 32})()
    schema.check(stimuli, "stimuli")
    assert stimuli["stimulus"].values.tolist() == [f"a.{suffix}"]
    assert stimuli["film"].dims == ("stimulus", "frame", "y_pixel", "x_pixel", "rgb")
    assert stimuli["film"].shape == (1, 3, 32, 32, 3)
    assert stimuli["n_frames"].values.tolist() == [3]
    assert stimuli["duration_s"].item() == pytest.approx(3, abs=0.05)
    assert stimuli.attrs["modality"] == "film"
    assert stimuli.attrs["frame_rate_hz"] == 1
    for frame, colour in zip(stimuli["film"].values[0], (RED, GREEN, BLUE), strict=True):
        assert near(frame, colour)


@pytest.mark.parametrize(("rate", "n"), [(2.0, 6), (5.0, 15), (12.0, 36), (0.5, 2)])
def test_frames_are_those_on_screen_at_the_asked_times(tmp_path, rate, n):
    frames = read_frames(film(tmp_path / "a.mkv"), 8, rate)
    assert len(frames) == n
    for k, frame in enumerate(frames):
        assert near(frame, (RED, GREEN, BLUE)[int(k / rate)], 3)


def test_a_turned_film_is_set_upright(tmp_path):
    """A telephone held upright writes lying frames and a matrix: turn by 90 degrees clockwise."""
    path = film(tmp_path / "a.mp4", right=BLUE)
    flat = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 2**30)
    turned = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 48 * 65536, 0, 2**30)
    head, track, rest = path.read_bytes().partition(b"tkhd")
    path.write_bytes(head + track + rest.replace(flat, turned, 1))
    frame = read_frames(path, 32, 1.0)[0]
    assert near(frame[2:12], RED)
    assert near(frame[20:30], BLUE)


def test_a_films_own_sound_is_as_long_as_the_film(tmp_path):
    film(tmp_path / "heard.mp4", sound=tone(2.0))
    film(tmp_path / "silent.mp4", colours=(RED,))
    stimuli = Films(path=tmp_path)()
    assert stimuli.attrs["sampling_rate_hz"] == RATE_HZ
    assert stimuli["n_samples"].values.tolist() == [3 * RATE_HZ, 0]
    heard, silent = stimuli["sound"].values
    spectrum = np.abs(np.fft.rfft(heard[8_000:24_000]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=2)
    assert np.abs(heard[int(2.2 * RATE_HZ) :]).max() < 1e-3
    assert not silent.any()


def test_a_film_without_sound_is_a_film(tmp_path):
    path = film(tmp_path / "a.mkv")
    assert "sound" not in Films(path=path)()
    assert read_track(path).size == 0


def test_shorter_films_end_in_black(tmp_path):
    film(tmp_path / "a.mkv", (RED,))
    film(tmp_path / "b.mkv", (RED, GREEN))
    stimuli = Films(path=tmp_path)()
    assert stimuli["n_frames"].values.tolist() == [1, 2]
    assert near(stimuli["film"].values[0, 0], RED)
    assert not stimuli["film"].values[0, 1].any()


def test_longer_than_120_s_is_cut_with_a_warning(tmp_path):
    path = film(tmp_path / "a.avi", (RED,) * 121, rate=1)
    with pytest.warns(UserWarning, match="1 of 1 were longer than 120 s and cut"):
        stimuli = Films(path=path, size=8)()
    assert stimuli["n_frames"].values.tolist() == [120]
    assert stimuli["cut"].values.all()
    assert "cut to that" in stimuli.attrs["note"]


def broken(folder, name):
    path = folder / name
    if name in ("cut.avi", "cut.mkv", "cut.webm"):
        content = film(path, (RED, GREEN, BLUE) * 5).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif name == "cut.mp4":
        path.write_bytes(film(path).read_bytes()[:-200])
    elif name == "sound.mkv":
        with av.open(str(path), "w") as out:
            heard = out.add_stream("aac", rate=RATE_HZ, layout="mono")
            wave = av.AudioFrame.from_ndarray(tone(1.0)[None], "fltp", "mono")
            wave.rate = RATE_HZ
            out.mux([*heard.encode(wave), *heard.encode(None)])
    elif name == "list.mp4":
        film(folder / "other.mkv")
        path.write_text("ffconcat version 1.0\nfile other.mkv\n")
    else:
        path.write_bytes({"empty.mp4": b"", "text.mp4": b"this is no film"}[name])
    return path


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("empty.mp4", "not a film, or a damaged one"),
        ("text.mp4", "not a film, or a damaged one"),
        ("cut.mp4", "not a film, or a damaged one"),
        ("list.mp4", "not a film, or a damaged one"),
        ("cut.avi", "damaged: .* of 15.00 s are there"),
        ("cut.mkv", "damaged: .* of 15.00 s are there"),
        ("cut.webm", "damaged: .* of 15.00 s are there"),
        ("sound.mkv", "no moving pictures in this file; if it is a sound: kind: sounds"),
    ],
)
def test_bad_files_are_named_before_work_begins(tmp_path, name, complaint):
    path = broken(tmp_path, name)
    with pytest.raises(StimulusError, match=rf"{name}: {complaint}"):
        Films(path=path)()


def test_a_broken_film_is_left_out_if_asked(tmp_path):
    broken(tmp_path, "text.mp4")
    film(tmp_path / "a.mkv")
    rest = Films(path=tmp_path, broken="skip")()
    assert rest["stimulus"].values.tolist() == ["a.mkv"]
    assert rest.attrs["skipped"] == ["text.mp4"]


def test_without_pyav_it_is_said_what_to_install(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mkv")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackage, match=r"pip install 'insilico\[film\]'"):
        Films(path=path, broken="skip")()
