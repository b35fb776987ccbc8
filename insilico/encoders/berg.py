"""BERG: responses of its encoding models from files, or live in an environment of its own.

BERG (CC BY-NC 4.0) is not part of insilico and is never imported by it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import model_validator

from insilico.encoders import elsewhere
from insilico.encoders.berg_responses import VOXELS, check_model, from_berg, onto
from insilico.encoders.precomputed import ids_of, picked
from insilico.errors import ParameterError, SpaceError, StimulusError, listed
from insilico.schema import check
from insilico.spaces import nsd
from insilico.spaces.presented import modality_of
from insilico.spaces.responses import volumes
from insilico.spaces.responses.files import named
from insilico.step import Step, device

HOW = (
    "BERG, here or in an environment of its own: python3 -m venv berg && berg/bin/pip install "
    "'git+https://github.com/gifale95/BERG', then encoder: {kind: berg, model: ..., subject: 1, "
    "python: berg/bin/python, folder: FOLDER-OF-BERG'S-DATA}; or hand over what encode returned, "
    "saved with numpy: encoder: {kind: berg, model: ..., subject: 1, file: [lh.npy, rh.npy], "
    "stimuli: ids.txt}"
)


class Berg(Step):
    """Encode with a model of BERG: from files of responses, or live.

    Attributes
    ----------
    model : str
        BERG's name of it, such as ``"fmri-nsd_fsaverage-vit_b_32"`` or ``"fmri-nsd-fwrf"``.
    subject : int
        Of NSD, 1 to 8.
    roi : str or list of str, optional
        The regions that were asked for, one for each file of voxels; where two hold a voxel, the
        first counts.
    file : str or list of str, optional
        Of vertices, ``[lh.npy, rh.npy]`` or a .npz file with lh and rh; of voxels, one for each
        region. Without it, BERG is run.
    metadata : str or list of str, optional
        Files of metadata, as many as regions.
    trust : bool
        Whether metadata may be pickles.
    stimuli : str, optional
        Text file with the ids of the images in the files, one a line.
    into : str, optional
        NIfTI mask, such as nsdgeneral.nii.gz, whose voxels the response shall have.
    python : str, optional
        The Python in which BERG is installed; by default this one.
    folder : str, optional
        Folder of BERG's data, for a live run.
    """

    kind: ClassVar[str] = "berg"
    model: str
    subject: int
    roi: str | tuple[str, ...] | None = None
    file: str | tuple[str, ...] | None = None
    metadata: str | tuple[str, ...] | None = None
    trust: bool = False
    stimuli: str | None = None
    into: str | None = None
    python: str | None = None
    folder: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Berg:
        if (self.file is None) == (self.folder is None):
            raise ValueError("either file (responses) or folder (BERG's data, for a live run)")
        if (self.file is None) != (self.stimuli is None):
            raise ValueError("stimuli, the ids of the images, belong to file: give both or none")
        if self.file is not None and self.python is not None:
            raise ValueError("either file (responses) or python (a live run)")
        self._regions_fit()
        return self

    def _regions_fit(self) -> None:
        files, rois = len(_listed(self.file)), len(_listed(self.roi))
        if self.into is not None and not self.voxels:
            raise ValueError("into is a mask of voxels, and this model has vertices")
        if self.into is None and max(rois, files if self.voxels else 0) > 1:
            how = "need into, such as nsdgeneral.nii.gz" if self.voxels else "of vertices: name one"
            raise ValueError(f"several regions {how}")
        needed = files if self.voxels else 1
        for what, values in (("metadata", self.metadata), ("roi", self.roi)):
            if files and values is not None and len(_listed(values)) != needed:
                raise ValueError(f"{what}: there must be {needed}, one for each response")

    @property
    def voxels(self) -> bool:
        """Whether the model predicts voxels, not vertices."""
        return self.model.startswith(VOXELS)

    def digests(self) -> dict[str, str]:
        """Return the digests of the files; for a live run, make sure that it can start."""
        check_model(self.model)
        nsd.name(self.subject)
        given = (self.file, self.metadata, self.stimuli, self.into)
        names = [name for value in given for name in _listed(value)]
        paths = {name: Path(name).expanduser() for name in names}
        if self.folder is None:
            return {name: elsewhere.digest(path) for name, path in paths.items()}
        elsewhere.require(self.python, "berg", "berg", HOW)
        if not Path(self.folder).expanduser().is_dir():
            raise ParameterError(f"berg.folder: {self.folder} is no folder of BERG's data; {HOW}")
        paths["driver"] = elsewhere.driver("berg")
        return {name: elsewhere.digest(path) for name, path in paths.items()}

    def ids(self) -> Collection[str] | None:
        """Return the ids of the images in the files."""
        return None if self.stimuli is None else ids_of(Path(self.stimuli).expanduser())

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the responses to the stimuli, which the files must hold by id."""
        check(stimuli, "stimuli")
        ids = stimuli["stimulus"].values
        if self.folder is not None:
            parts = [self._live(stimuli, roi) for roi in _listed(self.roi) or [None]]
        else:
            parts = [picked(one, ids, "the file", "keep") for one in self._from_files()]
        return self._joined(parts)

    def _from_files(self) -> list[xr.Dataset]:
        ids = ids_of(Path(str(self.stimuli)).expanduser())
        files, rois, about = (_listed(v) for v in (self.file, self.roi, self.metadata))
        groups = files if self.voxels or len(files) == 1 else [tuple(files)]
        n = len(groups)
        return [
            self._taken(*one, ids)
            for one in zip(groups, about or [None] * n, rois or [None] * n, strict=True)
        ]

    def _taken(self, bold: Any, metadata: Any, roi: str | None, ids: Any) -> xr.Dataset:
        more: dict[str, Any] = {"roi": roi, "trust": self.trust}
        with named(bold if isinstance(bold, str) else listed(bold)):
            return from_berg(
                bold, metadata, model=self.model, subject=self.subject, stimuli=ids, **more
            )

    def _joined(self, parts: list[xr.Dataset]) -> xr.Dataset:
        if self.into is None:
            return parts[0]
        mask, affine = volumes.read_mask(Path(self.into).expanduser())
        if not np.allclose(affine, volumes.geometry(parts[0])[1], atol=1e-3):
            raise SpaceError(f"{self.into}: its affine is not that of BERG's voxels")
        nsd.check_count(self.subject, int(mask.sum()))
        said = {
            name: "; ".join(
                dict.fromkeys(str(part.attrs[name]) for part in parts if name in part.attrs)
            )
            for name in ("roi", "note")
        }
        whole = onto(parts, mask, space=nsd.name(self.subject))
        return whole.assign_attrs({name: text for name, text in said.items() if text})

    def _live(self, stimuli: xr.Dataset, roi: str | None) -> xr.Dataset:
        elsewhere.require(self.python, "berg", "berg", HOW)
        if modality_of(stimuli) != "image":
            raise StimulusError(
                f"BERG's models see images; these stimuli are {modality_of(stimuli)}"
            )
        images = np.ascontiguousarray(stimuli["image"].values.transpose(0, 3, 1, 2))
        if images.shape[2] != images.shape[3]:
            raise StimulusError(f"BERG needs square images; these are {images.shape[2:]}")
        with TemporaryDirectory(prefix="insilico-") as name:
            folder = Path(name)
            np.save(folder / "images.npy", images, allow_pickle=False)
            order = {"model": self.model, "subject": self.subject, "roi": roi, "device": device()}
            order["folder"] = str(Path(str(self.folder)).expanduser().resolve())
            elsewhere.run(self.python, "berg", folder, order, ("responses.npz", "metadata.npz"))
            more: dict[str, Any] = {"roi": roi, "source": f"BERG, {self.model}, live"}
            return from_berg(
                folder / "responses.npz",
                folder / "metadata.npz",
                model=self.model,
                subject=self.subject,
                stimuli=stimuli["stimulus"].values,
                **more,
            )


def _listed(value: str | tuple[str, ...] | None) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
