"""Stimuli as if they had been decoded perfectly: what a captioner is given to caption them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import xarray as xr

from insilico.errors import SchemaError, listed
from insilico.job import Job
from insilico.protocol.model import Spec
from insilico.protocol.told import shown as name_of
from insilico.schema import check
from insilico.step import Step

if TYPE_CHECKING:
    from insilico.protocol.plan import Planner


class AsShown(Step):
    """The stimuli's own pictures in the place of a reconstruction, one draw."""

    kind: ClassVar[str] = "as_shown"

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return a reconstruction, (stimulus, draw), with `image` alone.

        Parameters
        ----------
        stimuli : stimuli, with `image`
        """
        if "image" not in check(stimuli, "stimuli"):
            raise SchemaError(
                f"captions of the stimuli themselves need images; these hold {listed(stimuli)}"
            )
        made = stimuli[["image"]].expand_dims(draw=[0], axis=1)
        kept = {key: stimuli.attrs[key] for key in ("source",) if key in stimuli.attrs}
        made = made.drop_vars([name for name in made.coords if name not in ("stimulus", "draw")])
        said = {"decoder": "none: the stimuli as they were shown", "seed": 0}
        return check(made.assign_attrs({**kept, **said}), "reconstruction")


def captioned(planner: Planner, captioner: Spec, shown: Job) -> Job:
    """Return the job of the captioner's words on the stimuli themselves."""
    name = name_of(shown)
    pictures = planner.job(f"as shown {name}", AsShown(), shown)
    step = planner.step("captioner", captioner, seeded=True)
    return planner.job(f"caption {name}", step, pictures)
