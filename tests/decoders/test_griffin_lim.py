"""The search for a sound with a given spectrogram: known sounds come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from insilico.decoders.griffin_lim import GriffinLim, mel_filters

RATE = 16_000
TIME = np.arange(RATE) / RATE


def spectrogram(wave: np.ndarray, vocoder: GriffinLim) -> torch.Tensor:
    """Return what the vocoder is given, by numpy alone: (1, frames, bands)."""
    window, hop = vocoder.config.window, vocoder.hop
    padded = np.pad(wave, window // 2, mode="reflect")
    starts = range(0, len(wave), hop)
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.stack([np.abs(np.fft.rfft(shape * padded[s : s + window])) for s in starts])
    bands = np.maximum(frames @ mel_filters(RATE, 64, window).numpy(), vocoder.config.floor)
    stored = (np.log(bands) - vocoder.config.centre) / vocoder.config.spread
    return torch.from_numpy(stored[None].astype(np.float32))


def loudest_hz(wave: np.ndarray) -> float:
    return float(np.fft.rfftfreq(len(wave), 1 / RATE)[np.abs(np.fft.rfft(wave)).argmax()])


@pytest.mark.parametrize("pitch", [233.0, 571.0, 1904.0])
def test_steady_tones_come_back_at_their_pitch(pitch):
    vocoder = GriffinLim()
    made = vocoder(spectrogram(0.4 * np.sin(2 * np.pi * pitch * TIME), vocoder))[0].numpy()
    assert made.shape == (RATE,)
    assert loudest_hz(made) == pytest.approx(pitch, rel=0.06)  # a sixth of an octave is 12 %
    assert np.sqrt((made**2).mean()) == pytest.approx(0.4 / np.sqrt(2), rel=0.3)


def test_spectrograms_come_back_and_the_search_improves_them():
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal(RATE) * np.abs(np.sin(2 * np.pi * 2 * TIME))
    few, many = GriffinLim(iterations=1), GriffinLim(iterations=30)
    wanted = spectrogram(wave, many)
    errors = [
        float((spectrogram(vocoder(wanted)[0].numpy(), vocoder) - wanted).abs().mean())
        for vocoder in (few, many)
    ]
    assert errors[1] < 0.1
    assert errors[1] < 0.7 * errors[0]


def test_silence_stays_silent_and_sounds_do_not_touch_each_other():
    vocoder = GriffinLim()
    tone = spectrogram(0.4 * np.sin(2 * np.pi * 500 * TIME), vocoder)
    silence = spectrogram(np.zeros(RATE), vocoder)
    both = vocoder(torch.cat([silence, tone]))
    assert both[0].abs().max() < 1e-3
    torch.testing.assert_close(both[1], vocoder(tone)[0], atol=1e-3, rtol=0)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    vocoder = GriffinLim(upsample_rates=[10, 20], iterations=3)
    vocoder.save_pretrained(tmp_path)
    loaded = GriffinLim.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    given = torch.randn(1, 7, 64, generator=torch.Generator().manual_seed(0))
    assert loaded.hop == 200
    assert vocoder(given).shape == (1, 1400)
    assert torch.equal(loaded(given), vocoder(given))
