"""Perturbations: response -> response, in the same space."""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry("perturbations", {"ablate": "insilico.perturbations.ablate:Ablate"})
