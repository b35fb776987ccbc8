"""Lesions of the read-out: a region's response is set to a value that knows no stimulus."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt

from insilico.errors import ParameterError, SpaceError
from insilico.schema import check, place_of
from insilico.spaces import atlases, fsaverage5, regions
from insilico.spaces.patches import matched_patch
from insilico.step import Step

WHAT_IT_IS = "A lesion here takes information from the read-out; nothing propagates to other areas."


class Ablate(Step):
    """Set a region, or a control patch as large, to its training mean or to zero.

    Parameters
    ----------
    region : str
        Region expression, such as ``"Vis"``, ``"Visual & lh"`` or ``"phantom7:Vis | roi:V1"``.
    atlas : str, optional
        Atlas of the names that carry none.
    fill : {"mean", "zero"}
        Each vertex's mean over the training stimuli (takes the information, keeps the level), or 0.
    control : {"patch"}, optional
        Ablate instead a contiguous patch elsewhere, matched in vertex count and area for each
        connected component of the region; `control_index` counts the patches, `seed` grows them.
    """

    kind: ClassVar[str] = "ablate"
    region: str
    atlas: str | None = None
    fill: Literal["mean", "zero"] = "mean"
    control: Literal["patch"] | None = None
    control_index: NonNegativeInt = 0
    seed: NonNegativeInt = 0

    def digests(self) -> dict[str, str]:
        """Return the digests of the atlases named."""
        named = {
            name for name in atlases.names() if f"{name}:" in self.region or name == self.atlas
        }
        return {name: atlases.load(name).digest for name in sorted(named)}

    def mask(self, response: xr.Dataset | None = None) -> np.ndarray:
        """Return which places are ablated, bool over the response's places (or fsaverage5's)."""
        if self.control is None:
            return regions.mask(self.region, atlas=self.atlas, of=response)
        patch = matched_patch(self.region, self.atlas, self.control_index, self.seed)
        return patch if response is None else patch[response["vertex"].values.astype(int)]

    def __call__(self, response: xr.Dataset, training: xr.Dataset | None = None) -> xr.Dataset:
        """Return the response after the lesion.

        Parameters
        ----------
        response : response, (stimulus, vertex or voxel)
        training : response, optional
            Responses of the same encoder to training stimuli; needed for ``fill="mean"``.

        Raises
        ------
        RegionError, SpaceError, ParameterError
        """
        check(response, "response")
        if response.attrs["space"] == "fsaverage5":
            fsaverage5.check_order(response)
        mask = self.mask(response)
        bold = response["bold"].values.copy()
        bold[..., mask] = self._fill(response, training)[mask]
        result = response.assign(bold=(response["bold"].dims, bold))
        what = (
            f"control patch {self.control_index} for {self.region}" if self.control else self.region
        )
        result.attrs.update(
            ablated=f"{self.atlas}:{what}" if self.atlas else what,
            ablated_places=int(mask.sum()),
            fill=self.fill,
            lesion=WHAT_IT_IS,
        )
        return result

    def _fill(self, response: xr.Dataset, training: xr.Dataset | None) -> np.ndarray:
        if self.fill == "zero":
            return np.zeros(response.sizes[place_of(response)], np.float32)
        if training is None:
            raise ParameterError(
                "ablate: fill 'mean' needs the responses to training stimuli (training=...); "
                "or use fill 'zero'"
            )
        check(training, "response", space=response.attrs["space"])
        place = place_of(response)
        if training.sizes[place] != response.sizes[place]:
            raise SpaceError(
                f"the training responses have {training.sizes[place]} of {place}, "
                f"the response {response.sizes[place]}"
            )
        bold = training["bold"].values.reshape(-1, training.sizes[place])
        return bold.mean(axis=0, dtype=np.float64).astype(np.float32)
