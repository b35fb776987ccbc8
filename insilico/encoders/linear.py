"""A second encoder: ridge from the features of another network to one subject's cortex.

It shares nothing with MARY-Nano but the measured responses it is fitted on, and those are to other
stimuli than the adapter's: pictures that were made to please the one are judged by the other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt

from insilico.errors import ParameterError, SchemaError, listed
from insilico.schema import check
from insilico.spaces import fsaverage5
from insilico.step import Step, batches

FEATURES = "insilico.scores.features:features"
READER = "insilico.scores.readers:reader"
SOLVER = "insilico.adapters.solve:solve"
"""What the rooms of scores and adapters do already, reached by address."""
AT_ONCE = 100
NOTHING = 1e-6
"""Spread below which a feature is constant."""
KEPT = ("space", "units", "subject", "hemodynamic_offset_s", "source")


class Linear(Step):
    """Predict the cortex of the subject that it was fitted on, by ridge on features of pictures.

    Attributes
    ----------
    features : tuple of str
        Layers of networks, as scores name them: ``phantom_early``, ``phantom_late``, ``alexnet2``,
        ``clip_l14``, ... Each is standardised.
    grid : int
        Maps are averaged to this many places a side.
    weights : str, optional
        Folder of the networks' weights; their own places otherwise.
    pairs : int
        Measured stimuli that it is fitted on: those after the adapter's, so that the two share no
        noise.
    alphas : tuple of float
        Penalties; each vertex takes the one with the least exact leave-one-out error.
    """

    kind: ClassVar[str] = "linear"
    features: tuple[str, ...] = Field(("phantom_early", "phantom_late"), min_length=1)
    grid: PositiveInt = 16
    weights: str | None = None
    pairs: int = Field(1000, ge=3)
    alphas: tuple[float, ...] = tuple(float(10**k) for k in range(1, 8))

    def digests(self) -> dict[str, str]:
        """Return the digests of the networks whose features it reads."""
        known = {name: _named(FEATURES)(name) for name in self.features}
        paths = {name: one.path(self.kind, self.weights, None) for name, one in known.items()}
        return {name: known[name].digest(path) for name, path in paths.items()}

    def fit(self, stimuli: xr.Dataset, measured: xr.Dataset) -> xr.Dataset:
        """Return fitted parameters, in dual form.

        Parameters
        ----------
        stimuli : stimuli, with `image`
        measured : response on fsaverage5
            To the same stimuli; repeats are averaged.

        Returns
        -------
        Dataset
            `source` (pair, feature), `dual` (pair, vertex), means and scales.

        Raises
        ------
        SchemaError, SpaceError
        """
        bold = _targets(stimuli, measured)
        raw = self._read(stimuli)
        mean, spread = raw.mean(0), raw.std(0)
        scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > NOTHING)
        source, level = (raw - mean) * scale, bold.mean(0)
        centred = bold - level
        found = _named(SOLVER)(source, lambda part: centred[:, part], bold.shape[1], self.alphas)
        parts: dict[str, Any] = {
            "source": (("pair", "feature"), source),
            "dual": (("pair", "vertex"), found.dual),
        }
        parts |= {"feature_mean": ("feature", mean), "feature_scale": ("feature", scale)}
        parts |= {"level": ("vertex", level), "alpha": ("vertex", found.alpha)}
        ids = {"stimulus": ("pair", stimuli["stimulus"].values.astype(str))}
        said = {key: measured.attrs[key] for key in KEPT if key in measured.attrs}
        return xr.Dataset(parts, ids, {**said, "encoder": self.kind})

    def __call__(self, stimuli: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Return predicted responses on fsaverage5.

        Parameters
        ----------
        stimuli : stimuli, with `image`
            None that it was fitted on.
        fitted : Dataset
            Of `fit`.
        """
        ids = stimuli["stimulus"].values.astype(str)
        if len(seen := np.intersect1d(ids, fitted["stimulus"].values)):
            raise ParameterError(
                f"linear: fitted on {len(seen)} of the stimuli shown ({listed(seen, 3)}); its "
                "result for them would flatter: show others"
            )
        raw = (self._read(stimuli) - fitted["feature_mean"].values) * fitted["feature_scale"].values
        bold = (raw @ fitted["source"].values.T) @ fitted["dual"].values + fitted["level"].values
        return check(fsaverage5.response(bold, ids, **fitted.attrs), "response")

    def _read(self, stimuli: xr.Dataset) -> np.ndarray:
        """Return all features of pictures side by side, float32 (n, p)."""
        if "image" not in check(stimuli, "stimuli"):
            raise SchemaError(f"linear: it answers pictures; these stimuli hold {listed(stimuli)}")
        images = stimuli["image"].values
        parts = [
            np.concatenate([read(images[rows]) for rows in batches(range(len(images)), AT_ONCE, n)])
            for n, read in self._readers().items()
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def _readers(self) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        found = {}
        for name in self.features:
            one = _named(FEATURES)(name)
            path = one.path(self.kind, self.weights, None)
            found[name] = _named(READER)(one, path, None, self.grid)
        return found


def _targets(stimuli: xr.Dataset, measured: xr.Dataset) -> np.ndarray:
    """Return what is fitted, float32 (n, vertex), if it is of the same stimuli."""
    fsaverage5.check_order(check(measured, "response", space="fsaverage5"))
    bold = measured["bold"].mean("repeat") if "repeat" in measured.dims else measured["bold"]
    if list(map(str, measured["stimulus"].values)) != list(map(str, stimuli["stimulus"].values)):
        raise SchemaError("linear: the measured response is not to these stimuli in this order")
    return bold.transpose("stimulus", "vertex").values.astype(np.float32)


def _named(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
