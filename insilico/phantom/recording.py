"""Measured responses of the phantom's subjects: stimuli -> response."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.phantom import anatomy
from insilico.phantom.cohort import REPEATS, Cohort
from insilico.phantom.families import region_names
from insilico.phantom.features import check_phantom, modality_of
from insilico.phantom.scenes import SOURCE
from insilico.schema import check
from insilico.step import Step


class PhantomRecording(Step):
    """Simulated fMRI of one subject: three repeats of every scene, session z.

    Attributes
    ----------
    subject : int
        1 is the individual; 2-8 are those whom encoders average.
    space : {"fsaverage5", "voxels"}
        All cortical vertices, or the subject's posterior voxels with their regions: ``roi``, and
        the families of NSD (``prf-visualrois``, ``prf-eccrois``, ``floc-faces``, ...).
    repeats : {"mean", "keep"}
        Whether to average the three repeats or to keep a ``repeat`` dimension.
    seed : int
        Seed of the cohort.
    """

    kind: ClassVar[str] = "phantom"
    version: ClassVar[int] = 2  # voxels carry NSD's families
    subject: int = Field(1, ge=1, le=8)
    space: Literal["fsaverage5", "voxels"] = "fsaverage5"
    repeats: Literal["mean", "keep"] = "mean"
    seed: int = 0

    def spaces(self) -> tuple[str, ...]:
        """Return the spaces in which there are responses."""
        return ("voxels", "fsaverage5")

    def places(self) -> xr.Dataset:
        """Return where its responses lie, before there are any: a dataset without bold."""
        return xr.Dataset(coords=self._places(Cohort(seed=self.seed))[2], attrs=self._attrs())

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the subject's measured responses to phantom stimuli."""
        check_phantom(check(stimuli, "stimuli"))
        cohort = Cohort(seed=self.seed)
        places, place, coords = self._places(cohort)
        average = self.repeats == "mean"
        bold = cohort.measure(stimuli, self.subject, places, mean=average)
        dims = ("stimulus", place) if average else ("repeat", "stimulus", place)
        labels: dict[str, Any] = {name: stimuli[name].variable for name in ("stimulus", "split")}
        if not average:
            labels["repeat"] = np.arange(REPEATS)
        response = xr.Dataset({"bold": (dims, bold)}, coords={**labels, **coords})
        attrs = {**self._attrs(), **_presented(stimuli)}
        return check(response.assign_attrs(attrs), "response")

    def _places(self, cohort: Cohort) -> tuple[np.ndarray | None, str, dict[Any, Any]]:
        """Return the vertices behind the places, the name of their dimension and its coords."""
        if self.space == "fsaverage5":
            return None, "vertex", anatomy.vertex_coordinates()
        voxels = cohort.voxels(self.subject)
        families = {name: ("voxel", labels) for name, labels in region_names(voxels).items()}
        return voxels["vertex"].values, "voxel", {**voxels.coords, **families}

    def _attrs(self) -> dict[str, object]:
        subject = f"phantom-subj{self.subject:02d}"
        return {
            "space": "fsaverage5" if self.space == "fsaverage5" else subject,
            "units": "session z",
            "subject": subject,
            "hemodynamic_offset_s": 0.0,
            "source": SOURCE,
            "recording": f"phantom cohort {self.seed}",
            "n_repeats": REPEATS,
        }


def _presented(stimuli: xr.Dataset) -> dict[str, str]:
    """Return the modality of stimuli that were read or heard; seen is the usual way."""
    modality = modality_of(stimuli)
    return {} if modality == "image" else {"modality": modality}
