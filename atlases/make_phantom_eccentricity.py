"""Make ``phantom_eccentricity.npz``: bands of eccentricity of the phantom's average V1 to V4.

The bands are those of NSD's prf-eccrois. Subjects' own charts are warped: a vertex's own receptive
field lies up to a band beside its label, as those of people do beside an atlas.
"""

from pathlib import Path

import numpy as np

from insilico.phantom import anatomy
from insilico.phantom.cohort import BANDS_DEG
from insilico.spaces.nsd.names import REGIONS

NAMES = ("none", *(name.replace("+", "plus") for name in REGIONS["prf-eccrois"]))


def labels():
    chart = anatomy.retinotopy()
    band = 1 + np.digitize(anatomy.eccentricity_deg(np.clip(chart.u, 0.02, 1.1)), BANDS_DEG)
    return np.where(chart.area > 0, band, 0).astype(np.int8)


if __name__ == "__main__":
    left, right = np.split(labels(), 2)
    file = Path(__file__).with_name("phantom_eccentricity.npz")
    np.savez_compressed(file, left=left, right=right, names=np.array(NAMES))
