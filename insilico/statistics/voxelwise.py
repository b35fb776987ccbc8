"""How well adapted responses predict measured ones, voxel by voxel, beside the noise ceiling."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr

from insilico.errors import SchemaError, SpaceError
from insilico.schema import check, place_of
from insilico.statistics.measured import Measured, Source, measured_of
from insilico.step import Step

CHUNK = 2048


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson r of each column, float64 (columns,); NaN where one does not vary."""
    x, y = (part - part.mean(0, dtype=np.float64) for part in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(0) / np.sqrt((x**2).sum(0) * (y**2).sum(0))


def explained(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return R², 1 - SSE / SST, of each column, float64; negative where the mean does better."""
    error = ((measured.astype(np.float64) - predicted) ** 2).sum(0)
    total = ((measured - measured.mean(0, dtype=np.float64)) ** 2).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, 1 - error / total, np.nan)


class VoxelwiseAccuracy(Step):
    """Test accuracy of an adapter: r and R² of each voxel, its noise ceiling, and the coverage.

    Parameters
    ----------
    ceiling : {"noise", "ncsnr"}
        Noise ceiling from the measured repeats (anova), or from NSD's ncsnr maps.
    """

    kind: ClassVar[str] = "voxelwise_accuracy"
    version: ClassVar[int] = 2
    ceiling: Source = "noise"

    def require(self, *given: xr.Dataset) -> None:
        """Raise if there are too few stimuli for a correlation."""
        if (n := given[0].sizes.get("stimulus", 3)) < 3:
            raise SchemaError(f"voxelwise_accuracy: a correlation needs 3 stimuli; there are {n}")

    def __call__(self, adapted: xr.Dataset, voxels: xr.Dataset) -> xr.Dataset:
        """Estimate the accuracy on stimuli that the adapter was not fitted on.

        Parameters
        ----------
        adapted : response in voxels, (stimulus, voxel)
        voxels : response in the same voxels, ([repeat,] stimulus, voxel)
            Measured; of more stimuli, the adapted ones are taken. r and R² are of the mean over
            repeats.

        Returns
        -------
        estimate over contrast (r, R2) and voxel
            With `noise_ceiling` (voxel), in R² units, of the mean over repeats (NaN without
            repeats), and `covered` (voxel); others have NaN. The attributes hold the medians over
            covered voxels, how many there are, and how many vertices the adapter uses.
        """
        self.require(adapted, voxels)
        predicted, repeats = _aligned(adapted, voxels, self.ceiling)
        measured = repeats.mean()
        covered = _covered(adapted) & (measured.max(0) > measured.min(0))
        found = {
            "r": _in_chunks(correlation, predicted, measured),
            "R2": _in_chunks(explained, predicted, measured),
        }
        effect = np.where(covered, np.stack(list(found.values())), np.nan)
        nothing = np.full(effect.shape, np.nan)
        rows: dict[str, Any] = dict.fromkeys(("ci_low", "ci_high", "p", "p_corrected"), nothing)
        rows |= {"effect": effect, "n": np.full(effect.shape, len(measured))}
        ceiling = np.full(len(covered), np.nan)
        if len(repeats.bold) > 1 or self.ceiling == "ncsnr":
            ceiling = np.where(covered, repeats.ceiling(), np.nan)
        places = {str(k): v for k, v in voxels.coords.items() if v.dims == ("voxel",)}
        return xr.Dataset(
            {
                **{name: (("contrast", "voxel"), values) for name, values in rows.items()},
                "noise_ceiling": ("voxel", ceiling),
            },
            coords={"contrast": list(found), **places, "covered": ("voxel", covered)},
            attrs={
                "statistic": "Pearson r and R² = 1 - SSE / SST across stimuli, by voxel",
                "test": "none",
                "null": "none",
                "correction": "none",
                "unit_of_inference": "stimulus",
                "repeats": len(repeats.bold),
                **repeats.about(),
                "median_r": _median(effect[0]),
                "median_R2": _median(effect[1]),
                "median_noise_ceiling": _median(ceiling),
                "covered_voxels": int(covered.sum()),
                "n_voxels": len(covered),
                **{name: adapted.attrs[name] for name in KEPT if name in adapted.attrs},
            },
        )


KEPT = ("adapter", "adapter_pairs", "adapter_vertices", "adapted_to", "source", "note", "lesion")


def adapter_accuracy(adapted: xr.Dataset, voxels: xr.Dataset) -> xr.Dataset:
    """Return how well adapted responses predict measured ones, voxel by voxel.

    Parameters
    ----------
    adapted : response in voxels, (stimulus, voxel)
        Of stimuli that the adapter was not fitted on.
    voxels : response in the same voxels, ([repeat,] stimulus, voxel)
        Measured; of more stimuli, the adapted ones are taken.

    Returns
    -------
    estimate over contrast and voxel
        ``found["effect"].sel(contrast="r")`` and ``contrast="R2"``, across stimuli; `noise_ceiling`
        (voxel) of the mean over repeats, in R² units: r can reach its square root. Nothing is
        tested: intervals and p are NaN. Medians over covered voxels are attributes (``median_r``,
        ``median_R2``, ``median_noise_ceiling``).

    Raises
    ------
    SchemaError, SpaceError
    """
    return VoxelwiseAccuracy()(adapted, voxels)


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _in_chunks(function: Any, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    parts = [slice(start, start + CHUNK) for start in range(0, one.shape[1], CHUNK)]
    return np.concatenate([function(one[:, part], other[:, part]) for part in parts])


def _covered(adapted: xr.Dataset) -> np.ndarray:
    if "covered" in adapted.coords:
        return adapted["covered"].values.astype(bool)
    return np.ones(adapted.sizes["voxel"], bool)


def _aligned(
    adapted: xr.Dataset, voxels: xr.Dataset, ceiling: Source
) -> tuple[np.ndarray, Measured]:
    """Return predictions (stimulus, voxel) and the repeats of measurements."""
    check(adapted, "response")
    check(voxels, "response", space=adapted.attrs["space"])
    if place_of(adapted) != "voxel" or adapted.sizes["voxel"] != voxels.sizes.get("voxel"):
        raise SpaceError(
            f"voxelwise_accuracy compares the same voxels; one response has {dict(adapted.sizes)}, "
            f"the other {dict(voxels.sizes)}"
        )
    if adapted["bold"].ndim != 2:
        raise SchemaError(f"voxelwise_accuracy: one condition; bold has {adapted['bold'].dims}")
    ids = adapted["stimulus"].values
    repeats = measured_of(voxels, ids, "voxelwise_accuracy", ceiling)
    return adapted["bold"].values, repeats
