"""The phantom's subjects: brains whose every response is known.

A response is a sum of known codes (`insilico.phantom.features`), weighted by known tuning
(`insilico.phantom.tuning`), plus independent noise set to a known ceiling. That averages of
subjects predict an individual worst in visual cortex is *built in*: there, tuning is individual.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, not_one_of
from insilico.phantom import anatomy
from insilico.phantom.features import check_phantom, features, modality_of
from insilico.phantom.scenes import ATTRIBUTES
from insilico.phantom.tuning import Individual, patches, receptive_fields, weights
from insilico.step import batches, generator

REPEATS = 3
CEILINGS = MappingProxyType(
    {
        "Vis": 0.65,
        "DorsAttn": 0.35,
        "Default": 0.28,
        "Cont": 0.25,
        "SalVentAttn": 0.20,
        "SomMot": 0.12,
        "Limbic": 0.10,
        "ventral": 0.60,
    }
)
"""Noise ceilings (R²) of averages of three repeats; ``ventral`` is a floor in ventral cortex."""
BANDS_DEG = (0.5, 1.0, 2.0, 4.0)
Places = np.ndarray | None


@dataclass(frozen=True)
class Cohort:
    """Simulated subjects on fsaverage5.

    Attributes
    ----------
    seed : int
        Seed of all tuning and noise.
    n_subjects : int
        Subjects are numbered from 1; subject 1 is the individual, the others make the average.
    ceilings : mapping
        Noise ceiling per network, in R² units, of the average of three repeats. Networks left
        out keep the default.
    individuality : float
        How far subjects differ; 0 makes them all alike, 1 is the default.
    """

    seed: int = 0
    n_subjects: int = 8
    ceilings: Mapping[str, float] = field(default_factory=dict)
    individuality: float = 1.0

    def __post_init__(self) -> None:
        for name, value in self.ceilings.items():
            if name not in CEILINGS:
                raise ParameterError(not_one_of("network in ceilings", name, CEILINGS))
            if not 0 < value < 1:
                raise ParameterError(f"ceilings.{name}: between 0 and 1, got {value}")
        if self.n_subjects < 2:
            raise ParameterError(
                f"n_subjects: at least 2 (one is the individual), got {self.n_subjects}"
            )
        if not self.individuality >= 0:
            raise ParameterError(f"individuality: 0 or more, got {self.individuality}")
        object.__setattr__(self, "ceilings", {**CEILINGS, **self.ceilings})

    def __hash__(self) -> int:
        ceilings = tuple(sorted(self.ceilings.items()))
        return hash((self.seed, self.n_subjects, ceilings, self.individuality))

    def individual(self, subject: int) -> Individual:
        """Return the tuning key of a subject."""
        if not 1 <= subject <= self.n_subjects:
            raise ParameterError(f"subject: 1 to {self.n_subjects}, got {subject}")
        return Individual(self.seed, subject, self.individuality)

    def ceiling(self, subject: int = 1) -> np.ndarray:
        """Return the true noise ceiling of three-repeat averages, float32 (20484,), 0 on the wall.

        The ceiling of a correlation with such an average is its square root.
        """
        self.individual(subject)
        return _ceiling(self)

    def gain(self) -> np.ndarray:
        """Return session z per standard deviation of signal, float32 (20484,), 0 on the wall."""
        ceiling = _ceiling(self)
        single = ceiling / (ceiling + REPEATS * (1 - ceiling))
        return np.sqrt(single)

    def spread(self) -> np.ndarray:
        """Return the noise of one repeat in session z, float32 (20484,), 0 on the wall."""
        gain = self.gain()
        return np.where(gain > 0, np.sqrt(1 - gain**2), 0)

    def signal(self, stimuli: xr.Dataset, subject: int = 1, places: Places = None) -> np.ndarray:
        """Return noise-free responses in units of the signal's standard deviation.

        Parameters
        ----------
        stimuli : xarray.Dataset
            Phantom stimuli, presented as their attribute `modality` says.
        subject : int
            Number of the subject, from 1.
        places : int, (places,), optional
            fsaverage5 vertices; all of them where left out.

        Returns
        -------
        float32, (n, places)
            Mean 0 and variance 1 over the training scenes; 0 on the medial wall.
        """
        return _project(stimuli, _columns(weights(self.individual(subject)), places))

    def measure(
        self,
        stimuli: xr.Dataset,
        subject: int = 1,
        places: Places = None,
        repeats: int = REPEATS,
        mean: bool = False,
    ) -> np.ndarray:
        """Return measured responses in session z.

        Parameters
        ----------
        stimuli, subject, places
            As for `signal`.
        repeats : int
            How often every stimulus is shown.
        mean : bool
            Whether to average the repeats.

        Returns
        -------
        float32, (repeats, n, places), or (n, places) where averaged
            One repeat has variance 1; the average of three has the ceiling `ceiling`. The noise
            of a stimulus and repeat is the same whatever else is asked for.
        """
        places = _all(places)
        clean = self.signal(stimuli, subject, places) * self.gain()[places]
        spread = self.spread()[places]
        out = np.empty((1 if mean else repeats, *clean.shape), dtype=np.float32)
        for row, stimulus in enumerate(_shown(stimuli)):
            noise = np.stack([self.noise(subject, stimulus, k)[places] for k in range(repeats)])
            shown = noise.mean(0, keepdims=True) if mean else noise
            out[:, row] = clean[row] + spread * shown
        return out[0] if mean else out

    def noise(self, subject: int, stimulus: object, repeat: int) -> np.ndarray:
        """Return the noise of one repeat of one stimulus, float32 (20484,), variance 1."""
        rng = generator(self.seed, "noise", subject, stimulus, repeat)
        return rng.standard_normal(len(anatomy.cortex()), dtype=np.float32)

    def average_signal(self, stimuli: xr.Dataset, noisy: bool = False) -> np.ndarray:
        """Return the mean response of subjects 2 and up, session z, float32 (n, 20484).

        Parameters
        ----------
        stimuli : xarray.Dataset
            Phantom stimuli, presented as their attribute `modality` says.
        noisy : bool
            Whether to average three measured repeats of every subject, as an encoder of real data
            would be trained on, instead of the noise-free truth.
        """
        mean = _project(stimuli, _average(self)) * self.gain()
        if noisy:
            for row, stimulus in enumerate(_shown(stimuli)):
                mean[row] += self.spread() * self._mean_noise(stimulus)
        return mean

    def _mean_noise(self, stimulus: object) -> np.ndarray:
        others = itertools.product(range(2, self.n_subjects + 1), range(REPEATS))
        noises = [self.noise(subject, stimulus, repeat) for subject, repeat in others]
        return np.mean(noises, axis=0)

    def voxels(self, subject: int = 1) -> xr.Dataset:
        """Return the posterior voxels of a subject: coordinates over ``voxel``, no variables.

        Each voxel knows its fsaverage5 ``vertex``, its place in mm (within 1 mm of the vertex),
        its ``roi``, and in early visual cortex its ``eccentricity`` and ``polar_angle`` in
        degrees (NaN elsewhere) and ``eccentricity_band``.
        """
        return _voxels(self, self.individual(subject))


def _shown(stimuli: xr.Dataset) -> list[object]:
    """Return what names the noise of each stimulus: reading is measured apart from seeing."""
    modality, ids = modality_of(stimuli), stimuli["stimulus"].values
    return list(ids) if modality == "image" else [f"{label} as {modality}" for label in ids]


def _all(places: Places) -> np.ndarray:
    return np.arange(len(anatomy.cortex())) if places is None else np.asarray(places)


Columns = tuple[int, list[tuple[str, np.ndarray, np.ndarray]]]


def _columns(blocks: Mapping[str, tuple[np.ndarray, np.ndarray]], places: Places) -> Columns:
    """Return, per block, the output columns it reaches and their weights."""
    places = _all(places)
    chosen = []
    for name, (vertex, block) in blocks.items():
        at = np.full(len(anatomy.cortex()), -1)
        at[vertex] = np.arange(len(vertex))
        columns = np.flatnonzero(at[places] >= 0)
        chosen.append((name, columns, block[:, at[places][columns]]))
    return len(places), chosen


def _project(stimuli: xr.Dataset, columns: Columns, size: int = 500) -> np.ndarray:
    """Return features times weights, float32 (n, places), in batches of stimuli."""
    check_phantom(stimuli)
    n_places, blocks = columns
    n = stimuli.sizes["stimulus"]
    out = np.zeros((n, n_places), dtype=np.float32)
    for rows in batches(range(n), size, "simulated responses"):
        known = features(stimuli.isel(stimulus=rows))
        for name, where, block in blocks:
            if name not in known:
                continue
            out[rows[0] : rows[-1] + 1, where] += known[name] @ block
    return out


@lru_cache(maxsize=4)
def _average(cohort: Cohort) -> Columns:
    """Return the mean weights of subjects 2 and up: responses are linear in the features."""
    others = [weights(cohort.individual(s)) for s in range(2, cohort.n_subjects + 1)]
    mean = {
        name: (vertex, np.mean([other[name][1] for other in others], axis=0))
        for name, (vertex, _) in others[0].items()
    }
    return _columns(mean, None)


@lru_cache(maxsize=4)
def _ceiling(cohort: Cohort) -> np.ndarray:
    table = {"": 0.0, **cohort.ceilings}
    ceiling = np.array([table[name] for name in anatomy.networks()])
    ceiling = np.where(anatomy.ventral() > 0.5, np.maximum(ceiling, table["ventral"]), ceiling)
    ceiling = np.where(anatomy.retinotopy().area > 0, table["Vis"], ceiling)
    return np.where(anatomy.cortex(), ceiling, 0).astype(np.float32)


def _posterior() -> np.ndarray:
    """Return the vertices behind the voxels: early, ventral, and all far posterior cortex.

    They follow from the mesh, not from an atlas of networks.
    """
    y = anatomy.coordinates()[:, 1]
    seen = (anatomy.ventral() > 0.3) | (anatomy.retinotopy().area > 0) | (y < -60)
    return np.flatnonzero(anatomy.cortex() & (y < -32) & seen)


def _roi(who: Individual, vertex: np.ndarray) -> np.ndarray:
    """Return the region of interest of each voxel: V1-V4, a category's patch, or other."""
    covers = patches(who)[:, vertex]
    names = np.array([anatomy.PATCH_NAMES.get(name, "other") for name in ATTRIBUTES["object"]])
    named = np.where(covers.max(0) > 0.35, names[covers.argmax(0)], "other")
    area = anatomy.retinotopy().area[vertex]
    return np.where(area > 0, np.array(["", *anatomy.VISUAL_AREAS])[area], named)


