"""Image tokens of CLIP bigG -> those of CLIP L, which GIT can caption (specification 4.1)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from insilico.errors import WeightsError

WEIGHTS = "model.safetensors"


class ClipConverter(nn.Module):
    """Two linear maps, one over the tokens and one over the channels.

    Parameters
    ----------
    tokens, width : int
        Of bigG, class token left out.
    out_tokens, out_width : int
        Of L, class token included.
    """

    def __init__(
        self, tokens: int = 256, width: int = 1664, out_tokens: int = 257, out_width: int = 1024
    ) -> None:
        super().__init__()
        self.linear1 = nn.Linear(tokens, out_tokens)
        self.linear2 = nn.Linear(width, out_width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Convert (n, tokens, width) to (n, out_tokens, out_width)."""
        return self.linear2(self.linear1(tokens.mT).mT)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> ClipConverter:
        """Load from a folder with ``model.safetensors``; the shapes tell the sizes.

        Raises
        ------
        WeightsError
        """
        from safetensors.torch import load_file

        try:
            state = {key: value.float() for key, value in load_file(Path(folder) / WEIGHTS).items()}
            sizes = (*state["linear1.weight"].shape, *state["linear2.weight"].shape)
            out_tokens, tokens, out_width, width = sizes
            with torch.device("meta"):
                made = cls(tokens, width, out_tokens, out_width)
            made.load_state_dict(state, assign=True)
        except Exception as error:
            raise WeightsError(f"{folder} cannot be loaded as CLIPConverter: {error}") from error
        return made.eval()
