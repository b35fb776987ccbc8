"""The networks of one MindEye2 checkpoint, with their sizes in a file beside them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from insilico.decoders.mindeye2.backbone import BrainNetwork, Ridge
from insilico.decoders.mindeye2.diffusion import DiffusionPrior, NoiseSchedule
from insilico.decoders.mindeye2.prior import PriorNetwork
from insilico.errors import WeightsError, listed

CONFIG, WEIGHTS = "config.json", "model.safetensors"
BRAIN, PRIOR = ("ridge", "backbone"), ("diffusion_prior",)
"""The parts that are called one after the other, and need not be in memory together."""
SCHEDULE = "diffusion_prior.noise_scheduler."


@dataclass(frozen=True)
class MindEye2Config:
    """Sizes; the defaults are the published ones (subject 1).

    Attributes
    ----------
    voxels : list of int
        Of each subject.
    hidden, n_blocks, dropout
        Of the backbone.
    tokens, width : int
        Of the CLIP image tokens.
    blurry : dict or None
        Sizes of the low-level head, see `BrainNetwork`; ``{}`` are the published ones.
    depth, heads, head_width : int
        Of the prior.
    """

    voxels: list[int] = field(default_factory=lambda: [15724])
    hidden: int = 4096
    n_blocks: int = 4
    dropout: float = 0.15
    tokens: int = 256
    width: int = 1664
    blurry: dict | None = field(default_factory=dict)
    depth: int = 6
    heads: int = 32
    head_width: int = 52


class Outputs(NamedTuple):
    """What the network makes of betas.

    Attributes
    ----------
    ridge : (n, hidden)
    backbone : (n, tokens, width)
        Condition of the prior.
    clip_voxels : (n, tokens, width)
        For retrieval.
    latent : (n, channels, height, width), or None without the low-level head
        Of the blurry picture.
    """

    ridge: torch.Tensor
    backbone: torch.Tensor
    clip_voxels: torch.Tensor
    latent: torch.Tensor | None


class MindEye2Model(nn.Module):
    """Ridge, backbone and diffusion prior, under the authors' names."""

    def __init__(self, config: MindEye2Config) -> None:
        super().__init__()
        self.config = config
        self.ridge = Ridge(config.voxels, config.hidden)
        self.backbone = BrainNetwork(
            hidden=config.hidden,
            n_blocks=config.n_blocks,
            tokens=config.tokens,
            width=config.width,
            dropout=config.dropout,
            blurry=config.blurry,
        )
        self.diffusion_prior = DiffusionPrior(
            PriorNetwork(config.tokens, config.width, config.depth, config.heads, config.head_width)
        )

    def outputs(self, betas: torch.Tensor, enter: nn.Module) -> Outputs:
        """Run an entry (one of ``ridge.linears``) and the backbone on betas (n, voxels)."""
        hidden = enter(betas)[:, None]
        backbone, voxels, low = self.backbone(hidden)
        return Outputs(hidden[:, 0], backbone, voxels, None if low is None else low[0])

    def condition(self, betas: torch.Tensor, subject: int = 0) -> torch.Tensor:
        """Return the prior's condition alone, (n, tokens, width), from betas (n, voxels)."""
        x = self.backbone.mixed(self.ridge(betas[:, None], subject)).flatten(1)
        linear = self.backbone.backbone_linear(x)
        return linear.reshape(len(x), self.config.tokens, self.config.width)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, parts: tuple[str, ...] = (*BRAIN, *PRIOR)
    ) -> MindEye2Model:
        """Load from a folder with ``config.json`` and ``model.safetensors``.

        Parameters
        ----------
        folder : path
        parts : tuple of {"ridge", "backbone", "diffusion_prior"}
            What is read and kept; the others take no memory and are not there.

        Raises
        ------
        WeightsError
        """
        folder = Path(folder)
        config = read_config(folder)
        try:
            state = _read(folder / WEIGHTS, parts)
        except Exception as error:
            raise WeightsError(f"{folder}: weights of MindEye2 cannot be read: {error}") from error
        with torch.device("meta"):
            model = cls(config)
        for name in set(dict(model.named_children())) - set(parts):
            delattr(model, name)
        _fill(model, state, folder)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dataclasses.asdict(self.config), indent=2) + "\n"
        (folder / CONFIG).write_text(text, "utf-8")
        state = {key: value.detach().cpu().clone() for key, value in self.state_dict().items()}
        part = folder / "model.part"
        save_file(state, part, metadata={"format": "pt"})
        part.chmod(0o644)
        part.replace(folder / WEIGHTS)


def read_config(folder: Path) -> MindEye2Config:
    """Return the sizes of a folder's networks.

    Raises
    ------
    WeightsError
    """
    try:
        return MindEye2Config(**json.loads((folder / CONFIG).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{folder}: weights of MindEye2 cannot be read: {error}") from error


def _read(file: Path, parts: tuple[str, ...]) -> dict[str, torch.Tensor]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        keys = [key for key in opened.keys() if key.startswith(tuple(f"{p}." for p in parts))]  # noqa: SIM118
        return {key: opened.get_tensor(key).float() for key in keys}


def _fill(model: MindEye2Model, state: dict[str, torch.Tensor], folder: Path) -> None:
    """Give a model without values its weights; the noise schedule is computed, not read."""
    if hasattr(model, "diffusion_prior"):
        schedule = NoiseSchedule(model.diffusion_prior.timesteps)
        model.diffusion_prior.noise_scheduler = schedule
        for key, table in schedule.state_dict().items():
            _compare(table, state.pop(SCHEDULE + key, table), folder, key)
    own = {key: value for key, value in model.state_dict().items() if SCHEDULE not in key}
    missing, unexpected = sorted(own.keys() - state), sorted(state.keys() - own)
    wrong = [key for key in own.keys() & state if own[key].shape != state[key].shape]
    if missing or unexpected or wrong:
        raise WeightsError(
            f"{folder}: missing keys {listed(missing, 3) or 'none'}; "
            f"unexpected keys {listed(unexpected, 3) or 'none'}; "
            f"of other sizes than in {CONFIG}: {listed(sorted(wrong), 3) or 'none'}"
        )
    model.load_state_dict(state, strict=False, assign=True)


def _compare(table: torch.Tensor, stored: torch.Tensor, folder: Path, key: str) -> None:
    """Raise where a file's schedule is another one; rounded and NaN entries are let pass."""
    known = stored.isfinite() if stored.shape == table.shape else torch.zeros(0)
    if stored.shape != table.shape or not torch.allclose(
        stored[known], table[known], rtol=0.02, atol=1e-3
    ):
        raise WeightsError(
            f"{folder}: the file's {key} are not those of the cosine schedule over {len(table)} "
            "steps, on which MindEye2's prior is sampled"
        )
