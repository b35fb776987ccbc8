"""Open-vocabulary classification: which of many sentences a decoded embedding means."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from insilico.errors import SchemaError, listed
from insilico.schema import check
from insilico.spaces.naming import classes, fields, sentences_of
from insilico.statistics.attainable import of_orders
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.guesses import exact_interval, hits, shuffled_test
from insilico.statistics.intervals import bca
from insilico.step import Step, generator
from insilico.weights.folders import found_digest

Floats = NDArray[np.float64]
SHARES = tuple(float(value) for value in np.logspace(-4, 2, 7))
"""Penalties tried, in units of the mean eigenvalue of the Gram matrix."""


class ZeroShot(Step):
    """Classify decoded stimuli by the sentence that their embedding is nearest to.

    No classifier is trained: classes are sentences, embedded by a CLIP's text tower, the mean over
    `prompts`. What is held against them is the CLIP embedding of the decoded picture, and, where
    the decoder keeps its tokens (``keep: [prior]``), the embedding that the tokens alone tell: a
    ridge from tokens to embeddings, learned from true training pictures.

    Parameters
    ----------
    of : list of str
        Conditions; the others are compared with the first.
    prompts : list of str
        Sentences with labels of the stimuli in braces: these labels are the class.
    otherwise : list of str
        Prompts for stimuli without these labels, such as ``["{caption}"]``.
    classes : int
        So many, the first that the stimuli show; stimuli of others are left out.
    top : list of int
        How many answers are allowed.
    weights, tokens : str
        CLIP that judges, and that whose image tokens the decoder gives; see
        `insilico.spaces.tokens`.
    pictures : int
        True training pictures from which the ridge of tokens learns.
    n : int
        Permutations of labels, and of signs.
    seed : int
    """

    kind: ClassVar[str] = "zero_shot"
    version: ClassVar[int] = 4
    of: tuple[str, ...] = Field(min_length=1)
    prompts: tuple[str, ...] = Field(min_length=1)
    otherwise: tuple[str, ...] = ()
    classes: Annotated[int, Field(ge=2)] = 50
    top: tuple[PositiveInt, ...] = (1, 5)
    weights: str = "phantom"
    tokens: str = "phantom"
    pictures: Annotated[int, Field(ge=20)] = 500
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _fit_together(self) -> ZeroShot:
        fields(self.prompts)
        if self.otherwise:
            fields(self.otherwise)
        if max(self.top) >= self.classes:
            raise ValueError(f"top {max(self.top)} of {self.classes} classes is always right")
        return self

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the datasets that it is called with."""
        return ("shown", "training_shown", "reconstructions")

    def digests(self) -> dict[str, str]:
        """Return the digests of both CLIPs."""
        judge = "judge_clip" if self.weights == "phantom" else "clip"
        return {
            "clip": found_digest(self.weights, judge),
            "tokens": found_digest(self.tokens, "clip"),
        }

    def __call__(
        self, shown: xr.Dataset, training: xr.Dataset, *reconstructions: xr.Dataset
    ) -> xr.Dataset:
        """Estimate the share of stimuli that are named rightly.

        Parameters
        ----------
        shown : stimuli
            With the labels that the prompts name.
        training : stimuli
            Pictures that taught the ridge of tokens; not used where no tokens are kept.
        *reconstructions : reconstruction, (stimulus, draw)
            One of each condition; the first draw counts.

        Returns
        -------
        estimate, (contrast, metric)
            Contrasts are conditions, read from their ``pictures`` or ``tokens``; metrics are
            ``top1``, ``top5``. `effect` is the share named rightly; `chance_level` is k / classes,
            `guessed` the share after shuffling labels, which `p` tests. `difference` is from the
            first condition, same reading, with `_low`, `_high` and `_p`. `answer` (contrast,
            stimulus) is the class said, `truth` (stimulus) the one shown; `part` (contrast, label)
            the share of answers with that label right, with `_low`, `_high` (Clopper-Pearson), and
            `part_guessed`, that share if answers belonged to any stimulus.

        Raises
        ------
        SchemaError
        """
        self._require(shown, reconstructions)
        prompts, truth = self._classes(shown)
        known = self._first(truth)
        kept = np.isin(truth, known)
        own = np.array([known.index(one) for one in truth[kept]])
        names, similar = self._similar(known, prompts, training, reconstructions, kept)
        table = self._table(names, similar, own)
        said = np.array(known)[np.stack([one.argmax(1) for one in similar])]
        made = xr.Dataset(
            {name: (("contrast", "metric"), values) for name, values in table.items()}
            | {"answer": (("contrast", "stimulus"), said), "truth": ("stimulus", truth[kept])}
            | {k: (("contrast", "label"), v) for k, v in _parts(said, truth[kept]).items()},
            {
                "label": list(fields(prompts)),
                "contrast": names,
                "metric": [f"top{k}" for k in self.top],
                "stimulus": shown["stimulus"].values[kept],
            },
            self._about(reconstructions[0], prompts, np.bincount(own)),
        )
        return check(made, "estimate")

    # --- what is compared ---

    def _require(self, shown: xr.Dataset, reconstructions: tuple[xr.Dataset, ...]) -> None:
        if len(reconstructions) != len(self.of):
            raise SchemaError(
                f"zero_shot: {len(self.of)} conditions ({listed(self.of)}) and "
                f"{len(reconstructions)} reconstructions; one each"
            )
        ids = check(shown, "stimuli")["stimulus"].values
        for name, one in zip(self.of, reconstructions, strict=True):
            if not np.array_equal(check(one, "reconstruction")["stimulus"].values, ids):
                raise SchemaError(f"zero_shot: '{name}' decodes other stimuli than are shown")
            if "image" not in one:
                raise SchemaError(f"zero_shot: '{name}' has no pictures to name")

    def require(self, *given: xr.Dataset) -> None:
        """Raise if stimuli that have the labels show too few classes."""
        shown, names = given[0], fields(self.prompts)
        if all(name in shown.variables for name in names):
            self._first(classes(shown, names))

    def _first(self, truth: np.ndarray) -> list[str]:
        """Return the first so many classes that are shown."""
        known = list(dict.fromkeys(truth.tolist()))[: self.classes]
        if len(known) < self.classes:
            raise SchemaError(
                f"zero_shot: {self.classes} classes are asked for and {len(known)} are shown; show "
                f"more stimuli (stimuli.n), or set classes: {max(len(known), 2)}"
            )
        return known

    def _classes(self, shown: xr.Dataset) -> tuple[tuple[str, ...], np.ndarray]:
        names = fields(self.prompts)
        if self.otherwise and any(name not in shown.variables for name in names):
            return self.otherwise, classes(shown, fields(self.otherwise))
        return self.prompts, classes(shown, names)

    def _similar(
        self,
        known: list[str],
        prompts: tuple[str, ...],
        training: xr.Dataset,
        reconstructions: tuple[xr.Dataset, ...],
        kept: np.ndarray,
    ) -> tuple[list[str], list[Floats]]:
        """Return the name of each reading, and its similarity of stimuli with classes."""
        from insilico.spaces.meanings import clip_judge, clip_pictures, clip_texts

        folder = clip_judge(self.weights)
        texts = sentences_of(known, prompts)
        flat = clip_texts([text for each in texts for text in each], folder)
        mean = flat.reshape(len(known), len(prompts), -1).mean(1)
        sense = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        names, found = [], []
        read = None
        for name, one in zip(self.of, reconstructions, strict=True):
            first = one.isel(draw=0, stimulus=kept)
            names.append(f"{name}, pictures")
            found.append(clip_pictures(first["image"].values, folder) @ sense.T)
            if "tokens_prior" in first:
                read = read or _reader(self, training)
                names.append(f"{name}, tokens")
                found.append(read(first["tokens_prior"].values) @ sense.T)
        return names, found

    # --- numbers ---

    def _table(
        self, names: list[str], similar: list[Floats], own: NDArray[np.int64]
    ) -> dict[str, Floats]:
        credit = np.stack([[hits(one, own, k) for k in self.top] for one in similar])
        count, n = len(names), len(own)
        ends = np.array([[exact_interval(c.sum(), n) for c in each] for each in credit])
        rng = generator(self.seed, "zero shot", "labels")
        p, corrected, guessed = shuffled_test(similar, own, self.top, self.n, rng)
        chance = np.array(self.top) / self.classes
        rows = {"effect": credit.mean(2), "ci_low": ends[..., 0], "ci_high": ends[..., 1]}
        rows |= {"p": p, "p_corrected": corrected, "n": np.full(p.shape, float(n))}
        rows |= {"chance_level": np.broadcast_to(chance, p.shape).copy(), "guessed": guessed}
        empty = np.full((count, len(self.top)), np.nan)
        rows |= {f"difference{end}": empty.copy() for end in ("", "_low", "_high", "_p")}
        for row, name in enumerate(names):
            reference = names.index(f"{self.of[0]}, {name.rpartition(', ')[2]}")
            if reference != row:
                self._compared(rows, row, (credit[row] - credit[reference]).T)
        return rows

    def _compared(self, rows: dict[str, Floats], row: int, difference: Floats) -> None:
        """Fill the row of a reading by what it has more than the reference's, (stimulus, k)."""
        rng = generator(self.seed, "zero shot", "difference")
        rows["difference"][row] = difference.mean(0)
        rows["difference_low"][row], rows["difference_high"][row] = bca(difference, rng)
        rows["difference_p"][row] = sign_flip_test(difference, self.n, rng)[0]

    def _about(self, of: xr.Dataset, prompts: tuple[str, ...], shown: np.ndarray) -> dict[str, Any]:
        return {
            "statistic": f"share of stimuli named rightly among {self.classes} sentences",
            "test": f"more than with shuffled labels: {self.n} permutations, one-sided",
            "null": "any answer belongs to any stimulus; how often each answer is given is kept",
            "correction": "maximum over conditions and readings, for each top",
            "interval": "95 % Clopper-Pearson",
            "unit_of_inference": "stimulus",
            "smallest_p": of_orders(self.n, int(shown.sum()), alike=shown),
            "prompts": list(prompts),
            "class_labels": list(fields(prompts)),
            **{k: of.attrs[k] for k in ("source", "note", "lesion") if k in of.attrs},
        }