def _on_cortex(values: np.ndarray, at: np.ndarray, vertex: np.ndarray) -> np.ndarray:
    full = np.full(len(anatomy.cortex()), np.nan, dtype=np.float32)
    full[at] = values
    return full[vertex]


@lru_cache(maxsize=8)
def _voxels(cohort: Cohort, who: Individual) -> xr.Dataset:
    vertex = _posterior()
    jitter = who.own("voxels").uniform(-0.57, 0.57, (len(vertex), 3))
    place = (anatomy.coordinates()[vertex] + jitter).astype(np.float32)
    fields = receptive_fields(who)
    eccentricity = _on_cortex(fields.eccentricity, fields.vertex, vertex)
    band = np.digitize(eccentricity, BANDS_DEG)
    bands = np.array(["0-0.5", "0.5-1", "1-2", "2-4", "4+", "none"])
    over_voxels = {
        "vertex": vertex,
        "hemi": np.where(anatomy.is_right()[vertex], "R", "L"),
        **dict(zip("xyz", place.T, strict=True)),
        "roi": _roi(who, vertex),
        "eccentricity": eccentricity,
        "polar_angle": _on_cortex(fields.angle, fields.vertex, vertex),
        "eccentricity_band": bands[np.where(np.isnan(eccentricity), 5, band)],
    }
    coords = {name: ("voxel", values) for name, values in over_voxels.items()}
    return xr.Dataset(coords={"voxel": np.arange(len(vertex)), **coords})
