"""Stimuli in, responses on fsaverage5 (or, from some models of others, in voxels) out.

A response on fsaverage5 has 20,484 vertices; the medial wall is exactly zero.
"""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "encoders",
    {
        "mary_nano": "insilico.encoders.mary_nano:MaryNano",
        "tribe": "insilico.encoders.tribe:Tribe",
        "berg": "insilico.encoders.berg:Berg",
        "precomputed": "insilico.encoders.precomputed:Precomputed",
        "linear": "insilico.encoders.linear:Linear",
    },
)
