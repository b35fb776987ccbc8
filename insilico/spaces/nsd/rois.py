"""NSD's regions of interest: names, and labels of voxels and of fsaverage5's vertices.

Values above 0 are regions, 0 is cortex outside them, -1 is not cortex (facts: nsddatapaper's
issue 1, where masks taken as "not -1" held 107,104 voxels in place of 15,724).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import InsilicoError, RecordingError, listed
from insilico.spaces import fsaverage5
from insilico.spaces.nsd import VOXELS
from insilico.spaces.nsd.layout import HEMISPHERES, Tree, present
from insilico.spaces.nsd.names import REGIONS
from insilico.spaces.responses.surfaces import load, values

NSDGENERAL = "nsdgeneral"
DRAWN = ("prf-", "floc-")
"""How the names of families begin that were drawn on each subject's own surface."""
N_FSAVERAGE = 163_842


def mask(tree: Tree) -> tuple[np.ndarray, np.ndarray]:
    """Return nsdgeneral, bool (i, j, k), and its affine.

    Raises
    ------
    RecordingError
        If the file is no mask of -1, 0 and 1, or holds another number of voxels than published.
    """
    file = tree.roi(NSDGENERAL)
    held, affine = volume(file)
    odd = np.setdiff1d(np.unique(held), (-1, 0, 1))
    if len(odd):
        raise RecordingError(
            f"{file}: a mask holds 1 (in), 0 and -1 (out); this one holds {listed(odd, 5)} too: is "
            "it another region's file?"
        )
    inside = held == 1
    if not inside.any():
        raise RecordingError(f"{file}: no voxel is 1 (in)")
    if tree.design.published:
        _check_count(tree.subject, inside, held, file)
    return inside, affine


def _check_count(subject: int, inside: np.ndarray, held: np.ndarray, file: Path) -> None:
    found, published = int(inside.sum()), VOXELS[subject]
    if found == published:
        return
    other = [s for s, n in VOXELS.items() if n in (found, int((held >= 0).sum()))]
    hint = (
        f"; subject {listed(other)} has that many: is the file another subject's?" if other else ""
    )
    raise RecordingError(
        f"{file}: nsdgeneral of subject {subject} has {published} voxels above 0; this file has "
        f"{found}{hint}"
    )


