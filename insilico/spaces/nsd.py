"""The voxel spaces of the Natural Scenes Dataset: nsdgeneral at 1.8 mm, one per subject."""

from __future__ import annotations

from insilico.errors import SpaceError, not_one_of

VOXELS = {1: 15724, 2: 14278, 3: 15226, 4: 13153, 5: 13039, 6: 17907, 7: 12682, 8: 14386}


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
