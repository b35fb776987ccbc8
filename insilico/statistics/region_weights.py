"""Which regions a linear read-out leans on: for what a picture looks like, and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from insilico.errors import ParameterError, SchemaError, counted, listed
from insilico.schema import check, require_varying
from insilico.spaces import regions
from insilico.statistics import jackknife
from insilico.statistics.attainable import of_draws
from insilico.statistics.strength import Ridges, patches, percentiles
from insilico.step import Step, generator
from insilico.weights.folders import found_digest

Floats = NDArray[np.float64]
LOOKS = "pixels"
GROUPS = 20


class RegionWeights(Step):
    """Difference of percentiles of regression weights, region by region, and the decoder's own.

    Three ridges read from measured training responses what a picture looks like (its colours on a
    grid), its CLIP embedding, and that of its caption. A voxel's strength is the L1 norm of its
    weights over features, as a percentile among all voxels; what is reported is the mean in a
    region for meaning minus that for looks, over that for looks (Ozcelik and VanRullen, 2023, with
    the pixels of a small picture in the place of VDVAE's latents).

    Parameters
    ----------
    areas : dict
        Name to region expression, such as ``{V1: "roi:V1"}``.
    grid : int
        Side of the small picture.
    weights : str
        CLIP of pictures and captions, ``"phantom"`` or a folder.
    n : int
        Random patches of each region's size.
    seed : int
    """

    kind: ClassVar[str] = "region_weights"
    version: ClassVar[int] = 4
    areas: dict[str, str] = Field(min_length=1)
    grid: Annotated[int, Field(ge=2, le=64)] = 8
    weights: str = "phantom"
    n: PositiveInt = 2000
    seed: NonNegativeInt = 0

    @field_validator("areas")
    @classmethod
    def _readable(cls, areas: dict[str, str]) -> dict[str, str]:
        for expression in areas.values():
            regions.named(expression)
        return areas

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the datasets that it is called with."""
        return ("training_shown", "training_voxels", "voxel_entry")

    def digests(self) -> dict[str, str]:
        """Return the digest of the CLIP."""
        judge = "judge_clip" if self.weights == "phantom" else "clip"
        return {"clip": found_digest(self.weights, judge)}

    def __call__(
        self, shown: xr.Dataset, measured: xr.Dataset, entry: xr.Dataset | None = None
    ) -> xr.Dataset:
        """Estimate the differences.

        Parameters
        ----------
        shown : stimuli
            Training pictures with their captions.
        measured : response in voxels, (stimulus, voxel)
            To them.
        entry : Dataset, optional
            ``weight`` (hidden, voxel): the decoder's own linear entry.

        Returns
        -------
        estimate, (contrast, metric)
            Contrasts are the areas. Metrics ``clip``, ``caption``: the difference for weights;
            ``clip, patterns``, ``caption, patterns``: for patterns; ``entry``: mean percentile of
            the norm of the entry's weights, over 50, minus 1, with neither n nor interval, as no
            stimulus enters it. `chance_level` is the mean over
            random patches of as many voxels in either hemisphere. Stimuli without captions have
            no ``caption``. By voxel: `percentile` (features, voxel).

        Raises
        ------
        SchemaError, RegionError
        """
        self.require(check(shown, "stimuli"))
        features = self._features(shown)
        bold = self._bold(shown, measured)
        masks = self._masks(measured)
        entered = (
            None if entry is None else percentiles(np.linalg.norm(entry["weight"].values, axis=0))
        )
        whole = self._percentiles(bold, features)
        metrics, values = differences(whole, masks, entered)
        groups = jackknife.groups(len(bold), GROUPS, self._rng("groups"))
        without = [
            differences(
                self._percentiles(bold[groups != g], _some(features, groups != g)), masks, entered
            )[1]
            for g in range(groups.max() + 1)
        ]
        low, high = jackknife.interval(values, np.stack(without))
        null = self._null(measured, masks, whole, entered)
        rows = {"effect": values, "ci_low": low, "ci_high": high, **unlike_patches(values, null)}
        rows["n"] = np.full(values.shape, float(len(bold)))
        if entered is not None:
            for name in ("ci_low", "ci_high", "n"):
                rows[name][:, -1] = np.nan  # given, not estimated from these stimuli
        return self._labelled(rows, metrics, whole, measured, masks)

    # --- inputs ---

    def require(self, *given: xr.Dataset) -> None:
        """Raise if there are too few training stimuli to leave groups of them out."""
        n = given[0].sizes.get("stimulus", 2 * GROUPS)
        if n < 2 * GROUPS:
            raise SchemaError(f"region_weights: {n} stimuli; {2 * GROUPS} are needed")

    def _features(self, shown: xr.Dataset) -> dict[str, np.ndarray]:
        from insilico.spaces.meanings import clip_judge, clip_pictures, clip_texts

        if "image" not in shown:
            raise SchemaError(f"region_weights: pictures are needed; these are {listed(shown)}")
        images = shown["image"].transpose("stimulus", "y_pixel", "x_pixel", "rgb").values
        folder = clip_judge(self.weights)
        found = {LOOKS: small(images, self.grid), "clip": clip_pictures(images, folder)}
        if "caption" in shown:
            found["caption"] = clip_texts([str(c) for c in shown["caption"].values], folder)
        return found

    def _bold(self, shown: xr.Dataset, measured: xr.Dataset) -> np.ndarray:
        require_varying(check(measured, "response"), "region_weights: the measured response")
        bold = measured["bold"]
        if "repeat" in bold.dims:
            bold = bold.mean("repeat")
        if not np.array_equal(measured["stimulus"].values, shown["stimulus"].values):
            raise SchemaError("region_weights: pictures and responses are of other stimuli")
        return bold.values

    def _masks(self, measured: xr.Dataset) -> np.ndarray:
        masks = np.stack([regions.mask(expr, of=measured) for expr in self.areas.values()])
        if masks.all(1).any():
            raise ParameterError("region_weights: an area that is all voxels has no other place")
        return masks

    # --- numbers ---

    def _percentiles(self, bold: np.ndarray, features: dict[str, np.ndarray]) -> dict[str, Floats]:
        """Return percentiles of strength, (voxel,), by features; of patterns too."""
        ridges, found = Ridges(bold), dict[str, Floats]()
        for name, values in features.items():
            used, seen = ridges.strengths(values)
            found |= {name: percentiles(used), f"{name}, patterns": percentiles(seen)}
        return found

    def _null(
        self, measured: xr.Dataset, masks: np.ndarray, whole: dict[str, Floats], entered: Any
    ) -> Floats:
        """Return the differences in random patches, (patch, area, metric)."""
        places = np.stack([measured[axis].values for axis in "xyz"], 1).astype(np.float64)
        right = measured["hemi"].values.astype(str) == "R"
        drawn = random_patches(masks, places, right, self.n, self._rng("patches"))
        return np.stack([differences(whole, some, entered)[1] for some in drawn])

    def _labelled(
        self,
        rows: dict[str, Any],
        metrics: list[str],
        whole: dict[str, Floats],
        measured: xr.Dataset,
        masks: np.ndarray,
    ) -> xr.Dataset:
        table = {name: (("contrast", "metric"), values) for name, values in rows.items()}
        maps = {"percentile": (("features", "voxel"), np.stack(list(whole.values())))}
        coords: dict[Any, Any] = {"contrast": list(self.areas), "metric": metrics}
        coords |= {"voxels": ("contrast", masks.sum(1)), "features": list(whole)}
        coords |= {axis: measured[axis].variable for axis in ("x", "y", "z", "hemi")}
        attrs = {
            "statistic": "percentile of weights for meaning minus that for looks, over that for "
            "looks; entry: percentile over 50, minus 1",
            "test": f"unlike {self.n} random patches of as many voxels, two-sided",
            "null": "patches of voxels that lie together, one in each hemisphere",
            "correction": f"maximum over {counted(len(self.areas), 'area')}, in units of the "
            "null's spread",
            "interval": f"95 % jackknife, {GROUPS} groups of stimuli left out in turn",
            "unit_of_inference": "stimulus",
            "smallest_p": of_draws(self.n),
            "caution": "weights say what a read-out uses, patterns where it is seen; neither says "
            "what an area is for",
        }
        attrs |= {k: measured.attrs[k] for k in ("source", "note") if k in measured.attrs}
        return check(xr.Dataset(table | maps, coords, attrs), "estimate")

    def _rng(self, what: str) -> np.random.Generator:
        return generator(self.seed, "region weights", what)


def small(images: np.ndarray, side: int) -> np.ndarray:
    """Return the mean colours of pictures (n, y, x, rgb) on a grid, float32 (n, 3 * side²)."""
    import torch

    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return torch.nn.functional.adaptive_avg_pool2d(pixels, side).flatten(1).numpy()


def _some(features: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in features.items()}


def random_patches(
    masks: NDArray[np.bool_],
    places: Floats,
    right: NDArray[np.bool_],
    n: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.bool_]]:
    """Yield n sets of patches, each as large as its area in either hemisphere, (area, voxel).

    Every area has centres of its own: patches around the same ones would hold much the same voxels,
    and a maximum over them correct for next to nothing.

    Parameters
    ----------
    masks : bool (area, voxel)
    places : (voxel, 3)
        In mm.
    right : bool (voxel,)
    """
    counts = np.stack([(masks & ~right).sum(1), (masks & right).sum(1)], 1)
    sides = [np.flatnonzero(right == bool(side)) for side in (0, 1)]
    for _ in range(n):
        centres = [rng.choice(own, len(masks)) if len(own) else 0 * counts[:, 0] for own in sides]
        yield patches(places, right, counts, np.stack(centres, 1))


