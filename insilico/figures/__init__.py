"""Figures: any noun -> a matplotlib figure. Nothing is computed here, nothing drawn elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from insilico.step import Registry

if TYPE_CHECKING:
    from pathlib import Path

KINDS = Registry(
    "figures",
    {
        "network_gap": "insilico.figures.networks:network_gap",
        "lesion_effects": "insilico.figures.lesions:lesion_effects",
        "surface_gap": "insilico.figures.surface:surface_gap",
        "estimate_map": "insilico.figures.surface:estimate_map",
        "reconstruction_grid": "insilico.figures.grid:reconstruction_grid",
        "ceilings": "insilico.figures.ceilings:ceilings",
        "cross_subject": "insilico.figures.subjects:cross_subject",
        "score_spread": "insilico.figures.baseline:score_spread",
        "stages": "insilico.figures.baseline:stages",
        "scaling_curves": "insilico.figures.scaling:scaling_curves",
        "encoding_gap": "insilico.figures.gains:encoding_gap",
        "optimal_pictures": "insilico.figures.optimal:optimal_pictures",
        "cycle": "insilico.figures.cycle:cycle",
        "zero_shot": "insilico.figures.naming:zero_shot",
        "region_weights": "insilico.figures.readouts:region_weights",
        "region_words": "insilico.figures.words:region_words",
        "dose_curves": "insilico.figures.doses:dose_curves",
        "masking_curves": "insilico.figures.masks:masking_curves",
        "interpolation": "insilico.figures.interpolations:interpolation",
        "translation_levels": "insilico.figures.translations:translation_levels",
        "translation_examples": "insilico.figures.translations:translation_examples",
        "network_lesions": "insilico.figures.network_lesions:network_lesions",
        "area_lesions": "insilico.figures.area_lesions:area_lesions",
        "dissociation": "insilico.figures.dissociation:dissociation",
    },
)
DRAWS = {
    "network_gap": "encoding_accuracy",
    "surface_gap": "encoding_accuracy",
    "lesion_effects": "paired",
    "translation_levels": "levels",
    "ceilings": "noise_ceiling",
    "cross_subject": "cross_subject",
    "score_spread": "levels",
    "stages": "discriminability",
    "scaling_curves": "scaling",
    "encoding_gap": "encoding_gap",
    "optimal_pictures": "optimal",
    "dose_curves": "dose_response",
    "masking_curves": "dose_response",
    "interpolation": "crossing",
    "network_lesions": "stability",
    "area_lesions": "paired",
    "dissociation": "interaction",
}
"""The kind of statistic that a figure draws, where it needs one."""
WITH_CONTROLS = ("area_lesions", "dose_curves")
"""Figures that draw matched controls, of each statistic that they show."""


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write a figure as PDF and PNG (300 dpi); see `insilico.figures.page.save`."""
    from insilico.figures import page

    return page.save(figure, folder, name)
