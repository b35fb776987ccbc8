"""Groups of vertices with penalties of their own: banded ridge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from insilico.errors import ParameterError, SpaceError, listed
from insilico.spaces import atlases
from insilico.step import generator

ELSEWHERE = "elsewhere"
CONCENTRATIONS = (1.0, 0.1)
"""Of the Dirichlet distributions that weights are drawn from: all alike likely; most near zero."""


@dataclass(frozen=True)
class Banded:
    """Vertices in bands, and candidates of the bands' weights.

    Attributes
    ----------
    names : tuple of str
    band : int, (vertex,)
        Which band; -1 where a vertex does not take part.
    weights : float32, (candidate, band)
        Mean one; the first candidate is plain ridge.
    """

    names: tuple[str, ...]
    band: np.ndarray
    weights: np.ndarray

    @property
    def gammas(self) -> list[np.ndarray]:
        """Return each candidate's weights by vertex."""
        return [np.where(self.band >= 0, row[self.band], 0) for row in self.weights]


class Bands(BaseModel):
    """Regions of an atlas as bands, and how their weights are searched.

    A band's penalty is alpha / weight. Tried are equal weights (plain ridge) and random ones, of
    every candidate all `alphas`; each voxel keeps the best by the criterion `choose`. This is the
    random search of Dupré la Tour et al. (2022, https://doi.org/10.1016/j.neuroimage.2022.119728)
    at a fixed small size: near the best, not the best.

    Attributes
    ----------
    atlas : str
        Such as ``yeo7``.
    groups : dict, optional
        Name of a band to its regions; by default each region is one. What is in none is the band
        ``elsewhere``.
    candidates : int
        How many weights are tried, equal ones included.
    seed : int
        Of the random ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    atlas: str
    groups: dict[str, tuple[str, ...]] | None = None
    candidates: int = Field(16, ge=2, le=1000)
    seed: int = Field(0, ge=0)

    def digests(self) -> dict[str, str]:
        """Return the atlas's digest; raise for a region that it does not have."""
        atlas = atlases.load(self.atlas)
        for regions in (self.groups or {}).values():
            for region in regions:
                atlas.region(region)
        return {self.atlas: atlas.digest}

    def of(self, source: xr.Dataset, live: np.ndarray) -> Banded:
        """Return the bands of a response's vertices.

        Parameters
        ----------
        source : response on fsaverage5
        live : bool, (vertex,)
            Which vertices vary.
        """
        atlas = atlases.load(self.atlas)
        if source.sizes["vertex"] != len(atlas.labels):
            raise SpaceError(
                f"bands of {self.atlas} need all {len(atlas.labels)} vertices of fsaverage5; the "
                f"source has {source.sizes['vertex']}"
            )
        groups = self.groups or {region: (region,) for region in atlas.regions}
        band = np.full(len(live), len(groups))
        for k, regions in enumerate(groups.values()):
            band[np.any([atlas.mask(region) for region in regions], axis=0)] = k
        band[~live] = -1
        kept, band = np.unique(band, return_inverse=True)
        there = kept >= 0
        names = tuple([*groups, ELSEWHERE][k] for k in kept[there])
        if len(names) < 2:
            raise ParameterError(
                f"bands: all vertices that vary lie in one band ({listed(names)}); leave bands out"
            )
        return Banded(names, band - (~there).sum(), self._weights(names))

    def _weights(self, names: tuple[str, ...]) -> np.ndarray:
        n = len(names)
        numbers = generator(self.seed, "bands", *names)
        drawn = [
            numbers.dirichlet(np.full(n, CONCENTRATIONS[k % len(CONCENTRATIONS)]))
            for k in range(self.candidates - 1)
        ]
        return np.maximum(n * np.array([np.full(n, 1 / n), *drawn]), 1e-6).astype(np.float32)
