"""Repeated measurements, summed once: all that a noise ceiling needs of them.

Trials are read block by block; of ten thousand images what stays in memory is one sum an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from insilico.errors import SchemaError

PLACES, ROWS = 2048, 16


@dataclass(frozen=True)
class Repeats:
    """Sums of squares of repeated measurements.

    Attributes
    ----------
    counts : int (image,)
        Trials of each image, at least one.
    classes : int (class,)
        The repeat counts that occur, ascending.
    within : float64 (class, place)
        Squares around each image's own mean, of the images with so many repeats.
    between : float64 (place,)
        Squares of the images' means around the mean of all trials, one a trial.
    """

    counts: np.ndarray
    classes: np.ndarray
    within: np.ndarray
    between: np.ndarray

    @property
    def trials(self) -> int:
        """Number of trials."""
        return int(self.counts.sum())

    def images(self, repeats: int) -> int:
        """Return how many images have so many repeats."""
        return int((self.counts == repeats).sum())


def summed(blocks: Iterable[np.ndarray], images: np.ndarray) -> Repeats:
    """Sum trials in one pass.

    Parameters
    ----------
    blocks : iterable of (trial, place)
        Consecutive trials, float32 or float64; each block may be overwritten after its turn.
    images : int (trial,)
        Which image each trial showed, over all blocks; a negative one leaves the trial out.

    Raises
    ------
    SchemaError
        If a block is no table of trials or holds NaN, or blocks and images do not have as many
        trials.
    """
    images = np.asarray(images)
    shown, index = np.unique(images[images >= 0], return_inverse=True)
    counts = np.bincount(index, minlength=len(shown))
    own = np.full(len(images), -1)
    own[images >= 0] = index
    classes, group = np.unique(counts, return_inverse=True)
    sums, squares, start = np.empty((0, 0)), np.empty((0, 0)), 0
    for block in blocks:
        _require_trials(block, start, len(images))
        if not start:
            sums = np.zeros((len(shown), block.shape[1]), block.dtype)
            squares = np.zeros((len(classes), block.shape[1]))
        of_trial = own[start : start + len(block)]
        start += len(block)
        for trial in np.flatnonzero(of_trial >= 0):
            sums[of_trial[trial]] += block[trial]  # one by one: an image may come twice
        for c in range(len(classes)):
            own_squares = sum_of_squares(block, (of_trial >= 0) & (group[of_trial] == c))
            _require_numbers(own_squares, block, start - len(block))
            squares[c] += own_squares
    if start != len(images):
        raise SchemaError(f"{start} trials were read, and {len(images)} images are named for them")
    if not counts.size:
        raise SchemaError("no trials: a noise ceiling needs repeated measurements")
    return _reduced(sums, squares, counts, classes, group)


def _require_trials(block: np.ndarray, start: int, named: int) -> None:
    """Raise unless a block is (trial, place), and of trials whose images are named."""
    shape = np.shape(block)
    if len(shape) != 2:
        told = "blocks are tables (trial, place), in a list: summed([betas], images)"
        if len(shape) == 3:
            told = (
                "blocks are tables (trial, place): of betas (repeat, image, place) write "
                f"summed(betas, np.tile(np.arange({shape[1]}), {shape[0]})), without the list"
            )
        raise SchemaError(f"a block of trials is of shape {shape}; {told}")
    if start + shape[0] > named:
        raise SchemaError(
            f"{start + shape[0]} trials or more, and {named} images are named for them: "
            "images holds one number a trial, over all blocks and repeats"
        )


def _require_numbers(squares: np.ndarray, block: np.ndarray, first: int) -> None:
    if not np.isfinite(squares).all():
        bad = np.flatnonzero(~np.isfinite(block).all(1)) + first
        raise SchemaError(
            f"NaN or infinite betas in {len(bad)} trials, the first is trial {bad[0]} (from 0): "
            "leave these trials or their session out"
        )


def sum_of_squares(block: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return each column's sum of squares in float64, without a copy of the block.

    A few rows at a time are summed in the block's own precision.
    """
    block = block if rows is None or rows.all() else block[rows]
    total = np.zeros(block.shape[1])
    for part in _parts(block):
        total += np.einsum("tv,tv->v", part, part)
    return total


