"""Tables of events: what happens when in a timeline, one row an event.

Columns and their order are those of the field's format (TRIBE v2's neuralset): `type, start,
duration, timeline, subject, session, task, run`, those of single types (`filepath, frequency,
offset, text, modality`), any others, and `stop`. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from insilico.errors import EventError, listed, not_one_of
from insilico.spaces.presented import LABELS, OF_TYPES, ORDER
from insilico.spaces.timeline import rows
from insilico.stimuli.films import film_head
from insilico.stimuli.reading import SEPARATORS, table_of
from insilico.stimuli.sounds import LOST_S, sound_head

NUMBERS = ("start", "duration", "frequency", "offset", "stop")
PLAYED = ("Video", "Audio")
FILES = (*PLAYED, "Image", "Fmri")
TEXTS = ("Word", "Sentence", "Text")
TYPES = (*FILES, *TEXTS, "CategoricalEvent")
WAYS = ("heard", "read", "imagined", "typed", "caption", "")
"""How a word can come: its `modality`."""
LASTING = (*PLAYED, "Image", "Word")
"""Types that show something, for more than 0 s."""
NEARLY_S = 0.01

Rule = tuple["pd.Series[bool]", Callable[["pd.Series[Any]"], str]]


def grid(events: pd.DataFrame, tr_s: float = 1.0) -> pd.DataFrame:
    """Return the rows of a response to events: `timeline`, and `time` (s) of each row's start.

    Parameters
    ----------
    events : DataFrame
        As `standard` returns it.
    tr_s : float

    Returns
    -------
    DataFrame
        Timelines in their order; the first row of each is at its first event's start.
    """
    parts = []
    for name, part in events.groupby("timeline", sort=False):
        start = part["start"].min()
        times = start + tr_s * np.arange(rows(part["stop"].max() - start, tr_s))
        parts.append(pd.DataFrame({"timeline": name, "time": times}))
    return pd.concat(parts, ignore_index=True)


def standard(
    events: pd.DataFrame, place: str = "events", folder: Path | None = None
) -> pd.DataFrame:
    """Return a table of events in its one form, or say what is wrong with it.

    Parameters
    ----------
    events : DataFrame
        Columns `type`, `start` and `timeline` are needed. A missing duration of a film or a sound
        is read from its file.
    place : str
        What to call the table in complaints.
    folder : path, optional
        That files are named from.

    Returns
    -------
    DataFrame
        Sorted by timeline (first seen first), start, and longer first.

    Raises
    ------
    EventError
        If a row breaks a rule of the format; the first such row is named.
    """
    events = _filled(events, place, folder)
    for broken, why in _rules(events):
        if broken.any():
            row = int(np.argmax(broken))
            more = f" (and {broken.sum() - 1} rows more)" if broken.sum() > 1 else ""
            raise EventError(f"{place}, row {row + 1}: {why(events.iloc[row])}{more}")
    events["stop"] = events["start"] + events["duration"]
    seen = pd.factorize(events["timeline"])[0]
    order = np.lexsort((-events["duration"], events["start"], seen))
    others = [name for name in events if name not in (*ORDER, *OF_TYPES, "stop")]
    return events.iloc[order][[*ORDER, *OF_TYPES, *others, "stop"]].reset_index(drop=True)


def read(file: str | Path) -> pd.DataFrame:
    """Return the events of a CSV or TSV file, as `standard` does; paths are from its folder."""
    file = Path(file).expanduser()
    return standard(table_of(file), str(file), file.parent)


def write(events: pd.DataFrame, file: str | Path) -> None:
    """Write events as CSV or TSV, so that the file is there whole or not at all."""
    file = Path(file).expanduser()
    if file.suffix.lower() not in SEPARATORS:
        raise EventError(f"{file}: a table is a .csv or a .tsv file")
    part = file.with_name(f".{file.name}.part")
    separator = SEPARATORS[file.suffix.lower()]
    standard(events).to_csv(part, sep=separator, index=False, encoding="utf-8")
    part.replace(file)


def _filled(events: pd.DataFrame, place: str, folder: Path | None) -> pd.DataFrame:
    """Return events with all columns that rules look at, of their types."""
    dropped = ["index", "Index", "Unnamed: 0"]
    if not events.columns.is_unique:
        raise EventError(f"{place}: two columns of one name; has {listed(events.columns)}")
    events = events.drop(columns=dropped, errors="ignore").reset_index(drop=True)
    missing = [name for name in ("type", "start", "timeline") if name not in events]
    if missing or events.empty:
        what = f"column {listed(missing)} missing; has {listed(events.columns)}"
        raise EventError(f"{place}: {what if missing else 'no events'}")
    for name in ("type", "timeline", *LABELS, "filepath", "text", "modality"):
        cells = events[name] if name in events else pd.Series("", events.index)
        events[name] = cells.astype(object).where(cells.notna(), "").astype(str)
    for name in NUMBERS:
        cells = events[name] if name in events else pd.Series("", events.index)
        events[name] = _number(cells, name, place)
    named = events["type"].isin(FILES) & (events["filepath"] != "")
    paths = [str((folder or Path()) / path) for path in events.loc[named, "filepath"]]
    events.loc[named, "filepath"] = paths
    return events.fillna({"frequency": 0.0, "offset": 0.0})


def _number(cells: pd.Series[Any], name: str, place: str) -> pd.Series[float]:
    """Return numbers; NaN for empty cells."""
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    odd = (numbers.isna() & cells.notna() & (cells.astype(str).str.strip() != "")) | np.isinf(
        numbers
    )
    if odd.any():
        row = int(np.argmax(odd))
        raise EventError(f"{place}, row {row + 1}: {name} '{cells.iloc[row]}' is no number")
    return numbers


def _rules(events: pd.DataFrame) -> Iterator[Rule]:
    """Yield which rows break a rule, and how to say so of one."""
    kind, lasting = events["type"], events["duration"].isna()
    yield _unknown(events, "type", TYPES)
    yield events["start"].isna(), lambda e: "start is missing; give it in seconds"
    yield events["timeline"].str.strip() == "", lambda e: "timeline is missing; name it"
    yield _negative(events, "frequency")
    yield _negative(events, "offset")
    pathless = kind.isin(FILES) & (events["filepath"] == "")
    yield pathless, lambda e: f"an event of type {e['type']} needs a filepath"
    there = [path for path in events["filepath"].unique() if Path(path).is_file()]
    gone = kind.isin(FILES) & ~events["filepath"].isin(there)
    yield gone, lambda e: f"{e['filepath']}: no such file"
    silent = kind.isin(TEXTS) & (events["text"].str.strip() == "")
    yield silent, lambda e: f"an event of type {e['type']} needs a text"
    yield _unknown(events, "modality", WAYS)
    yield lasting & ~kind.isin(PLAYED), lambda e: "duration is missing; give it in seconds"
    yield from _of_files(events)
    yield _negative(events, "duration")
    none = kind.isin(LASTING) & (events["duration"] == 0)
    yield none, lambda e: f"duration 0; an event of type {e['type']} lasts more than 0 s"
    wrong = (events["stop"] - events["start"] - events["duration"]).abs() > NEARLY_S
    yield wrong, lambda e: f"stop {e['stop']:g} is not start + duration; leave the column out"
    yield _twice(events) | _again(events), _confused
    for name in LABELS:
        yield _mixed(events, name)


def _of_files(events: pd.DataFrame) -> Iterator[Rule]:
    """Yield which rows show what their file does not hold; fill in durations that are missing."""
    whole = _whole(events)
    rest = whole - events["offset"]
    beyond = "offset {:g} is beyond the end of {}, which lasts {:g} s"
    yield rest <= 0, lambda e: beyond.format(e["offset"], e["filepath"], whole[e.name])
    events["duration"] = events["duration"].fillna(rest)
    longer = "duration {:g} is longer than {} plays: {:g} s from offset {:g} on"
    yield (
        (events["type"] == "Audio") & (events["duration"] > rest + LOST_S),
        lambda e: longer.format(e["duration"], e["filepath"], rest[e.name], e["offset"]),
    )


def _whole(events: pd.DataFrame) -> pd.Series[float]:
    """Return how long files play, in seconds; NaN where nothing depends on it.

    Sounds are looked at, and films whose duration is not told or of which a part is shown.
    """
    asked = events["duration"].isna() | (events["offset"] > 0)
    asked = (events["type"] == "Audio") | (asked & (events["type"] == "Video"))
    played = events.loc[asked, ["type", "filepath"]].assign(offset=0.0)
    each = played.drop_duplicates()
    found = {event["filepath"]: lasts(event) for event in each.to_dict("records")}
    return played["filepath"].map(found).astype(float).reindex(events.index)


def _unknown(events: pd.DataFrame, name: str, allowed: tuple[str, ...]) -> Rule:
    return ~events[name].isin(allowed), lambda e: not_one_of(f"event {name}", e[name], allowed)


def _negative(events: pd.DataFrame, name: str) -> Rule:
    return events[name] < 0, lambda e: f"{name} {e[name]:g} is negative; 0 or more is allowed"


def _mixed(events: pd.DataFrame, name: str) -> Rule:
    """Return the rule that a timeline has one subject, session, task and run."""
    mixed = events.groupby("timeline")[name].transform("first") != events[name]
    return (
        mixed,
        lambda e: (
            f"timeline '{e['timeline']}' has another {name} before; give each timeline its own name"
        ),
    )


def _confused(e: pd.Series[Any]) -> str:
    return (
        f"timeline '{e['timeline']}' has two events of type {e['type']} at once; if these are two "
        "timelines, give each its own name"
    )


def lasts(event: Mapping[str, Any] | pd.Series[Any]) -> float:
    """Return how long a file plays from the event's offset on, in seconds."""
    path = Path(event["filepath"])
    if event["type"] == "Video":
        return film_head(path).lasts_s - event["offset"]
    frames, rate = sound_head(path)
    return frames / rate - event["offset"]


