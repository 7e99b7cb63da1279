"""JSON Lines for DuckDB, values as they stand: its own reader takes a decimal through a double."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from features.plan import Column
from jobs.history.places import opened
from schemas.codec import UNREADABLE, without_repeats

BATCH = 8192
TEXT, LINE, FAULT, FILE = "_text", "_line", "_fault", "_file"


class JsonLines:
    """The lines of files as a stream of Arrow batches, which can be read any number of times.

    A column has each value as it stands in JSON, or the text of a string where the source has a string there; null and what is
    absent are null. Beside them are ``_file`` and ``_line``, counted from 1 in it, ``_fault``, which says why a line is no event,
    and ``_text``, the line's bytes, where ``texts`` wants them. The columns of a faulty line are null. Blank lines
    are passed over.
    """

    def __init__(self, files: Sequence[str], columns: Iterable[Column], texts: bool = False) -> None:
        self.files = files
        self.texts = texts
        self.strings = {column.name: column.type.kind == "string" for column in columns}
        own = [(LINE, pa.int64()), (FAULT, pa.string()), (TEXT, pa.binary()), (FILE, pa.string())]
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
        for file in self.files:
            with opened(file) as stream:
                yield from self._batches_of(file, stream)

    def _batches_of(self, file: str, stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
        first = 1
        while lines := list(islice(stream, BATCH)):
            numbers: Sequence[int] = range(first, first + len(lines))
            first += len(lines)
            if any(map(bytes.isspace, lines)):
                kept = [(number, line) for number, line in zip(numbers, lines, strict=True) if not line.isspace()]
                numbers, lines = [number for number, _ in kept], [line for _, line in kept]
            yield self._batch(lines, numbers, file)

    def _batch(self, lines: list[bytes], numbers: Sequence[int], file: str) -> pa.RecordBatch:
        faults: list[str | None] = [None] * len(lines)
        try:
            b"".join(lines).decode()
            events = list(map(self._decode, lines))
        except UNREADABLE:
            events = [self._event(line, place, faults) for place, line in enumerate(lines)]
        arrays = []
        for i, is_string in enumerate(self.strings.values()):
            values = map(attrgetter(f"c{i}"), events)
            if is_string:
                arrays.append(pa.array(values, pa.string()))
            else:
                arrays.append(_as_it_stands(pa.array([None if value is None else bytes(value) for value in values], pa.string())))
        texts = [line.strip() for line in lines] if self.texts else [None] * len(lines)
        arrays += [
            pa.array(numbers, pa.int64()),
            pa.array(faults, pa.string()),
            pa.array(texts, pa.binary()),
            pa.repeat(file, len(lines)),
        ]
        return pa.record_batch(arrays, self._schema)

    def _event(self, text: bytes, place: int, faults: list[str | None]) -> Any:
        """The event of a line; of one that is faulty, one without values, and the fault is at its place."""
        try:
            text.decode()
            return self._decode(without_repeats(text))
        except UNREADABLE as error:
            faults[place] = self._fault(text, error)
            return self._nothing

    def _fault(self, text: bytes, error: Exception) -> str:
        """Why a line is no event, with the column where it is one."""
        try:
            event = json.loads(text)  # takes NaN, which is to be named
        except (ValueError, RecursionError):
            return f"a line is one JSON object in UTF-8; got {error}"
        if not isinstance(event, dict):
            return f"a line is one JSON object in UTF-8; got {text[:40].decode().strip()}"
        for name, value in event.items():
            if isinstance(value, float) and not math.isfinite(value):
                return f"column '{name}' is finite (rule 5); got {json.dumps(value)}"
            if self.strings.get(name) and not isinstance(value, str | None):
                return f"column '{name}' is string; got {json.dumps(value)[:40]}"
        return f"a line is one JSON object in UTF-8; got {error}"


def _as_it_stands(values: pa.Array) -> pa.Array:
    """Values of JSON, null as null, and no letter of them escaped: the + of an offset may be."""
    if pc.any(pc.match_substring(values, "\\")).as_py():
        values = pa.array([_unescaped(value) for value in values.to_pylist()], pa.string())
    return pc.if_else(pc.equal(values, "null"), None, values)


def _unescaped(value: str | None) -> str | None:
    return value if value is None or "\\" not in value else msgspec.json.encode(msgspec.json.decode(value)).decode()
