"""Whether two maps agree beyond what their spatial autocorrelation brings about."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt, model_validator

from insilico.errors import ParameterError, SchemaError, SpaceError, not_one_of
from insilico.schema import PLACES, check, place_of
from insilico.spaces import atlases
from insilico.statistics import places
from insilico.statistics.attainable import of_draws
from insilico.statistics.jackknife import groups, interval
from insilico.statistics.map_tests import Agreement, Method, agreement
from insilico.statistics.nulls import NullName, named
from insilico.statistics.places import Places
from insilico.statistics.subjects import fisher
from insilico.step import Step, generator

GROUPS = 50
"""Groups of stimuli left out one after the other, at most."""
SUMMARIES = ("mean", "spread")
"""Maps of a response: over stimuli, and over repeats and subjects before."""
RESPONSES = ("prediction", "measured", "subjects")
"""Sources that are responses; others are the names of statistics, whose maps are known later."""


class MapCorrelation(Step):
    """Spatial correlation of two maps, against surrogates of each.

    Parameters
    ----------
    first, second : str
        ``source.map``. The source is ``prediction``, ``measured`` or, in a protocol, the name of
        another statistic; the map is ``mean`` or ``spread`` (over stimuli) of a response, or one
        that a statistic made (``accuracy.noise_ceiling``).
    null : {"spin", "hungarian", "vasa", "baum", "cornblath", "variogram"}
    by : str, optional
        Atlas over whose regions, each hemisphere's by itself, the maps are averaged first.
    method : {"pearson", "spearman"}
        Ranks are taken before surrogates are made.
    n : int
        Surrogates of each map.
    seed : int
    """

    kind: ClassVar[str] = "map_correlation"
    first: str = "prediction.mean"
    second: str = "measured.mean"
    null: NullName = "spin"
    by: str | None = None
    method: Method = "pearson"
    n: PositiveInt = 1000
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _parcels_have_an_atlas(self) -> MapCorrelation:
        if self.by is None and named(self.null).fits == ("parcel",):
            raise ValueError(
                f"null '{self.null}' is for maps over parcels: name their atlas, such as "
                "by: yeo7, or take null: spin"
            )
        return self

    @model_validator(mode="after")
    def _responses_have_summaries(self) -> MapCorrelation:
        for source, _, what in (self.first.partition("."), self.second.partition(".")):
            if source in RESPONSES and what not in SUMMARIES:
                known = [f"{source}.{summary}" for summary in SUMMARIES]
                raise ValueError(not_one_of("map", f"{source}.{what}".strip("."), known))
        return self

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return {self.by: atlases.load(self.by).digest} if self.by else {}

    @property
    def takes(self) -> tuple[str, ...]:
        """Return what a protocol calls it with."""
        return self.first.partition(".")[0], self.second.partition(".")[0]

    def require(self, *given: xr.Dataset) -> None:
        """Raise for what is made of scores: it has no map."""
        for name, one in zip(self.takes, given, strict=True):
            if "metric" in one.dims and not set(PLACES) & set(one.dims):
                raise SchemaError(
                    f"'{name}' is made of scores, and has no map over the brain; statistics of "
                    "responses have, such as encoding_accuracy"
                )

    def __call__(self, first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
        """Correlate the maps.

        Parameters
        ----------
        first, second : response, or estimate with maps by place
            In one space.

        Returns
        -------
        estimate of one contrast: `effect` is r and `p` the larger of `p_of_first` and
        `p_of_second`, whose surrogates these are. `n` is 1, the pair of maps: nothing is said of
        others. `n_places` counts places, `n_null` those behind a surrogate on average. The
        interval is over stimuli; NaN where a map has none. By place (or parcel): `first_map`,
        `second_map`.
        """
        self.require(first, second)
        null, one = named(self.null), places.of(first)
        if len(one) != len(places.of(second)) or one.kind != places.of(second).kind:
            raise SpaceError("map_correlation: the two maps do not lie over the same places")
        where = one if self.by is None else self._parcels(one)
        null.require(where)
        x, y = (
            _of_places(_map(d, n), where) for d, n in ((first, self.first), (second, self.second))
        )
        found = agreement(x, y, where, null, self.n, self.seed, self.method)
        ends = self._interval(found.r, first, second, where)
        return self._estimate(found, ends, (x, y), where, first)

    def _parcels(self, one: Places) -> Places:
        if one.kind != "vertex":
            raise ParameterError("map_correlation: by: needs maps over vertices of fsaverage5")
        return places.parcels(str(self.by))

    def _interval(
        self, r: float, first: xr.Dataset, second: xr.Dataset, where: Places
    ) -> tuple[float, float]:
        """Leave out the stimuli that both responses have, group by group."""
        if "bold" not in first or "bold" not in second:
            return np.nan, np.nan
        known = set(second["stimulus"].values)
        shared = [name for name in first["stimulus"].values if name in known]
        if len(shared) < 3:
            return np.nan, np.nan
        left = groups(len(shared), GROUPS, generator(self.seed, "map correlation", "interval"))
        weights = (left != np.arange(left.max() + 1)[:, None]).astype(np.float64)
        weights /= weights.sum(1, keepdims=True)
        x, y = (
            _of_places(_summaries(_items(d.sel(stimulus=shared)), name, weights), where)
            for d, name in ((first, self.first), (second, self.second))
        )
        without = _rows_correlated(x, y, where, self.method)
        low, high = interval(fisher(np.array(r)), fisher(without))
        return float(np.tanh(low)), float(np.tanh(high))

    def _estimate(
        self,
        found: Agreement,
        ends: tuple[float, float],
        maps: tuple[np.ndarray, np.ndarray],
        where: Places,
        of: xr.Dataset,
    ) -> xr.Dataset:
        low, high = np.percentile(found.null, [2.5, 97.5])
        rows = {"effect": found.r, "ci_low": ends[0], "ci_high": ends[1], "p": found.p}
        rows |= {"p_corrected": found.p, "p_of_first": found.p_each[0]}
        rows |= {"p_of_second": found.p_each[1], "null_low": low, "null_high": high}
        counts = {"n": 1, "n_places": found.n, "n_null": found.n_null.mean()}
        place = "parcel" if self.by else place_of(of)
        coords = {k: v for k, v in of.coords.items() if v.dims == (place,)}
        named_ = {"parcel": list(where.names)} if self.by else coords
        shown = dict(zip(("first_map", "second_map"), maps, strict=True))
        return xr.Dataset(
            {name: ("contrast", [value]) for name, value in (rows | counts).items()}
            | {name: (place, values.astype(np.float32)) for name, values in shown.items()},
            coords={"contrast": [f"{self.first} ~ {self.second}"], **named_},
            attrs={
                "statistic": f"{self.method} correlation of two maps over each {place}",
                "test": f"{self.n} surrogates of each map, two-sided; p is the larger",
                "null": f"{self.null}: spatial autocorrelation kept, alignment lost",
                "correction": "none: one test",
                "interval": "95 % jackknife over stimuli, of Fisher's z",
                "smallest_p": of_draws(self.n),
                "unit_of_inference": "pair of maps",
                **({"atlas": self.by} if self.by else {}),
                **{k: of.attrs[k] for k in ("source", "note") if k in of.attrs},
            },
        )


def _map(dataset: xr.Dataset, name: str) -> np.ndarray:
    """Return a map of a response or an estimate, (1, place), NaN in no place but where it is."""
    what = name.rpartition(".")[2]
    if "bold" not in dataset:
        place = place_of(dataset)
        known = [str(k) for k, v in dataset.data_vars.items() if v.dims == (place,)]
        if what not in known:
            raise ParameterError(not_one_of("map", name, known))
        return dataset[what].values[None].astype(np.float64)
    check(dataset, "response")
    if what not in SUMMARIES:
        raise ParameterError(not_one_of("map of a response", name, SUMMARIES))
    if what == "spread" and dataset.sizes["stimulus"] < 2:
        raise SchemaError(f"map_correlation: {name} needs two stimuli or more")
    items = _items(dataset)
    return _summaries(items, what, np.full((1, len(items)), 1 / len(items)))


def _items(response: xr.Dataset) -> np.ndarray:
    """Return the bold of each stimulus, (stimulus, place); other dimensions are averaged."""
    bold = response["bold"]
    others = [dim for dim in bold.dims if dim not in ("stimulus", place_of(response))]
    return bold.mean(others, dtype=np.float64).values


def _summaries(items: np.ndarray, name: str, weights: np.ndarray) -> np.ndarray:
    """Return the maps of weighed stimuli, (map, place)."""
    mean = weights @ items
    if name.rpartition(".")[2] == "mean":
        return mean
    return np.sqrt(np.maximum(weights @ items**2 - mean**2, 0))


def _of_places(maps: np.ndarray, where: Places) -> np.ndarray:
    """Return maps by vertex as maps by place; one map loses its first dimension."""
    made = where.averaged(maps) if where.kind == "parcel" else maps
    return made[0] if len(made) == 1 else made


def _rows_correlated(x: np.ndarray, y: np.ndarray, where: Places, method: str) -> np.ndarray:
    from scipy.stats import rankdata

    use = where.usable & np.isfinite(x).all(0) & np.isfinite(y).all(0)
    x, y = x[:, use], y[:, use]
    if method == "spearman":
        x, y = rankdata(x, axis=1), rankdata(y, axis=1)
    x, y = (one - one.mean(1, keepdims=True) for one in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
