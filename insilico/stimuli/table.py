"""A table of files and captions -> stimuli."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import xarray as xr
from pydantic import Field

from insilico.errors import StimulusError, listed
from insilico.schema import check
from insilico.step import Step
from insilico.stimuli.captions import plain
from insilico.stimuli.files import Files, digest
from insilico.stimuli.films import Films
from insilico.stimuli.images import Images
from insilico.stimuli.reading import column_of, ids_in, table_of
from insilico.stimuli.sounds import Sounds

if TYPE_CHECKING:
    import pandas as pd

MODALITIES = {"film": "film", "image": "image", "sound": "sound", "caption": "text"}
"""Column to what a subject would be shown; the first column that a table has is shown."""


class Table(Step):
    """A CSV or TSV file that names a stimulus a row.

    Columns: `id` (else the file's name and the row), at least one of `film`, `image` and `sound`
    (files, relative to the table's folder) and `caption`. Film and sound do not go together.
    `split` says which part a row belongs to; every further column becomes a coordinate of strings.

    Attributes
    ----------
    path : path
    modality : {"film", "image", "sound", "text"}, optional
        What is shown, where a table has several; the others are known truth. By default the first
        of these that the table has.
    broken : {"stop", "skip"}
        See `Files`; a row with a broken file is left out whole.
    size : int
        Side of pictures and frames in pixels.
    frame_rate_hz : float
        Frames a second that are taken of films.
    """

    kind: ClassVar[str] = "table"
    stored: ClassVar[bool] = False
    path: Path
    modality: Literal["film", "image", "sound", "text"] | None = None
    broken: Literal["stop", "skip"] = "stop"
    size: int = Field(64, ge=8, le=2048)
    frame_rate_hz: float = Field(1.0, gt=0, le=60)

    def digests(self) -> dict[str, str]:
        """Return digests of the table and of every file in it."""
        file, table = self._table()
        held = [path for column in self._kinds() if column in table for path in table[column]]
        return {str(path): digest(path) for path in [file, *held]}

    def ids(self) -> list[str] | None:
        """Return the ids of the rows, unless broken files will be left out."""
        return list(self._table()[1].index) if self.broken == "stop" else None

    def __call__(self) -> xr.Dataset:
        """Return stimuli with the variables that the table's columns name."""
        file, table = self._table()
        columns, ids = [column for column in MODALITIES if column in table], list(table.index)
        modality = self.modality or MODALITIES[columns[0]]
        if modality not in map(MODALITIES.get, columns):
            raise StimulusError(f"{file}: modality is {modality}, but the columns are {columns}")
        kinds = self._kinds()
        parts = [
            kinds[column].of(dict(zip(ids, table[column], strict=True)))
            if column in kinds
            else xr.Dataset({"caption": ("stimulus", table[column].to_numpy())}, {"stimulus": ids})
            for column in sorted(columns, key=lambda column: MODALITIES[column] != modality)
        ]
        stimuli = reduce(_beside, parts)
        stimuli.attrs |= {"source": "table", "modality": modality}
        left_out = [name for name in ids if name not in stimuli.indexes["stimulus"]]
        stimuli.attrs |= {"skipped": left_out} if left_out else {}
        return check(_labelled(stimuli, table, file), "stimuli")

    def _kinds(self) -> dict[str, Files]:
        films = Films(path=(), size=self.size, frame_rate_hz=self.frame_rate_hz, broken=self.broken)
        images = Images(path=(), size=self.size, broken=self.broken)
        return {"film": films, "image": images, "sound": Sounds(path=(), broken=self.broken)}

    def _table(self) -> tuple[Path, pd.DataFrame]:
        """Return the table by id, with files and captions that can be used."""
        file = self.path.expanduser()
        table = table_of(file)
        columns = [column for column in MODALITIES if column in table]
        if not columns:
            raise StimulusError(
                f"{file}: needs a column {', '.join(MODALITIES)}; has {listed(table.columns)}"
            )
        if {"film", "sound"} <= set(columns):
            raise StimulusError(f"{file}: columns film and sound do not go together; drop one")
        for column in columns:
            cells = enumerate(column_of(table, column, file), 1)
            read = _caption if column == "caption" else _path
            table[column] = [read(cell, file, f"{file}, row {row}") for row, cell in cells]
        table.index = ids_in(table, file)  # type: ignore[assignment]
        return file, table.drop(columns="id", errors="ignore")


def _caption(cell: str, file: Path, place: str) -> str:
    return plain(cell, place)


def _path(cell: str, file: Path, place: str) -> Path:
    path = file.parent / Path(cell).expanduser()
    if not path.is_file():
        raise StimulusError(f"{place}: {path}: no such file")
    return path


def _beside(first: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """Return the stimuli that both have; what both say of them is the first's."""
    common = first.indexes["stimulus"].intersection(other.indexes["stimulus"], sort=False)
    if not len(common):
        raise StimulusError("table: every row has a broken file")
    first, other = first.sel(stimulus=common), other.sel(stimulus=common)
    notes = dict.fromkeys(part.attrs.get("note", "") for part in (first, other))
    both = first.assign({k: v for k, v in other.variables.items() if k not in first.variables})
    both = both.set_coords([name for name in other.coords if name in both])
    both.attrs = {**other.attrs, **first.attrs, "note": "; ".join(filter(None, notes))}
    return both


def _labelled(stimuli: xr.Dataset, table: pd.DataFrame, file: Path) -> xr.Dataset:
    """Return stimuli with the table's further columns."""
    labels = table.drop(columns=list(MODALITIES), errors="ignore").loc[stimuli.indexes["stimulus"]]
    taken = [name for name in labels if name in stimuli.variables and name != "split"]
    if taken:
        raise StimulusError(f"{file}: column '{taken[0]}' means something else; rename it")
    coords = {str(name): ("stimulus", labels[name].to_numpy()) for name in labels}
    return stimuli.assign_coords({"split": ("stimulus", ["given"] * len(labels)), **coords})
