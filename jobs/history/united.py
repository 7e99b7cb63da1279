"""Parquet files whose columns have other types in some of them, as one: each is read by its own types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from features.plan import Source
from features.sql.quoting import quoted
from features.times import Span
from jobs.history.places import Place
from jobs.history.readings import Reading, possible_time, within

if TYPE_CHECKING:
    from jobs.history.files import Rows


def united(source: Source, there: Place, parts: Sequence[Rows], span: Span) -> Rows:
    """The rows of ``parts``, runs of files of one type each, in their order.

    A column of one type in all stays as it is. Another becomes a struct, NULL for a null, of its value, NULL for what cannot be
    used: so what is read of it, and what is refused, is what its own file's type says.
    """
    first = parts[0]
    mixed = {name for name in first.readings if len({part.types[name] for part in parts}) > 1}
    in_all = [name for name in first.types if all(name in part.types for part in parts)]
    names = [name for name in in_all if name in first.readings or name == source.arrival]
    readings = {name: Reading(f"{quoted(name)}.value", "fits") if name in mixed else its for name, its in first.readings.items()}
    moment, inside = first.moment, first.within
    if source.time in mixed:
        moment = readings[source.time].value
        readings[source.time], inside = possible_time(readings[source.time], first.possible), within(moment, span)

    def selected(part: Rows, table: str, *others: str) -> str:
        values = [_carried(source, part, name) if name in mixed else quoted(name) for name in names]
        return f"SELECT {', '.join([*values, *others])} FROM {table}"

    return msgspec.structs.replace(
        first,
        place=there,
        table=f"({' UNION ALL '.join(selected(part, part.table) for part in parts)})",
        numbered=f"({' UNION ALL '.join(selected(part, part.numbered, '_file', '_place') for part in parts)})",
        types={name: first.types[name] for name in names if name not in mixed},
        readings=readings,
        moment=moment,
        within=inside,
        parts=tuple(parts),
    )


def _carried(source: Source, part: Rows, name: str) -> str:
    """SQL of a column as a struct; of the event time the one that stands there, possible or not."""
    value = part.moment if name == source.time else part.readings[name].value
    return f"CASE WHEN {quoted(name)} IS NOT NULL THEN {{'value': {value}}} END AS {quoted(name)}"
