"""The network of MARY-Nano: streams, fusion, subjects and the cortical head.

Streams turn each modality into features on one row grid, a fusion brings them to `width` numbers,
a subject's embedding scales and shifts these, and a cortical head of low rank turns them into
20,484 vertices of fsaverage5. An absent modality is a learned vector. So far there is one stream,
vision (`insilico.encoders.vision`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from insilico.encoders.vision import TwoRateVision
from insilico.errors import WeightsError

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class MaryNanoConfig:
    """Sizes and units of a MARY-Nano.

    Attributes
    ----------
    side : int
        Height and width of a frame in pixels.
    slow, fast, blocks, placed
        See `insilico.encoders.vision.TwoRateVision`.
    width, rank : int
        Fused features; rank of the cortical head.
    directions : int
        Directions of the fused features that serve `distance_from_training`: those along which the
        training features vary least.
    subjects : tuple of str
        One embedding each; ``"average"`` is the first.
    n_vertices, n_cortex : int
        Vertices of the surface, and those that are not medial wall.
    tr_s, hemodynamic_offset_s : float
        Seconds between rows; seconds by which a row's response follows its stimulus.
    units, source : str
        What a response of this model is measured in, and where it comes from.
    """

    side: int = 64
    slow: tuple[int, ...] = (24, 48, 96)
    fast: tuple[int, ...] = (6, 12, 24)
    blocks: tuple[int, ...] = (0, 1, 2)
    placed: int = 12
    width: int = 256
    rank: int = 112
    directions: int = 96
    subjects: tuple[str, ...] = ("average",)
    n_vertices: int = 20484
    n_cortex: int = 20484
    tr_s: float = 1.0
    hemodynamic_offset_s: float = 0.0
    units: str = "session z"
    source: str = "phantom (simulated)"


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

    def forward(self, streams: dict[str, Tensor]) -> Tensor:
        """Fuse (n, rows, features) of each present stream into (n, rows, width)."""
        shape = next(iter(streams.values())).shape[:-1]
        parts = [streams.get(k, v.expand(*shape, -1)) for k, v in self.absent.items()]
        entered = self.enter(torch.cat(parts, -1))
        return entered + self.mix(functional.gelu(self.norm(entered)))


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
    """

    training_mean: Tensor
    training_axes: Tensor
    training_distance: Tensor

    def __init__(self, config: MaryNanoConfig) -> None:
        super().__init__()
        self.config = config
        vision = TwoRateVision(config.side, config.slow, config.fast, config.blocks, config.placed)
        self.streams = nn.ModuleDict({"vision": vision})
        self.fusion = Fusion({"vision": vision.n_features}, config.width)
        self.gain = nn.Embedding.from_pretrained(
            torch.zeros(len(config.subjects), config.width), freeze=False
        )
        self.shift = nn.Embedding.from_pretrained(
            torch.zeros(len(config.subjects), config.width), freeze=False
        )
        self.head = CorticalHead(config)
        self.register_buffer("training_mean", torch.zeros(config.width))
        self.register_buffer("training_axes", torch.zeros(config.directions, config.width))
        self.register_buffer("training_distance", torch.tensor([0.0, 1.0]))

    def fused(self, frames: Tensor) -> Tensor:
        """Turn films (n, frames, 3, side, side) in [-1, 1] into features (n, rows, width)."""
        return self.fusion({"vision": self.streams["vision"](frames)})

    def of_subject(self, fused: Tensor, subject: int = 0) -> Tensor:
        """Scale and shift fused features (..., width) by a subject's embedding."""
        number = torch.tensor(subject, device=fused.device)
        return fused * (1 + self.gain(number)) + self.shift(number)

    def forward(self, frames: Tensor, subject: int = 0) -> Tensor:
        """Predict responses.

        Parameters
        ----------
        frames : (n, frames, 3, side, side)
            Pixels in [-1, 1], one frame every `tr_s` seconds.
        subject : int
            Row of `config.subjects`.

        Returns
        -------
        (n, frames + 1, n_vertices)
        """
        return self.head(self.of_subject(self.fused(frames), subject))

    def remoteness(self, fused: Tensor) -> Tensor:
        """Return how far fused features (n, rows, width) lie from those of the training, (n,).

        The distance is Mahalanobis' in the minor directions of the training features; its logarithm
        is given in standard deviations from that of new scenes.
        """
        away = fused.mean(1) - self.training_mean
        distance = (away @ self.training_axes.mT).square().mean(-1).sqrt()
        mean, deviation = self.training_distance
        return (distance.clamp_min(1e-12).log() - mean) / deviation

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
        text = json.dumps({"model_type": "mary_nano", **asdict(self.config)}, indent=2)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MaryNanoModel:
        """Read a model that `save_pretrained` wrote; it is ready to predict (float32)."""
        folder = Path(folder)
        model = cls(_read_config(folder / CONFIG))
        try:
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            raise WeightsError(
                f"{folder / WEIGHTS}: not the weights of {CONFIG}: {error}"
            ) from error
        return model.eval()


def _read_config(file: Path) -> MaryNanoConfig:
    if not file.is_file():
        raise WeightsError(
            f"{file}: no such file; a folder with {CONFIG} and {WEIGHTS} is needed, or 'phantom'"
        )
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        name = given.pop("model_type", None)
        if name != "mary_nano":
            raise WeightsError(f"{file}: model_type is {name!r}; 'mary_nano' is needed")
        listed: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in given.items()
        }
        return MaryNanoConfig(**listed)
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{file}: not the config of a MARY-Nano: {error}") from error