def differences(
    whole: dict[str, Floats], masks: np.ndarray, entered: Floats | None
) -> tuple[list[str], Floats]:
    """Return the names of the metrics, and their values, (area, metric), of percentiles."""
    means = {name: masks @ values / masks.sum(1) for name, values in whole.items()}
    found = {}
    for kind in ("", ", patterns"):
        for name in ("clip", "caption"):
            if name + kind in means:
                found[name + kind] = means[name + kind] / means[LOOKS + kind] - 1
    if entered is not None:
        found["entry"] = masks @ entered / masks.sum(1) / 50 - 1
    return list(found), np.stack(list(found.values()), 1)


def unlike_patches(values: Floats, null: Floats) -> dict[str, Floats]:
    """Test values (area, metric) against patches (patch, area, metric), two-sided.

    The areas themselves are one of the sets of places, in the null's mean and spread too.
    """
    every = np.concatenate([values[None], null])
    centre, spread = every.mean(0), np.maximum(every.std(0), 1e-12)
    units = np.abs(every - centre) / spread
    found = units[0] - 1e-12
    p, corrected = (units >= found).mean(0), (units.max(1)[:, None] >= found).mean(0)
    about = {"chance_level": null.mean(0), "null_spread": null.std(0)}
    return {"p": p, "p_corrected": corrected, **about}
