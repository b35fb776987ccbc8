"""The network of MARY-Nano: streams, fusion, subjects and the cortical head.

Three streams turn what is seen, heard and read into features on one grid of rows, a fusion brings
them to `width` numbers a row, a subject's embedding scales and shifts these, and a cortical head of
low rank turns them into 20,484 vertices of fsaverage5. An absent modality is a learned vector, for
every row by itself. A subject who was measured can have a head of their own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from insilico.encoders.config import CONFIG, MaryNanoConfig, read_config, write_config
from insilico.encoders.presentation import MODALITIES, Shown
from insilico.encoders.streams import Rows, SoundStream, TextStream, VisionStream
from insilico.errors import WeightsError

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"


class Fusion(nn.Module):
    """Features of all streams, side by side, to `width` numbers a row."""

    def __init__(self, n_features: dict[str, int], width: int) -> None:
        super().__init__()
        self.absent = nn.ParameterDict({k: torch.zeros(n) for k, n in n_features.items()})
        self.enter = nn.Linear(sum(n_features.values()), width)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, streams: dict[str, Rows]) -> Tensor:
        """Fuse features of each present stream into (n, rows, width)."""
        shape = next(iter(streams.values()))[1].shape
        entered = self.enter(torch.cat([self._part(k, streams, shape) for k in self.absent], -1))
        return entered + self.mix(functional.gelu(self.norm(entered)))

    def _part(self, key: str, streams: dict[str, Rows], shape: torch.Size) -> Tensor:
        absent = self.absent[key].expand(*shape, -1)
        if key not in streams:
            return absent
        features, present = streams[key]
        return torch.where(present[..., None], features, absent)


class CorticalHead(nn.Module):
    """Fused features to vertices, through `rank` components; the medial wall is exactly zero."""

    cortex: Tensor

    def __init__(self, config: MaryNanoConfig) -> None:
        super().__init__()
        self.components = nn.Linear(config.width, config.rank)
        self.vertices = nn.Linear(config.rank, config.n_cortex)
        cortex = torch.arange(config.n_vertices) < config.n_cortex
        self.register_buffer("cortex", cortex)

    def forward(self, fused: Tensor) -> Tensor:
        """Turn (..., width) into (..., n_vertices)."""
        made = self.vertices(self.components(fused))
        response = made.new_zeros(*made.shape[:-1], len(self.cortex))
        response[..., self.cortex] = made
        return response


class MaryNanoModel(nn.Module):
    """The network of MARY-Nano.

    Parameters
    ----------
    config : MaryNanoConfig
        Sizes and units.
    tokenizer : tokenizers.Tokenizer, optional
        What turns words into the numbers that the text stream reads.
    """

    training_mean: Tensor
    training_axes: Tensor
    training_distance: Tensor

    def __init__(self, config: MaryNanoConfig, tokenizer: Tokenizer | None = None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.vision = VisionStream(config.vision, config.tr_s)
        self.sound = SoundStream(config.sound, config.sound_window_s, config.tr_s)
        self.text = TextStream(config.text, config.tr_s)
        streams = ("vision", self.vision), ("sound", self.sound), ("text", self.text)
        self.fusion = Fusion({name: stream.n_features for name, stream in streams}, config.width)
        shape = (len(config.subjects), config.width)
        self.gain = nn.Embedding.from_pretrained(torch.zeros(shape), freeze=False)
        self.shift = nn.Embedding.from_pretrained(torch.zeros(shape), freeze=False)
        self.head = CorticalHead(config)
        self.own_heads = nn.ModuleDict({name: CorticalHead(config) for name in config.own_heads})
        n = len(MODALITIES)
        self.register_buffer("training_mean", torch.zeros(n, config.width))
        self.register_buffer("training_axes", torch.zeros(n, config.width, config.width))
        self.register_buffer("training_distance", torch.tensor([0.0, 1.0]).repeat(n, 2, 1))

    def fused(self, shown: Shown, rows: Tensor | None = None) -> Tensor:
        """Turn what is shown into features (n, rows, width).

        Parameters
        ----------
        shown : Shown
        rows : int64, optional
            Rows to compute, all of them where left out.
        """
        rows = torch.arange(shown.rows) if rows is None else rows
        streams: dict[str, Rows] = {}
        if shown.film is not None:
            streams["vision"] = self.vision(shown.film, shown.rate_hz, rows)
        if shown.wave is not None:
            streams["sound"] = _at(self.sound(shown.wave, shown.rows), rows)
        if shown.tokens is not None and shown.spans is not None:
            streams["text"] = _at(self.text(shown.tokens, shown.spans, shown.rows), rows)
        return self.fusion(streams)

    def of_subject(self, fused: Tensor, subject: int = 0) -> Tensor:
        """Scale and shift fused features (..., width) by a subject's embedding."""
        number = torch.tensor(subject, device=fused.device)
        return fused * (1 + self.gain(number)) + self.shift(number)

    def head_of(self, subject: int = 0) -> CorticalHead:
        """Return the head of a row of `config.subjects`: the shared one, or the subject's own."""
        name = self.config.subjects[subject]
        return cast(CorticalHead, dict(self.own_heads.items()).get(name, self.head))

    def components(self, fused: Tensor, subject: int = 0) -> Tensor:
        """Turn fused features (..., width) into the components of a subject's head."""
        return self.head_of(subject).components(self.of_subject(fused, subject))

    def predict(self, fused: Tensor, subject: int = 0) -> Tensor:
        """Turn fused features (..., width) into responses (..., n_vertices) of a subject."""
        return self.head_of(subject)(self.of_subject(fused, subject))

    def forward(self, shown: Shown, subject: int = 0) -> Tensor:
        """Predict responses, (n, rows, n_vertices), of a row of `config.subjects`."""
        return self.predict(self.fused(shown), subject)

    def with_subject(self, name: str) -> MaryNanoModel:
        """Return a model that knows one more subject, who starts as the first one does.

        All streams and the fusion are shared; embedding and head are the subject's own.
        """
        config = replace(
            self.config,
            subjects=(*self.config.subjects, name),
            own_heads=(*self.config.own_heads, name),
        )
        model = MaryNanoModel(config, self.tokenizer)
        state = self.state_dict()
        for key in ("gain.weight", "shift.weight"):
            state[key] = torch.cat([state[key], state[key][:1]])
        first = self.head_of(0).state_dict()
        state |= {f"own_heads.{name}.{key}": value for key, value in first.items()}
        model.load_state_dict(state)
        return model.eval()

    def distances(self, fused: Tensor, modality: str = "image") -> Tensor:
        """Return log distances (n, 2) of features (n, width) from the training's mean.

        They are Mahalanobis' along the directions in which the training features of this modality
        vary least, `config.directions` of them, and along all others.
        """
        k = MODALITIES.index(modality)
        along = ((fused - self.training_mean[k]) @ self.training_axes[k].mT).square()
        n = self.config.directions
        minor, main = along[:, :n].mean(-1), along[:, n:].mean(-1)
        return torch.stack([minor, main], -1).sqrt().clamp_min(1e-12).log()

    def taught(self, modality: str) -> bool:
        """Return whether the features of training stimuli of this modality are known."""
        return bool(self.training_axes[MODALITIES.index(modality)].any())

    def remoteness(self, fused: Tensor, modality: str = "image") -> Tensor:
        """Return how far fused features, mean over rows (n, width), lie from the training's, (n,).

        Standard deviations among new stimuli of the training's world. What is of another world
        goes too far along directions that the training hardly uses, or, empty, not far enough
        along those that it uses; the larger counts. NaN where the modality was not taught,
        or too few stimuli were held out to know their usual distance.
        """
        k = MODALITIES.index(modality)
        mean, deviation = self.training_distance[k].unbind(-1)
        minor, main = ((self.distances(fused, modality) - mean) / deviation).unbind(-1)
        found = torch.maximum(minor, -main)
        return found if self.taught(modality) else torch.full_like(found, torch.nan)

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> None:
        """Write config.json and model.safetensors; `half` stores floating numbers as float16."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {key: value.detach().cpu().contiguous() for key, value in self.state_dict().items()}
        if half:
            state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        part = folder / f"{WEIGHTS}.part"
        save_file(state, part, metadata={"format": "pt"})
        part.chmod(0o644)
        part.replace(folder / WEIGHTS)
        if self.tokenizer is not None:
            self.tokenizer.save(str(folder / TOKENIZER))
        write_config(self.config, folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MaryNanoModel:
        """Read a model that `save_pretrained` wrote; it is ready to predict (float32)."""
        folder = Path(folder)
        model = cls(read_config(folder / CONFIG), _read_tokenizer(folder / TOKENIZER))
        try:
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise WeightsError(
                f"{folder / WEIGHTS}: not the weights of {CONFIG}: {error}"
            ) from error
        return model.eval()


def _at(aligned: Rows, rows: Tensor) -> Rows:
    features, present = aligned
    rows = rows.to(features.device)
    return features.index_select(1, rows), present.index_select(1, rows)


def _read_tokenizer(file: Path) -> Tokenizer | None:
    if not file.is_file():
        return None
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exception
        raise WeightsError(f"{file}: not a tokenizer: {error}") from error
