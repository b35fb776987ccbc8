"""Maps of a difference, tested place by place, without clusters to choose."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from insilico.errors import ParameterError, SchemaError, counted, listed
from insilico.schema import check, place_of
from insilico.spaces import atlases, fsaverage5, regions
from insilico.statistics.attainable import of_flips
from insilico.statistics.flipped_maps import FlippedMap, flipped_map
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.maps import with_maps
from insilico.statistics.multiplicity import adjusted
from insilico.statistics.tfce import Enhancement
from insilico.step import Step, generator

Source = Literal["prediction", "measured", "subjects"]


class VertexMap(Step):
    """Sign-flip test at every vertex, corrected over the map; and of the regions' means.

    Parameters
    ----------
    first, second : {"prediction", "measured", "subjects"}
        Responses whose difference, first minus second, is held against zero; without a second
        (null), the first itself. ``subjects`` are measured responses of several.
    over : {"stimulus", "subject"}
        Unit of inference; everything else is averaged first.
    correct : {"max", "tfce"}
        Maximum over vertices of abs(t), or of its threshold-free cluster enhancement by area.
    false_discoveries : {"bh", "by"}
        How the map `q` is adjusted.
    extent, height : float
        Exponents E and H of the enhancement.
    step : float, optional
        Its dh; without it the integral is exact.
    by : str, optional
        Atlas whose regions are reported; otherwise all cortical places together.
    n : int
        Sign flips; all 2^items if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "vertex_map"
    first: Source = "prediction"
    second: Source | None = "measured"
    over: Literal["stimulus", "subject"] = "stimulus"
    correct: Literal["max", "tfce"] = "max"
    false_discoveries: Literal["bh", "by"] = "bh"
    extent: PositiveFloat = 0.5
    height: PositiveFloat = 2.0
    step: PositiveFloat | None = None
    by: str | None = None
    n: PositiveInt = 1000
    seed: NonNegativeInt = 0

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return {self.by: atlases.load(self.by).digest} if self.by else {}

    @property
    def takes(self) -> tuple[str, ...]:
        """Return what a protocol calls it with."""
        return (self.first,) if self.second is None else (self.first, self.second)

    def __call__(self, first: xr.Dataset, second: xr.Dataset | None = None) -> xr.Dataset:
        """Test the map.

        Parameters
        ----------
        first : response, (stimulus, place)
            With a leading subject where subjects are the unit. Repeats are averaged.
        second : response, optional
            To the same stimuli, or more.

        Returns
        -------
        estimate over contrast (the regions): mean difference, its t interval, sign flips of the
        regions' means. By place: `mean`, `t`, `p_map`, `p_corrected_map`, `q` and, if asked for,
        `tfce`. The medial wall is NaN.
        """
        if (second is None) != (self.second is None):
            raise ParameterError(f"vertex_map: second is {self.second}: give as many responses")
        check(first, "response")
        if self.correct == "tfce" and place_of(first) != "vertex":
            raise ParameterError("vertex_map: tfce needs the mesh, vertices; use correct: max")
        if place_of(first) == "vertex":
            fsaverage5.check_order(first)
        bold = _averaged(first["bold"]) if second is None else _difference(first, second)
        values, shown = self._items(bold), first
        cortex = regions.mask(regions.CORTEX, of=shown)
        found = flipped_map(
            np.where(cortex, values, np.nan), self.n, self._rng("map"), self._enhancement()
        )
        names, masks = regions.each(self.by, shown)
        means = np.stack([values[:, mask].mean(1) for mask in masks], axis=1)
        made = with_maps(
            self._rows(means),
            self._maps(values, found),
            names,
            self.by,
            shown,
            **self._about(means),
        )
        return made.assign_attrs(unit_of_inference=self.over)

    def _rng(self, what: str) -> np.random.Generator:
        return generator(self.seed, "vertex map", what)

    def _enhancement(self) -> Enhancement | None:
        if self.correct == "max":
            return None
        return Enhancement(self.extent, self.height, self.step)

    def _items(self, bold: xr.DataArray) -> np.ndarray:
        place = str(bold.dims[-1])
        if self.over not in bold.dims:
            raise SchemaError(
                f"vertex_map: over: {self.over} needs responses with that dimension; they have "
                f"{listed(bold.dims)}; for subjects say first: subjects"
            )
        rest = [dim for dim in bold.dims if dim not in (self.over, place)]
        return bold.mean(rest, dtype=np.float64).transpose(self.over, place).values

    def _rows(self, means: np.ndarray) -> dict[str, np.ndarray]:
        from scipy.stats import t

        count, effect = len(means), means.mean(0)
        half = t.ppf(0.975, count - 1) * means.std(0, ddof=1) / np.sqrt(count)
        p, corrected = sign_flip_test(means, self.n, self._rng("regions"))
        rows = {"effect": effect, "ci_low": effect - half, "ci_high": effect + half}
        return rows | {"p": p, "p_corrected": corrected, "n": np.full(len(effect), count)}

    def _maps(self, values: np.ndarray, found: FlippedMap) -> dict[str, np.ndarray]:
        maps = {"mean": values.mean(0), "t": found.t, "p_map": found.p}
        maps |= {"p_corrected_map": found.p_corrected}
        maps |= {"q": adjusted(found.p, self.false_discoveries)}
        return maps if found.enhanced is None else maps | {"tfce": found.enhanced}

    def _about(self, means: np.ndarray) -> dict[str, object]:
        what = " minus ".join(self.takes)
        largest = "|t|" if self.correct == "max" else "|TFCE of t|, by area in mm²"
        flips = "all" if 2 ** len(means) <= self.n else str(self.n)
        return {
            "statistic": f"mean of {what} over {self.over}",
            "test": f"{flips} sign flips of {self.over}, two-sided",
            "null": "symmetric about zero",
            "correction": f"maximum over {counted(means.shape[1], 'region')}; maps: maximum over "
            f"places of {largest}; q: false discovery rate ({self.false_discoveries})",
            "interval": f"95 % t over {self.over}",
            "smallest_p": of_flips(len(means), self.n),
        }


def _averaged(bold: xr.DataArray) -> xr.DataArray:
    return bold.mean([d for d in ("repeat", "condition") if d in bold.dims], dtype=np.float64)


def _difference(first: xr.Dataset, second: xr.Dataset) -> xr.DataArray:
    """Return first minus second over the stimuli of the first."""
    check(second, "response", space=first.attrs["space"])
    missing = set(first["stimulus"].values) - set(second["stimulus"].values)
    if missing:
        raise SchemaError(f"vertex_map: the second lacks the stimuli {listed(sorted(missing), 3)}")
    place = place_of(first)
    if first.sizes[place] != second.sizes.get(place):
        raise SchemaError(
            f"vertex_map: {first.sizes[place]} and {second.sizes.get(place)} {place}s: need as many"
        )
    one = _averaged(first["bold"])
    other = _averaged(second["bold"]).sel(stimulus=first["stimulus"].values)
    found = one - other.assign_coords({place: one[place]} if place in one.coords else {})
    return found.transpose(..., "stimulus", place)
