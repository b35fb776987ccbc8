"""From the words of a caption to the CLIP image tokens of a picture of it, in one pass.

The phantom's way from text to picture: these tokens, then its unCLIP decoder. Published weights
take a text-to-image pipeline of diffusers instead.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from insilico.errors import WeightsError

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True)
class TextPriorConfig:
    """Sizes.

    Attributes
    ----------
    tokens, width : int
        Image tokens, and their width, which is that of the text states as well.
    style : int
        Numbers that say what the words leave open.
    layers, heads : int
    noise : float
        Deviation of the tokens of true pictures from those made; a picture is drawn with it.
    """

    tokens: int = 64
    width: int = 64
    style: int = 6
    layers: int = 3
    heads: int = 4
    noise: float = 0.4


class TextPrior(nn.Module):
    """A transformer decoder: one learned query a place, which attends to words and style."""

    def __init__(self, config: TextPriorConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.places = nn.Parameter(0.3 * torch.randn(config.tokens, width))
        self.style = nn.Linear(config.style, width)
        layer = nn.TransformerDecoderLayer(
            width, config.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, config.layers, nn.LayerNorm(width))
        self.out = nn.Linear(width, width)

    def forward(self, words: torch.Tensor, mask: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return image tokens.

        Parameters
        ----------
        words : (n, words, width)
            Last states of CLIP's text encoder.
        mask : (n, words)
            1 for a word, 0 for padding.
        style : (n, style)
            Standard normal.

        Returns
        -------
        (n, tokens, width)
        """
        places = self.places.expand(len(words), -1, -1)
        given = torch.cat([self.style(style)[:, None], words], dim=1)
        padding = nn.functional.pad(~mask.bool(), (1, 0))
        return self.out(self.layers(places, given, memory_key_padding_mask=padding))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> TextPrior:
        """Load from a folder with ``config.json`` and ``model.safetensors``."""
        from safetensors.torch import load_file

        try:
            sizes = json.loads((Path(folder) / CONFIG).read_text("utf-8"))
            model = cls(TextPriorConfig(**sizes))
            state = load_file(Path(folder) / WEIGHTS)
            model.load_state_dict({key: value.float() for key, value in state.items()})
        except Exception as error:
            raise WeightsError(f"{folder}: no text prior can be read there: {error}") from error
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads."""
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dataclasses.asdict(self.config), indent=2) + "\n"
        (folder / CONFIG).write_text(text, "utf-8")
        state = {key: value.detach().cpu().clone() for key, value in self.state_dict().items()}
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
