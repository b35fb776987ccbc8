"""Tokens of responses that no brain gave, brought to the length of those that brains give."""

from __future__ import annotations

import torch
import xarray as xr

from insilico.decoders.mindeye2.model import Outputs
from insilico.errors import ParameterError

TRAINING = 200
"""Training responses whose tokens tell the usual norm."""


def some(training: xr.Dataset | None) -> xr.Dataset:
    """Return the training responses that the norm is taken of, or say that they are needed."""
    if training is None:
        raise ParameterError(
            "mindeye2: renormalise needs measured responses to training stimuli (training=...); a "
            "chain and a protocol give them"
        )
    return training.isel(stimulus=slice(TRAINING))


def renormalised(outputs: Outputs, training: Outputs) -> Outputs:
    """Return outputs whose backbone tokens have, item by item, the mean norm of the training's.

    Synthetic patterns are unlike any response, and what is predicted from them is too short or too
    long (Ozcelik and VanRullen 2023, section on ROI-optimal stimuli).
    """
    usual = training.backbone.flatten(1).norm(dim=1).mean()
    norm = outputs.backbone.flatten(1).norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    return outputs._replace(backbone=outputs.backbone * (usual / norm)[:, None, None])
