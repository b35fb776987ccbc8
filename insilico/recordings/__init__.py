"""Measured responses: stimuli -> response.

A recording has the fields `space` ("voxels" or "fsaverage5") and `repeats` ("mean" or "keep"),
which a plan sets, and `spaces()`, which says where it has responses at all. One that knows its
voxels ahead of any work has `places()`.
"""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "recordings",
    {
        "phantom": "insilico.phantom.recording:PhantomRecording",
        "nsd": "insilico.recordings.nsd:NSD",
        "mindeye2": "insilico.recordings.mindeye2:MindEye2Betas",
    },
)
