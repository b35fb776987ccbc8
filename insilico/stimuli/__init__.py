"""What is shown: files or generators -> stimuli."""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "stimuli",
    {
        "phantom": "insilico.phantom.stimuli:Scenes",
        "images": "insilico.stimuli.images:Images",
    },
)
