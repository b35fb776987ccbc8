"""The phantom's regions under the names of NSD's families, so that one protocol names both."""

from __future__ import annotations

import xarray as xr

from insilico.spaces.nsd.names import REGIONS

CATEGORIES = {
    "floc-faces": {"face": "FFA-1"},
    "floc-bodies": {"body": "EBA"},
    "floc-words": {"word": "VWFA-1"},
    "floc-places": {"place": "PPA"},
}
"""The phantom's category patches, and the regions of NSD whose place they take."""
BANDS = dict(zip(("0-0.5", "0.5-1", "1-2", "2-4", "4+"), REGIONS["prf-eccrois"], strict=True))


def region_names(voxels: xr.Dataset) -> dict[str, list[str]]:
    """Return each voxel's region in NSD's families, ``""`` for none.

    V1 to V3 are ventral where the upper half of the visual field is; category patches take the
    names of the best known region of their kind.
    """
    upper = voxels["polar_angle"].values > 0
    areas = [_area(name, up) for name, up in zip(voxels["roi"].values, upper, strict=True)]
    bands = [BANDS.get(str(band), "") for band in voxels["eccentricity_band"].values]
    found = {"prf-visualrois": areas, "prf-eccrois": bands}
    for family, known in CATEGORIES.items():
        found[family] = [known.get(str(name), "") for name in voxels["roi"].values]
    return found


def _area(roi: str, upper: bool) -> str:
    if roi == "V4":
        return "hV4"
    return f"{roi}{'v' if upper else 'd'}" if roi in ("V1", "V2", "V3") else ""
