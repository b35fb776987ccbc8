"""How the phantom world sounds: the object plays a tone, the background rustles."""

from __future__ import annotations

from functools import cache

import numpy as np

SAMPLE_RATE_HZ = 16_000
DURATION_S = 1.0
_TIME_S = np.arange(int(SAMPLE_RATE_HZ * DURATION_S)) / SAMPLE_RATE_HZ


def envelope(kind: int) -> np.ndarray:
    """Return the loudness of an object over time: struck, beating or held."""
    if kind % 3 == 0:
        return np.exp(-3 * _TIME_S)
    if kind % 3 == 1:
        return np.abs(np.sin(2 * np.pi * (2 + kind % 4) * _TIME_S))
    return np.ones_like(_TIME_S)


@cache
def tone(kind: int) -> np.ndarray:
    """Return the tone of object number `kind`: pitch, glide and envelope are its own."""
    pitch_hz = 180 * 2 ** (kind / 3)
    glide = 0.4 * pitch_hz * _TIME_S**2 if kind % 2 else 0.0
    phase = 2 * np.pi * (pitch_hz * _TIME_S + glide)
    harmonics = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase)
    return envelope(kind) * harmonics


def rustle(kind: int, rng: np.random.Generator) -> np.ndarray:
    """Return band noise of background number `kind`, one octave higher for each."""
    frequencies = np.fft.rfftfreq(len(_TIME_S), 1 / SAMPLE_RATE_HZ)
    band = np.exp(-((np.log2(frequencies + 1) - np.log2(200 * 2**kind)) ** 2))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(len(_TIME_S))) * band, len(_TIME_S))
    swell = 1 + 0.5 * np.sin(2 * np.pi * (0.5 + kind) * _TIME_S)
    return swell * noise / noise.std()


def make_sound(object_kind: int, background_kind: int, seed: int) -> np.ndarray:
    """Return the sound of a scene, float32 of shape (16000,), peak 0.9.

    Parameters
    ----------
    object_kind, background_kind : int
        Numbers of the object and of the background.
    seed : int
        Draws the noise of the background.
    """
    noise = rustle(background_kind, np.random.default_rng(seed))
    wave = 0.5 * tone(object_kind) + 0.15 * noise
    return (0.9 * wave / np.abs(wave).max()).astype(np.float32)
