"""NSD's own ceilings: maps of the noise ceiling signal-to-noise ratio (ncsnr)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, RecordingError
from insilico.schema import check
from insilico.spaces.fsaverage5 import N_HEMISPHERE, medial_wall
from insilico.spaces.nsd import rois
from insilico.spaces.nsd.layout import HEMISPHERES, Tree
from insilico.spaces.responses.surfaces import load, values


def ncsnr_files(tree: Tree, version: str, space: str) -> list[Path]:
    """Return the files of the maps in a space, ``voxels`` or ``fsaverage5``, there or not."""
    if space == "voxels":
        return [tree.betas("func1pt8mm", version) / "ncsnr.nii.gz"]
    return [tree.betas("fsaverage", version) / f"{side}.ncsnr.mgh" for side in HEMISPHERES]


def ncsnr(tree: Tree, version: str, inside: np.ndarray | None) -> np.ndarray:
    """Return the ncsnr of each place, float32; of all vertices of fsaverage5 without a mask.

    Signal over noise in standard deviations, of one trial. Vertices on the medial wall have 0.
    """
    if inside is not None:
        files = ncsnr_files(tree, version, "voxels")
        tree.require(files, f"ncsnr of NSD subject {tree.subject}, voxels, {version}")
        return _in_mask(files[0], inside)
    files = ncsnr_files(tree, version, "fsaverage5")
    tree.require(files, f"ncsnr of NSD subject {tree.subject}, fsaverage5, {version}")
    found = np.concatenate([rois.surface(file)[:N_HEMISPHERE] for file in files])
    return np.where(medial_wall(), 0, found).astype(np.float32)


def _in_mask(file: Any, inside: np.ndarray) -> np.ndarray:
    from nibabel import Nifti1Image

    held = values(file, load(file, Nifti1Image))
    if held.shape != inside.shape:
        raise RecordingError(
            f"{file}: a volume of {held.shape}, nsdgeneral has {inside.shape}; is it another "
            "subject's?"
        )
    return held[inside].astype(np.float32)


def noise_ceiling(
    ratio: np.ndarray,
    version: str,
    n: int,
    place: str,
    coords: dict[str, Any],
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Return the noise ceiling of averages of `n` trials as an estimate over places.

    Facts: Allen et al. (2022), https://doi.org/10.1038/s41593-021-00962-x:
    ``ncsnr² / (ncsnr² + 1 / n)``, there in percent.
    """
    if n < 1:
        raise ParameterError(f"noise_ceiling: n counts trials from 1, got {n}")
    square = ratio.astype(np.float64) ** 2
    rows = {"effect": square / (square + 1 / n), "ncsnr": ratio}
    rows |= {name: np.full(len(ratio), np.nan) for name in ("ci_low", "ci_high", "p")}
    rows |= {"p_corrected": np.full(len(ratio), np.nan), "n": np.full(len(ratio), n)}
    kept = ("space", "subject", "source", "note")
    said = {name: attrs[name] for name in kept if name in attrs}
    estimate = xr.Dataset(
        {name: (("contrast", place), row[None]) for name, row in rows.items()},
        coords={"contrast": ["noise ceiling"], **coords},
        attrs={
            "test": f"NSD's ncsnr maps ({version}), ncsnr² / (ncsnr² + 1 / {n})",
            "null": "none",
            "correction": "none",
            "unit_of_inference": "trial",
            **said,
        },
    )
    return check(estimate, "estimate")
