"""Decoders: response@voxels -> reconstruction, and what needs no response.

`ascend` and `evolve` look for the picture that an encoder answers by a pattern: encoders inverted.
"""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "decoders",
    {
        "mindeye2": "insilico.decoders.mindeye2.step:MindEye2",
        "nearest": "insilico.decoders.nearest.step:Nearest",
        "ascend": "insilico.decoders.ascend:Ascend",
        "evolve": "insilico.decoders.evolve:Evolve",
    },
)
CAPTIONERS = Registry("captioners", {"git": "insilico.decoders.git:Git"})
"""Reconstruction with pictures -> the same with captions of them."""
SOUNDS = Registry("sounds", {"audioldm2": "insilico.decoders.audioldm2:AudioLdm2"})
"""Reconstruction with captions -> the same with sounds of them."""
DESCRIBERS = Registry("describers", {"rerank": "insilico.decoders.rerank:Rerank"})
"""Stimuli with sounds -> reconstruction with candidate descriptions, best first."""
