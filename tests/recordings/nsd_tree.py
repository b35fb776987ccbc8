"""A miniature of the Natural Scenes Dataset, written from its public layout documents.

Independent of `insilico.phantom.export` and of the readers: h5py, nibabel and scipy.io only. What
is written is what the data manual and public code say: int16 betas times 300 whose HDF5 axes are
reversed, float32 percent on fsaverage, masks of -1, 0 and 1, indices that count from 1.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import nibabel
import numpy as np
from scipy.io import savemat

SHAPE = (6, 5, 4)
SESSIONS, TRIALS = 3, 8
FSAVERAGE = 163_842
PICTURES = 30
AFFINE = np.diag([1.8, 1.8, 1.8, 1.0])
AFFINE[:3, 3] = -1.8 * (np.array(SHAPE) - 1) / 2
ORDER = np.array([1, 2, 3, 1, 4, 5, 6, 2, 7, 1, 8, 9, 3, 4, 2, 5, 6, 3, 7, 8, 4, 9, 10, 5])
"""masterordering of 24 trials: pictures 1 to 5 are shown three times, 1 to 4 of them shared."""
FAMILIES = ("prf-visualrois", "floc-faces", "streams")


@dataclass
class Mini:
    """What was written: the truth that readers must give back."""

    root: Path
    subject: int
    psc: np.ndarray  # (trial, i, j, k) percent signal change, as int16 / 300
    mask: np.ndarray  # (i, j, k) of -1, 0, 1
    surface: np.ndarray  # (trial, 2, 10242)
    order: np.ndarray  # (trial,) from 1
    subjectim: np.ndarray  # (8, pictures) from 1
    labels: dict[str, np.ndarray] = field(default_factory=dict)

    def betas(self, space: str = "func1pt8mm", version: str = "betas_fithrf") -> Path:
        return self.root / f"nsddata_betas/ppdata/subj{self.subject:02d}/{space}/{version}"

    def roi(self, name: str) -> Path:
        return self.root / f"nsddata/ppdata/subj{self.subject:02d}/func1pt8mm/roi/{name}.nii.gz"

    def pictures(self) -> np.ndarray:
        """Picture of every trial, from 0."""
        return self.subjectim[self.subject - 1, self.order - 1] - 1


def save_volume(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), file)


def save_surface(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(values), 1, 1, *values.shape[1:])  # one map has three axes, several have four
    nibabel.save(nibabel.MGHImage(values.reshape(shape), np.eye(4)), file)


def write_session(mini: Mini, session: int, *, nifti: bool = False, hdf5: bool = True) -> None:
    part = mini.psc[(session - 1) * TRIALS : session * TRIALS]
    stored = np.round(part * 300).astype(np.int16)  # (trial, i, j, k)
    stem = mini.betas() / f"betas_session{session:02d}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    if hdf5:
        with h5py.File(f"{stem}.hdf5", "w") as file:
            file["betas"] = stored.transpose(0, 3, 2, 1)  # MATLAB wrote (i, j, k, trial)
    if nifti:
        save_volume(Path(f"{stem}.nii.gz"), np.moveaxis(stored, 0, -1))


def write_surface_session(mini: Mini, session: int) -> None:
    part = mini.surface[(session - 1) * TRIALS : session * TRIALS]
    for k, side in enumerate(("lh", "rh")):
        full = np.full((FSAVERAGE, len(part)), 7, np.float32)  # what lies beyond fsaverage5
        full[:10_242] = part[:, k].T
        file = mini.betas("fsaverage") / f"{side}.betas_session{session:02d}.mgh"
        save_surface(file, full)


def write_design(root: Path, order: np.ndarray, subjectim: np.ndarray, sessions: int) -> None:
    file = root / "nsddata/experiments/nsd/nsd_expdesign.mat"
    file.parent.mkdir(parents=True, exist_ok=True)
    held = {
        "masterordering": order[None].astype(np.float64),
        "subjectim": subjectim.astype(np.float64),
        "sharedix": np.sort(subjectim[0, :4])[None].astype(np.float64),
        "stimpattern": np.zeros((sessions, 12, 75)),
    }
    savemat(file, held)


def write_masks(mini: Mini) -> None:
    save_volume(mini.roi("nsdgeneral"), mini.mask.astype(np.float64))
    left = np.zeros(SHAPE, bool)
    left[:2] = True  # not the sign of x: the brain's midline is not the volume's middle
    for side, half in (("lh", left), ("rh", ~left)):
        save_volume(mini.roi(f"{side}.nsdgeneral"), np.where(half, mini.mask, -1).astype(np.int16))
    for family, labels in mini.labels.items():
        save_volume(mini.roi(family), labels.astype(np.int16))
    table = mini.root / f"nsddata/freesurfer/subj{mini.subject:02d}/label/floc-faces.mgz.ctab"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("0 Unknown\n1 OFA\n2 FFA-1\n3 FFA-2\n4 mTL-faces\n5 aTL-faces\n")


def write_pictures(root: Path) -> np.ndarray:
    pixels = np.random.default_rng(3).integers(0, 256, (PICTURES, 9, 9, 3), dtype=np.uint8)
    file = root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as held:
        held["imgBrick"] = pixels
    words = np.array([[f"picture {k}", "another", "", "", ""] for k in range(PICTURES)])
    np.save(root / "COCO_73k_annots_curated.npy", words)
    return pixels


def truth(root: Path, subject: int = 1) -> Mini:
    """Draw what a miniature holds, without writing it."""
    rng = np.random.default_rng(subject)
    n = SESSIONS * TRIALS
    psc = np.round(rng.normal(0.5, 2, (n, *SHAPE)) * 300) / 300
    mask = rng.choice([-1, 0, 1, 1], SHAPE)
    surface = rng.normal(0, 2, (n, 2, 10_242)).astype(np.float32)
    subjectim = np.stack([np.r_[[5, 3, 9, 8], 11 + 2 * np.arange(6) + s % 2] for s in range(8)])
    mini = Mini(root, subject, psc, mask, surface, ORDER, subjectim)
    mini.labels = {name: rng.integers(-1, 4, SHAPE) for name in FAMILIES}
    return mini


def write(root: Path, subject: int = 1, *, nifti: bool = False, surface: bool = False) -> Mini:
    """Write a miniature of one subject: 3 sessions of 8 trials, 120 voxels."""
    mini = truth(root, subject)
    write_design(root, mini.order, mini.subjectim, SESSIONS)
    write_masks(mini)
    for session in range(1, SESSIONS + 1):
        write_session(mini, session, nifti=nifti, hdf5=not nifti)
        if surface:
            write_surface_session(mini, session)
    write_pictures(root)
    return mini


def write_hub(root: Path, mini: Mini, betas: np.ndarray) -> None:
    """Write MindEye2's files: betas, and webdataset tars of behaviour."""
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / f"betas_all_subj{mini.subject:02d}_fp32_renorm.hdf5", "w") as file:
        file["betas"] = betas.astype(np.float32)
    pictures = mini.pictures()
    shared = np.isin(pictures, mini.subjectim[0, :4] - 1)
    is_shared = np.zeros(73_000, bool)
    is_shared[mini.subjectim[0, :4] - 1] = True
    np.save(root / "shared1000.npy", is_shared)
    folder = root / f"wds/subj{mini.subject:02d}"
    for session in range(SESSIONS):
        here = np.arange(len(pictures)) // TRIALS == session
        write_tar(folder / f"train/{session}.tar", np.flatnonzero(here & ~shared), mini)
    write_tar(folder / "new_test/0.tar", np.flatnonzero(shared), mini)


def write_tar(file: Path, trials: np.ndarray, mini: Mini) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for number, trial in enumerate(trials):
            behav = np.full((1, 17), -1.0)
            behav[0, [0, 1, 5]] = mini.pictures()[trial], mini.subject, trial
            for name, rows in (("behav", behav), ("past_behav", np.full((15, 17), -1.0))):
                add(tar, f"sample{number:09d}.{name}.npy", rows)


def add(tar: tarfile.TarFile, name: str, rows: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, rows)
    member = tarfile.TarInfo(name)
    member.size = stream.tell()
    stream.seek(0)
    tar.addfile(member, stream)