def _twice(events: pd.DataFrame) -> pd.Series[bool]:
    """Return which events begin while another of their type and timeline goes on."""
    alone = events[events["type"].isin(FILES)].sort_values(["start", "duration"], kind="stable")
    groups = alone.groupby(["timeline", "type"])
    before = (alone["start"] + alone["duration"]).groupby([alone["timeline"], alone["type"]])
    ends = before.cummax().groupby([alone["timeline"], alone["type"]]).shift()
    late = (ends - alone["start"] > NEARLY_S) & (groups.cumcount() > 0)
    return late.reindex(events.index, fill_value=False)


def _again(events: pd.DataFrame) -> pd.Series[bool]:
    """Return which words begin while another goes on, at its start or above it in the table.

    Words of one timeline may overlap, as in speech, if each begins after the one before it. Those
    that come in different ways (`modality`) do not count as of one reader.
    """
    words = events[events["type"] == "Word"].sort_values("start", kind="stable")
    words = words.assign(row=words.index, ends=words["start"] + words["duration"])
    before = words.groupby(["timeline", "modality"])[["row", "start", "ends"]].shift()
    goes_on = before["ends"] - words["start"] > NEARLY_S
    back = (words["start"] - before["start"] <= NEARLY_S) | (before["row"] > words["row"])
    pairs = np.maximum(before["row"], words["row"])[goes_on & back]
    return events.index.to_series().isin(pairs)
