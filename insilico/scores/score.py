"""What every score shares: the door, the chance level, the labels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr

from insilico.errors import SchemaError, listed
from insilico.schema import check
from insilico.step import Step


class Score(Step):
    """Base of scores: fill `scored`, or `similarity` where all pairs are cheap.

    Parameters
    ----------
    name : str, optional
        What the metric is called in tables; by default what it is. Two scores of one protocol
        must not be called the same.
    """

    definition: ClassVar[str]
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    needs: ClassVar[tuple[str, str]] = ("image", "image")
    name: str | None = None

    @property
    def label(self) -> str:
        """What the metric is called."""
        return self.name or self.described()[0]

    def described(self) -> tuple[str, str]:
        """Return the metric's name and exact definition, as its parameters make them."""
        return self.kind, self.definition

    def scored(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> tuple[np.ndarray, float]:
        """Return the score of each item, (stimulus, draw), and the chance level."""
        return self.values(self.similarity(stimuli, reconstruction))

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
        value, chance = self.scored(shown, reconstruction)
        return self.labelled(value, chance, reconstruction)

    def labelled(
        self,
        value: np.ndarray,
        chance: float,
        reconstruction: xr.Dataset,
        described: tuple[str, str] | None = None,
    ) -> xr.Dataset:
        """Return a score with one metric.

        Parameters
        ----------
        value : (stimulus, draw), or (draw,) for a score of a whole set
        chance : float
        reconstruction : reconstruction
            Whose items were scored.
        described : (str, str), optional
            Name and definition, for one of several metrics of a step.
        """
        name, definition = described or (self.label, self.described()[1])
        dims = ("stimulus", "draw")[-value.ndim :]
        variables = {"value": ((*dims, "metric"), value[..., None].astype(np.float64))}
        of_set: dict[str, Any] = {}
        if value.ndim == 1:  # what every score of a set has, so that they lie side by side
            variables["error"] = ((*dims, "metric"), np.full((*value.shape, 1), np.nan))
            of_set["warning"] = ("metric", [""])
        return xr.Dataset(
            variables,
            coords={
                **of_set,
                **{dim: reconstruction[dim].values for dim in dims},
                "metric": [name],
                "definition": ("metric", [definition]),
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


def drawn(reconstruction: xr.Dataset) -> np.ndarray:
    """Return reconstructed pictures, uint8 (draw, stimulus, y, x, rgb)."""
    return reconstruction["image"].transpose("draw", "stimulus", ...).values


def two_way(similarity: np.ndarray, *, strict: bool = False) -> np.ndarray:
    """Return each item's two-way identification, (stimulus, draw).

    For reconstruction j: the share of other stimuli i that it resembles less than its own stimulus
    j. Ties count one half; nothing if `strict`, as in the published scripts. MindEye2
    specification section 6.2.

    Parameters
    ----------
    similarity : (draw, stimulus i, reconstruction j)
    """
    less, ties = _against_own(similarity)
    return (less + (0.0 if strict else 0.5) * ties) / (similarity.shape[-1] - 1)


def n_way(similarity: np.ndarray, n: int, *, strict: bool = False) -> np.ndarray:
    """Return each item's probability to be told from `n` - 1 others, (stimulus, draw).

    The others are drawn without replacement from all other stimuli; the probability is exact, no
    draw is made. A tie with k others counts 1 / (k + 1), or nothing if `strict`.

    Parameters
    ----------
    similarity : (draw, stimulus i, reconstruction j)
    n : int
        Candidates, the own stimulus included; at most as many as there are stimuli.
    """
    from scipy.special import gammaln

    def log_choose(top: np.ndarray, k: np.ndarray) -> np.ndarray:
        inside = (k >= 0) & (k <= top)
        top, k = np.where(inside, top, 0), np.where(inside, k, 0)
        ways = gammaln(top + 1) - gammaln(k + 1) - gammaln(top - k + 1)
        return np.where(inside, ways, -np.inf)

    less, ties = _against_own(similarity)
    every = log_choose(np.array(similarity.shape[-1] - 1), np.array(n - 1))
    found = np.zeros(less.shape)
    for tied in range(1 if strict else min(n, int(ties.max()) + 1)):
        ways = log_choose(ties, np.array(tied)) + log_choose(less, np.array(n - 1 - tied))
        found += np.exp(ways - every) / (tied + 1)
    return found


def _against_own(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count the other stimuli that a reconstruction resembles less than its own, or as much."""
    own = np.einsum("dii->di", similarity)[:, None, :]
    return (similarity < own).sum(1).T, (similarity == own).sum(1).T - 1


def top1(similarity: np.ndarray, *, strict: bool = False) -> np.ndarray:
    """Return whether each reconstruction resembles its own stimulus most, (stimulus, draw).

    A tie among k stimuli counts 1/k; nothing if `strict`.
    """
    best = similarity.max(axis=1, keepdims=True)
    ties = (similarity == best).sum(1)
    hit = np.einsum("dii->di", similarity) == best[:, 0]
    return ((hit & (ties == 1)) if strict else hit / ties).T.astype(float)
