"""Make ``phantom_areas.npz``: visual areas and category areas of the phantom's average brain.

V1 to V4 are those of the retinotopic chart that all subjects share; a category area is where the
patches of its kind of thing cover a vertex of the average brain by more than `LEAST`; `ventral` is
the rest of ventral and lateral category cortex. Subjects' own patches lie up to a centimetre
beside them, as those of people do beside an atlas.
"""

from pathlib import Path

import numpy as np

from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.scenes import ATTRIBUTES
from insilico.phantom.tuning import Individual, patches

AREAS = ("face", "body", "word", "place", "object")
NAMES = ("none", *anatomy.VISUAL_AREAS, *AREAS, "ventral")
LEAST = 0.35
"""As for the regions of the phantom's voxels."""


def labels():
    covers = patches(Individual(Cohort().seed, 0, 0.0))
    kinds = [anatomy.PATCH_NAMES.get(name, "object") for name in ATTRIBUTES["object"]]
    area = np.array([NAMES.index(kind if kind in AREAS else "object") for kind in kinds])
    beside = np.where(anatomy.ventral() > 0.5, NAMES.index("ventral"), 0)
    category = np.where(covers.max(0) > LEAST, area[covers.argmax(0)], beside)
    early = anatomy.retinotopy().area
    found = np.where(early > 0, early, category)
    return np.where(anatomy.cortex(), found, 0).astype(np.int8)


if __name__ == "__main__":
    left, right = np.split(labels(), 2)
    file = Path(__file__).with_name("phantom_areas.npz")
    np.savez_compressed(file, left=left, right=right, names=np.array(NAMES))