def volume(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole numbers of a volume, int (i, j, k), and its affine."""
    from nibabel import Nifti1Image

    image = load(file, Nifti1Image)
    held = values(file, image)
    if held.ndim != 3 or not np.isfinite(held).all() or (held != np.round(held)).any():
        raise RecordingError(f"{file}: labels are whole numbers in three dimensions")
    return held.astype(np.int64), np.asarray(image.affine, float)


def hemispheres(tree: Tree, inside: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, str]:
    """Return ``L`` or ``R`` of each voxel of a mask, and how that is known.

    By the masks of each hemisphere; voxels that they do not tell apart, or all where the masks are
    not there, by the sign of x, which is the middle of the volume and not quite the brain's.
    """
    by_sign = np.where(x < 0, "L", "R")
    files = [tree.roi(NSDGENERAL, side) for side in HEMISPHERES]
    if not all(file.is_file() for file in files):
        return by_sign, "sign of x"
    left, right = (_like(volume(file)[0], inside, file) > 0 for file in files)
    unclear = left == right
    how = "lh.nsdgeneral and rh.nsdgeneral"
    if unclear.any():
        how += f"; sign of x for {int(unclear.sum())} voxels"
    return np.where(unclear, by_sign, np.where(left, "L", "R")), how


def voxel_labels(tree: Tree, family: str, inside: np.ndarray) -> np.ndarray | None:
    """Return each voxel's region in a family, ``""`` outside; None where no file is there."""
    whole = tree.roi(family)
    files = [whole] if whole.is_file() else [tree.roi(family, side) for side in HEMISPHERES]
    if not all(file.is_file() for file in files):
        return None
    parts = [_like(volume(file)[0], inside, file) for file in files]
    return named(np.max(parts, axis=0), names(tree, family), files[0])


def _like(held: np.ndarray, inside: np.ndarray, file: Path) -> np.ndarray:
    if held.shape != inside.shape:
        raise RecordingError(
            f"{file}: a volume of {held.shape}, nsdgeneral has {inside.shape}; is it another "
            "subject's, or of another resolution than func1pt8mm?"
        )
    return held[inside]


def vertex_labels(tree: Tree, family: str) -> np.ndarray | None:
    """Return each fsaverage5 vertex's region in a family; None where no file is there.

    Atlases (streams, Kastner2015) are taken from fsaverage where NSD has them there. Families
    drawn on each subject (prf-, floc-) lie on the subject's own surface; they go to fsaverage by
    NSD's own table of nearest vertices.
    """
    halves = [_half(tree, family, side) for side in HEMISPHERES]
    if any(half is None for half in halves):
        return None
    found = named(np.concatenate(halves), names(tree, family), tree.label(family, "lh"))  # type: ignore[arg-type]
    return np.where(fsaverage5.medial_wall(), "", found)


def families(tree: Tree, space: str) -> tuple[str, ...]:
    """Return the families whose files are there, in ``voxels`` or on ``fsaverage5``."""
    ways = _volume_files if space == "voxels" else _surface_files
    return tuple(
        family
        for family in REGIONS
        if any(all(file.is_file() for file in way) for way in ways(tree, family))
    )


def _volume_files(tree: Tree, family: str) -> Iterator[list[Path]]:
    """Yield the files that labels of voxels can be read from, one way after the other."""
    yield [tree.roi(family)]
    yield [tree.roi(family, side) for side in HEMISPHERES]


def _surface_files(tree: Tree, family: str) -> Iterator[list[Path]]:
    """Yield the files that labels on fsaverage5 can be read from, one way after the other."""
    if not family.startswith(DRAWN):
        yield [tree.label(family, side, "fsaverage") for side in HEMISPHERES]
    own = [tree.label(family, side) for side in HEMISPHERES]
    yield [*own, *(tree.to_fsaverage(side) for side in HEMISPHERES)]


def _half(tree: Tree, family: str, side: str) -> np.ndarray | None:
    shared = tree.label(family, side, "fsaverage")
    if shared.is_file() and not family.startswith(DRAWN):
        return surface(shared)[: fsaverage5.N_HEMISPHERE].astype(np.int64)
    own, to = tree.label(family, side), tree.to_fsaverage(side)
    if not (own.is_file() and to.is_file()):
        return None
    nearest = surface(to)[: fsaverage5.N_HEMISPHERE].astype(np.int64) - 1
    labels = surface(own, None)
    if nearest.min() < 0 or nearest.max() >= len(labels):
        raise RecordingError(
            f"{to}: names vertices 1 to {nearest.max() + 1}; {own.name} has {len(labels)}: are "
            "they of two subjects?"
        )
    return labels[nearest].astype(np.int64)


def surface(file: Path, vertices: int | None = N_FSAVERAGE) -> np.ndarray:
    """Return the values of one map on a surface, (vertex,)."""
    with opened(file) as image:
        held = np.asarray(image.dataobj).ravel()
    if vertices is not None and len(held) != vertices:
        raise RecordingError(
            f"{file}: {len(held)} values; a hemisphere of fsaverage has {vertices:,} vertices"
        )
    return held


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Open a file of FreeSurfer's, .mgh or .mgz, whose values are read where they are indexed."""
    from nibabel import MGHImage

    try:
        with gzip.open(file) if file.suffix == ".mgz" else file.open("rb") as stream:
            yield MGHImage.from_stream(stream)
    except InsilicoError:
        raise
    except Exception as error:  # nibabel's readers raise whatever a broken file makes them raise
        raise RecordingError(f"{file}: missing, cut short or damaged ({error})") from error


def names(tree: Tree, family: str) -> dict[int, str]:
    """Return the name of each label of a family, from NSD's table where it is there."""
    table = present(tree.table(family))
    if table is None:
        return dict(enumerate(REGIONS[family], 1))
    try:
        rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line]
        found = {int(row[0]): row[1] for row in rows}
    except (OSError, ValueError, IndexError) as error:
        raise RecordingError(f"{table}: lines are 'NUMBER NAME ...' ({error})") from error
    return {number: name for number, name in found.items() if number > 0}


def named(labels: np.ndarray, known: dict[int, str], file: Path) -> np.ndarray:
    """Return labels as names; 0 and below as ``""``."""
    strange = [int(k) for k in np.unique(labels) if k > 0 and k not in known]
    if strange:
        raise RecordingError(
            f"{file}: labels {listed(strange, 5)} have no name; known are "
            f"{listed(f'{k} {name}' for k, name in known.items())}"
        )
    table = np.array([known.get(k, "") for k in range(max(known, default=0) + 1)])
    return table[np.maximum(labels, 0)]
