"""What is in a scene, read linearly from responses or from a decoder's tokens: multi-label AUC."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt

from insilico.errors import SchemaError, counted, listed
from insilico.schema import check
from insilico.statistics import intervals
from insilico.statistics.contrasts import averaged, spread_over, tested
from insilico.statistics.flips import told
from insilico.step import Step, generator

WORDS = "words"
PENALTIES = tuple(10.0**k for k in range(-2, 7))
SMALL = {"the", "and", "of", "on", "in", "with", "at", "is", "are", "to", "an"}


class MultilabelAuc(Step):
    """Area under the ROC curve of labels read from responses, level by level of a curve.

    A linear read-out (ridge on labels, one penalty by leave-one-out; scikit-learn) learns from
    unchanged training responses and is then given changed ones. A stimulus' AUC is the share of
    pairs of a label that it has and one that it has not in which the first is ranked higher, ties
    half (`roc_auc_score` with ``average="samples"``).

    Parameters
    ----------
    of : str
        A curve of conditions, such as a mask over fractions.
    against : str
        The unchanged condition, level 0.
    tokens : {"ridge", "backbone", "clip_voxels", "prior"}, optional
        Read from these tokens of the decoder (their mean over positions), behind the adapter; from
        the responses themselves if left out.
    training : int
        How many training stimuli are learned from, after those of the adapter's pairs.
    labels : list of str
        Coordinates of the stimuli, one family of labels each. Stimuli that have none of them are
        labelled by the words of their captions.
    least : float
        Smallest share of the training stimuli that must have a label.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "multilabel_auc"
    version: ClassVar[int] = 3  # masks are averaged; smallest_p of every row
    takes: ClassVar[tuple[str, ...]] = ("readout",)
    of: str
    against: str
    tokens: Literal["ridge", "backbone", "clip_voxels", "prior"] | None = None
    training: Annotated[int, Field(ge=10)] = 1000
    labels: tuple[str, ...] = Field(("object", "background", "colour"), min_length=1)
    least: Annotated[float, Field(gt=0, lt=1)] = 0.02
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    def __call__(
        self, learned: xr.Dataset, training: xr.Dataset, shown: xr.Dataset, changed: xr.Dataset
    ) -> xr.Dataset:
        """Estimate the areas.

        Parameters
        ----------
        learned, shown : stimuli
            Of the training, and those that the areas are of.
        training : response, or Dataset with ``tokens`` (stimulus, feature)
            To the first, unchanged.
        changed : the same, (condition, stimulus, ...)
            To the second, with the coordinate `level` on condition, from 0 on. Several conditions
            of one level (masks) are averaged stimulus by stimulus.

        Returns
        -------
        estimate, (contrast, metric)
            A contrast for each level; a metric for each family of labels, and ``all``. `effect` is
            the mean AUC, with its interval over stimuli. `chance_level` is that of the read-out's
            answers to other stimuli, .5 where labels are equally frequent; `p` tests against it.
            `kept` is the share of the AUC above chance at level 0 that is left; `spread` the
            standard deviation of the mean AUC over masks, NaN where there is one.

        Raises
        ------
        SchemaError
        """
        families = self._families(check(learned, "stimuli"), check(shown, "stimuli"))
        answers = self._answers(training, changed, families)
        auc, chance = self._areas(families, answers)
        level = changed["level"].values
        masks = [np.flatnonzero(level == one) for one in np.unique(level)]
        mean = [np.stack([one[:, own].mean(1) for own in masks], 1) for one in (auc, chance)]
        found = self._labelled(mean[0], mean[1], changed, list(families))
        spread = np.stack([spread_over(auc[:, own].mean(0)) for own in masks])
        return found.assign(spread=(("contrast", "metric"), spread))

    # --- labels ---

    def _families(self, learned: xr.Dataset, shown: xr.Dataset) -> dict[str, Any]:
        """Return for each family its labels of training and of test, bool (stimulus, label)."""
        here = [name for name in self.labels if name in learned.coords and name in shown.coords]
        if here:
            found = {name: _of_coordinate(learned, shown, name, self.least) for name in here}
        else:
            found = {WORDS: _of_words(learned, shown, self.least)}
        for name, (known, asked) in found.items():
            some = asked.any(1) & ~asked.all(1)
            if known.shape[1] < 2 or some.sum() < 2:
                raise SchemaError(
                    f"multilabel_auc: {known.shape[1]} labels of '{name}' occur in {self.least:.0%}"
                    f" of the training, {some.sum()} stimuli have some of them and lack others; "
                    "two of each are needed: show more stimuli, or lower 'least'"
                )
        return found

    # --- the read-out ---

    def _answers(
        self, training: xr.Dataset, changed: xr.Dataset, families: dict[str, Any]
    ) -> np.ndarray:
        """Return what the read-out says of every label, (level, stimulus, label)."""
        from sklearn.linear_model import RidgeCV
        from sklearn.preprocessing import StandardScaler

        x, levels = _features(training), _features(changed)
        if "level" not in changed.coords or x.shape[1] != levels.shape[-1]:
            raise SchemaError(
                f"multilabel_auc: training has {x.shape[1]} features, the curve {levels.shape[-1]}"
                f"; it needs the same of both, and 'level' (has {listed(changed.coords)})"
            )
        varies = x.std(0) > 0
        scaler = StandardScaler().fit(x[:, varies])
        y = np.concatenate([known for known, _ in families.values()], 1).astype(np.float64)
        model = RidgeCV(PENALTIES).fit(scaler.transform(x[:, varies]), y)
        return np.stack([model.predict(scaler.transform(one[:, varies])) for one in levels])

    def _areas(
        self, families: dict[str, Any], answers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return AUC and chance by stimulus, (stimulus, level, family), families and all."""
        asked = [asked for _, asked in families.values()]
        ends = np.cumsum([0, *(part.shape[1] for part in asked)])
        parts = [slice(a, b) for a, b in pairwise(ends)]
        whole = np.concatenate(asked, 1)
        found = []
        for columns in [*parts, slice(None)] if len(parts) > 1 else parts:
            truth = whole[:, columns]
            pairs = np.stack([cross_areas(truth, one[:, columns]) for one in answers])
            n = len(truth)
            own = np.einsum("lii->il", pairs)
            others = (pairs.sum(2).T - own) / (n - 1)
            found.append((own, others))
        auc, chance = (np.stack(part, -1) for part in zip(*found, strict=True))
        kept = np.isfinite(auc).all((1, 2))
        return auc[kept], chance[kept]

    # --- the estimate ---

    def _labelled(
        self, auc: np.ndarray, chance: np.ndarray, changed: xr.Dataset, families: list[str]
    ) -> xr.Dataset:
        names = [*families, "all"] if len(families) > 1 else families
        rng = generator(self.seed, self.kind, "interval")
        rows = tested((auc - chance)[:, None], self.n, "bca", self.seed, self.kind)
        flat = auc.reshape(len(auc), -1)
        ends = [end.reshape(auc.shape[1:]) for end in intervals.bca(flat, rng)]
        above = (auc - chance).mean(0)
        rows |= {"effect": auc.mean(0), "ci_low": ends[0], "ci_high": ends[1]}
        rows |= {"chance_level": chance.mean(0), "kept": _share(above, above[:1])}
        rows["kept_low"], rows["kept_high"] = _kept(auc - chance, rng)
        level, masks = np.unique(changed["level"].values, return_counts=True)
        coords = {
            "contrast": [f"{one:g}" for one in level],
            "metric": names,
            "level": ("contrast", level),
            "direction": ("metric", ["higher"] * len(names)),
            "chance": ("metric", chance.mean((0, 1))),
        }
        variables = {name: (("contrast", "metric"), value) for name, value in rows.items()}
        about = {k: changed.attrs[k] for k in ("source", "note", "lesion") if k in changed.attrs}
        said = f"mean over positions of the decoder's {self.tokens} tokens"
        return xr.Dataset(variables, coords=coords).assign_attrs(
            statistic="AUC of labels within a stimulus, mean over stimuli",
            features=said if self.tokens else "responses",
            test=told(len(auc), self.n) + averaged(masks.max()),
            null="a stimulus' labels are read as well from the responses to others",
            correction=f"maximum of |t| over {counted(len(level), 'level')}, per family of labels",
            interval=intervals.told("bca"),
            smallest_p=float(rows["smallest_p"].min()),
            unit_of_inference="stimulus",
            **about,
        )


def cross_areas(truth: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return the AUC of every stimulus' labels under every stimulus' answers.

    Parameters
    ----------
    truth : bool (stimulus i, label)
    answers : (stimulus j, label)

    Returns
    -------
    (i, j); NaN where i has all of the labels, or none
    """
    has, lacks = truth.astype(float), (~truth).astype(float)
    found = np.empty((len(truth), len(answers)))
    for j, row in enumerate(answers):
        higher = (row[:, None] > row[None]) + 0.5 * (row[:, None] == row[None])
        found[:, j] = np.einsum("ia,ab,ib->i", has, higher, lacks, optimize=True)
    pairs = (has.sum(1) * lacks.sum(1))[:, None]
    return np.divide(found, pairs, out=np.full_like(found, np.nan), where=pairs > 0)


def _kept(above: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of what is left of the first level's, (level, family)."""
    weights = intervals.weights(len(above), intervals.RESAMPLES, rng)
    drawn = np.einsum("bs,slf->blf", weights, above, optimize=True)
    low, high = np.percentile(_share(drawn, drawn[:, :1]), [2.5, 97.5], axis=0)
    return low, high


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; NaN where a read-out knows nothing to begin with."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole != 0)


def _features(data: xr.Dataset) -> np.ndarray:
    """Return responses or tokens, (..., stimulus, feature)."""
    name = "tokens" if "tokens" in data else "bold"
    if name == "bold":
        check(data, "response")
    return data[name].values.astype(np.float64 if data[name].size < 10**7 else np.float32)


def _of_coordinate(
    learned: xr.Dataset, shown: xr.Dataset, name: str, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return one column for each value of a coordinate that is frequent enough."""
    known, asked = (data[name].values.astype(str) for data in (learned, shown))
    values, counts = np.unique(known, return_counts=True)
    kept = values[counts >= least * len(known)]
    return known[:, None] == kept, asked[:, None] == kept


def _of_words(
    learned: xr.Dataset, shown: xr.Dataset, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return one column for each word of captions that is frequent enough, and not in all."""
    for data in (learned, shown):
        if "caption" not in data:
            raise SchemaError(
                f"multilabel_auc: stimuli have no labels and no captions; they hold {listed(data)}"
            )
    known, asked = ([_words(row) for row in data["caption"].values] for data in (learned, shown))
    words = sorted(set().union(*known))
    share = np.array([np.mean([word in row for row in known]) for word in words])
    kept = [w for w, s in zip(words, share, strict=True) if least <= s < 1]
    truth = [np.array([[word in row for word in kept] for row in rows]) for rows in (known, asked)]
    return truth[0], truth[1]


def _words(captions: Any) -> set[str]:
    text = " ".join(np.atleast_1d(captions).astype(str)).casefold()
    return {word for word in re.findall(r"[^\W\d]{2,}", text) if word not in SMALL}
