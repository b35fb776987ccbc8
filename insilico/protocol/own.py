"""A subject model: the average subject's prediction, calibrated to one subject's own vertices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from insilico.job import Job
from insilico.protocol.steps import build
from insilico.schema import check
from insilico.spaces import fsaverage5
from insilico.step import Step

if TYPE_CHECKING:
    from insilico.protocol.plan import Planner


class Calibrated(Step):
    """Fit an adapter whose target is a subject's cortex on fsaverage5, and apply it.

    No encoder is trained: what the average prediction does not hold cannot come back. It is the
    linear part of what fine-tuning could gain (with a ridge adapter).

    Attributes
    ----------
    adapter : dict
        Kind and parameters.
    """

    kind: ClassVar[str] = "calibrated"
    adapter: dict[str, Any]

    @classmethod
    def by(cls, adapter: Step) -> Calibrated:
        """Return the step that calibrates by an adapter; its version enters the identity."""
        return cls(adapter=adapter.identity())

    def __call__(
        self, prediction: xr.Dataset, source: xr.Dataset, target: xr.Dataset
    ) -> xr.Dataset:
        """Return the subject's predicted response on fsaverage5.

        Parameters
        ----------
        prediction : response on fsaverage5
            Of the average subject.
        source, target : response on fsaverage5
            Pairs to learn from: of the average subject, and measured. No stimulus of `prediction`.
        """
        check(target, "response", space="fsaverage5")
        own = {key: value for key, value in self.adapter.items() if key != "version"}
        step: Any = build("adapter", own)
        made = step(prediction, step.fit(source, _cortex(target)))
        bold = np.zeros(prediction["bold"].shape, np.float32)
        bold[..., fsaverage5.cortex()] = made["bold"].values
        said = {k: v for k, v in made.attrs.items() if k.startswith("adapt")}
        about = {**said, "space": "fsaverage5", "subject": target.attrs["subject"]}
        return check(prediction.copy(data={"bold": bold}).assign_attrs(about), "response")


def _cortex(target: xr.Dataset) -> xr.Dataset:
    """Return a response on cortical vertices, which an adapter takes for voxels."""
    own = target.isel(vertex=fsaverage5.cortex())
    own = own.drop_vars("vertex", errors="ignore")
    attrs = {**own.attrs, "space": f"{own.attrs['subject']} cortex"}
    return own.rename(vertex="voxel").assign_attrs(attrs)


def calibrated(planner: Planner, prediction: Job) -> Job:
    """Return the job of the average prediction calibrated to the subject's own vertices."""
    chain = planner.chain()
    step = Calibrated.by(planner.step("adapter", chain["adapter"]))
    return planner.job("calibrate", step, prediction, *planner.pairs(chain, "fsaverage5"))
