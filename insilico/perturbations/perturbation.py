"""What every perturbation shares: the place where it acts, its control, and the account of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, model_validator

from insilico.errors import ParameterError, SpaceError
from insilico.schema import LESION, check, place_of, require_varying
from insilico.spaces import atlases, controls, fsaverage5, regions
from insilico.spaces.ground import ground_of
from insilico.step import Step

CHANGE = "A change here is made to what is read out; nothing propagates to other areas."


class Perturbation(Step):
    """Change a response in a region, or in a matched control of it. A subclass fills `changed`.

    Parameters
    ----------
    region : str
        Region expression, such as ``"Vis"``, ``"Visual & lh"`` or ``"phantom7:Vis | roi:V1"``.
    atlas : str, optional
        Atlas of the names that carry none.
    control : {"vertices", "patch", "spin", "leverage"}, optional
        Act instead on as much elsewhere, see `insilico.spaces.controls`; `control_index` counts
        the controls. The last two need fsaverage5; the others lie in voxels too.
    overlap : float
        Largest share of the region that a control may hold.
    seed : int
        Of controls and of all that is drawn.

    Notes
    -----
    The result's attributes tell what was done: `perturbed` (all changes so far), and of the last
    one `perturbed_places`, how many it acted on (of `keep_only` all cortex but the region),
    `control` (``none`` or ``patch 0``) with the control's area and leverage over the region's and
    what it shares, and `lesion`, the sentence that figures must say. Vertices of the medial wall
    hold zero whatever was done.
    """

    says: ClassVar[str] = LESION
    curve: ClassVar[str] = ""
    """The parameter that may be a list in a protocol: one condition for each of its values."""
    repeats: ClassVar[str] = ""
    """The parameter that `n` of a protocol counts where there is no control."""
    region: str
    atlas: str | None = None
    control: controls.Kind | None = None
    control_index: NonNegativeInt = 0
    overlap: float = Field(0.0, ge=0, lt=1)
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _of_a_control(self) -> Perturbation:
        told = {"control_index": self.control_index, "overlap": self.overlap}
        for name, value in told.items():
            if value and self.control is None:
                raise ValueError(
                    f"{name} is of a matched control, and there is none: add control: patch, or "
                    f"leave {name} out"
                )
        return self

    def digests(self) -> dict[str, str]:
        """Return the digests of the atlases named."""
        named = {
            name for name in atlases.names() if f"{name}:" in self.region or name == self.atlas
        }
        return {name: atlases.load(name).digest for name in sorted(named)}

    def mask(
        self, response: xr.Dataset | None = None, leverage: xr.Dataset | None = None
    ) -> np.ndarray:
        """Return where it acts, bool over the response's places (or fsaverage5's)."""
        return self._place(response, leverage)[0]

    def __call__(
        self,
        response: xr.Dataset,
        training: xr.Dataset | None = None,
        leverage: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """Return the changed response.

        Parameters
        ----------
        response : response, (..., stimulus, vertex or voxel)
        training : response, optional
            Responses of the same encoder to training stimuli, where a mean or a spread is needed.
        leverage : Dataset, optional
            Of `Leverage`, for ``control="leverage"``.

        Raises
        ------
        RegionError, SpaceError, SchemaError, ParameterError
        """
        require_sound(response, f"{self.kind}: the response")
        if training is not None:
            require_sound(training, f"{self.kind}: the training")
            require_same_places(response, training, self.kind)
        mask, about = self._place(response, leverage)
        bold = self.changed(response, mask, training)
        if response.attrs["space"] == "fsaverage5":
            bold[..., fsaverage5.medial_wall()] = 0
        result = response.assign(bold=(response["bold"].dims, bold.astype(np.float32, copy=False)))
        acted = int(self.acts_on(mask, response).sum())
        result.attrs.update(self._account(response.attrs.get("perturbed"), acted))
        result.attrs.update(about)
        return result.assign_coords(self.labels(response))

    def changed(
        self, response: xr.Dataset, mask: np.ndarray, training: xr.Dataset | None
    ) -> np.ndarray:
        """Return new bold, float32 (..., stimulus, place)."""
        raise NotImplementedError(self.kind)

    def acts_on(self, mask: np.ndarray, response: xr.Dataset) -> np.ndarray:
        """Return the places that are given another value, bool (place,), from the region's."""
        return mask

    def labels(self, response: xr.Dataset) -> dict[str, Any]:
        """Return coordinates that the result gains."""
        return {}

    def told(self) -> str:
        """Say in a few words what is done, without where."""
        return self.kind

    def require_training(self, training: Sequence[xr.Dataset], why: str, instead: str) -> None:
        """Raise unless there are responses to training stimuli."""
        if not training:
            raise ParameterError(
                f"{self.kind}: {why} needs the responses to training stimuli (training=..., in a "
                f"protocol 'training' and adapter.pairs); or use {instead}"
            )

    def rows(self, training: xr.Dataset | None, why: str, instead: str) -> np.ndarray:
        """Return the training responses, float32 (row, place), or say that they are needed."""
        self.require_training([] if training is None else [training], why, instead)
        assert training is not None
        return training["bold"].values.reshape(-1, training.sizes[place_of(training)])

    def _place(
        self, response: xr.Dataset | None, leverage: xr.Dataset | None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Return where it acts, and the attributes that tell of a control."""
        region = self.target(response)
        if self.control is None:
            return region, {"control": "none"}
        known = None if leverage is None else leverage["leverage"].values
        found = controls.control(
            self.control,
            region,
            self.control_index,
            self.seed,
            self.overlap,
            known,
            ground_of(response),
        )
        about: dict[str, Any] = {
            "control": f"{self.control} {self.control_index}",
            "control_area": round(found.area, 4),
            "control_overlap": round(float((found.mask & region).sum() / region.sum()), 4),
            "control_shared_with_earlier": round(found.shared / int(region.sum()), 4),
        }
        if known is not None:
            about["control_leverage"] = round(found.leverage, 4)
        return found.mask, about

    def target(self, response: xr.Dataset | None) -> np.ndarray:
        """Return the region's places."""
        return regions.mask(self.region, atlas=self.atlas, of=response)

    def _account(self, before: str | None, places: int) -> dict[str, Any]:
        """Return the attributes that tell what was done."""
        named = ":" in self.region or self.atlas is None
        region = self.region if named else f"{self.atlas}:{self.region}"
        where = f"control {self.control} {self.control_index} for {region}"
        now = f"{self.told()}: {where if self.control else region}"
        return {
            "perturbed": f"{before}; {now}" if before else now,
            "perturbed_places": places,
            "lesion": self.says,
        }


def require_sound(response: xr.Dataset, name: str) -> None:
    """Refuse what is no response, lies in the wrong order, or holds nothing that varies."""
    check(response, "response")
    cortex = None
    if response.attrs["space"] == "fsaverage5":
        fsaverage5.check_order(response)
        cortex = fsaverage5.cortex()
    require_varying(response, name, cortex)


def require_same_places(response: xr.Dataset, training: xr.Dataset, kind: str) -> None:
    """Raise unless the training responses lie in the same places in the same order."""
    check(training, "response", space=response.attrs["space"])
    place = place_of(response)
    if place_of(training) != place or training.sizes[place] != response.sizes[place]:
        raise SpaceError(
            f"{kind}: the training responses have {dict(training.sizes)}, "
            f"the response {dict(response.sizes)}: both need the same {place} dimension"
        )
    for label in (place, "hemi"):
        if label in training.coords and not np.array_equal(
            training[label].values, response[label].values
        ):
            raise SpaceError(
                f"{kind}: '{label}' of the training responses differs from the response's; "
                f"both must hold the same {place} in the same order"
            )
