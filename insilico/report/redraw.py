"""The figures of a run drawn again from what it left; nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import xarray as xr
from pydantic import ValidationError

from insilico.errors import ParameterError, not_one_of
from insilico.protocol.document import read_document
from insilico.protocol.drawn import stem_of
from insilico.protocol.model import Protocol
from insilico.protocol.read import filled
from insilico.report.drawn import draw
from insilico.report.folder import Folder
from insilico.run.store import read_entry, writing

PROTOCOL = "protocol.yaml"


class Left(Mapping[str, xr.Dataset]):
    """The nouns of a run's folder by the stem of their file, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._paths = {path.stem: path for path in sorted(folder.glob("*.nc"))}
        self._read = cache(read_entry)

    def __getitem__(self, stem: str) -> xr.Dataset:
        return self._read(self._paths[stem])

    def __contains__(self, stem: object) -> bool:
        return stem in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def redraw(
    run: str | Path, only: str | None = None, *, out: str | Path | None = None
) -> list[Path]:
    """Draw the figures of a run again, as PDF and PNG.

    Parameters
    ----------
    run : path
        Output folder of a run.
    only : str, optional
        One of its figures, by kind or name; all by default.
    out : path, optional
        Folder to write to; by default the run's own.

    Returns
    -------
    list of path
        The files.

    Raises
    ------
    ParameterError
        No folder of a run, no such figure, or one whose data the run does not hold.
    """
    folder = Path(run).expanduser()
    protocol = _protocol(folder)
    named = {stem_of(figure): figure for figure in protocol.figures}
    if only is not None and only not in named:
        raise ParameterError(not_one_of("figure", only, named))
    asked = tuple(figure for name, figure in named.items() if only in (None, name))
    where = Path(out or folder).expanduser()
    if where.suffix in (".png", ".pdf", ".svg") or (where.exists() and not where.is_dir()):
        raise ParameterError(f"--out {where} is a file; name a folder")
    with writing(where):
        where.mkdir(parents=True, exist_ok=True)
    chosen = protocol.model_copy(update={"figures": asked})
    names, failures = draw(chosen, Left(folder), where)
    for failure in failures.values():
        raise ParameterError(f"{failure.job}: {failure.message}")
    if not names:
        raise ParameterError(f"{folder} does not hold what its figures show: run it again")
    if where == folder:
        Folder(folder).renew(names)
    return [where / name for name in names]


def _protocol(folder: Path) -> Protocol:
    path = folder / PROTOCOL
    if not path.is_file():
        raise ParameterError(f"{folder} holds no {PROTOCOL}: name the output folder of a run")
    try:
        protocol = Protocol.model_validate(filled(read_document(path)).data)
    except ValidationError as error:
        raise ParameterError(f"{path} is not the protocol of a run: run it again") from error
    if not protocol.figures:
        raise ParameterError(f"{path} names no figures")
    return protocol
