"""How many places a perturbation acted on is what its result says, whatever its kind."""

from __future__ import annotations

import pytest

from insilico.perturbations import KINDS
from insilico.spaces.regions import mask

VIS = {"atlas": "phantom7", "region": "Vis"}
EACH = {
    "ablate": {**VIS, "fill": "resample"},
    "ablate at a control": {"kind": "ablate", **VIS, "fill": "resample", "control": "vertices"},
    "keep_only": {**VIS, "fill": "resample"},
    "mask": {"fraction": 0.5, "fill": "resample"},
    "mask in a region": {"kind": "mask", **VIS, "fraction": 0.25, "fill": "resample"},
    "stimulate": {**VIS, "dose": 1.0},
    "stimulate around": {"kind": "stimulate", **VIS, "dose": 1000.0, "spread_mm": 4.0},
    "stimulate alone": {"kind": "stimulate", **VIS, "dose": 1.0, "elsewhere": "silence"},
    "swap": VIS,
    "interpolate": {"weight": 0.5},
}


@pytest.mark.parametrize("name", EACH)
def test_the_places_that_are_counted_are_those_that_changed(response, training, name):
    step = KINDS.build({"kind": name, **EACH[name]})
    result = step(response, training)
    changed = (result["bold"].values != response["bold"].values).any(0)
    assert result.attrs["perturbed_places"] == changed.sum() > 0


def test_they_are_not_the_regions_own(response):
    region, cortex = mask("phantom7:Vis").sum(), mask("cortex").sum()
    kept = KINDS.build({"kind": "keep_only", **VIS, "fill": "zero"})(response)
    assert kept.attrs["perturbed_places"] == cortex - region
    half = KINDS.build({"kind": "mask", "fraction": 0.5, "fill": "zero"})(response)
    assert half.attrs["perturbed_places"] == round(cortex / 2)
