"""What the timelines of a table of events show: content, not what stands for its absence."""

from __future__ import annotations

import re
from math import ceil
from pathlib import Path

from insilico.errors import EventError, listed
from insilico.spaces.presented import PLACEHOLDER, Event
from insilico.spaces.timeline import IMAGE_S
from insilico.stimuli.events import NEARLY_S, lasts
from insilico.stimuli.sounds import LOST_S

NOTHING = {"Video": r"black-\d+\.mkv", "Audio": r"silence-\d+\.flac"}
"""Names that `presented` gives to black films and silent sounds."""
SHOWN = {"Word": "text", "Audio": "sound", "Video": "film", "Image": "picture"}
"""Types of events that show something, and what that is."""

Content = dict[str, list[Event]]
"""Type to the events of a timeline that show something; none where it is there, but empty."""


def content_of(events: list[Event], place: str) -> Content:
    """Return what a timeline shows, if one stimulus can be that."""
    types = dict.fromkeys(event["type"] for event in events)
    content = {t: [e for e in events if e["type"] == t and not _nothing(e)] for t in types}
    shown = {t for t, some in content.items() if some and t in SHOWN}
    read_too = any(word["modality"] == "read" for word in content.get("Word", []))
    if shown > {"Word"} and not read_too:  # words that are heard are in the sound
        shown.remove("Word")
    if not shown:
        raise EventError(f"{place} shows nothing: its events are {listed(types)}")
    if len(shown) > 1 and shown != {"Video", "Audio"}:
        raise EventError(f"{place} shows {listed(sorted(shown))} at once; no stimulus is both")
    for t in sorted(shown):
        first = content[t][0]
        if abs(first["start"]) > NEARLY_S:
            raise EventError(f"{place}: {t} begins at {first['start']:g} s; let it begin at 0")
        if t != "Word":
            _require_whole(content[t], place)
    return {t: some for t, some in content.items() if t in shown or t == "Audio"}


def _nothing(event: Event) -> bool:
    """Return whether an event stands for what is absent, as `presented` writes it."""
    if event["type"] == "Word":
        return (event["text"], event["modality"]) == (PLACEHOLDER, "")
    name = NOTHING.get(event["type"])
    return name is not None and bool(re.fullmatch(name, Path(event["filepath"]).name))


def _require_whole(events: list[Event], place: str) -> None:
    """Raise unless there is one file, shown from its beginning to its end."""
    event, t = events[0], events[0]["type"]
    if len(events) > 1:
        raise EventError(f"{place}: {len(events)} events of type {t}; give each its own timeline")
    seconds, skipped = event["duration"], event["offset"]
    whole = IMAGE_S if t == "Image" else lasts(event) + skipped
    frames = _frames(event) / event["frequency"] if t == "Video" and event["frequency"] else seconds
    if skipped or min(abs(seconds - whole), abs(frames - whole)) > LOST_S:
        raise EventError(
            f"{place}: {t} is shown for {seconds:g} s from {skipped:g} s on; only the whole can be "
            f"shown, {whole:g} s ({event['filepath']})"
        )


def _frames(film: Event) -> int:
    return ceil(film["duration"] * film["frequency"] - 1e-6)


def modality_of(shown: dict[str, Content], file: Path) -> str:
    """Return what all timelines show: text, sound, picture (a file), film of one frame or film."""
    met: dict[str, str] = {}
    for name, content in shown.items():
        met.setdefault(_kind(content), name)
    if set(met) == {"film of one frame", "film"}:
        return "film"
    (kind, name), *others = met.items()
    for other, where in others:
        raise EventError(
            f"{file}: timeline '{name}' shows {kind}, '{where}' {other}; stimuli are of one "
            "modality: split the table (a training takes several parts)"
        )
    return kind


def _kind(content: Content) -> str:
    """Return what a timeline shows; a silent film of one frame and one second is an image."""
    shown = [t for t, some in content.items() if some]
    if shown != ["Video"]:
        return SHOWN["Video" if "Video" in shown else shown[0]]
    film = content["Video"][0]
    short = _frames(film) == 1 and abs(film["duration"] - IMAGE_S) <= NEARLY_S
    return "film of one frame" if short else "film"
