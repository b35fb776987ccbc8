from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from insilico import schema
from insilico.errors import ParameterError, StimulusError
from insilico.stimuli import KINDS
from insilico.stimuli.sounds import RATE_HZ, Sounds, read_sound


def tone(seconds=0.5, rate=16_000, hertz=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def written(path, wave=None, rate=16_000, **how):
    soundfile.write(path, tone(rate=rate) if wave is None else wave, rate, **how)
    return path


def loudest_hz(wave, rate=RATE_HZ):
    return np.argmax(np.abs(np.fft.rfft(wave * np.hanning(len(wave))))) * rate / len(wave)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_formats_and_rates_become_16_khz(tmp_path, suffix, rate):
    path = written(tmp_path / f"a.{suffix}", rate=rate)
    stimuli = KINDS.build({"kind": "sounds", "path": str(path)})()
    schema.check(stimuli, "stimuli")
    assert stimuli["stimulus"].values.tolist() == [f"a.{suffix}"]
    assert stimuli.attrs["modality"] == "sound"
    assert stimuli.attrs["sampling_rate_hz"] == RATE_HZ
    wave = stimuli["sound"].values[0]
    assert wave.dtype == np.float32
    assert len(wave) == stimuli["n_samples"].item() == pytest.approx(8_000, rel=0.15)
    assert loudest_hz(wave) == pytest.approx(440, abs=3)
    assert np.abs(wave[2000:6000]).max() == pytest.approx(0.5, abs=0.03)


def test_16_khz_wav_comes_back_sample_by_sample(tmp_path):
    path = written(tmp_path / "a.wav", tone(0.3), subtype="FLOAT")
    np.testing.assert_array_equal(read_sound(path), tone(0.3))


def test_192_khz_is_brought_down_without_aliases(tmp_path):
    wave = tone(rate=192_000, hertz=1_000) + tone(rate=192_000, hertz=30_000)
    heard = read_sound(written(tmp_path / "a.wav", wave / 2, 192_000))
    assert len(heard) == 8_000
    assert loudest_hz(heard) == pytest.approx(1_000, abs=3)
    assert np.abs(heard[1000:7000]).max() == pytest.approx(0.25, abs=0.01)


def test_8_bit_mono(tmp_path):
    heard = read_sound(written(tmp_path / "a.wav", subtype="PCM_U8"))
    np.testing.assert_allclose(heard, tone(), atol=1 / 64)


def test_channels_are_averaged(tmp_path):
    wave = np.stack([tone(), np.zeros_like(tone()), -tone()], 1)
    path = written(tmp_path / "a.wav", wave, subtype="FLOAT")
    np.testing.assert_allclose(read_sound(path), 0, atol=1e-7)


def test_silence_is_a_sound(tmp_path):
    stimuli = Sounds(path=written(tmp_path / "a.wav", np.zeros(1600, np.float32)))()
    assert stimuli["n_samples"].values.tolist() == [1600]
    assert not stimuli["sound"].values.any()


def test_shorter_sounds_end_in_zeros(tmp_path):
    written(tmp_path / "a.wav", tone(0.2))
    written(tmp_path / "b.flac", tone(0.5))
    stimuli = Sounds(path=tmp_path)()
    assert stimuli["n_samples"].values.tolist() == [3200, 8000]
    assert stimuli["sound"].shape == (2, 8000)
    assert stimuli["sound"].values[0, :3200].any()
    assert not stimuli["sound"].values[0, 3200:].any()


def test_longer_than_120_s_is_cut_with_a_warning(tmp_path):
    written(tmp_path / "long.wav", tone(121, 2_000), 2_000)
    written(tmp_path / "short.wav", tone(120, 2_000), 2_000)
    with pytest.warns(UserWarning, match="1 of 2 were longer than 120 s and cut"):
        stimuli = Sounds(path=tmp_path)()
    assert stimuli["n_samples"].values.tolist() == [120 * RATE_HZ] * 2
    assert stimuli["cut"].values.tolist() == [True, False]
    assert "1 of 2 were longer than 120 s and cut" in stimuli.attrs["note"]
    assert stimuli["sound"][0].shape == (120 * RATE_HZ,)


def test_nothing_is_said_of_sounds_that_were_not_cut(tmp_path):
    assert "note" not in Sounds(path=written(tmp_path / "a.wav"))().attrs


def broken(folder, name):
    path = folder / name
    rng = np.random.default_rng(0)
    if name == "nan.wav":
        return written(path, np.array([0, np.nan, 0], np.float32), subtype="FLOAT")
    if name == "nothing.wav":
        return written(path, np.zeros(0, np.float32))
    if name in ("cut.mp3", "cut.flac", "cut.ogg"):
        whole = written(path, tone(20)).read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
        return path
    if name == "corrupt.mp3":
        whole = written(path, tone(20)).read_bytes()
        third = len(whole) // 3
        path.write_bytes(whole[:third] + rng.bytes(third) + whole[2 * third :])
        return path
    contents = {
        "empty.mp3": b"",
        "text.wav": b"this is no sound",
        "noise.mp3": rng.bytes(4_000),
        "head.mp3": b"ID3\x04\0\0\0\0\0\x0a" + bytes(500),
        "song.txt": b"la la la",
    }
    path.write_bytes(contents[name])
    return path


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nothing.wav", "a sound of zero length"),
        ("nan.wav", "holds NaN"),
        ("empty.mp3", "not a sound, or a damaged one"),
        ("text.wav", "not a sound, or a damaged one"),
        ("noise.mp3", "not a sound, or a damaged one"),
        ("head.mp3", "not a sound, or a damaged one"),
        ("song.txt", "not a sound, or a damaged one"),
        ("cut.mp3", "damaged"),
        ("corrupt.mp3", "a damaged one"),
        ("cut.flac", "damaged"),
        ("cut.ogg", "a sound of zero length, or cut short"),
    ],
)
def test_bad_files_are_named_before_work_begins(tmp_path, name, complaint):
    with pytest.raises(StimulusError, match=rf"{name}: .*{complaint}"):
        Sounds(path=broken(tmp_path, name))()


