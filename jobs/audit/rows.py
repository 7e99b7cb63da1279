"""The rows of history around the windows of one event: those in them, and those just out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from features.errors import SettingError
from features.inputs.arrow import to_list
from features.plan import Plan, Source, Stage
from features.service import Service
from features.sql.quoting import quoted
from features.times import ALWAYS, Span
from jobs.history.files import Rows, connect, refusing, rows_of_source
from jobs.history.places import Written, history_of

BESIDE = 3
"""Rows that are shown before the longest window, and after the event."""
Where = Literal["before", "in", "after"]


class Row(msgspec.Struct, frozen=True):
    """A row of a stage's source, with the stage's key."""

    event_id: int | str
    event_time: int
    values: dict[str, Any]
    """Of the columns that are aggregated."""
    where: Where
    """Of the longest window; the row is in a shorter one, too, where it is younger than that."""


class History(msgspec.Struct, frozen=True):
    """Where the rows of a service's sources are."""

    service: Service
    histories: Mapping[str, Written]

    def rows(self, connection: Any, source: Source, span: Span) -> Rows:
        """The rows of a source within a span of event times; none is read yet."""
        path = history_of(source, self.service.folder, self.histories)
        possible = self.service.event_times.span(int(time.time() * 1000))
        required = set(self.service.plan.required(source))
        return rows_of_source(connection, source, path, required, span, possible)

    def find(self, event_id: int | str) -> int | None:
        """The event time of an event of the spine; None where history has none of that id."""
        source = self.service.plan.spine_source
        with connect(resources=self.service.resources) as connection:
            rows = self.rows(connection, source, ALWAYS)
            with refusing(connection, rows):
                found = connection.execute(
                    f"SELECT {rows.value(source.time)} FROM {rows.table} WHERE {rows.value(source.event_id)} = ? LIMIT 1",
                    [event_id],
                ).fetchall()
        return int(found[0][0]) if found else None

    def around(self, stage: Stage, event: Mapping[str, Any]) -> list[Row]:
        """All rows in the stage's longest window of the event, `BESIDE` before it and `BESIDE` after, in their order."""
        plan = self.service.plan
        source, spine = plan.source(stage.source), plan.spine_source
        at, own = event[spine.time], event[spine.event_id]
        found = self._of_key(source, stage, event, Span(at - 2 * stage.longest_ms, at + stage.longest_ms // 4 + 1))
        if source.name == spine.name and (own, at) not in [row[:2] for row in found]:
            found = [row for row in found if row[0] != own]  # of another time: the event is counted once
            mine = (own, at, *(event.get(name) for name in stage.columns))  # history lacks it: it is its newest row
            place = sum(row[1] <= at for row in found)
            found.insert(place, mine)
        end = _end(found, at, own if source.name == spine.name else None)
        start = sum(row[1] <= at - stage.longest_ms for row in found)
        kept = [("before", row) for row in found[max(0, start - BESIDE) : start]]
        kept += [("in", row) for row in found[start:end]]
        kept += [("after", row) for row in found[end : end + BESIDE]]
        return [Row(row[0], row[1], dict(zip(stage.columns, row[2:], strict=True)), where) for where, row in kept]  # type: ignore[arg-type]

    def _of_key(self, source: Source, stage: Stage, event: Mapping[str, Any], span: Span) -> list[tuple[Any, ...]]:
        """Id, event time and values of the key's rows, by time and arrival (rule 3)."""
        with connect(resources=self.service.resources) as connection:
            rows = self.rows(connection, source, span)
            names = [source.event_id, source.time, *stage.columns]
            keys = " AND ".join(f"{rows.checked(name)} = ?" for name in stage.key)
            with refusing(connection, rows):
                table = connection.sql(
                    f"SELECT {', '.join(f'{rows.checked(name)} AS c{place}' for place, name in enumerate(names))} "
                    f"FROM {rows.numbered} WHERE {rows.within} AND {keys} "
                    f"ORDER BY {_order(source, rows)}",
                    params=[event[name] for name in stage.key],
                ).to_arrow_table()
        return list(zip(*(to_list(column) for column in table.columns), strict=True))


def event_id_of(plan: Plan, text: str) -> int | str:
    """An event's id as its column has it. Raises `SettingError` for a text where it is a number."""
    source = plan.spine_source
    if source.column(source.event_id).type.kind == "string":
        return text
    try:
        return int(text)
    except ValueError:
        raise SettingError(
            f"an event of '{source.name}' has a whole number as its id ('{source.event_id}'); got '{text}'; see 'headrace tail'"
        ) from None


def _end(found: Sequence[tuple[Any, ...]], at: int, own: int | str | None) -> int:
    """Behind the last row that counts: the event itself where it is one of the rows, which come in order of arrival."""
    if own is not None:
        return next(place for place, row in enumerate(found) if row[0] == own and row[1] == at) + 1
    return sum(row[1] <= at for row in found)


def _order(source: Source, rows: Rows) -> str:
    """SQL of what rows are in the order of: time, then arrival (rule 3)."""
    order = [rows.checked(source.time)]
    if source.arrival is not None:
        order.append(rows.checked(source.arrival) if source.arrival in rows.readings else quoted(source.arrival))
    return ", ".join([*order, "_file", "_place"])
