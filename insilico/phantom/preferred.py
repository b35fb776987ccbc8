"""Whether pictures made for a region show what the phantom's cortex there is known to prefer.

`python -m insilico.phantom.preferred RUN` reads a run of `roi_optimal` or `eccentricity`. Two
truths are known. Category areas answer to a kind of thing: a CLIP that took no part in making the
pictures, nor in the second encoder, names the thing in each. V1 to V4 answer to pixels: of any
picture whatever, the response that the subject's receptive fields give is known, without noise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.features import picture_maps, training
from insilico.phantom.scenes import ATTRIBUTES, CAPTIONS, COMBINATIONS
from insilico.phantom.stimuli import Scenes
from insilico.phantom.tuning import weights
from insilico.scores.features import FEATURES
from insilico.scores.readers import reader
from insilico.spaces import atlases, regions
from insilico.spaces.meanings import clip_texts
from insilico.weights import folders

SUBJECT, AVERAGED = (1,), tuple(range(2, 9))
"""Whose responses the second encoder was fitted on, and whose mean MARY-Nano learned."""
THINGS = {"face": "face", "body": "person", "word": "word", "place": "house"}
BANDS = tuple(atlases.describe("phantom_eccentricity")["regions"])


def named(images: np.ndarray) -> np.ndarray:
    """Return how well each thing fits pictures, as the judge's CLIP says, (n, 12).

    The mean cosine with all captions that name it, less the mean over things.
    """
    folder = folders.found("phantom", "judge_clip")
    seen = reader(FEATURES["clip"], folder, None)(images).astype(np.float64)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    fit = seen @ clip_texts(list(CAPTIONS), folder).T
    things = np.array([combination[0] for combination in COMBINATIONS])
    means = np.stack([fit[:, things == name].mean(1) for name in ATTRIBUTES["object"]], axis=1)
    return means - means.mean(1, keepdims=True)


def early(images: np.ndarray, masks: np.ndarray, subjects: Sequence[int] = SUBJECT) -> np.ndarray:
    """Return the true response of regions of V1 to V4 to any pictures, mean over subjects.

    Without noise, and without what V2 to V4 answer to things; (n, region).
    """
    maps = picture_maps(images).reshape(len(images), -1) - training()[0]["picture"]
    found = []
    for subject in subjects:
        vertex, block = weights(Cohort().individual(subject))["picture"]
        found.append(maps @ np.stack([block[:, mask[vertex]].mean(1) for mask in masks], axis=1))
    return np.mean(found, axis=0)


def eccentricity(images: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return how far from the middle pictures differ from another, in degrees, (n,)."""
    side = images.shape[1]
    change = np.abs(images.astype(float) - rest).sum(-1)
    along = ((np.arange(side) + 0.5) / side - 0.5) * anatomy.PICTURE_DEG
    distance = np.hypot(*np.meshgrid(along, along))
    return (change * distance).sum((1, 2)) / change.sum((1, 2))


def found(reconstruction: xr.Dataset) -> pd.DataFrame:
    """Return, for each way and region, what its pictures show.

    Returns
    -------
    DataFrame
        `thing` is the share of restarts in which the judge names what a category area prefers. For
        V1 to V4 and bands, the true response to the region's own pictures and to those of other
        regions, in standard deviations of 300 natural scenes: of the `average` subject and of the
        `individual`. `degrees`: how far from the middle the pictures differ from the mean of all.
    """
    mine = reconstruction.isel(condition=reconstruction["control"].values < 0, stimulus=0)
    rows = []
    for way in dict.fromkeys(mine["name"].values.astype(str)):
        one = mine.isel(condition=mine["name"].values == way)
        names, images = one["region"].values.astype(str), one["image"].values
        rest, truth = images.mean((0, 1)), {}
        for who, subjects in (("average", AVERAGED), ("individual", SUBJECT)):
            truth[who] = _true(images, names, subjects)
        for k, name in enumerate(names):
            row = {"way": way, "region": name, "thing": _share(images[k], name)}
            for who, values in truth.items():
                row[who] = values[k, :, k].mean()
                row[f"{who}, others"] = np.delete(values[..., k], k, 0).mean()
            rows.append(row | {"degrees": eccentricity(images[k], rest).mean()})
    return pd.DataFrame(rows)


def _true(images: np.ndarray, names: np.ndarray, subjects: Sequence[int]) -> np.ndarray:
    """Return standardised true responses, (picture's region, draw, region); NaN beyond V1-V4."""
    masks = np.array([_early_mask(name) for name in names])
    known, truth = masks.any(1), np.full((*images.shape[:2], len(names)), np.nan)
    if known.any():
        usual = early(Scenes(split="test", n=300)()["image"].values, masks[known], subjects)
        values = early(images.reshape(-1, *images.shape[2:]), masks[known], subjects)
        scaled = (values - usual.mean(0)) / usual.std(0)
        truth[..., known] = scaled.reshape(*images.shape[:2], -1)
    return truth


def _early_mask(name: str) -> np.ndarray:
    """Return the vertices of an early area or a band; none for what is no such."""
    if name in anatomy.VISUAL_AREAS:
        return regions.mask(name, atlas="phantom_areas")
    if name in BANDS:
        return regions.mask(name, atlas="phantom_eccentricity")
    return np.zeros(len(anatomy.cortex()), bool)


def _share(images: np.ndarray, name: str) -> float:
    if name not in THINGS:
        return np.nan
    said = named(images).argmax(1)
    return float((said == ATTRIBUTES["object"].index(THINGS[name])).mean())


if __name__ == "__main__":
    run = xr.load_dataset(Path(sys.argv[1]) / "reconstruction.nc")
    print(found(run).round(2).to_string(index=False))
