"""Lesions of the read-out: a region's response is set to a value that knows no stimulus."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt

from insilico.errors import ParameterError, SpaceError
from insilico.schema import check, place_of, require_varying
from insilico.spaces import atlases, fsaverage5, patches, regions
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
        Patches lie on fsaverage5: responses in voxels have none.

    Notes
    -----
    The result's attributes tell what was done: `ablated` (all lesions so far), and of the last
    one `ablated_places`, `fill`, `control` (``none`` or ``patch 0``) and `lesion`, the sentence
    that its figures must say.
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
        if response is not None and response.attrs["space"] != "fsaverage5":
            raise SpaceError(
                "ablate: control patches are matched on fsaverage5; this response lies in "
                f"{response.attrs['space']}: ablate before the adapter, or set no control"
            )
        return patches.matched_patch(self.region, self.atlas, self.control_index, self.seed)

    def __call__(self, response: xr.Dataset, training: xr.Dataset | None = None) -> xr.Dataset:
        """Return the response after the lesion.

        Parameters
        ----------
        response : response, (stimulus, vertex or voxel)
        training : response, optional
            Responses of the same encoder to training stimuli; needed for ``fill="mean"``.

        Raises
        ------
        RegionError, SpaceError, SchemaError, ParameterError
        """
        _require_sound(response, "response")
        mask = self.mask(response)
        bold = response["bold"].values.copy()
        bold[..., mask] = self._fill(response, training)[mask]
        result = response.assign(bold=(response["bold"].dims, bold))
        result.attrs.update(self._account(response.attrs.get("ablated"), int(mask.sum())))
        return result

    def _account(self, before: str | None, places: int) -> dict[str, str | int]:
        """Return the attributes that tell what was done."""
        named = ":" in self.region or self.atlas is None
        region = self.region if named else f"{self.atlas}:{self.region}"
        control = f"patch {self.control_index}" if self.control else "none"
        now = f"control {control} for {region}" if self.control else region
        return {
            "ablated": f"{before}; {now}" if before else now,
            "ablated_places": places,
            "fill": self.fill,
            "control": control,
            "lesion": WHAT_IT_IS,
        }

    def _fill(self, response: xr.Dataset, training: xr.Dataset | None) -> np.ndarray:
        if self.fill == "zero":
            return np.zeros(response.sizes[place_of(response)], np.float32)
        if training is None:
            raise ParameterError(
                "ablate: fill 'mean' needs the responses to training stimuli (training=...); "
                "or use fill 'zero'"
            )
        _require_sound(training, "training")
        _require_same_places(response, training)
        bold = training["bold"].values.reshape(-1, training.sizes[place_of(training)])
        return bold.mean(axis=0, dtype=np.float64).astype(np.float32)


def _require_sound(response: xr.Dataset, name: str) -> None:
    """Refuse what is no response, lies in the wrong order, or holds nothing that varies."""
    check(response, "response")
    cortex = None
    if response.attrs["space"] == "fsaverage5":
        fsaverage5.check_order(response)
        cortex = fsaverage5.cortex()
    require_varying(response, f"ablate: the {name}", cortex)


def _require_same_places(response: xr.Dataset, training: xr.Dataset) -> None:
    check(training, "response", space=response.attrs["space"])
    place = place_of(response)
    if place_of(training) != place or training.sizes[place] != response.sizes[place]:
        raise SpaceError(
            f"ablate: the training responses have {dict(training.sizes)}, "
            f"the response {dict(response.sizes)}: both need the same {place} dimension"
        )
    for label in (place, "hemi"):
        if label in training.coords and not np.array_equal(
            training[label].values, response[label].values
        ):
            raise SpaceError(
                f"ablate: '{label}' of the training responses differs from the response's; "
                f"both must hold the same {place} in the same order"
            )
