"""The names of NSD's regions of interest, family by family, as in its tables of labels."""

from __future__ import annotations

from types import MappingProxyType

KASTNER = (
    "V1v V1d V2v V2d V3v V3d hV4 VO1 VO2 PHC1 PHC2 TO2 TO1 LO2 LO1 V3B V3A "
    "IPS0 IPS1 IPS2 IPS3 IPS4 IPS5 SPL1 FEF"
)
REGIONS = MappingProxyType(
    {
        "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
        "prf-eccrois": ("ecc0pt5", "ecc1", "ecc2", "ecc4", "ecc4+"),
        "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
        "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
        "floc-places": ("OPA", "PPA", "RSC"),
        "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
        "streams": (
            "early",
            "midventral",
            "midlateral",
            "midparietal",
            "ventral",
            "lateral",
            "parietal",
        ),
        "Kastner2015": tuple(KASTNER.split()),
    }
)
"""Regions of each family, label 1 first; a subject's own table of names comes before these."""
