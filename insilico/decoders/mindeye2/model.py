"""The networks of one MindEye2 checkpoint, with their sizes in a file beside them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from insilico.decoders.mindeye2.backbone import BrainNetwork, Ridge
from insilico.decoders.mindeye2.prior import DiffusionPrior, PriorNetwork
from insilico.errors import WeightsError, listed

CONFIG, WEIGHTS = "config.json", "model.safetensors"


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

    def condition(self, betas: torch.Tensor, subject: int = 0) -> torch.Tensor:
        """Return the prior's condition, (n, tokens, width), from betas (n, voxels)."""
        x = self.backbone.mixed(self.ridge(betas[:, None], subject)).flatten(1)
        linear = self.backbone.backbone_linear(x)
        return linear.reshape(len(x), self.config.tokens, self.config.width)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> MindEye2Model:
        """Load from a folder with ``config.json`` and ``model.safetensors``."""
        from safetensors.torch import load_file

        folder = Path(folder)
        try:
            config = MindEye2Config(**json.loads((folder / CONFIG).read_text("utf-8")))
            state = load_file(folder / WEIGHTS)
        except Exception as error:
            raise WeightsError(f"{folder}: weights of MindEye2 cannot be read: {error}") from error
        model = cls(config)
        wrong = model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
        if wrong.missing_keys or wrong.unexpected_keys:
            raise WeightsError(
                f"{folder}: missing keys {listed(wrong.missing_keys, 3) or 'none'}; "
                f"unexpected keys {listed(wrong.unexpected_keys, 3) or 'none'}"
            )
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
