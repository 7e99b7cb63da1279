"""The cells of the table in docs/files.md, as files of one row: what stands there, and what is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.rules import columns
from features.plan import Source

DOCS = Path(__file__).parents[2] / "docs" / "files.md"
NOW = 1_714_550_400_000
SUFFIX = {"Parquet": "parquet", "CSV": "csv", "JSON Lines": "jsonl"}
COLUMNS = {"long": "n", "decimal(18,2)": "v", "double": "d", "string": "c", "boolean": "b", "timestamp": "at"}
CELL = re.compile(r"(?:`([^`]+)`|an (empty field))(?: → `([^`]+)`)?")


class Cell(NamedTuple):
    """What stands in a file, and what is read: JSON; None where it is refused."""

    type: str
    file: str
    written: str
    value: str | None

    @property
    def column(self) -> str:
        """The column that it is tried in: that of the event time, for a time."""
        return COLUMNS[self.type]

    @property
    def source(self) -> Source:
        """A source with such a column."""
        extra = "" if self.column == "at" else f", {self.column} {self.type}"
        return source_of(f"id long, at timestamp{extra}", "cells")

    def write(self, folder: Path, number: int = 0) -> Path:
        """A file with the cell in its only row, whose id is ``number``."""
        path = folder / f"cells-{number}.{SUFFIX[self.file]}"
        if self.file == "Parquet":
            pq.write_table(pa.table({"id": [number], "at": [NOW], self.column: _array(self.written)}), path)
            return path
        row = {"id": str(number), "at": str(NOW), self.column: self.written}
        if self.file == "CSV":
            path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
        else:
            path.write_text("{" + ", ".join(f'"{name}": {text}' for name, text in row.items()) + "}\n")
        return path


def source_of(schema: str, name: str) -> Source:
    """A source with these columns, among them ``id`` and ``at``."""
    return Source(name, name, columns(name, schema), "at", "id", f"{name}.parquet", 0)


def cells() -> Iterator[Cell]:
    """All of the table."""
    table = DOCS.read_text().partition("<!-- cells -->")[2].partition("\n\n")[0]
    for line in table.strip().splitlines()[2:]:
        kind, file, read, refused = (cell.strip() for cell in line.strip("|").split("|"))
        for text, empty, value in CELL.findall(read):
            yield Cell(kind.strip("`"), file, "" if empty else text, value)
        for text, _, _ in CELL.findall(refused):
            yield Cell(kind.strip("`"), file, text, None)


def _array(written: str) -> pa.Array:
    """``double 3.5`` as an array of one value."""
    if written == "null":
        return pa.nulls(1)
    kind, text = re.fullmatch(r"(\w+(?:[(\[][^)\]]*[)\]])?) (\S+)", written).groups()  # type: ignore[union-attr]
    if kind == "dictionary":
        return pa.array([text]).dictionary_encode()
    if match := re.fullmatch(r"timestamp\[(\w+)(?:, (\S+))?\]", kind):
        whole, _, fraction = text.partition(".")
        seconds = int(datetime.fromisoformat(f"{whole}Z").timestamp())
        ticks = pa.array([seconds * 10**9 + int(fraction.ljust(9, "0"))], pa.timestamp("ns", match[2]))
        return ticks.cast(pa.timestamp(match[1], match[2]))
    if match := re.fullmatch(r"decimal\((\d+),(\d+)\)", kind):
        return pa.array([Decimal(text)], pa.decimal128(int(match[1]), int(match[2])))
    made: dict[str, tuple[Any, pa.DataType]] = {
        "double": (float, pa.float64()),
        "float": (float, pa.float32()),
        "string": (str, pa.string()),
        "binary": (str.encode, pa.binary()),
        "bool": (json.loads, pa.bool_()),
        "date32": (date.fromisoformat, pa.date32()),
        "time32[s]": (int, pa.time32("s")),
    }
    read, type_ = made.get(kind, (int, pa.type_for_alias(kind) if "int" in kind else None))
    return pa.array([read(text)], type_)
