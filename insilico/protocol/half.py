"""Half of the pairs of an adapter, for conclusions that should hold with either half."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import PositiveInt

from insilico.schema import check
from insilico.step import Step, generator

SIDES = ("a", "b")


class Half(Step):
    """Take one half of the stimuli of a response, dealt at random.

    Attributes
    ----------
    split : int
        Number of the dealing.
    side : {"a", "b"}
        The two halves of one dealing share no stimulus; with an odd number, b has one more.
    """

    kind: ClassVar[str] = "half"
    split: PositiveInt
    side: Literal["a", "b"]

    @classmethod
    def of(cls, name: str) -> Half:
        """Return the half of a name such as ``1a``."""
        return cls(split=int(name[:-1]), side=name[-1])  # type: ignore[arg-type]

    def __call__(self, response: xr.Dataset) -> xr.Dataset:
        """Return the response to half of the stimuli, in their order."""
        check(response, "response")
        n = response.sizes["stimulus"]
        order = generator(self.split, "half", n).permutation(n)
        kept = order[: n // 2] if self.side == "a" else order[n // 2 :]
        return response.isel(stimulus=np.sort(kept))
