"""Sound from log-mel spectrograms without training: Griffin-Lim [1]_, with momentum [2]_.

A convolutional vocoder repeats itself each frame where its input stands still, so it can hold no
steady tone but multiples of the frame rate: of the phantom's tones, none. This one
searches for a sound that has the spectrogram.

References
----------
.. [1] Griffin & Lim (1984), IEEE Trans. ASSP 32, 236.
.. [2] Perraudin, Balazs & Sondergaard (2013), WASPAA, 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

SMALL = 1e-8


class GriffinLim(ModelMixin, ConfigMixin):
    """A vocoder that stands where AudioLDM2 has its HiFi-GAN.

    Parameters
    ----------
    sampling_rate : int
        In Hz.
    model_in_dim : int
        Bands of the spectrogram: Slaney's mel scale and area, 0 Hz to half the sampling rate.
    upsample_rates : list of int
        Their product is the number of samples of a frame.
    window : int
        Samples of the Hann window under a spectrum.
    centre, spread, floor : float
        A band of magnitude m (at least `floor`) is stored as ``(log(m) - centre) / spread``.
    iterations : int
        Of the search.
    momentum : float
        0 is Griffin and Lim's own.
    """

    @register_to_config
    def __init__(
        self,
        sampling_rate: int = 16_000,
        model_in_dim: int = 64,
        upsample_rates: Sequence[int] = (160,),
        window: int = 1024,
        centre: float = -3.8,
        spread: float = 2.4,
        floor: float = 1e-3,
        iterations: int = 16,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.hop = prod(upsample_rates)
        bank = mel_filters(sampling_rate, model_in_dim, window)
        self.register_buffer("filters", bank)
        self.register_buffer("shape", torch.hann_window(window), persistent=False)

    @torch.no_grad()
    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """Return sounds, float32 (n, frames * hop), of spectrograms (n, frames, bands)."""
        config = self.config
        mel = (spectrogram.float() * config.spread + config.centre).exp() - config.floor
        mel = torch.cat([mel, mel[:, -1:]], dim=1).clamp(min=0)  # a last frame at the very end
        return self._searched(self._spectrum(mel.mT))

    def _spectrum(self, mel: torch.Tensor, rounds: int = 60) -> torch.Tensor:
        """Return magnitudes (n, frequencies, frames) >= 0 whose mel bands are those given.

        Lee and Seung's multiplicative updates of the least squares, from an even start.
        """
        bank = self.filters.float()
        made = torch.ones(len(mel), bank.shape[0], mel.shape[2], device=mel.device)
        wanted, square = bank @ mel, bank @ bank.T
        for _ in range(rounds):
            made = made * wanted / (square @ made + SMALL)
        return made

    def _searched(self, wanted: torch.Tensor) -> torch.Tensor:
        samples = (wanted.shape[2] - 1) * self.hop
        draw = torch.Generator().manual_seed(0)
        start = 2 * torch.pi * torch.rand(wanted.shape[1:], generator=draw)
        phase = torch.polar(torch.ones_like(start), start).to(wanted.device)
        former = torch.zeros_like(wanted, dtype=phase.dtype)
        for _ in range(self.config.iterations):
            found = self._short_time(self._wave(wanted * phase, samples))
            pushed = found + self.config.momentum * (found - former)
            phase, former = pushed / (pushed.abs() + SMALL), found
        return self._wave(wanted * phase, samples)

    def _short_time(self, waves: torch.Tensor) -> torch.Tensor:
        window = self.config.window
        return torch.stft(waves, window, self.hop, window=self.shape, return_complex=True)

    def _wave(self, spectrum: torch.Tensor, samples: int) -> torch.Tensor:
        window = self.config.window
        return torch.istft(spectrum, window, self.hop, window=self.shape, length=samples)


def mel_filters(sampling_rate: int, bands: int, window: int) -> torch.Tensor:
    """Return the mel filters, float32 (window // 2 + 1, bands): Slaney's scale and area."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        num_frequency_bins=window // 2 + 1,
        num_mel_filters=bands,
        min_frequency=0,
        max_frequency=sampling_rate / 2,
        sampling_rate=sampling_rate,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(bank).float()
