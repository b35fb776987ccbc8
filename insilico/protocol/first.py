"""Some of given stimuli in their order, where a kind cannot be asked for a number of them."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from insilico.errors import ParameterError
from insilico.schema import check
from insilico.step import Step


class First(Step):
    """Take the first `n` stimuli: the pairs of an adapter that is fitted on someone's own files.

    Attributes
    ----------
    n : int
    after : int
        How many are left out before them: the pairs of something else.
    """

    kind: ClassVar[str] = "first"
    stored: ClassVar[bool] = False
    n: int
    after: int = 0

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the first `n` stimuli; raise where there are fewer."""
        check(stimuli, "stimuli")
        if stimuli.sizes["stimulus"] < self.after + self.n:
            raise ParameterError(self.too_few(stimuli.sizes["stimulus"]))
        return stimuli.isel(stimulus=slice(self.after, self.after + self.n))

    def too_few(self, held: int) -> str:
        """Say that there are fewer stimuli than pairs."""
        left = held - self.after
        behind = f" after the first {self.after}" if self.after else ""
        return f"asks for {self.n} pairs, and 'training' shows {left} stimuli{behind}; " + (
            f"write pairs: {left}" if left > 0 else "show more"
        )