def _parts(said: np.ndarray, truth: np.ndarray) -> dict[str, Floats]:
    """Return how often each label of the class is right, (reading, label); and with any stimulus.

    The mean over all permutations of stimuli is exact: the mean over all pairs of them.
    """
    shown = np.array([one.split("|") for one in truth])
    answers = np.array([[one.split("|") for one in row] for row in said])
    right = (answers == shown).sum(1)
    ends = np.array([[exact_interval(count, len(shown)) for count in row] for row in right])
    guessed = (answers[:, :, None] == shown).mean((1, 2))
    found = {"part": right / len(shown), "part_low": ends[..., 0], "part_high": ends[..., 1]}
    return found | {"part_guessed": guessed}


def _reader(step: ZeroShot, training: xr.Dataset) -> Any:
    """Return what turns tokens (item, token, channel) into unit embeddings, learned from pictures.

    Tokens are averaged over their places; the penalty is the one of `SHARES` with the least exact
    leave-one-out error.
    """
    from insilico.spaces.meanings import clip_judge, clip_pictures
    from insilico.spaces.tokens import image_tokens

    if "image" not in check(training, "stimuli"):
        raise SchemaError("zero_shot: the training stimuli hold no pictures to learn tokens from")
    images = training["image"].values[: step.pictures]
    x = image_tokens(images, step.tokens).mean(1).astype(np.float64)
    y = clip_pictures(images, clip_judge(step.weights))
    weight, centre, level = _ridge(x, y)

    def read(tokens: np.ndarray) -> Floats:
        made = (tokens.mean(1) - centre) @ weight + level
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    return read


def _ridge(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    centre, level = x.mean(0), y.mean(0)
    left, values, right = np.linalg.svd(x - centre, full_matrices=False)
    rotated, errors, made = left.T @ (y - level), [], []
    for share in SHARES:
        shrink = values**2 / (values**2 + share * (values**2).mean())
        leverage = (left**2 * shrink).sum(1) + 1 / len(x)
        residual = (y - level - left @ (shrink[:, None] * rotated)) / (1 - leverage)[:, None]
        errors.append(float((residual**2).mean()))
        gain = np.divide(shrink, values, out=np.zeros_like(values), where=values > 1e-12)
        made.append(right.T @ (gain[:, None] * rotated))
    return made[int(np.argmin(errors))], centre, level
