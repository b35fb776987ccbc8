"""What is shown: files or generators -> stimuli."""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "stimuli",
    {
        "phantom": "insilico.phantom.stimuli:Scenes",
        "nsd": "insilico.stimuli.nsd:NSDPictures",
        "images": "insilico.stimuli.images:Images",
        "sounds": "insilico.stimuli.sounds:Sounds",
        "films": "insilico.stimuli.films:Films",
        "captions": "insilico.stimuli.captions:Captions",
        "table": "insilico.stimuli.table:Table",
        "events": "insilico.stimuli.timelines:Events",
    },
)
