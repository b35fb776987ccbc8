"""Tiny steps of every room, whose calls leave a trace in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import xarray as xr

from insilico.errors import ParameterError
from insilico.schema import sample
from insilico.step import Step, generator

N_VERTICES = 12


def traced(step: Step, method: str = "call") -> None:
    """Write one line a real call into the file that the environment names."""
    file = os.environ.get("TOY_TRACE")
    if file:
        with Path(file).open("a") as trace:
            trace.write(f"{type(step).__name__}.{method}\n")


def attrs(space: str) -> dict[str, object]:
    kept = {
        "units": "z",
        "subject": "toy",
        "hemodynamic_offset_s": 0.0,
        "source": "toy (simulated)",
    }
    return {"space": space, **kept}


def response(bold: np.ndarray, ids, space: str, place: str) -> xr.Dataset:
    n = bold.shape[-1]
    dims = ("repeat", "stimulus", place) if bold.ndim == 3 else ("stimulus", place)
    labels = {axis: (place, np.arange(n, dtype=np.float32)) for axis in "xyz"}
    return xr.Dataset(
        {"bold": (dims, bold.astype(np.float32))},
        coords={"stimulus": ids, place: np.arange(n), "hemi": (place, ["L"] * n), **labels},
        attrs=attrs(space),
    )


class Shapes(Step):
    kind: ClassVar[str] = "toy"
    split: Literal["test", "train"] = "test"
    n: int = 4

    def __call__(self) -> xr.Dataset:
        traced(self)
        stimuli = sample("stimuli", self.n, seed=len(self.split))
        ids = [f"{self.split}-{k:03d}" for k in range(self.n)]
        stimuli = stimuli.isel(y_pixel=slice(8), x_pixel=slice(8))
        stimuli["caption"] = ("stimulus", [f"a shape é {k}" for k in range(self.n)])
        return stimuli.assign_coords(stimulus=ids, split=("stimulus", [self.split] * self.n))


class Encoder(Step):
    kind: ClassVar[str] = "toy"
    gain: float = 1.0

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        traced(self)
        flat = stimuli["image"].values.reshape(stimuli.sizes["stimulus"], -1)[:, :N_VERTICES]
        return response(self.gain * flat, stimuli["stimulus"].values, "fsaverage5", "vertex")


class Recording(Step):
    kind: ClassVar[str] = "toy"
    space: Literal["fsaverage5", "voxels"] = "fsaverage5"
    repeats: Literal["mean", "keep"] = "mean"

    def spaces(self) -> tuple[str, ...]:
        return ("voxels", "fsaverage5")

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        traced(self)
        ids = stimuli["stimulus"].values
        n = N_VERTICES if self.space == "fsaverage5" else 6
        rows = [generator(0, "record", i).standard_normal((3, n)) for i in ids]
        bold = np.stack(rows, axis=1)
        bold = bold if self.repeats == "keep" else bold.mean(0)
        place = "vertex" if self.space == "fsaverage5" else "voxel"
        return response(bold, ids, self.space, place)


class Silence(Step):
    kind: ClassVar[str] = "toy"
    region: str
    atlas: str | None = None
    fill: Literal["mean", "zero"] = "mean"
    control: Literal["patch"] | None = None
    control_index: int = 0
    seed: int = 0

    def __call__(self, response: xr.Dataset, training: xr.Dataset | None = None) -> xr.Dataset:
        traced(self)
        if self.region == "Limbic" and os.environ.get("TOY_FAIL"):
            raise ParameterError("toy: Limbic is not to be silenced here")
        changed = response.copy(deep=True)
        where = (sum(map(ord, self.region)) + self.control_index) % N_VERTICES
        changed["bold"][..., where] = training["bold"].values.mean(0)[where]
        changed.attrs |= {"perturbed": self.region, "lesion": "Nothing propagates to other areas."}
        return changed


class Adapter(Step):
    kind: ClassVar[str] = "toy"
    alpha: float = 1.0

    def fit(self, source: xr.Dataset, target: xr.Dataset) -> xr.Dataset:
        traced(self, "fit")
        return xr.Dataset({"weight": ("voxel", target["bold"].values.mean(0))})

    def __call__(self, response_in: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        traced(self)
        weight = fitted["weight"].values
        bold = response_in["bold"].values[:, : len(weight)] * (1 + self.alpha * weight)
        return response(bold, response_in["stimulus"].values, "voxels", "voxel")


class Decoder(Step):
    kind: ClassVar[str] = "toy"
    draws: int = 1
    seed: int = 0

    def __call__(self, response_in: xr.Dataset) -> xr.Dataset:
        traced(self)
        bold = response_in["bold"]
        bold = (bold.mean("repeat") if "repeat" in bold.dims else bold).values
        image = np.repeat(bold.astype(np.int64).astype(np.uint8)[:, None, :, None, None], 3, -1)
        dims = ("stimulus", "draw", "y_pixel", "x_pixel", "rgb")
        return xr.Dataset(
            {"image": (dims, np.repeat(image, self.draws, 1))},
            coords={"stimulus": response_in["stimulus"].values, "draw": np.arange(self.draws)},
            attrs={"decoder": "toy", "seed": self.seed},
        )


class Brightness(Step):
    kind: ClassVar[str] = "brightness"

    def __call__(self, reconstruction: xr.Dataset, stimuli: xr.Dataset) -> xr.Dataset:
        traced(self)
        difference = reconstruction["image"].astype(float).mean(("y_pixel", "x_pixel", "rgb"))
        value = difference - stimuli["image"].astype(float).mean(("y_pixel", "x_pixel", "rgb"))
        value = value.expand_dims(metric=["brightness"]).transpose("stimulus", "draw", "metric")
        labels = {"definition": "difference", "direction": "higher", "chance": 0.0}
        return xr.Dataset({"value": value}).assign_coords(
            {name: ("metric", [label]) for name, label in labels.items()}
        )


def estimate(names: list[str], effect: np.ndarray) -> xr.Dataset:
    shown = sample("estimate", len(names)).assign_coords(contrast=names)
    return shown.assign(effect=("contrast", effect))


class Accuracy(Step):
    kind: ClassVar[str] = "toy_accuracy"
    by: str = "yeo7"
    n: int = 10
    seed: int = 0

    def __call__(self, prediction: xr.Dataset, measured: xr.Dataset) -> xr.Dataset:
        traced(self)
        gap = (prediction["bold"] - measured["bold"].mean("repeat")).mean().values
        return estimate([f"{self.by}:Vis"], np.array([float(gap)]))


class Difference(Step):
    kind: ClassVar[str] = "toy_paired"
    of: str
    against: str
    control: str | None = None
    seed: int = 0

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        traced(self)
        mean = scores["value"].mean(("stimulus", "draw", "metric"))
        names = [c for c in mean["condition"].values if c.split("/")[0] == self.of]
        values = mean.sel(condition=names).values - float(mean.sel(condition=self.against))
        return estimate([str(name) for name in names], values)
