"""JSON Lines for DuckDB, values as they stand: its own reader takes a decimal through a double."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from features.plan import Column

BATCH = 4096
TEXT, LINE, FAULT = "_text", "_line", "_fault"


class JsonLines:
    """The lines of a file as a stream of Arrow batches, which can be read any number of times.

    A column has each value as it stands in JSON, or the text of a string where the source has a string there; null and what is
    absent are null. Beside them are ``_line``, counted from 1, ``_fault``, which says why a line is no event, and ``_text``, the
    line's bytes, where ``texts`` wants them. The columns of a faulty line are null. Blank lines are passed over.
    """

    def __init__(self, path: Path, columns: Iterable[Column], texts: bool = False) -> None:
        self.path = path
        self.texts = texts
        self.strings = {column.name: column.type.kind == "string" for column in columns}
        own = [(LINE, pa.int64()), (FAULT, pa.string()), (TEXT, pa.binary())]
        self._schema = pa.schema([*((name, pa.string()) for name in self.strings), *own])
        fields: list[Any] = [
            (f"c{i}", str | None if is_string else msgspec.Raw, None) for i, is_string in enumerate(self.strings.values())
        ]
        event = msgspec.defstruct("Event", fields, rename={f"c{i}": name for i, name in enumerate(self.strings)}, gc=False)
        self._decode = msgspec.json.Decoder(event).decode
        self._nothing = event()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """DuckDB's way to read it: a new stream for each query."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with self.path.open("rb") as file:
            lines = ((number, text) for number, line in enumerate(file, 1) if (text := line.strip()))
            while some := list(islice(lines, BATCH)):
                yield self._batch(some)

    def _batch(self, lines: list[tuple[int, bytes]]) -> pa.RecordBatch:
        events, faults = [], []
        for _, text in lines:
            try:
                if not text.isascii():
                    text.decode()
                event, fault = self._decode(text), None
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                event, fault = self._nothing, self._fault(text, error)
            events.append(event)
            faults.append(fault)
        arrays = []
        for i, is_string in enumerate(self.strings.values()):
            values = [getattr(event, f"c{i}") for event in events]
            arrays.append(pa.array(values if is_string else map(_as_it_stands, values), pa.string()))
        numbers = pa.array([number for number, _ in lines], pa.int64())
        texts = pa.array([text for _, text in lines] if self.texts else [None] * len(lines), pa.binary())
        return pa.record_batch([*arrays, numbers, pa.array(faults, pa.string()), texts], self._schema)

    def _fault(self, text: bytes, error: Exception) -> str:
        """Why a line is no event, with the column where it is one."""
        try:
            event = json.loads(text)  # takes NaN, which is to be named
        except (ValueError, RecursionError):
            return f"a line is one JSON object in UTF-8; got {error}"
        if not isinstance(event, dict):
            return f"a line is one JSON object in UTF-8; got {text[:40].decode()}"
        for name, value in event.items():
            if isinstance(value, float) and not math.isfinite(value):
                return f"column '{name}' is finite (rule 5); got {json.dumps(value)}"
            if self.strings.get(name) and not isinstance(value, str | None):
                return f"column '{name}' is string; got {json.dumps(value)[:40]}"
        return f"a line is one JSON object in UTF-8; got {error}"


def _as_it_stands(value: msgspec.Raw | None) -> bytes | None:
    if value is None:
        return None
    text = bytes(value)
    if b"\\" in text:  # an offset's + may be escaped
        text = msgspec.json.encode(msgspec.json.decode(text))
    return None if text == b"null" else text
