"""A fitted linear adapter as one matrix from vertices to voxels, formed row by row where asked.

Read from the dataset that a fit returns: ``weights`` (vertex, voxel), or in dual form ``source``
(pair, vertex) and ``dual`` (pair, voxel), with ``band`` and ``band_weight`` where penalties differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from insilico.errors import ParameterError

Floats = NDArray[np.float32]
ROWS = 2048


@dataclass(frozen=True)
class Linear:
    """Weights in the units of the responses: a unit more at a vertex is so much in each output.

    Attributes
    ----------
    factor : float32, (vertex,)
        1 / deviation over the pairs; 0 where a vertex does not take part.
    right : tuple of float32
        Weights of standardised vertices (vertex, output), or one (pair, output) for each band.
    source : float32 (pair, vertex), optional
        Standardised responses to the pairs: the dual form.
    band : int (vertex,), optional
        Which of `right` belongs to a vertex; all to the first where left out.
    """

    factor: Floats
    right: tuple[Floats, ...]
    source: Floats | None = None
    band: NDArray[np.int64] | None = None

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.right[0].shape[1]

    def weights(self, vertices: NDArray[np.int64]) -> Floats:
        """Return the weights of some vertices, float32 (len(vertices), output)."""
        if self.source is None:
            return self.right[0][vertices] * self.factor[vertices, None]
        made = np.zeros((len(vertices), self.outputs), np.float32)
        for some, right in self._bands(vertices):
            source = self.source[:, vertices[some]] * self.factor[vertices[some]]
            made[some] = source.T @ right
        return made

    def _bands(self, vertices: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], Floats]]:
        """Return positions among `vertices` and the right factor of each band."""
        if self.band is None:
            return [(np.arange(len(vertices)), self.right[0])]
        band = self.band[vertices]
        return [(np.flatnonzero(band == k), right) for k, right in enumerate(self.right)]

    def energy(self) -> NDArray[np.float64]:
        """Return each vertex's sum over outputs of squared weight times variance, (vertex,).

        The variance is that over the pairs; vertices that take no part have 0.
        """
        part = (self.factor > 0).astype(float)
        if self.source is None:
            return part * np.einsum("vt,vt->v", self.right[0], self.right[0], dtype=np.float64)
        found = np.zeros(len(part))
        for some, right in self._bands(np.arange(len(part))):
            source = self.source[:, some]
            found[some] = np.einsum("nv,nv->v", source, (right @ right.T) @ source)
        return part * np.maximum(found, 0)

    def compact(self) -> Linear:
        """Return a map of fewer outputs whose changes have the same sums of squares.

        In dual form ``weights = sourceᵀ dual``; of ``dual`` only its Gram matrix over pairs enters
        a sum of squares over outputs. Others are given back as they are.
        """
        pairs, outputs = self.right[0].shape
        if self.source is None or len(self.right) > 1 or pairs >= outputs:
            return self
        values, vectors = np.linalg.eigh((self.right[0] @ self.right[0].T).astype(np.float64))
        root = vectors * np.sqrt(np.maximum(values, 0))
        return replace(self, right=(np.ascontiguousarray(root, np.float32),))

    def through(self, readout: Floats) -> Linear:
        """Return the map followed by a matrix (output, voxel)."""
        turned = np.ascontiguousarray(readout.T)
        return replace(self, right=tuple(one @ turned for one in self.right))


def linear(fitted: xr.Dataset) -> Linear:
    """Return the matrix of a fitted adapter.

    Parameters
    ----------
    fitted : Dataset
        Of an adapter's `fit`.

    Raises
    ------
    ParameterError
        If the adapter is not linear.
    """
    if "target_scale" not in fitted or not {"weights", "dual"} & set(fitted.data_vars):
        raise ParameterError(
            f"a linear adapter is needed, met '{fitted.attrs.get('adapter', 'none')}'; "
            "adapter: ridge is one"
        )
    scale, out = fitted["source_scale"].values, fitted["target_scale"].values
    factor = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    if "weights" in fitted:
        return Linear(factor, (fitted["weights"].values * out,))
    dual, source = fitted["dual"].values * out, fitted["source"].values
    if "band" not in fitted:
        return Linear(factor, (dual,), source)
    rights = tuple(dual * row for row in fitted["band_weight"].values)
    return Linear(factor, rights, source, fitted["band"].values.astype(np.int64))
