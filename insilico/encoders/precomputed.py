"""Responses that someone computed before: from a file, by stimulus id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import xarray as xr

from insilico.encoders.elsewhere import digest
from insilico.errors import SchemaError, StoreError, listed
from insilico.schema import check
from insilico.spaces.responses.files import files_of, held_ids, read_response
from insilico.spaces.responses.rows import mean_rows
from insilico.step import Step


class Precomputed(Step):
    """Responses from a file that says whose stimuli they are.

    Attributes
    ----------
    file : str
        As `insilico.read_response` reads it: GIFTI, CIFTI, NIfTI or an array, with
        NAME.response.json beside it, as `insilico.write_response` leaves it.
    order : {"lh,rh", "rh,lh"}, optional
        Which hemisphere comes first, if NAME.response.json of an array does not say it.
    rows : {"mean", "keep"}
        What becomes of a stimulus' rows, where the file has rows.
    """

    kind: ClassVar[str] = "precomputed"
    file: str
    order: Literal["lh,rh", "rh,lh"] | None = None
    rows: Literal["mean", "keep"] = "mean"

    def digests(self) -> dict[str, str]:
        """Return the digests of the file and of what stands beside it."""
        return {part.name: digest(part) for part in files_of(Path(self.file).expanduser())}

    def ids(self) -> Collection[str]:
        """Return the stimuli (or timelines) that NAME.response.json lists."""
        return held_ids(Path(self.file).expanduser())

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the responses to the stimuli, which the file must hold by id."""
        check(stimuli, "stimuli")
        response = read_response(Path(self.file).expanduser(), order=self.order)
        return picked(response, stimuli["stimulus"].values, self.file, self.rows)


def picked(
    response: xr.Dataset, stimuli: Sequence[str] | np.ndarray, where: str, rows: str
) -> xr.Dataset:
    """Return the responses to these stimuli, in their order.

    Parameters
    ----------
    response : response
    stimuli : sequence of str
        Stimulus ids, which are the timelines of rows.
    where : str
        What to call the response in an error, such as its file.
    rows : {"mean", "keep"}
        What becomes of the rows of a stimulus.

    Raises
    ------
    SchemaError
        If the response lacks stimuli.
    """
    dim, label = ("row", "timeline") if "row" in response.dims else ("stimulus", "stimulus")
    held: dict[str, list[int]] = {}
    for k, name in enumerate(response[label].values.astype(str)):
        held.setdefault(name, []).append(k)
    missing = [str(name) for name in stimuli if str(name) not in held]
    if missing:
        raise SchemaError(
            f"{where} holds no response to {len(missing)} of {len(stimuli)} stimuli: "
            f"{listed(missing, 3)}; it has {listed(held, 3)}"
        )
    found = response.isel({dim: [k for name in stimuli for k in held[str(name)]]})
    return found if rows == "keep" else mean_rows(found)


def ids_of(path: Path) -> list[str]:
    """Return the stimulus ids of a text file, one a line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: stimulus ids, one a line, cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip()]
