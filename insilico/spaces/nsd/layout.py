"""How the Natural Scenes Dataset lies on a disk: the paths of its public layout.

Which of them were checked against public code stands in ``docs/recordings.md``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from insilico.errors import RecordingError, listed
from insilico.schema import short_digest
from insilico.spaces.nsd.design import Design, read_design

VARIABLE = "INSILICO_NSD"
BETAS = {"b1": "betas_assumehrf", "b2": "betas_fithrf", "b3": "betas_fithrf_GLMdenoise_RR"}
HEMISPHERES = ("lh", "rh")
MARK = "insilico.json"
"""At the root of a tree that is no measurement: what it is, and the name of its space."""
ACCESS = "NSD is free under a data-use agreement: https://naturalscenesdataset.org"
BUCKET = "s3://natural-scenes-dataset"
CAPTIONS = "COCO_73k_annots_curated.npy"
END = 1 << 16


def root_of(given: Path | None) -> Path:
    """Return NSD's folder: the one given, else that of the environment."""
    return folder_of(given, VARIABLE, "where is NSD?", "nsddata/ and nsddata_betas/", ACCESS)


def folder_of(given: Path | None, variable: str, asked: str, holds: str, access: str) -> Path:
    """Return a folder of data: the one given, else that of an environment variable.

    Raises
    ------
    RecordingError
        If none is given, or it is no folder.
    """
    told = given or os.environ.get(variable)
    if not told:
        raise RecordingError(
            f"{asked} Give root, or set {variable}, to the folder that holds {holds}. {access}"
        )
    path = Path(told).expanduser()
    if not path.is_dir():
        raise RecordingError(f"{path}: no such folder (root, or {variable}). {access}")
    return path


@dataclass(frozen=True)
class Tree:
    """One subject in a copy of NSD.

    Attributes
    ----------
    root : Path
        Holds ``nsddata``, ``nsddata_betas`` and ``nsddata_stimuli``.
    subject : int
        From 1.
    """

    root: Path
    subject: int

    @property
    def _name(self) -> str:
        return f"subj{self.subject:02d}"

    @property
    def design_file(self) -> Path:
        """Return which picture was shown when."""
        return self.root / "nsddata/experiments/nsd/nsd_expdesign.mat"

    @property
    def info_file(self) -> Path:
        """Return the table of NSD's pictures in COCO."""
        return self.root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"

    @property
    def pictures_file(self) -> Path:
        """Return the pictures."""
        return self.root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"

    def annotations(self, part: str) -> Path:
        """Return COCO's captions, of ``train2017`` or ``val2017``."""
        folder = self.root / "nsddata_stimuli/stimuli/nsd/annotations"
        return folder / f"captions_{part}.json"

    def roi(self, name: str, side: str = "") -> Path:
        """Return a mask in the functional volume; `side` is ``""``, ``"lh"`` or ``"rh"``."""
        stem = f"{side}.{name}" if side else name
        return self.root / f"nsddata/ppdata/{self._name}/func1pt8mm/roi/{stem}.nii.gz"

    def label(self, name: str, side: str, surface: str = "") -> Path:
        """Return labels of a surface: the subject's own, or ``"fsaverage"``."""
        folder = self.root / "nsddata/freesurfer" / (surface or self._name) / "label"
        return folder / f"{side}.{name}.mgz"

    def table(self, name: str) -> tuple[Path, ...]:
        """Return where the names of labels may stand, the subject's own first."""
        folder = self.root / "nsddata/freesurfer"
        return tuple(folder / who / f"label/{name}.mgz.ctab" for who in (self._name, "fsaverage"))

    def to_fsaverage(self, side: str) -> Path:
        """Return, for each vertex of fsaverage, the vertex of the subject's own surface."""
        return self.root / f"nsddata/ppdata/{self._name}/transforms/{side}.white-to-fsaverage.mgz"

    def betas(self, space: str, version: str) -> Path:
        """Return the folder of betas; `space` is ``func1pt8mm`` or ``fsaverage``."""
        return self.root / f"nsddata_betas/ppdata/{self._name}/{space}/{BETAS[version]}"

    def volumes(self, version: str, session: int) -> tuple[Path, ...]:
        """Return the files that may hold a session in the volume, the faster one first."""
        stem = self.betas("func1pt8mm", version) / f"betas_session{session:02d}"
        return tuple(stem.with_name(stem.name + suffix) for suffix in (".hdf5", ".nii.gz"))

    def surfaces(self, version: str, session: int) -> tuple[Path, Path]:
        """Return the files of a session on fsaverage, left and right."""
        folder = self.betas("fsaverage", version)
        left, right = (folder / f"{side}.betas_session{session:02d}.mgh" for side in HEMISPHERES)
        return left, right

    def require(self, files: Iterable[Path], what: str, fix: str = "") -> None:
        """Raise `RecordingError` with the files that are missing, and how to get them."""
        missing = [file for file in files if not file.is_file()]
        folders = dict.fromkeys(file.parent.relative_to(self.root).as_posix() for file in missing)
        gets = [f"aws s3 sync {BUCKET}/{folder} {self.root / folder}" for folder in folders]
        require(missing, what, f"{fix}{ACCESS}, then {'; '.join(gets)}")

    @cached_property
    def design(self) -> Design:
        """Read which picture was shown when."""
        self.require([self.design_file], "NSD's design")
        return read_design(self.design_file)

    @cached_property
    def mark(self) -> dict[str, Any]:
        """Return what a tree that is no measurement says of itself; empty for NSD."""
        file = self.root / MARK
        try:
            said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        except (OSError, ValueError) as error:
            raise RecordingError(f"{file}: cannot be read as JSON ({error})") from error
        if not isinstance(said, dict):
            raise RecordingError(f"{file}: must hold names and values")
        return said

    @property
    def space(self) -> str:
        """Return the name of the subject's voxel space."""
        return f"{self.mark.get('space', 'nsd')}-{self._name}"


def present(files: Iterable[Path]) -> Path | None:
    """Return the first of the files that is there."""
    return next((file for file in files if file.is_file()), None)


def require(files: Iterable[Path], what: str, how: str) -> None:
    """Raise `RecordingError` with the files that are missing, if any are, and how to get them."""
    missing = [file for file in files if not file.is_file()]
    if missing:
        names = listed([missing[0], *(file.name for file in missing[1:])], 6)
        raise RecordingError(
            f"{what}: {len(missing)} file{'s' * (len(missing) > 1)} missing: {names}. {how}"
        )


def stamp(files: Iterable[Path]) -> str:
    """Return a digest of large files by name, size, first and last 64 kB.

    Files of gigabytes are published once and never changed inside; reading them whole for every
    run would cost more than the run.
    """
    parts: list[Any] = []
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as stream:
            parts += [file.name, size, stream.read(END)]
            stream.seek(max(size - END, 0))
            parts.append(stream.read(END))
    return short_digest(*parts)
