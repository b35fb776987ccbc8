"""What a region says in words: which are said more for it than for the others."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from insilico.errors import ParameterError, SchemaError, listed
from insilico.schema import check, require_varying
from insilico.spaces import regions
from insilico.statistics.attainable import of_orders
from insilico.statistics.intervals import weights
from insilico.step import Step, generator

Floats = NDArray[np.float64]
EMPTY = ("a", "an", "the", "of", "on", "in", "with", "and", "is", "are", "to", "at", "its")
"""Words that name nothing; left out."""
BLOCK = 200


def log_odds(counts: Floats, prior: float) -> tuple[Floats, Floats]:
    """Return weighted log-odds of words in each region's text against that of the others.

    Parameters
    ----------
    counts : (..., region, word)
    prior : float
        Words of the informative Dirichlet prior, dealt as the whole text has them.

    Returns
    -------
    delta, z : (..., region, word)
        Log odds ratio in nats, and in units of its approximate standard error.

    Notes
    -----
    Monroe, Colaresi and Quinn (2008), equations 16 to 22.
    """
    whole = counts.sum(-2, keepdims=True)
    share = whole / np.maximum(whole.sum(-1, keepdims=True), 1e-12)
    pseudo = prior * share + 1e-9
    rest = whole - counts
    one, other = counts + pseudo, rest + pseudo
    delta = _odds(one) - _odds(other)
    return delta, delta / np.sqrt(1 / one + 1 / other)


def _odds(counts: Floats) -> Floats:
    total = counts.sum(-1, keepdims=True)
    return np.log(counts / np.maximum(total - counts, 1e-9))


def words_in(captions: np.ndarray, least: int) -> tuple[list[str], NDArray[np.bool_]]:
    """Return the words of captions, and which caption says which, (..., word).

    Parameters
    ----------
    captions : str (...)
    least : int
        Words in fewer captions are left out, and those that name nothing.
    """
    said = [frozenset(re.findall(r"[^\W\d_]+", str(one).lower())) for one in captions.ravel()]
    known = sorted({word for one in said for word in one} - set(EMPTY))
    table = np.array([[word in one for word in known] for one in said], bool)
    kept = table.reshape(len(said), len(known)).sum(0) >= least
    table = table.reshape(len(said), len(known))[:, kept]
    return [w for w, k in zip(known, kept, strict=True) if k], table.reshape(*captions.shape, -1)


class RegionWords(Step):
    """Words that are said more for one region than for the others.

    Either of what a region responds to most (``areas``: captions decoded for the stimuli with the
    strongest mean response), or of what is decoded when the region is changed (`of` stands for one
    condition a region, such as ``keep_only``).

    Parameters
    ----------
    of : list of str
        Conditions: one, with `areas`; else those that stand for regions.
    areas : dict, optional
        Name to region expression.
    share : float
        Of the stimuli that are an area's own: those of the strongest response.
    repeat : int, optional
        Only this repeat selects the stimuli, so that one decoded from another repeat
        (``decoder: {repeat: 2}``) shares no noise with it; the first is 1.
    prior : float
        See `log_odds`.
    least : int
        Captions in which a word must stand.
    n : int
        Permutations, and resamples of stimuli.
    seed : int
    """

    kind: ClassVar[str] = "region_words"
    version: ClassVar[int] = 2
    of: tuple[str, ...] = Field(min_length=1)
    areas: dict[str, str] = {}
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    repeat: PositiveInt | None = None
    prior: Annotated[float, Field(gt=0)] = 50.0
    least: PositiveInt = 3
    n: PositiveInt = 2000
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _one_way(self) -> RegionWords:
        if self.areas and (len(self.areas) < 2 or len(self.of) > 1):
            raise ValueError("with 'areas', two or more are compared on one condition of 'of'")
        if self.repeat and not self.areas:
            raise ValueError("'repeat' selects stimuli for 'areas', and there are none")
        for expression in self.areas.values():
            regions.named(expression)
        return self

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the datasets that it is called with."""
        return ("reconstructions", "recorded") if self.areas else ("spoken",)

    def __call__(self, spoken: xr.Dataset, measured: xr.Dataset | None = None) -> xr.Dataset:
        """Find the words.

        Parameters
        ----------
        spoken : reconstruction, with `caption`
            (stimulus, draw) with `areas`; else (condition, stimulus, draw) with coordinates `name`
            and `region`, as a run's `reconstruction`.
        measured : response in voxels, optional
            To the same stimuli, with `areas`.

        Returns
        -------
        estimate, (contrast, metric): regions and words
            `effect` is the weighted log-odds ratio in nats, `z` it over its standard error,
            `said` the share of the region's captions with the word, `elsewhere` that of the others.
            p is one-sided: said more. `top` (contrast) lists the words with p_corrected < .05.

        Raises
        ------
        SchemaError, RegionError
        """
        if "caption" not in spoken:
            raise SchemaError(f"region_words: no captions; these hold {listed(spoken.data_vars)}")
        if self.areas:
            names, own, table, vocabulary = self._of_areas(spoken, measured)
        else:
            names, own, table, vocabulary = self._of_conditions(spoken)
        if not vocabulary:
            raise SchemaError(f"region_words: no word stands in {self.least} captions; show more")
        counts = _counted(own, table)
        delta, z = log_odds(counts, self.prior)
        low, high = self._interval(own, table)
        p, corrected = self._permuted(own, table, z)
        captions = own.sum(0)
        said = counts / captions[:, None]
        rest = (counts.sum(0) - counts) / (captions.sum() - captions)[:, None]
        rows = {"effect": delta, "ci_low": low, "ci_high": high, "p": p, "p_corrected": corrected}
        rows |= {"z": z, "said": said, "elsewhere": rest}
        rows["n"] = np.full(z.shape, float(len(own)))
        return self._labelled(rows, names, vocabulary, spoken, captions)

    # --- the text of each region ---

    def _of_areas(
        self, spoken: xr.Dataset, measured: xr.Dataset | None
    ) -> tuple[list[str], Floats, Floats, list[str]]:
        """Return names, whose stimuli (stimulus, region), words (stimulus, 1, word), vocabulary."""
        if measured is None:
            raise SchemaError("region_words: areas need the measured response to the stimuli")
        require_varying(check(measured, "response"), "region_words: the response")
        if not np.array_equal(measured["stimulus"].values, spoken["stimulus"].values):
            raise SchemaError("region_words: captions and responses are of other stimuli")
        bold = self._selected(measured)
        masks = [regions.mask(one, of=measured) for one in self.areas.values()]
        level = np.stack([bold[:, mask].mean(1, dtype=np.float64) for mask in masks], 1)
        many = max(1, round(self.share * len(level)))
        own = np.zeros(level.shape)
        np.put_along_axis(own, np.argsort(-level, 0, kind="stable")[:many], 1.0, 0)
        vocabulary, table = words_in(spoken["caption"].isel(draw=0).values, self.least)
        return list(self.areas), own, table[:, None].astype(float), vocabulary

    def _selected(self, measured: xr.Dataset) -> np.ndarray:
        bold = measured["bold"]
        if self.repeat is None:
            return bold.mean("repeat").values if "repeat" in bold.dims else bold.values
        there = bold.sizes.get("repeat", 1)
        if self.repeat > there:
            raise ParameterError(f"region_words: repeat {self.repeat} of {there}")
        return bold.isel(repeat=self.repeat - 1).values if "repeat" in bold.dims else bold.values

    def _of_conditions(self, spoken: xr.Dataset) -> tuple[list[str], Floats, Floats, list[str]]:
        """Return the same, all stimuli for each region and words (stimulus, region, word)."""
        if "condition" not in spoken.dims:
            raise SchemaError("region_words: captions of several conditions are needed (condition)")
        own = np.isin(spoken["name"].values.astype(str), self.of)
        some = spoken.isel(condition=own, draw=0)
        labels = some["region"].values.astype(str)
        names = [r or str(c) for r, c in zip(labels, some["condition"].values, strict=True)]
        if len(names) < 2 or len(set(names)) < len(names):
            raise SchemaError(
                f"region_words: one condition for each of two or more regions is needed; "
                f"{listed(self.of)} stands for {listed(names) or 'none'}"
            )
        captions = some["caption"].transpose("stimulus", "condition").values
        vocabulary, table = words_in(captions, self.least)
        return names, np.ones(captions.shape), table.astype(float), vocabulary

    # --- numbers ---

    def _interval(self, own: Floats, table: Floats) -> tuple[Floats, Floats]:
        """Return the ends of percentile intervals, stimuli resampled."""
        rng, made = generator(self.seed, "region words", "interval"), []
        each = own[:, :, None] * table  # (stimulus, region, word)
        flat = each.reshape(len(each), -1)
        for start in range(0, self.n, BLOCK):
            drawn = weights(len(own), min(BLOCK, self.n - start), rng) * len(own)
            made.append(log_odds((drawn @ flat).reshape(-1, *each.shape[1:]), self.prior)[0])
        low, high = np.percentile(np.concatenate(made), [2.5, 97.5], axis=0)
        return low, high

    def _permuted(self, own: Floats, table: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Test z, one-sided: p, and p by the maximum over regions and words.

        With areas, captions are dealt to other stimuli, the same for all areas; with conditions,
        the regions of each stimulus change places.
        """
        rng = generator(self.seed, "region words", "permutation")
        beyond, largest = np.zeros(z.shape), np.zeros(z.shape)
        for _ in range(self.n):
            if self.areas:
                dealt = table[rng.permutation(len(table))]
            else:
                order = rng.permuted(np.tile(np.arange(own.shape[1]), (len(own), 1)), axis=1)
                dealt = np.take_along_axis(table, order[:, :, None], 1)
            null = log_odds(_counted(own, dealt), self.prior)[1]
            beyond += null >= z - 1e-9
            largest += null.max() >= z - 1e-9
        return (1 + beyond) / (1 + self.n), (1 + largest) / (1 + self.n)

    def _labelled(
        self,
        rows: dict[str, Floats],
        names: list[str],
        vocabulary: list[str],
        spoken: xr.Dataset,
        captions: Floats,
    ) -> xr.Dataset:
        sure = rows["p_corrected"] < 0.05
        top = [
            ", ".join(np.array(vocabulary)[np.flatnonzero(row)[np.argsort(-z[row])]])
            for row, z in zip(sure, rows["z"], strict=True)
        ]
        table: dict[str, Any] = {k: (("contrast", "metric"), v) for k, v in rows.items()}
        made = xr.Dataset(
            table | {"top": ("contrast", top), "captions": ("contrast", captions)},
            {"contrast": names, "metric": vocabulary},
            {
                **self._about(int(rows["n"].flat[0]), len(names)),
                **{k: spoken.attrs[k] for k in KEPT if k in spoken.attrs},
            },
        )
        return check(made, "estimate")

    def _about(self, stimuli: int, regions: int) -> dict[str, Any]:
        own = f"the {self.share:.0%} of stimuli with the strongest response".replace("%", " %")
        dealt = (
            "captions dealt to other stimuli" if self.areas else "regions change places by stimulus"
        )
        items = (stimuli,) if self.areas else (regions, stimuli)
        return {
            "statistic": "weighted log-odds ratio (nats) of a word in a region's captions against "
            "the other regions'",
            "text": f"captions of {own}" if self.areas else f"captions of {listed(self.of)}",
            "selected_by": f"repeat {self.repeat}" if self.repeat else "all repeats",
            "test": f"said more: {self.n} permutations, one-sided",
            "null": dealt,
            "correction": "maximum of z over regions and words",
            "interval": f"95 % percentile, {self.n} resamples of stimuli",
            "unit_of_inference": "stimulus",
            "smallest_p": of_orders(self.n, *items),
            "caution": "a word is the captioner's: it knows no more than its vocabulary",
        }


KEPT = ("source", "note", "lesion")


def _counted(own: Floats, table: Floats) -> Floats:
    """Return how many of each region's captions say each word, (region, word)."""
    if table.shape[1] == 1:
        return own.T @ table[:, 0]
    return np.einsum("sr,srw->rw", own, table)
