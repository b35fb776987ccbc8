"""Do words, sounds and pictures of one scene meet in one cortex? Retrieval across modalities.

The response to a caption, or to a sound, is held against the responses to all pictures: which one
does it resemble most? Beside chance stand two readers that need no brain: one knows the category
(the object) alone, the other all that the modality tells about a scene.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from insilico.encoders.mary_nano import MaryNano
from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.features import HEARD
from insilico.phantom.scenes import ATTRIBUTES
from insilico.phantom.shares import Row, share
from insilico.phantom.stimuli import Scenes
from insilico.scores.score import top1
from insilico.statistics.permutations import unit_columns

TOLD = {"text": tuple(ATTRIBUTES), "sound": HEARD}
"""Attributes of a scene that each modality tells."""
QUERIES = {"text": "read", "sound": "heard"}
CORTEX = "all cortex"
SHUFFLES = 20


def convergence(n: int = 300, weights: str = "phantom") -> list[Row]:
    """Measure how often a text- or sound-driven response finds its scene among pictures.

    Parameters
    ----------
    n : int
        Scenes of held-out combinations.
    weights : str
        Of MARY-Nano.

    Returns
    -------
    list of Row
        A response must find its scene more often than a reader who knows the category, and its
        scene's category more often than chance; with shuffled scenes it must fall to chance.
    """
    shown = presented(n)
    seen = MaryNano(weights=weights)(shown["image"])["bold"].values
    rows: list[Row] = []
    for modality, verb in QUERIES.items():
        told = MaryNano(weights=weights)(shown[modality])["bold"].values
        rows += _rows(f"scene {verb}", similarity(told, seen), shown[modality], TOLD[modality])
    return rows


def presented(n: int) -> dict[str, xr.Dataset]:
    """Return the same scenes seen, read and heard."""
    return {m: Scenes(split="unseen", n=n, modality=m)() for m in ("image", *QUERIES)}


def similarity(told: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the correlation over vertices of every pair, (told, seen).

    Every vertex is centred over the scenes of each modality: what all scenes share tells nothing.
    """
    told, seen = told - told.mean(0), seen - seen.mean(0)
    return unit_columns(told.T).T @ unit_columns(seen.T)


def readers(shown: xr.Dataset, attributes: tuple[str, ...]) -> np.ndarray:
    """Return the hits of one who knows some attributes and guesses the rest, (n,)."""
    known = np.stack([shown[name].values.astype(str) for name in attributes], 1)
    alike = (known[:, None] == known[None]).all(-1)
    return 1 / alike.sum(1)


def found(alike: np.ndarray) -> np.ndarray:
    """Return whether each query finds its own scene, (n,); a tie among k counts 1/k."""
    return top1(alike.T[None])[:, 0]


def category_found(alike: np.ndarray, shown: xr.Dataset) -> np.ndarray:
    """Return whether the scene that each query finds shows the same object, (n,)."""
    objects = shown["object"].values.astype(str)
    return (objects[alike.argmax(1)] == objects).astype(float)


def _rows(
    what: str, alike: np.ndarray, shown: xr.Dataset, attributes: tuple[str, ...]
) -> list[Row]:
    n = len(alike)
    score, object_score = f"its picture, top-1 of {n}", "object of the nearest picture"
    category = readers(shown, ("object",))
    objects = shown["object"].values.astype(str)
    usual = float((objects[:, None] == objects[None]).mean())
    hits = found(alike)
    shuffled = np.mean([found(np.roll(alike, k, axis=0)) for k in range(1, SHUFFLES + 1)], 0)
    right = category_found(alike, shown)
    return [
        above(share(what, score, hits), float(category.mean())),
        share(f"{what}, another's", score, shuffled, chance=1 / n),
        share("one who knows the category", score, category),
        share(f"one who knows all that is told, {what}", score, readers(shown, attributes)),
        above(share(what, object_score, right), usual),
    ]


def above(row: Row, oracle: float) -> Row:
    """Return a row whose verdict is whether its interval lies above what an oracle reaches."""
    verdict = "target" if row.low > oracle else "BELOW"
    return Row(row.what, row.score, row.value, row.low, row.high, row.n, verdict)


def by_network(n: int = 300, weights: str = "phantom") -> xr.Dataset:
    """Return retrieval of the picture, network by network, for the figure `convergence`.

    Returns
    -------
    xarray.Dataset
        `effect`, `ci_low`, `ci_high` (modality, region): share of queries that find their scene;
        `truth`: the same between the noise-free responses of the average subject; `category`,
        `told`: what readers reach (modality); attributes `chance` and `n`.
    """
    shown = presented(n)
    encoder, cohort = MaryNano(weights=weights), Cohort()
    made = {m: encoder(shown[m])["bold"].values for m in shown}
    true = {m: cohort.average_signal(shown[m]) for m in shown}
    regions = _regions()
    rows = {
        (m, name): share(m, name, found(similarity(made[m][:, at], made["image"][:, at])))
        for m in QUERIES
        for name, at in regions.items()
    }
    truth = [
        [found(similarity(true[m][:, at], true["image"][:, at])).mean() for at in regions.values()]
        for m in QUERIES
    ]
    parts = {"effect": "value", "ci_low": "low", "ci_high": "high"}
    shares = {
        key: (
            ("modality", "region"),
            [[getattr(rows[m, name], part) for name in regions] for m in QUERIES],
        )
        for key, part in parts.items()
    }
    oracle = {
        "category": ("modality", [readers(shown[m], ("object",)).mean() for m in QUERIES]),
        "told": ("modality", [readers(shown[m], TOLD[m]).mean() for m in QUERIES]),
    }
    return xr.Dataset(
        {**shares, "truth": (("modality", "region"), truth), **oracle},
        coords={"modality": list(QUERIES), "region": list(regions)},
        attrs={**_attrs(shown["image"]), "chance": 1 / n, "n": n},
    )


def _attrs(shown: xr.Dataset) -> dict[str, str]:
    return {"source": shown.attrs["source"], "encoder": "mary_nano", "atlas": "phantom7"}


def _regions() -> dict[str, np.ndarray]:
    networks = anatomy.networks()
    names = [name for name in dict.fromkeys(networks.tolist()) if name]
    return {CORTEX: anatomy.cortex(), **{name: networks == name for name in sorted(names)}}
