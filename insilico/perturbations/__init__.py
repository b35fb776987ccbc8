"""Perturbations: response -> response, in the same space."""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "perturbations",
    {
        "ablate": "insilico.perturbations.ablate:Ablate",
        "keep_only": "insilico.perturbations.ablate:KeepOnly",
        "mask": "insilico.perturbations.ablate:Mask",
        "stimulate": "insilico.perturbations.stimulate:Stimulate",
        "swap": "insilico.perturbations.swap:Swap",
        "interpolate": "insilico.perturbations.swap:Interpolate",
    },
)