def _reduced(
    sums: np.ndarray,
    squares: np.ndarray,
    counts: np.ndarray,
    classes: np.ndarray,
    group: np.ndarray,
) -> Repeats:
    explained = np.stack([sum_of_squares(sums, group == c) for c in range(len(classes))])
    explained /= classes[:, None]
    whole = sums.sum(0, dtype=np.float64)
    between = explained.sum(0) - whole**2 / counts.sum()
    return Repeats(counts, classes, np.maximum(squares - explained, 0), np.maximum(between, 0))


def trimmed(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (trial,) with -1 in random trials, so that every image keeps as many.

    As many as the least shown image has that was shown twice or more; images shown once are left
    out. The noise of variant ``"get_ncsnr"``.
    """
    counts = np.unique(images, return_counts=True)[1]
    kept = counts[counts >= 2].min() if (counts >= 2).any() else 2
    result = np.full(len(images), -1)
    for image in np.unique(images):
        trials = np.flatnonzero(images == image)
        if len(trials) >= kept:
            result[rng.choice(trials, kept, replace=False)] = image
    return result


def standardised(betas: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return betas (trial, place) as z-scores (ddof 0) within each group of trials.

    Parameters
    ----------
    betas : (trial, place)
    groups : (trial,)
        Such as the session of each trial. A place that does not vary in a group becomes 0 there.
    """
    result = np.array(betas)
    for group in np.unique(groups):
        rows = groups == group
        result[rows] = z_scored(result[rows])
    return result


def z_scored(block: np.ndarray) -> np.ndarray:
    """Return a block (trial, place) as z-scores, in its own memory; constant places become 0."""
    for _ in _z_scored(block):
        pass
    return block


def _z_scored(block: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the block's rows, few at a time while they are in the cache, as z-scores."""
    first, total, squares = block[0].copy(), np.zeros(block.shape[1]), np.zeros(block.shape[1])
    for part in _parts(block):
        shifted = part - first  # so that a mean far from zero costs no digits
        total += shifted.sum(0)
        squares += np.einsum("tv,tv->v", shifted, shifted)
    mean = total / len(block)
    variance = np.maximum(squares / len(block) - mean**2, 0)
    varies = variance > 1e-12 * np.maximum(mean**2, 1e-12)
    scale = np.divide(1, np.sqrt(variance), out=np.zeros_like(variance), where=varies)
    centre, scale = (mean + first).astype(block.dtype), scale.astype(block.dtype)
    for part in _parts(block):
        part -= centre
        part *= scale
        yield part


def _parts(block: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(block), ROWS):
        yield block[start : start + ROWS]


def sessions(source: np.ndarray, of_trial: np.ndarray) -> Iterator[np.ndarray]:
    """Yield trials in order, few at a time, as z-scores within their session.

    Parameters
    ----------
    source : (trial, place)
        Anything that slices to arrays, such as a dataset of an open HDF5 file; one session is
        read at a time.
    of_trial : (trial,)
        Session of each trial; a session's trials are consecutive.
    """
    ends = np.flatnonzero(np.diff(of_trial)) + 1
    bounds = [0, *ends.tolist(), len(of_trial)]
    if len(np.unique(of_trial)) != len(bounds) - 1:
        raise SchemaError("the trials of a session must lie together; sort them by session")
    longest = max(np.diff(bounds))
    buffer = np.empty((longest, source.shape[1]), source.dtype)
    for start, stop in pairwise(bounds):
        block = buffer[: stop - start]
        if hasattr(source, "read_direct"):  # an HDF5 dataset: no second copy
            source.read_direct(block, np.s_[start:stop])
        else:
            block[:] = source[start:stop]
        yield from _z_scored(block)
