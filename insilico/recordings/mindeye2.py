"""MindEye2's betas of NSD as its authors published them: stimuli -> measured response."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.errors import RecordingError
from insilico.recordings.betas import named
from insilico.recordings.places import voxel_coordinates
from insilico.recordings.repeats import Presentations, Uneven, presentations
from insilico.schema import check
from insilico.spaces import nsd
from insilico.spaces.nsd import rois
from insilico.spaces.nsd.hub import ACCESS, Hub, check_betas, root_of
from insilico.spaces.nsd.layout import MARK, Tree, require, stamp
from insilico.spaces.nsd.layout import root_of as nsd_root
from insilico.step import Step, batches

ROWS_AT_ONCE = 256
REPEATS = 3


class MindEye2Betas(Step):
    """Betas in MindEye2's units, from ``betas_all_subj0X_fp32_renorm.hdf5`` and the trials' tars.

    Attributes
    ----------
    root : path, optional
        Folder of the hub's files; by default that of the environment variable INSILICO_WEIGHTS.
    nsd : path
        NSD's folder, whose nsdgeneral mask says where the voxels are; the file of betas does not.
        By default INSILICO_NSD.
    subject : int
    space : {"voxels"}
    repeats : {"mean", "keep"}
        ``keep`` has three; pictures shown once or twice are filled up as in MindEye2's inference
        (a, a, a and a, b, a), unless `uneven` is ``"refuse"``.
    uneven : {"pad", "refuse"}
    test : {"new_test", "test"}
        Which tar holds the test trials: all shared pictures, or those public first.
    """

    kind: ClassVar[str] = "mindeye2"
    version: ClassVar[int] = 2  # labels of the atlas areas
    root: Path | None = None
    nsd: Path | None = None
    subject: int = Field(1, ge=1, le=8)
    space: Literal["voxels"] = "voxels"
    repeats: Literal["mean", "keep"] = "mean"
    uneven: Uneven = "pad"
    test: Literal["new_test", "test"] = "new_test"

    def spaces(self) -> tuple[str, ...]:
        """Return the spaces that these betas are in."""
        return ("voxels",)

    def labels(self) -> tuple[str, ...]:
        """Return the families of regions that responses carry as labels of their own."""
        return rois.families(Tree(nsd_root(self.nsd), self.subject), "voxels")

    def _hub(self) -> Hub:
        return Hub(root_of(self.root), self.subject)

    def digests(self) -> dict[str, str]:
        """Return digests of the files used."""
        hub, tree = self._hub(), Tree(nsd_root(self.nsd), self.subject)
        tars = [*hub.tars("train"), *hub.tars(self.test)]
        test = hub.root / f"wds/subj{self.subject:02d}/{self.test}/0.tar"
        what = f"MindEye2's files of subject {self.subject}"
        require([hub.betas_file, test, *tars], what, f"Get them {ACCESS}")
        tree.require([tree.roi("nsdgeneral")], f"the mask of subject {self.subject}'s voxels")
        return {
            "betas": stamp([hub.betas_file]),
            "trials": stamp(tars),
            "mask": stamp([tree.roi("nsdgeneral")]),
        }

    def places(self) -> xr.Dataset:
        """Return where its responses lie; the mask and the regions' files are read, no beta is."""
        tree = Tree(nsd_root(self.nsd), self.subject)
        return xr.Dataset(coords=voxel_coordinates(tree)[0], attrs={"space": tree.space})

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the subject's responses to pictures of NSD, ([repeat,] stimulus, voxel)."""
        ids = [str(label) for label in check(stimuli, "stimuli")["stimulus"].values]
        self.digests()
        hub, tree = self._hub(), Tree(nsd_root(self.nsd), self.subject)
        asked = self._presentations(hub, ids)
        coords, said = voxel_coordinates(tree)
        bold = _read(hub, asked, len(coords["voxel"])).reshape(*asked.shape, -1)
        dims = ("stimulus", "voxel") if self.repeats == "mean" else ("repeat", "stimulus", "voxel")
        labels: dict[str, Any] = {"stimulus": ids, "split": stimuli["split"].variable}
        labels["n_repeats"] = ("stimulus", asked.counts)
        response = xr.Dataset({"bold": (dims, bold)}, coords={**labels, **coords})
        attrs = {
            "space": tree.space,
            "units": "session z",
            "subject": tree.space,
            "hemodynamic_offset_s": 0.0,
            "source": "NSD betas as published with MindEye2",
            "recording": f"MindEye2 renorm, {self.test}",
            "modality": "image",
            "padded_stimuli": int((asked.counts < asked.shape[0]).sum()),
        }
        if len(asked.shape) < 2:
            del attrs["padded_stimuli"]
        return check(response.assign_attrs({**attrs, **said}), "response")

    def _presentations(self, hub: Hub, ids: list[str]) -> Presentations:
        """Return the rows of the betas; trials of a picture come in file order."""
        shown: dict[int, list[int]] = {}
        parts = [part for part in ("train", self.test) if hub.tars(part)]
        for picture, trial in np.concatenate([hub.trials(part) for part in parts]).tolist():
            shown.setdefault(picture, []).append(trial)
        found = {label: shown.get(nsd.picture_of(label), []) for label in ids}
        who = f"subject {self.subject} (MindEye2's {' and '.join(parts)} tars)"
        return presentations(found, self.repeats, REPEATS, self.uneven, who)


def _read(hub: Hub, asked: Presentations, voxels: int) -> np.ndarray:
    """Return the rows of a response, float32 (row, voxel), reading only the trials asked for."""
    import h5py

    rows = asked.rows(voxels)
    with named(hub.betas_file), h5py.File(hub.betas_file, "r") as held:
        if "betas" not in held:
            raise RecordingError(f"{hub.betas_file}: the key 'betas' is missing; {sorted(held)}")
        data = held["betas"]
        check_betas(hub.betas_file, data.shape, hub.subject, (hub.root / MARK).is_file())
        if data.shape[1] != voxels or asked.trial.max() >= len(data):
            raise RecordingError(
                f"{hub.betas_file}: betas {data.shape}; the mask has {voxels} voxels and the tars "
                f"name trial {int(asked.trial.max())}: are they of two subjects?"
            )
        for part in batches(np.unique(asked.trial), ROWS_AT_ONCE, "trials"):
            values = data[np.array(part)].astype(np.float32)
            for trial, row in zip(part, values, strict=True):
                asked.add(rows, row[None], int(trial))
    return rows
