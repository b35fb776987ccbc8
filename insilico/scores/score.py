"""What every score shares: the door, the chance level, the labels."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr

from insilico.errors import SchemaError, listed
from insilico.schema import check
from insilico.step import Step


class Score(Step):
    """Base of scores. A subclass fills `values` or, for pairwise scores, `similarity`."""

    definition: ClassVar[str]
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    needs: ClassVar[tuple[str, str]] = ("image", "image")

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return every pair's similarity, (draw, stimulus, reconstruction)."""
        raise NotImplementedError(self.kind)

    def values(self, similarity: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the score of each item (stimulus, draw) and the chance level.

        Chance is the mean over mismatched pairs: what a decoder would get whose pictures had
        nothing to do with what was shown.
        """
        n = similarity.shape[-1]
        own = np.einsum("dii->id", similarity)
        apart = ~np.eye(n, dtype=bool)
        return own, float(np.nanmean(similarity[:, apart])) if n > 1 else float("nan")

    def __call__(self, reconstruction: xr.Dataset, stimuli: xr.Dataset) -> xr.Dataset:
        """Score each item.

        Parameters
        ----------
        reconstruction : reconstruction, (stimulus, draw)
        stimuli : stimuli
            What was shown, with the same ids.

        Returns
        -------
        score, (stimulus, draw, metric) with one metric
        """
        check(reconstruction, "reconstruction")
        shown = self._shown(check(stimuli, "stimuli"), reconstruction)
        value, chance = self.values(self.similarity(shown, reconstruction))
        return xr.Dataset(
            {"value": (("stimulus", "draw", "metric"), value[..., None].astype(np.float64))},
            coords={
                "stimulus": reconstruction["stimulus"].values,
                "draw": reconstruction["draw"].values,
                "metric": [self.kind],
                "definition": ("metric", [self.definition]),
                "direction": ("metric", [self.direction]),
                "chance": ("metric", [chance]),
            },
            attrs={k: v for k, v in reconstruction.attrs.items() if k in ("source", "note")},
        )

    def _shown(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> xr.Dataset:
        theirs, ours = self.needs
        for dataset, name, noun in (
            (stimuli, theirs, "stimuli"),
            (reconstruction, ours, "reconstruction"),
        ):
            if name not in dataset:
                raise SchemaError(
                    f"{self.kind}: the {noun} hold no {name}; they hold {listed(dataset)}"
                )
        missing = set(reconstruction["stimulus"].values) - set(stimuli["stimulus"].values)
        if missing:
            raise SchemaError(f"{self.kind}: no stimuli for {listed(sorted(missing), 3)}")
        return stimuli.sel(stimulus=reconstruction["stimulus"].values)


def two_way(similarity: np.ndarray) -> np.ndarray:
    """Return each item's two-way identification, (stimulus, draw).

    For reconstruction j: the share of other stimuli i that it resembles less than its own stimulus
    j. Ties count one half. MindEye2 specification section 6.2 (there, ties count nothing).

    Parameters
    ----------
    similarity : (draw, stimulus i, reconstruction j)
    """
    n = similarity.shape[-1]
    own = np.einsum("dii->di", similarity)[:, None, :]
    less = (similarity < own).sum(1) + 0.5 * ((similarity == own).sum(1) - 1)
    return less.T / (n - 1)


def top1(similarity: np.ndarray) -> np.ndarray:
    """Return whether each reconstruction resembles its own stimulus most, (stimulus, draw).

    A tie among k stimuli counts 1/k.
    """
    best = similarity.max(axis=1, keepdims=True)
    ties = (similarity == best).sum(1)
    hit = np.einsum("dii->di", similarity) == best[:, 0]
    return (hit / ties).T