@pytest.mark.parametrize("name", ["cut.mp3", "corrupt.mp3", "noise.mp3"])
def test_of_a_damaged_mp3_nothing_is_heard_but_our_error(tmp_path, name):
    """libmpg123 writes to descriptor 2, past sys.stderr: only another process shows it all."""
    code = (
        "import sys; from insilico.errors import StimulusError; "
        "from insilico.stimuli.sounds import read_sound\n"
        "try: read_sound(sys.argv[1])\n"
        "except StimulusError as error: print(f'error: {error}', file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, str(broken(tmp_path, name))]
    (line,) = subprocess.run(command, capture_output=True, text=True).stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/{name}: ")


def test_stderr_is_as_before_after_a_damaged_file(tmp_path, capfd):
    with pytest.raises(StimulusError):
        read_sound(broken(tmp_path, "noise.mp3"))
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_a_broken_sound_is_left_out_if_asked(tmp_path):
    broken(tmp_path, "noise.mp3")
    written(tmp_path / "a.wav")
    with pytest.raises(StimulusError, match=r"noise\.mp3: not a sound"):
        Sounds(path=tmp_path)()
    rest = Sounds(path=tmp_path, broken="skip")()
    assert rest["stimulus"].values.tolist() == ["a.wav"]
    assert rest.attrs["skipped"] == ["noise.mp3"]


def test_odd_rates_and_wrong_parameters_are_explained(tmp_path):
    with pytest.raises(StimulusError, match=r"a\.wav: 50 samples a second; allowed: 1000 to"):
        read_sound(written(tmp_path / "a.wav", tone(), 50))
    with pytest.raises(ParameterError, match="skip"):
        KINDS.build({"kind": "sounds", "path": "x", "broken": "ignore"})
