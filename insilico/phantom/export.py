"""The phantom in NSD's layout: subjects' simulated responses as NSD's files would hold them.

What differs from NSD is said in the tree's own ``insilico.json``, and by every response read from
it: the data are simulated; voxels stand in the volume in the phantom's order, left hemisphere in
its left half, so that their millimetres are the grid's; of fsaverage only the vertices of
fsaverage5 hold values.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, StoreError, listed
from insilico.phantom.cohort import REPEATS, Cohort
from insilico.phantom.families import region_names
from insilico.phantom.scenes import SOURCE
from insilico.phantom.stimuli import Scenes
from insilico.spaces.fsaverage5 import N_HEMISPHERE
from insilico.spaces.nsd.layout import CAPTIONS, HEMISPHERES, MARK, Tree
from insilico.spaces.nsd.names import REGIONS
from insilico.spaces.nsd.rois import N_FSAVERAGE, NSDGENERAL
from insilico.step import generator

VERSION = "b3"
VOXEL_MM = 1.8
NOTE = (
    "a phantom in NSD's layout: simulated; voxels stand in the volume in the phantom's order, "
    "their mm are the grid's"
)
PERCENT = 300


def export(
    folder: Path,
    *,
    subjects: Sequence[int] = (1,),
    n_test: int = 40,
    n_train: int = 200,
    seed: int = 0,
) -> Path:
    """Write phantom subjects as NSD's files.

    Three sessions, each of which shows every scene once, in an order of its own. Pictures are
    numbered from 0: test scenes first, which take the place of the shared 1,000.

    Parameters
    ----------
    folder : Path
        Must not exist, or be empty.
    subjects : sequence of int
        1 is the individual; 2 to 8 are those whom encoders average.
    n_test, n_train : int
        Scenes.
    seed : int
        Of the cohort, and of the order of presentation.

    Returns
    -------
    Path
        The folder: ``INSILICO_NSD`` for recordings and stimuli of kind ``nsd``.
    """
    if min(n_test, n_train) < 2:
        raise ParameterError(f"2 test and 2 train scenes at least; got {n_test} and {n_train}")
    if not subjects or len(set(subjects)) < len(subjects):
        raise ParameterError(f"subjects: each once, at least one; got {listed(subjects)}")
    for subject in subjects:
        Cohort(seed=seed).individual(subject)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} is not empty: give a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write([Tree(part, subject) for subject in subjects], n_test, n_train, seed)
        if folder.exists():
            folder.rmdir()
        part.chmod(0o755)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return folder


def _write(trees: list[Tree], n_test: int, n_train: int, seed: int) -> None:
    shown = [Scenes(split="test", n=n_test)(), Scenes(split="train", n=n_train)()]
    stimuli = xr.concat(shown, "stimulus", combine_attrs="override")
    rng = generator(seed, "order of presentation")
    orders = [rng.permutation(n_test + n_train) for _ in range(REPEATS)]
    said = {"source": SOURCE, "space": "phantom", "note": NOTE}
    (trees[0].root / MARK).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    _write_design(trees[0], np.concatenate(orders), n_test)
    _write_pictures(trees[0], stimuli)
    for tree in trees:
        _write_subject(tree, Cohort(seed=seed), stimuli, orders)


def _write_subject(
    tree: Tree, cohort: Cohort, stimuli: xr.Dataset, orders: list[np.ndarray]
) -> None:
    grid = Grid.of(cohort.voxels(tree.subject))
    _write_masks(tree, grid)
    _write_ceilings(tree, grid, cohort.ceiling(tree.subject))
    measured = cohort.measure(stimuli, tree.subject)
    for session, (bold, order) in enumerate(zip(measured, orders, strict=True), 1):
        _write_session(tree, session, bold[order], grid)


# --- voxels in a volume --------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """A volume whose voxels, in C order, are the phantom's.

    Attributes
    ----------
    voxels : Dataset
        Of `Cohort.voxels`.
    shape : tuple of int
    at : int (voxel,)
        Index of each voxel in the volume in C order, ascending.
    affine : float (4, 4)
    """

    voxels: xr.Dataset
    shape: tuple[int, int, int]
    at: np.ndarray
    affine: np.ndarray

    @classmethod
    def of(cls, voxels: xr.Dataset) -> Grid:
        """Lay the voxels out: left ones where x < 0, right ones where x > 0."""
        left = int((voxels["hemi"] == "L").sum())
        right = voxels.sizes["voxel"] - left
        side = int(np.ceil(voxels.sizes["voxel"] ** (1 / 3))) + 1
        planes = [-(-count // side**2) for count in (left, right)]
        at = np.r_[np.arange(left), planes[0] * side**2 + np.arange(right)]
        affine = np.diag([VOXEL_MM] * 3 + [1.0])
        affine[:3, 3] = -VOXEL_MM * np.array([planes[0] - 0.5, (side - 1) / 2, (side - 1) / 2])
        return cls(voxels, (sum(planes), side, side), at, affine)

    def filled(self, values: np.ndarray, outside: float = 0) -> np.ndarray:
        """Return a volume, (..., i, j, k), of values over voxels."""
        flat = np.full((*values.shape[:-1], int(np.prod(self.shape))), outside, values.dtype)
        flat[..., self.at] = values
        return flat.reshape(*values.shape[:-1], *self.shape)

    def save(self, file: Path, volume: np.ndarray) -> None:
        """Write a volume as NIfTI."""
        import nibabel

        file.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(volume, self.affine), str(file))


def _write_masks(tree: Tree, grid: Grid) -> None:
    """Write nsdgeneral, of both and of each hemisphere, and the families of regions."""
    hemi = grid.voxels["hemi"].values
    for side, inside in {"": hemi != "", "lh": hemi == "L", "rh": hemi == "R"}.items():
        values = np.where(inside, 1, -1).astype(np.int16)
        grid.save(tree.roi(NSDGENERAL, side), grid.filled(values, -1))
    for family, names in region_names(grid.voxels).items():
        labels = {name: k for k, name in enumerate(REGIONS[family], 1)}
        numbers = np.array([labels.get(name, 0) for name in names], np.int16)
        grid.save(tree.roi(family), grid.filled(numbers, -1))
        table = tree.table(family)[0]
        table.parent.mkdir(parents=True, exist_ok=True)
        lines = ["0 Unknown", *(f"{k} {name}" for name, k in labels.items())]
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- the rest of the files -----------------------------------------------------------------------


def _write_design(tree: Tree, order: np.ndarray, n_test: int) -> None:
    from scipy.io import savemat

    pictures = np.tile(np.arange(1, order.max() + 2, dtype=np.float64), (8, 1))
    held = {
        "masterordering": order[None] + 1.0,
        "subjectim": pictures,
        "sharedix": np.arange(1.0, n_test + 1)[None],
        "stimpattern": np.zeros((REPEATS, 12, 75)),
    }
    tree.design_file.parent.mkdir(parents=True)
    savemat(tree.design_file, held)


def _write_pictures(tree: Tree, stimuli: xr.Dataset) -> None:
    import h5py

    tree.pictures_file.parent.mkdir(parents=True)
    with h5py.File(tree.pictures_file, "w") as file:
        pixels = stimuli["image"].values
        file.create_dataset("imgBrick", data=pixels, chunks=(1, *pixels.shape[1:]))
    words = np.array([[caption, "", "", "", ""] for caption in stimuli["caption"].values])
    np.save(tree.root / CAPTIONS, words)


def _write_session(tree: Tree, session: int, bold: np.ndarray, grid: Grid) -> None:
    """Write a session's betas, (trial, 20484) in percent: int16 in the volume, float32 without."""
    import h5py

    volumes = grid.filled(bold[:, grid.voxels["vertex"].values])  # (trial, i, j, k)
    stored = np.round(volumes * PERCENT).astype(np.int16)
    file = tree.volumes(VERSION, session)[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as held:
        held.create_dataset("betas", data=stored.transpose(0, 3, 2, 1), compression="gzip")
    for k, surface in enumerate(tree.surfaces(VERSION, session)):
        _write_surface(surface, bold[:, k * N_HEMISPHERE : (k + 1) * N_HEMISPHERE])


def _write_surface(file: Path, maps: np.ndarray) -> None:
    """Write maps on fsaverage (map, 10242), zero beyond fsaverage5; zeros are holes in the file."""
    from nibabel.freesurfer.mghformat import MGHHeader

    file.parent.mkdir(parents=True, exist_ok=True)
    header: Any = MGHHeader()
    header.set_data_shape((N_FSAVERAGE, 1, 1) if len(maps) == 1 else (N_FSAVERAGE, 1, 1, len(maps)))
    header.set_data_dtype(np.float32)
    start, size = header.get_data_offset(), 4 * N_FSAVERAGE
    with file.open("wb") as stream:
        header.writehdr_to(stream)
        for number, values in enumerate(maps):
            stream.seek(start + number * size)
            stream.write(np.ascontiguousarray(values, ">f4").tobytes())
        stream.truncate(start + len(maps) * size)
        header.writeftr_to(stream)


def _write_ceilings(tree: Tree, grid: Grid, ceiling: np.ndarray) -> None:
    """Write ncsnr: of one trial, from the true ceiling of averages of three."""
    ratio = np.sqrt(ceiling / (REPEATS * (1 - ceiling))).astype(np.float32)
    volume = grid.filled(ratio[grid.voxels["vertex"].values])
    grid.save(tree.betas("func1pt8mm", VERSION) / "ncsnr.nii.gz", volume)
    for k, side in enumerate(HEMISPHERES):
        half = ratio[k * N_HEMISPHERE : (k + 1) * N_HEMISPHERE]
        _write_surface(tree.betas("fsaverage", VERSION) / f"{side}.ncsnr.mgh", half[None])
