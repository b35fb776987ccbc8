"""How the phantom's networks see sound: log-mel spectrograms, 64 bands, 100 frames a second."""

from __future__ import annotations

from functools import cache

import torch
from torch.nn import functional

from insilico.decoders.griffin_lim import GriffinLim, mel_filters
from insilico.phantom.sounds import SAMPLE_RATE_HZ

BANDS, HOP, WINDOW = 64, 160, 1024
FLOOR = 1e-3
CENTRE, SPREAD = -3.8, 2.4
"""Mean and standard deviation of log-mel values of the phantom's sounds, taken off them."""


@cache
def filters() -> torch.Tensor:
    """Return the mel filters, float32 (513, 64)."""
    return mel_filters(SAMPLE_RATE_HZ, BANDS, WINDOW)


def vocoder() -> GriffinLim:
    """Return what turns these spectrograms into sounds again."""
    return GriffinLim(
        sampling_rate=SAMPLE_RATE_HZ,
        model_in_dim=BANDS,
        upsample_rates=[HOP],
        window=WINDOW,
        centre=CENTRE,
        spread=SPREAD,
        floor=FLOOR,
    )


def spectrograms(sounds: torch.Tensor) -> torch.Tensor:
    """Return log-mel spectrograms, scaled to about unit variance.

    Parameters
    ----------
    sounds : float32 (n, samples)
        At 16 kHz.

    Returns
    -------
    float32 (n, samples // 160, 64)
    """
    framed = torch.stft(
        functional.pad(sounds[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")[:, 0],
        WINDOW,
        HOP,
        window=torch.hann_window(WINDOW, device=sounds.device),
        center=False,
        return_complex=True,
    ).abs()
    mel = framed.mT[:, : sounds.shape[1] // HOP] @ filters().to(sounds.device)
    return (mel.clamp(min=FLOOR).log() - CENTRE) / SPREAD
