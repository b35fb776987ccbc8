"""The first of given stimuli, where a kind cannot be asked for a number of them."""

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
    """

    kind: ClassVar[str] = "first"
    stored: ClassVar[bool] = False
    n: int

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the first `n` stimuli; raise where there are fewer."""
        check(stimuli, "stimuli")
        if stimuli.sizes["stimulus"] < self.n:
            raise ParameterError(self.too_few(stimuli.sizes["stimulus"]))
        return stimuli.isel(stimulus=slice(self.n))

    def too_few(self, held: int) -> str:
        """Say that there are fewer stimuli than pairs."""
        return f"asks for {self.n} pairs, and 'training' shows {held} stimuli; write pairs: {held}"
