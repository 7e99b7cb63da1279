"""What the topics say of a range of event times, on disk: an audit takes it span by span, in the order of event time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from features.times import Span
from jobs.audit.ledger import Entry, Ledger, Missed, Place
from jobs.audit.served import Served, of_prediction
from jobs.history.readings import within
from schemas.codec import decode_prediction

BATCH = 10_000
"""Rows that are written at once."""
MEMORY = "512MB"
"""What DuckDB keeps of it in memory."""
SCHEMA = """
CREATE TABLE served (event VARCHAR, event_time BIGINT, partition INTEGER, value BLOB);
CREATE TABLE late (source VARCHAR, view VARCHAR, key VARCHAR, origin VARCHAR, event_time BIGINT, missed DOUBLE);
CREATE TABLE refused (event VARCHAR, event_time BIGINT);
"""
ONCE = "SELECT DISTINCT ON (origin, view) * FROM late"
"""After a restart the stream job may write an entry again."""


class Receipt(NamedTuple):
    """A prediction as it lies on its topic."""

    event: str
    """The event's id as text: a number or a string."""
    event_time: int
    partition: int
    value: bytes


class Refused(NamedTuple):
    """A feature vector that has a dead letter in place of a prediction."""

    event: str
    event_time: int


class Spool:
    """A DuckDB file in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._connection = duckdb.connect(str(folder / "spool.duckdb"), config={"threads": 1, "memory_limit": MEMORY})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add_receipts(self, rows: Iterable[Receipt]) -> None:
        """Keep predictions, as they lie on their topic."""
        self._add("served", rows, Receipt._fields)

    def add_refused(self, rows: Iterable[Refused]) -> None:
        """Keep what had no prediction."""
        self._add("refused", rows, Refused._fields)

    def add_late(self, entries: Iterable[Entry]) -> None:
        """Keep entries of the ledger."""
        rows = (
            (one.place.source, one.place.view, _text(one.place.key), one.origin.text, one.event_time, one.values)
            for one in entries
        )
        self._add("late", rows, ("source", "view", "key", "origin", "event_time", "missed"))

    def counts(self, hour_ms: int) -> dict[int, int]:
        """How many events were served, by the hour of their event time."""
        rows = self._connection.execute(
            f"SELECT event_time // {hour_ms} * {hour_ms}, count(DISTINCT event) FROM served GROUP BY 1 ORDER BY 1"
        ).fetchall()
        return {int(hour): int(count) for hour, count in rows}

    def refused(self) -> int:
        """Events with a feature vector and no prediction."""
        (found,) = self._connection.execute("SELECT count(DISTINCT event) FROM refused ANTI JOIN served USING (event)").fetchall()
        return int(found[0])

    def late_rows(self) -> int:
        """Entries of the ledger."""
        (found,) = self._connection.execute(f"SELECT count(*) FROM ({ONCE})").fetchall()
        return int(found[0])

    def bounds(self) -> tuple[int, int] | None:
        """The first and the last event time that was served."""
        (found,) = self._connection.execute("SELECT min(event_time), max(event_time) FROM served").fetchall()
        return None if found[0] is None else (int(found[0]), int(found[1]))

    def served(self, span: Span) -> list[Served]:
        """The events of the span, each once, as it was served first."""
        rows = self._connection.execute(
            "SELECT partition, value FROM served WHERE rowid IN (SELECT min(rowid) FROM served "
            f"WHERE {within('event_time', span)} GROUP BY event) ORDER BY event_time, event"
        ).fetchall()
        return [of_prediction(decode_prediction(value), partition) for partition, value in rows]

    def ledger(self, places: set[Place], longest_ms: int, span: Span) -> Ledger:
        """The ledger of some places for the events of a span; what its rows would have changed is of the whole range."""
        if not places:
            return {}
        by_text = {(place.source, place.view, _text(place.key)): place for place in places}
        columns = zip(*by_text, strict=True)
        wanted = pa.table(dict(zip(("source", "view", "key"), map(list, columns), strict=True)))
        start = None if span.start_ms is None else span.start_ms - longest_ms
        near = within("event_time", Span(start, span.end_ms))
        self._connection.register("wanted", wanted)
        rows = self._connection.execute(
            f"SELECT source, view, key, coalesce(list(event_time ORDER BY event_time) FILTER ({near}), []), sum(missed) "
            f"FROM ({ONCE}) SEMI JOIN wanted USING (source, view, key) GROUP BY source, view, key"
        ).fetchall()
        self._connection.unregister("wanted")
        return {by_text[source, view, key]: Missed(times, missed) for source, view, key, times, missed in rows}

    def _add(self, table: str, rows: Iterable[tuple[Any, ...]], names: tuple[str, ...]) -> None:
        for batch in _batches(rows):
            columns = pa.table(dict(zip(names, map(list, zip(*batch, strict=True)), strict=True)))
            self._connection.register("batch", columns)
            self._connection.execute(f"INSERT INTO {table} SELECT * FROM batch")
            self._connection.unregister("batch")


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield batch


def _text(key: tuple[Any, ...]) -> str:
    return msgspec.json.encode(key).decode()
