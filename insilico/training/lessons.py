"""Lessons from stimuli and responses, and what is held out of them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Presentation
from insilico.encoders.training import Lesson
from insilico.errors import ParameterError, SchemaError, listed
from insilico.schema import short_digest
from insilico.spaces.responses.files import named
from insilico.spaces.responses.rows import check_labels
from insilico.training.document import Training
from insilico.training.given import Given

NEARLY_S = 1e-3


def lessons_of(
    training: Training, given: list[Given], model: MaryNanoModel
) -> tuple[list[Lesson], list[Lesson]]:
    """Return lessons and what is held out of them, stimulus by stimulus."""
    held = held_out([ids_of(stimuli) for stimuli, _ in given], training.held_out, training.seed)
    cortex = model.head.cortex.cpu().numpy()
    taught: list[Lesson] = []
    kept: list[Lesson] = []
    for part, (stimuli, response) in zip(training.parts, given, strict=True):
        away = np.isin(ids_of(stimuli), sorted(held))
        with named(part.response or "recording"):
            _check_held(ids_of(stimuli), _labels(response))
            for rows, where in ((~away, taught), (away, kept)):
                some = stimuli.isel(stimulus=np.flatnonzero(rows))
                shown = Presentation(some, model.config, model.tokenizer)
                where.append(as_lesson(shown, response, cortex, part.share))
    return taught, kept


def unknown_words(lessons: list[Lesson]) -> str:
    """Return a note of the words that the model's tokenizer cannot tell apart; empty if none."""
    texts = [one.shown for one in lessons if one.shown.modality == "text"]
    words = {w for some in texts for text in some.stimuli["caption"].values for w in text.split()}
    unknown = sorted({word for some in texts for word in some.unknown_words()})
    if not unknown:
        return ""
    return (
        f"{len(unknown)} of {len(words)} words that it was trained on are one and the same to its "
        f"tokenizer: {listed(unknown, 5)}"
    )


def ids_of(stimuli: xr.Dataset) -> np.ndarray:
    """Return stimulus ids as str, (n,)."""
    return stimuli["stimulus"].values.astype(str)


def held_out(parts: list[np.ndarray], share: float, seed: int) -> set[str]:
    """Choose stimulus ids to hold out: from every part about this share, and at least one.

    An id has its place in line by itself, so that parts with the same ids hold out the same ones.

    Parameters
    ----------
    parts : list of str (n,)
        Ids of each part.
    share : float
    seed : int

    Raises
    ------
    ParameterError
        If nothing would be left to learn from in a part.
    """
    held: set[str] = set()
    for ids in parts:
        line = sorted(ids.tolist(), key=lambda name: short_digest(seed, name))
        held.update(line[: max(1, round(share * len(line)))])
    for ids in parts:
        if held.issuperset(ids.tolist()):
            raise ParameterError(f"{len(ids)} stimuli are too few to hold out {share:g}")
    return held


def as_lesson(
    shown: Presentation, response: xr.Dataset, cortex: np.ndarray, share: float = 1.0
) -> Lesson:
    """Match responses to stimuli, by label.

    Parameters
    ----------
    shown : Presentation
    response : response
        By stimulus: of the mean over its rows. In rows: `timeline` is the stimulus, and `time` the
        start of the row in seconds from the stimulus' onset; its offset is already in it.
    cortex : bool, (vertices,)
    share : float

    Raises
    ------
    SchemaError
        If a stimulus has no response, a row stands where the model has none or another row, or
        times are the scanner's.
    """
    ids = ids_of(shown.stimuli)
    labels = _labels(response)
    _check_held(ids, labels)
    chosen = np.flatnonzero(np.isin(labels, ids))
    bold = response["bold"].values[..., chosen, :][..., cortex]
    if bold.ndim != 2:
        raise SchemaError(f"one response a stimulus is needed; bold has {response['bold'].dims}")
    number = {name: k for k, name in enumerate(ids)}
    stimulus = np.array([number[name] for name in labels[chosen]])
    if "row" not in response.dims:
        return Lesson.of_means(shown, bold[np.argsort(stimulus)], share)
    _check_times(response)
    at = np.full((len(ids), max(2, int(shown.rows.max()))), -1)
    at[stimulus, _rows(shown, response["time"].values[chosen], stimulus)] = np.arange(len(chosen))
    return Lesson(shown, bold, at, share)


def _labels(response: xr.Dataset) -> np.ndarray:
    """Return of each item whose response it is, str (n,)."""
    return response["timeline" if "row" in response.dims else "stimulus"].values.astype(str)


def _check_held(ids: np.ndarray, labels: np.ndarray) -> None:
    """Raise unless there is a response to every stimulus."""
    missing = sorted(set(ids) - set(labels))
    if missing:
        raise SchemaError(
            f"no response to {len(missing)} of {len(ids)} stimuli: {listed(missing, 3)}; it has "
            f"{listed(dict.fromkeys(labels), 3)}; give the stimuli these ids, or add the responses"
        )


def _check_times(response: xr.Dataset) -> None:
    """Raise unless times are those of what is shown, one row each."""
    if response.attrs.get("time_counts") == "acquisition":
        offset = float(response.attrs["hemodynamic_offset_s"])
        raise SchemaError(
            f"the rows' times are the scanner's, {offset:g} s after what is shown; take the offset "
            "off again: response.assign_coords(time=response['time'] - offset), and delete "
            "attrs['time_counts']"
        )
    timeline = response["timeline"].values.astype(str)
    check_labels(response.sizes["row"], timeline, response["time"].values)


def _rows(shown: Presentation, time: np.ndarray, stimulus: np.ndarray) -> np.ndarray:
    """Return the number of the row that stands at each time."""
    tr_s = shown.config.tr_s
    rows = np.round(time / tr_s).astype(int)
    odd = np.abs(rows * tr_s - time) > NEARLY_S
    odd |= (rows < 0) | (rows >= shown.rows[stimulus])
    if odd.any():
        first = np.flatnonzero(odd)[0]
        name = shown.stimuli["stimulus"].values[stimulus[first]]
        raise SchemaError(
            f"row at {time[first]:g} s of timeline '{name}': the model has rows every {tr_s:g} s "
            f"from 0 to {(shown.rows[stimulus[first]] - 1) * tr_s:g} s"
        )
    return rows
