"""MindEye2's data files (hub ``pscotti/mindeyev2``): betas, tars of trials, pictures.

Facts, read from public code; the hub itself was not reached: https://github.com/MedARC-AI/MindEyeV2.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from insilico.errors import RecordingError
from insilico.spaces.nsd import PICTURES, VOXELS, stimulus_id
from insilico.spaces.nsd.layout import folder_of, require

VARIABLE = "INSILICO_WEIGHTS"
"""The hub keeps data and networks in one repository, and so does one folder here."""
ACCESS = "from the dataset repository pscotti/mindeyev2 of the Hugging Face hub"
Test = Literal["new_test", "test"]
TEST_TRIALS = {
    "new_test": {1: 3000, 2: 3000, 3: 2371, 4: 2188, 5: 3000, 6: 2371, 7: 3000, 8: 2188},
    "test": {1: 2770, 2: 2770, 3: 2113, 4: 1985, 5: 2770, 6: 2113, 7: 2770, 8: 1985},
}
"""Trials of each subject's test tar, as published."""
PICTURE, SUBJECT, TRIAL = 0, 1, 5
"""Columns of ``behav``: picture among the 73,000, subject from 1, trial from 0."""
COLUMNS = 17
LARGEST = 1 << 20


def root_of(given: Path | None) -> Path:
    """Return the folder of the hub's files: the one given, else that of the environment."""
    held = "betas_all_subj01_fp32_renorm.hdf5 and wds/"
    return folder_of(given, VARIABLE, "where are MindEye2's files?", held, f"Get it {ACCESS}")


@dataclass(frozen=True)
class Hub:
    """One subject in a copy of MindEye2's files."""

    root: Path
    subject: int

    @property
    def betas_file(self) -> Path:
        """Return the betas, key ``betas``, float32 (trial, voxel)."""
        return self.root / f"betas_all_subj{self.subject:02d}_fp32_renorm.hdf5"

    @property
    def pictures_file(self) -> Path:
        """Return the pictures, key ``images``, float16 (73000, 3, 224, 224) in 0 to 1."""
        return self.root / "coco_images_224_float16.hdf5"

    @property
    def shared_file(self) -> Path:
        """Return which pictures all subjects saw, bool (73000,)."""
        return self.root / "shared1000.npy"

    def tars(self, part: str) -> list[Path]:
        """Return the tars of ``train`` (one a session), ``new_test`` or ``test``, in order."""
        folder = self.root / f"wds/subj{self.subject:02d}" / part
        return sorted(folder.glob("*.tar"), key=lambda file: (len(file.stem), file.stem))

    def trials(self, part: str) -> np.ndarray:
        """Return picture and trial of every sample of a part, in file order, int (sample, 2)."""
        files = self.tars(part)
        if not files:
            wanted = self.root / f"wds/subj{self.subject:02d}" / part / "0.tar"
            require([wanted], f"MindEye2's trials of subject {self.subject}", f"Get it {ACCESS}")
        found = [_samples(file, _stamp(file)) for file in files]
        self._check_subject(files, found)
        rows = np.concatenate(found)
        if part in TEST_TRIALS and len(rows) != TEST_TRIALS[part][self.subject]:
            _refuse_count(files[0], part, self.subject, len(rows))
        return rows[:, [PICTURE, TRIAL]]

    def pictures(self, part: str, at_least: int = 1) -> np.ndarray:
        """Return the pictures of a part that were shown so often, ascending.

        Raises
        ------
        RecordingError
            If a shared picture is among those to train on, or another among those to test on.
        """
        found, counts = np.unique(self.trials(part)[:, 0], return_counts=True)
        shared = np.isin(found, self.shared())
        wrong = found[shared if part == "train" else ~shared]
        if len(wrong):
            raise RecordingError(
                f"{self.root / 'wds'}: {len(wrong)} pictures of {part} "
                f"{'are' if part == 'train' else 'are not'} in {self.shared_file.name}, such as "
                f"{stimulus_id(int(wrong[0]))}: are the tars of another release?"
            )
        return found[counts >= at_least]

    def _check_subject(self, files: list[Path], found: list[np.ndarray]) -> None:
        for file, rows in zip(files, found, strict=True):
            others = set(rows[:, SUBJECT]) - {self.subject}
            if others:
                raise RecordingError(
                    f"{file}: trials of subject {sorted(others)[0]} in the folder of subject "
                    f"{self.subject}"
                )

    def shared(self) -> np.ndarray:
        """Return the pictures that all subjects saw, ascending."""
        require([self.shared_file], "MindEye2's list of shared pictures", f"Get it {ACCESS}")
        try:
            held = np.load(self.shared_file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise RecordingError(f"{self.shared_file}: cannot be read ({error})") from error
        if held.dtype != bool or held.ndim != 1 or len(held) > PICTURES:
            raise RecordingError(
                f"{self.shared_file}: {held.dtype} {held.shape}; bool ({PICTURES},) is needed"
            )
        return np.flatnonzero(held)


def _refuse_count(file: Path, part: str, subject: int, found: int) -> None:
    """Raise for a test tar of another size than published, unless its folder says it is made up."""
    if (file.parents[3] / "insilico.json").is_file():
        return
    raise RecordingError(
        f"{file}: {found} trials; subject {subject}'s {part} has {TEST_TRIALS[part][subject]}: "
        "is the file cut short, or another subject's?"
    )


def _stamp(file: Path) -> tuple[int, int]:
    state = file.stat()
    return state.st_size, state.st_mtime_ns


@lru_cache(maxsize=128)
def _samples(file: Path, stamp: tuple[int, int]) -> np.ndarray:
    """Return the whole numbers of ``behav`` of every sample, int (sample, 17)."""
    rows = []
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                if member.isfile() and member.name.endswith(".behav.npy"):
                    rows.append(_behav(tar, member, file))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise RecordingError(f"{file}: cut short or damaged ({error})") from error
    if not rows:
        raise RecordingError(f"{file}: no sample with behav.npy in this tar")
    return np.concatenate(rows)


def _behav(tar: tarfile.TarFile, member: tarfile.TarInfo, file: Path) -> np.ndarray:
    if member.size > LARGEST:
        raise RecordingError(f"{file}: {member.name} is too large for {COLUMNS} numbers")
    stream = tar.extractfile(member)
    try:
        held = np.load(io.BytesIO(stream.read() if stream else b""), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise RecordingError(f"{file}: {member.name} cannot be read ({error})") from error
    if held.shape[-1:] != (COLUMNS,) or held.size != COLUMNS or held.dtype.kind not in "fiu":
        raise RecordingError(
            f"{file}: {member.name} is {held.dtype} {held.shape}; (1, {COLUMNS}) is needed"
        )
    return held.reshape(1, COLUMNS).astype(np.int64)


def check_betas(file: Path, shape: tuple[int, ...], subject: int, simulated: bool) -> None:
    """Raise unless a file of betas has the subject's number of voxels."""
    if len(shape) != 2 or (shape[1] != VOXELS[subject] and not simulated):
        other = [s for s, n in VOXELS.items() if shape[-1:] == (n,)]
        hint = f": subject {other[0]}'s" if other else ""
        raise RecordingError(
            f"{file}: betas {shape}{hint}; subject {subject} has {VOXELS[subject]} voxels"
        )
