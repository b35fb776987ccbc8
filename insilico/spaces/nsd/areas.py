"""The atlases `areas` and `eccentricity` from NSD's families of regions.

A prediction on fsaverage5 knows no localiser. One subject's areas, or a group's, can be laid on it
as an atlas: ``INSILICO_AREAS=areas.npz``, ``INSILICO_ECCENTRICITY=bands.npz``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from insilico.errors import RecordingError, RegionError, not_one_of
from insilico.spaces import atlases
from insilico.spaces.nsd import rois
from insilico.spaces.nsd.layout import Tree

ATLAS = "areas"
FAMILIES = (
    "prf-visualrois",
    "floc-faces",
    "floc-bodies",
    "floc-words",
    "floc-places",
    "Kastner2015",
    "streams",
)
"""Earlier ones come first where two claim a vertex."""
BANDS, BAND_FAMILY = "eccentricity", "prf-eccrois"
KASTNER = ("LO1", "LO2")
"""What is taken of Kastner2015; what others name comes from the subject's own."""


def areas(tree: Tree) -> np.ndarray:
    """Return the area of each vertex of fsaverage5, str (20484,), ``""`` for none.

    Raises
    ------
    RecordingError
        A family's label files are missing.
    """
    return merged({family: _labels(tree, family) for family in FAMILIES})


def merged(families: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the area of each place from its regions in several families, str (place,).

    Parameters
    ----------
    families : dict of str (place,)
        At least one of `FAMILIES`; others are left aside.
    """
    known = [(family, families[family]) for family in FAMILIES if family in families]
    found = np.full(len(known[0][1]), "", dtype="<U16")
    for family, labels in known:
        for name in np.unique(labels):
            area = atlases.spelled(ATLAS, str(name)) if name else None
            if area and (name in KASTNER or family != "Kastner2015"):
                found[(labels == name) & (found == "")] = area
    return found


def bands(tree: Tree) -> np.ndarray:
    """Return the band of eccentricity of each vertex of fsaverage5, str (20484,), ``""`` for none.

    Raises
    ------
    RecordingError
        The family's label files are missing.
    """
    return np.char.replace(_labels(tree, BAND_FAMILY).astype(str), "+", "plus")


def _labels(tree: Tree, family: str) -> np.ndarray:
    labels = rois.vertex_labels(tree, family)
    if labels is None:
        missing = tree.label(family, "lh")
        raise RecordingError(
            f"no labels of {family}: {missing}, the right hemisphere's beside it, and for "
            f"families of one subject {tree.to_fsaverage('lh')} are needed; download them"
        )
    return labels


def write(root: str | Path, subject: int, file: str | Path, atlas: str = ATLAS) -> Path:
    """Write one subject's areas as an atlas file for ``INSILICO_AREAS``, or its bands.

    Parameters
    ----------
    root : path
        A copy of NSD.
    subject : int
    file : path
        Ends in ``.npz``; it appears only when it is whole.
    atlas : {"areas", "eccentricity"}
    """
    makers = {ATLAS: areas, BANDS: bands}
    if atlas not in makers:
        raise RegionError(not_one_of("atlas of NSD's families", atlas, makers))
    file = Path(file)
    if file.suffix != ".npz":
        raise RegionError(f"{file}: an atlas file ends in .npz; give it that ending")
    names = ("", *atlases.describe(atlas)["regions"])
    found = makers[atlas](Tree(Path(root), subject))
    left, right = np.split(np.array([names.index(name) for name in found], np.int8), 2)
    part = file.with_name(f".{file.name}.part")
    with part.open("wb") as stream:
        np.savez_compressed(stream, left=left, right=right, names=np.array(["none", *names[1:]]))
    part.replace(file)
    return file
