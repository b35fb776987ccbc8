"""Random subsets of an adapter's pairs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from insilico.errors import ParameterError
from insilico.schema import check
from insilico.step import Step, generator


class Drawn(Step):
    """Take `n` random stimuli of a response, in their own order.

    One seed is one random order of all stimuli: its subsets of several sizes lie in each other, and
    two responses to the same stimuli give the same ones.

    Attributes
    ----------
    n, seed : int
    """

    kind: ClassVar[str] = "drawn"
    stored: ClassVar[bool] = False
    n: int
    seed: int

    def __call__(self, response: xr.Dataset) -> xr.Dataset:
        """Return the response to `n` of its stimuli; raise where there are fewer."""
        held = check(response, "response").sizes["stimulus"]
        if held < self.n:
            raise ParameterError(f"draws {self.n} pairs out of {held}; write pairs: {held}, or all")
        order = generator(self.seed, "pairs").permutation(held)
        ids = np.argsort(response["stimulus"].values.astype(str))
        return response.isel(stimulus=np.sort(ids[order[: self.n]]))
