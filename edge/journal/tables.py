"""Tables that an export writes, row by row: CSV always, Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

Cell = int | float | str | bool | None
LIBRARY = "pyarrow"  # the extra `export`


class Table(Protocol):
    """A file that grows by rows."""

    def add(self, row: Sequence[Cell]) -> None:
        """One more row, in the order of the columns. Raises OSError."""
        ...

    def close(self) -> None:
        """Write what is left. Raises OSError."""
        ...


FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take a text that begins so for


def csv_row(row: Sequence[Cell]) -> list[Cell]:
    """The fields of a line: empty for a value that does not apply, and no text that a spreadsheet would compute."""
    return ["" if cell is None else _plain(cell) for cell in row]


def _plain(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


class CsvTable:
    """Comma-separated UTF-8 with a header line; an empty field is a value that does not apply."""

    def __init__(self, path: Path, columns: Mapping[str, type]) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)

    def add(self, row: Sequence[Cell]) -> None:
        self._writer.writerow(csv_row(row))

    def close(self) -> None:
        self._file.close()


def has_parquet() -> bool:
    """Whether Parquet can be written here."""
    return find_spec(LIBRARY) is not None


def tables(stem: Path, columns: Mapping[str, type]) -> list[Table]:
    """The tables of this name, of every form that can be written; `columns` gives names and types. Raises OSError."""
    made: list[Table] = [CsvTable(stem.with_suffix(".csv"), columns)]
    if has_parquet():
        kind = import_module("edge.journal.parquet").ParquetTable
        made.append(kind(stem.with_suffix(".parquet"), columns))
    return made
