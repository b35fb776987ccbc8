"""Where NSD's voxels and vertices are, and which regions they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np

from insilico.spaces import fsaverage5
from insilico.spaces.nsd import areas, rois
from insilico.spaces.nsd.layout import Tree
from insilico.spaces.responses import volumes


def voxel_coordinates(tree: Tree) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the coordinates of nsdgeneral's voxels, and attributes that place their volume.

    Returns
    -------
    coords : dict
        ``voxel`` is the index in the volume in C order; `hemi`, `x`, `y`, `z` in mm; and each
        family of regions whose files are there, as names, with the `areas` made of them.
    attrs : dict
    """
    inside, affine = rois.mask(tree)
    coords = volumes.coordinates(inside, affine)
    sides, known_by = rois.hemispheres(tree, inside, coords["x"][1])
    coords["hemi"] = ("voxel", sides)
    for family in rois.REGIONS:
        labels = rois.voxel_labels(tree, family, inside)
        if labels is not None:
            coords[family] = ("voxel", labels)
    coords |= _areas(coords, "voxel")
    said = {
        "volume_shape": list(inside.shape),
        "affine": affine.ravel().tolist(),
        "hemispheres": known_by,
    }
    return coords, said


def surface_coordinates(tree: Tree) -> dict[str, Any]:
    """Return the coordinates of fsaverage5's vertices, with the regions whose files are there."""
    coords: dict[str, Any] = fsaverage5.coordinates()
    for family in rois.REGIONS:
        labels = rois.vertex_labels(tree, family)
        if labels is not None:
            coords[family] = ("vertex", np.asarray(labels))
    return coords | _areas(coords, "vertex")


def _areas(coords: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the subject's own labels of the atlas `areas`, where there is a family for them."""
    families = {name: coords[name][1] for name in areas.FAMILIES if name in coords}
    return {areas.ATLAS: (place, areas.merged(families))} if families else {}
