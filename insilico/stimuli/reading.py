"""Text files and tables, read whole, with complaints that name the place."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from insilico.errors import StimulusError, listed

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t"}


def text_of(file: Path) -> str:
    """Return a text file's content; a byte-order mark is left out."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StimulusError(
            f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error
    except OSError as error:
        raise StimulusError(f"{file}: cannot be read ({error.strerror or error})") from error


def table_of(file: Path) -> pd.DataFrame:
    """Return a CSV or TSV file's cells as they stand: strings, also 'NA' and 'nan'."""
    from io import StringIO

    import pandas as pd

    if file.suffix.lower() not in SEPARATORS:
        raise StimulusError(f"{file}: a table is a .csv or a .tsv file")
    separator, text = SEPARATORS[file.suffix.lower()], StringIO(text_of(file), newline="")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row that is too long
            table = pd.read_csv(
                text, sep=separator, dtype=str, keep_default_na=False, index_col=False
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning) as error:
        raise StimulusError(f"{file}: not a table ({error})") from error
    table.columns = [str(column).strip() for column in table.columns]
    if table.empty:
        raise StimulusError(f"{file}: a table without rows")
    return table.fillna("").astype(object)


def column_of(table: pd.DataFrame, column: str, file: Path) -> list[str]:
    """Return a column's cells, none of them empty."""
    if column not in table:
        raise StimulusError(f"{file}: no column '{column}'; has {listed(table.columns)}")
    cells = [str(cell) for cell in table[column]]
    for row, cell in enumerate(cells, 1):
        if not cell.strip():
            raise StimulusError(f"{file}, row {row}: column '{column}' is empty")
    return cells


def ids_in(table: pd.DataFrame, file: Path) -> list[str]:
    """Return column `id`, or the file's name and the row."""
    if "id" not in table:
        return [f"{file.stem}-{row:06d}" for row in range(1, len(table) + 1)]
    seen: dict[str, int] = {}
    for row, name in enumerate(column_of(table, "id", file), 1):
        if name in seen:
            raise StimulusError(f"{file}, row {row}: id '{name}' is that of row {seen[name]} too")
        seen[name] = row
    return list(seen)
