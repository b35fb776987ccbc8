"""The Natural Scenes Dataset: its voxel spaces, its pictures' names, and how it lies on a disk.

A subject's voxel space is nsdgeneral at 1.8 mm, in the C order of the mask.
"""

from __future__ import annotations

import re

from insilico.errors import SpaceError, StimulusError, not_one_of
from insilico.weights.catalogue import VOXELS

PICTURES = 73_000
STIMULUS = re.compile(r"coco73k-(\d{5})")


def name(subject: int) -> str:
    """Return the space's name, such as ``nsd-subj01``."""
    if subject not in VOXELS:
        raise SpaceError(not_one_of("NSD subject", subject, VOXELS))
    return f"nsd-subj{subject:02d}"


def check_count(subject: int, voxels: int) -> None:
    """Raise `SpaceError` if a vector has not the subject's number of voxels."""
    if voxels != VOXELS[int(name(subject)[-2:])]:
        raise SpaceError(
            f"{name(subject)} has {VOXELS[subject]} voxels; this response has {voxels}"
        )


def stimulus_id(picture: int) -> str:
    """Return the id of a picture: its place among NSD's 73,000, counted from 0."""
    return f"coco73k-{picture:05d}"


def picture_of(stimulus: object) -> int:
    """Return the place of a picture among NSD's 73,000 from its id."""
    match = STIMULUS.fullmatch(str(stimulus))
    if match is None:
        raise StimulusError(
            f"'{stimulus}' is no picture of NSD; ids look like {stimulus_id(3157)} "
            "(73k place from 0): take stimuli of kind nsd"
        )
    return int(match.group(1))
