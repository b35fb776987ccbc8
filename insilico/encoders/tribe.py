"""TRIBE v2: its predictions from files, or live in an environment of its own.

TRIBE v2 (Meta, CC BY-NC 4.0) is not part of insilico and is never imported by it.
Row semantics: https://github.com/facebookresearch/tribev2, ``TribeModel.predict``.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import xarray as xr
from pydantic import model_validator

from insilico.encoders import elsewhere
from insilico.encoders.precomputed import picked
from insilico.encoders.segments import check_grid, segments_table, windows
from insilico.errors import ParameterError, StoreError
from insilico.schema import check
from insilico.spaces import presented
from insilico.spaces.responses.arrays import bold_of, check_header, from_array, read_arrays
from insilico.spaces.responses.files import named
from insilico.step import Step, device

TR_S = 1.0
WINDOW_S = 100.0
HEMODYNAMIC_OFFSET_S = 5.0
PREDS, SEGMENTS = "preds.npy", "segments.csv"
"""What a folder of predictions holds."""
EVENTS = "events.csv"
ATTRS = {
    "units": "run z",
    "subject": "group head",
    "encoder": "tribe",
    "context_window_s": WINDOW_S,
    "tr_s": TR_S,
}
FILES = f"{PREDS} (rows × 20484) and {SEGMENTS} (timeline, start, duration of each row)"
HOW = (
    "TRIBE v2 in an environment of its own (its pins exclude ours): "
    "python3.11 -m venv tribe && tribe/bin/pip install "
    "'tribev2 @ git+https://github.com/facebookresearch/tribev2' 'exca<0.5.27', then "
    "encoder: {kind: tribe, python: tribe/bin/python}; or hand over what predict returned, "
    f"encoder: {{kind: tribe, file: FOLDER}} with {FILES}"
)


def from_tribe(
    preds: Any,
    segments: Any = None,
    *,
    order: str = "lh,rh",
    hemodynamic_offset_s: float = HEMODYNAMIC_OFFSET_S,
    **attrs: Any,
) -> xr.Dataset:
    """Take in what TRIBE v2's ``predict`` returned.

    Parameters
    ----------
    preds : array (row, 20484), a .npy or .npz file, or a folder with preds.npy and segments.csv
    segments : path, DataFrame or list of segments
        As `segments_table` takes them; found in a folder by itself.
    order : {"lh,rh", "rh,lh"}
        Which hemisphere comes first; TRIBE v2 puts the left first.
    hemodynamic_offset_s : float
        TRIBE v2 is trained on BOLD 5 s after the stimulus, so that a row at time t is the response
        to what is shown at t. Recorded, not applied.
    **attrs
        More attributes, such as ``source``.

    Returns
    -------
    response (row, vertex) on fsaverage5
        `time` is the segments' start: the first row of a timeline is at its first event, not at 0.
        `window` counts the windows of 100 s, between which no context passes.
    """
    if isinstance(preds, str | Path):
        return _from_files(Path(preds), segments, order, hemodynamic_offset_s, attrs)
    if segments is None:
        raise ParameterError(f"predictions without segments have no times: give {FILES}")
    table = segments_table(segments)
    check_grid(table, TR_S)
    said = {"source": "TRIBE v2", **ATTRS, **attrs, "hemodynamic_offset_s": hemodynamic_offset_s}
    names, starts = (table[name].to_numpy() for name in ("timeline", "start"))
    response = from_array(preds, order=order, timeline=names, time=starts, **said)
    return response.assign_coords(window=("row", windows(table, WINDOW_S)))


def _from_files(
    path: Path, segments: Any, order: str, offset: float, attrs: dict[str, Any]
) -> xr.Dataset:
    preds, table = files_of(path, segments)
    attrs = {"source": f"TRIBE v2, file {preds.name}", **attrs}
    with named(preds):
        bold = bold_of(read_arrays(preds))
        given = segments_table(table)
        return from_tribe(bold, given, order=order, hemodynamic_offset_s=offset, **attrs)


def files_of(path: Path, segments: Any = None) -> tuple[Path, Any]:
    """Return the files of predictions and segments, where `path` may be their folder."""
    path = _expanded(path)
    preds = path / PREDS if path.is_dir() else path
    table = preds.with_name(SEGMENTS) if segments is None else segments
    table = Path(table).expanduser() if isinstance(table, str | Path) else table
    for file in (preds, table):
        if isinstance(file, Path) and not file.is_file():
            raise StoreError(f"{file}: no such file; predictions of TRIBE v2 are {FILES}")
    return preds, table


def _expanded(path: Path) -> Path:
    """Return a path whose first part may be a variable of the environment, as ``$NAME``."""
    first, *rest = path.parts or ("",)
    if not first.startswith("$"):
        return path.expanduser()
    folder = os.environ.get(first[1:])
    if not folder:
        raise StoreError(
            f"{path}: {first[1:]} is not set; set it to the folder of TRIBE v2's predictions for "
            f"these pictures: {FILES}"
        )
    return Path(folder, *rest).expanduser()


class Tribe(Step):
    """Encode with TRIBE v2: from a file of predictions, or live.

    A live run is handed the table of `insilico.spaces.presented.events`: what is absent is black
    frames, silence and a placeholder word.

    Attributes
    ----------
    file : str, optional
        Folder with preds.npy and segments.csv, or the file of predictions; timelines are stimulus
        ids. It may begin with a variable, as ``$INSILICO_TRIBE``. Without it, TRIBE v2 is run.
    segments : str, optional
        File of the segments; by default segments.csv beside the predictions.
    order : {"lh,rh", "rh,lh"}
    rows : {"mean", "keep"}
        What becomes of the rows of a stimulus.
    python : str, optional
        The Python in which TRIBE v2 is installed; by default this one.
    weights : str
        Hub id or folder, for a live run. TRIBE v2 reads its config.yaml with a loader that can
        execute code: name only weights that you trust.
    """

    kind: ClassVar[str] = "tribe"
    file: str | None = None
    segments: str | None = None
    order: Literal["lh,rh", "rh,lh"] = "lh,rh"
    rows: Literal["mean", "keep"] = "mean"
    python: str | None = None
    weights: str = "facebook/tribev2"

    @model_validator(mode="after")
    def _one_origin(self) -> Tribe:
        if self.file is not None and self.python is not None:
            raise ValueError("either file (predictions) or python (a live run)")
        if self.segments is not None and self.file is None:
            raise ValueError("segments belong to a file of predictions: give file too")
        return self

    def digests(self) -> dict[str, str]:
        """Return the digests of the files; for a live run, make sure that it can start."""
        if self.file is not None:
            preds, table = files_of(Path(self.file), self.segments)
            return {"preds": elsewhere.digest(preds), "segments": elsewhere.digest(table)}
        elsewhere.require(self.python, "tribev2", "tribe", HOW)
        presented.writer()
        found = {"driver": elsewhere.digest(elsewhere.driver("tribe"))}
        folder = Path(self.weights).expanduser()
        return {**found, "weights": elsewhere.digest(folder)} if folder.is_dir() else found

    def ids(self) -> Collection[str] | None:
        """Return the timelines of the segments of a file."""
        if self.file is None:
            return None
        preds, table = files_of(Path(self.file), self.segments)
        timelines = segments_table(table)["timeline"]
        check_header(preds, len(timelines))
        return dict.fromkeys(timelines)

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the responses to the stimuli, which `file` must hold by id."""
        check(stimuli, "stimuli")
        ids = stimuli["stimulus"].values
        if self.file is not None:
            response = from_tribe(self.file, self.segments, order=self.order)
            return picked(response, ids, self.file, self.rows)
        elsewhere.require(self.python, "tribev2", "tribe", HOW)
        with TemporaryDirectory(prefix="insilico-") as folder:
            events = presented.events(stimuli, Path(folder) / "media")
            events.to_csv(Path(folder) / EVENTS, index=False)
            order = {"weights": self.weights, "device": device()}
            elsewhere.run(self.python, "tribe", Path(folder), order, (PREDS, SEGMENTS))
            about: dict[str, Any] = {"source": "TRIBE v2, live", "weights": self.weights}
            response = from_tribe(folder, order=self.order, **about)
        return picked(response, ids, "what TRIBE v2 returned", self.rows)
