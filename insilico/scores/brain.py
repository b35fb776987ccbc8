"""Brain correlation: whether voxels answer the reconstruction as they answered the picture.

An encoder (GNet) gives the response to the reconstruction; it is held against the measured response
to what was shown, over the voxels of a region. The encoder was trained on NSD's pictures and
subjects: for others, or for pictures unlike photographs, the metric means little.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.errors import RegionError, SchemaError, WeightsError, not_one_of
from insilico.schema import check, place_of, short_digest
from insilico.scores.preparation import stretched
from insilico.scores.score import Score
from insilico.scores.similarity import similarities
from insilico.spaces import regions
from insilico.step import device
from insilico.weights import authors
from insilico.weights.alone import granted, taken
from insilico.weights.folders import root

FILE, MASKS = "gnet_multisubject.pt", "brain_region_masks.hdf5"
WHOLE = "all"


class BrainCorrelation(Score):
    """Correlation over voxels of the measured response and GNet's to the reconstruction.

    Parameters
    ----------
    weights : str
        GNet's file, the folder that holds ``gnet_multisubject.pt``, or ``"published"``.
    regions : list of str
        One metric each: ``all`` voxels; a mask of `masks`; or an expression of atlas regions, such
        as ``"roi:V1"`` or ``"yeo7:Vis"``.
    masks : str, optional
        The authors' ``brain_region_masks.hdf5``, the folder that holds it, or ``"published"``:
        nsd_general, V1, V2, V3, V4, higher_vis.
    subject : int, optional
        NSD's number, 1 to 8; otherwise as the measured response says.
    through : int, optional
        Pictures of another size are brought to this square first, bilinear without antialiasing:
        256 as published.
    """

    kind: ClassVar[str] = "brain_correlation"
    definition: ClassVar[str] = (
        "Pearson r over the region's voxels of the measured response (mean of repeats) and GNet's "
        "response to the reconstruction"
    )
    weights: str = "published"
    regions: tuple[str, ...] = Field((WHOLE,), min_length=1)
    masks: str | None = None
    subject: int | None = Field(None, ge=1, le=8)
    through: int | None = Field(None, ge=1)

    def digests(self) -> dict[str, str]:
        """Return the digests of GNet's file and of the masks."""
        file = self._file()
        found = {"gnet": authors.digest(file.parent, file)}
        if self.masks is not None:
            found["masks"] = short_digest(self._mask_file().read_bytes())
        return found

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little for the largest subject."""
        from insilico.scores.gnet import needed

        granted(needed)

    def _file(self) -> Path:
        path = root(self.weights)
        path = path / FILE if path.is_dir() else path
        if not path.is_file():
            place = path if path.suffix else path / FILE
            raise WeightsError(
                f"{self.kind}: no GNet at {place}; fetch {FILE} (1.2 GiB) of the hub's dataset "
                "pscotti/mindeyev2 and give its path as weights"
            )
        return path

    def _mask_file(self) -> Path:
        path = root(str(self.masks))
        path = path if path.suffix else path / MASKS
        if not path.is_file():
            raise RegionError(
                f"{self.kind}: no masks at {path}; give brain_region_masks.hdf5 of the hub's "
                "dataset pscotti/mindeyev2, or name regions of an atlas"
            )
        return path

    def __call__(
        self,
        reconstruction: xr.Dataset,
        stimuli: xr.Dataset,
        measured: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """Score each item.

        Parameters
        ----------
        reconstruction : reconstruction, with `image`
        stimuli : stimuli
            What was shown, with the same ids.
        measured : response, ([repeat,] stimulus, voxel)
            To the same stimuli, of the subject that GNet is asked for; repeats are averaged.

        Returns
        -------
        score, (stimulus, draw, metric)
            One metric a region: ``brain_correlation all``, ...

        Raises
        ------
        SchemaError
            If the response is missing, of other stimuli or laid out otherwise.
        RegionError
        WeightsError
        """
        from insilico.scores.gnet import HELD, gnet, needed

        check(reconstruction, "reconstruction")
        check(stimuli, "stimuli")
        bold = _averaged(measured, reconstruction)
        masks = self._masks(measured, self._subject(measured))
        used = np.any(list(masks.values()), axis=0)
        most = taken(HELD, lambda: needed(int(used.sum())))
        file = self._file()
        net = gnet(file, authors.digest(file.parent, file), device())
        head = net.head(self._subject(measured), used)
        image = reconstruction["image"].transpose("draw", "stimulus", "y_pixel", "x_pixel", "rgb")
        drawn = (through(draw, self.through) for draw in image.values)
        predicted = np.stack([net.predict(draw, head, most) for draw in drawn])
        parts = []
        for region, mask in masks.items():
            pairs = [similarities(bold[:, mask], draw[:, mask[used]]) for draw in predicted]
            value, chance = self.values(np.stack(pairs))
            told = f"{self.definition}; {mask.sum()} voxels of '{region}'"
            described = (f"{self.label} {region}", told)
            parts.append(self.labelled(value, chance, reconstruction, described))
        return xr.concat(parts, "metric", coords="different", compat="equals")

    def _subject(self, measured: Any) -> int:
        named = re.search(r"subj(?:ect)?-?0*([1-8])$", str(measured.attrs.get("subject", "")))
        if self.subject is None and named is None:
            raise SchemaError(
                f"{self.kind}: which of NSD's subjects is '{measured.attrs.get('subject')}'? Set "
                "subject to 1 to 8"
            )
        return self.subject or int(named[1])  # type: ignore[index]

    def _masks(self, measured: Any, subject: int) -> dict[str, np.ndarray]:
        """Return which voxels belong to each region."""
        n = measured.sizes["voxel"]
        known = self._published_masks(subject, n) if self.masks is not None else {}
        known.setdefault(WHOLE, np.ones(n, bool))
        found = {}
        for name in self.regions:
            if name in known:
                found[name] = known[name]
            elif self.masks is not None and ":" not in name:
                raise RegionError(f"{self.kind}: {not_one_of('mask', name, known)}")
            else:
                found[name] = regions.mask(name, of=measured)
        small = [name for name, mask in found.items() if mask.sum() < 3]
        if small:
            raise RegionError(f"{self.kind}: fewer than 3 voxels in '{small[0]}' correlate nothing")
        return found

    def _published_masks(self, subject: int, n: int) -> dict[str, np.ndarray]:
        import h5py

        path, group = self._mask_file(), f"subj{subject:02d}"
        try:
            with h5py.File(path) as file:
                if group not in file:
                    raise RegionError(f"{path}: {not_one_of('subject', group, file)}")
                masks = {
                    name: np.asarray(values).astype(bool) for name, values in file[group].items()
                }
        except OSError as error:
            raise RegionError(f"{path} cannot be read as HDF5: {error}") from error
        for name, mask in masks.items():
            if mask.shape != (n,):
                raise RegionError(
                    f"{path}: mask {name} of {group} has shape {mask.shape}; the measured response "
                    f"has {n} voxels"
                )
        return masks


def through(images: np.ndarray, side: int | None) -> np.ndarray:
    """Return pictures (n, y, x, rgb) brought to a square; what has that size stays as it is."""
    there = side is None or images.shape[1:3] == (side, side)
    return images if there or side is None else stretched(images, side)


def _averaged(measured: xr.Dataset | None, reconstruction: xr.Dataset) -> np.ndarray:
    """Return the measured response of the reconstructed stimuli, mean over repeats, (n, voxel)."""
    if measured is None:
        raise SchemaError(
            "brain_correlation: it needs the measured response to the same stimuli: score(..., "
            "measured=chain.record(stimuli))"
        )
    check(measured, "response")
    dims = set(map(str, measured["bold"].dims)) - {"repeat"}
    if place_of(measured) != "voxel" or dims != {"stimulus", "voxel"}:
        raise SchemaError(
            "brain_correlation: the measured response must be ([repeat,] stimulus, voxel); is "
            f"{measured['bold'].dims}"
        )
    if "image" not in reconstruction:
        raise SchemaError("brain_correlation: the reconstruction holds no image")
    ids = reconstruction["stimulus"].values
    missing = set(ids) - set(measured["stimulus"].values)
    if missing:
        raise SchemaError(f"brain_correlation: no measured response to {sorted(missing)[0]}")
    bold = measured["bold"].sel(stimulus=ids)
    bold = bold.mean("repeat") if "repeat" in bold.dims else bold
    return bold.transpose("stimulus", "voxel").values.astype(np.float64)
