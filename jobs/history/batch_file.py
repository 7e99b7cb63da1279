"""The Parquet file of a batch view: the rows of its days, a row group for each day, and what each day was made of."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import SettingError
from features.plan import BatchView, Plan
from features.times import day_ms, day_of

TIME = pa.timestamp("ms", tz="UTC")
DAYS = b"headrace.days"
"""The key, in the file's metadata, of what its days were made of: rows and this are written as one."""


class Made(msgspec.Struct, frozen=True):
    """What a day was made of. Equal values mean equal rows, so a day need not be computed again."""

    definition: str
    """Of `definition_digest`."""
    history: str
    """A digest of all rows of the history before the day."""


class Day(NamedTuple):
    """A day's rows, and what they were made of."""

    rows: pa.Table
    made: Made


def definition_digest(plan: Plan, view: BatchView) -> str:
    """Of all in the definitions that the view's rows depend on."""
    source = plan.source(view.source)
    of_source = (source.name, source.columns, source.time, source.event_id)
    return hashlib.sha256(msgspec.json.encode((view.key, view.features, view.timestamp, view.sql, of_source))).hexdigest()[:16]


def days_of(path: Path) -> dict[date, Made]:
    """What each day of the file was made of; none where there is no file, or another program wrote it."""
    if not path.is_file():
        return {}
    written = (_schema(path).metadata or {}).get(DAYS)
    return msgspec.json.decode(written, type=dict[date, Made]) if written else {}


def check_definition(path: Path, plan: Plan, view: BatchView, end_ms: int | None = None) -> None:
    """Refuse a file with days, before ``end_ms``, that an earlier definition of the view has given: raises `SettingError`."""
    digest = definition_digest(plan, view)
    before = {day: made for day, made in days_of(path).items() if end_ms is None or day_ms(day) < end_ms}
    others = [day for day, made in before.items() if made.definition != digest]
    if others:
        raise SettingError(
            f"batch view '{view.view}': its rows are of its definition; got {len(others)} days of an earlier one in {path}; "
            f"run 'headrace batch-views {plan.service} --from {min(others)} --to {max(others) + timedelta(days=1)}'"
        )


def read_days(path: Path, view: BatchView, first_day: date, last_day: date) -> pa.Table:
    """The file's rows of these days, both included, their times as we write them."""
    kind = _schema(path).field(view.timestamp).type
    first, end = (pa.scalar(day_ms(day), pa.int64()).cast(TIME).cast(kind) for day in (first_day, last_day + timedelta(days=1)))
    rows = pq.read_table(path, filters=[(view.timestamp, ">=", first), (view.timestamp, "<", end)])
    return _with_our_times(rows, view)


def save(path: Path, view: BatchView, days: Mapping[date, Day]) -> None:
    """Put days into the file, in place of what it had of them; a reader sees the file as it was before, or as it is then.

    At most a day of what the file holds is in memory.
    """
    before = days_of(path)
    made = {**before, **{day: one.made for day, one in days.items()}}
    schema = _schema_with(path, view, [one.rows.schema for one in days.values()])
    metadata = {DAYS: msgspec.json.encode(dict(sorted(made.items())))}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(unfinished, schema.with_metadata(metadata)) as writer:
            for day in sorted({*days, *_days_with_rows(path, view)}):
                rows = days[day].rows if day in days else read_days(path, view, day, day)
                if rows.num_rows:
                    writer.write_table(_fit(rows, schema))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _with_our_times(rows: pa.Table, view: BatchView) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(view.timestamp), view.timestamp, rows[view.timestamp].cast(TIME))


def _schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise SettingError(
            f"{path} cannot be read: {str(error).splitlines()[0]}; remove it, and compute its days again"
        ) from None


def _schema_with(path: Path, view: BatchView, schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Of what the file has and of what it gets."""
    before = [_with_our_times(_schema(path).empty_table(), view).schema.remove_metadata()] if path.is_file() else []
    try:
        return pa.unify_schemas([*before, *schemas], promote_options="permissive")
    except pa.ArrowException as error:
        raise SettingError(
            f"{path}: a column has one type on all days; {str(error).splitlines()[0]}; remove it, and compute its days again"
        ) from None


def _days_with_rows(path: Path, view: BatchView) -> set[date]:
    if not path.is_file():
        return set()
    times = pq.read_table(path, columns=[view.timestamp])[view.timestamp].cast(TIME).cast(pa.int64())
    return {day_of(ms) for ms in pc.unique(times).to_pylist()}


def _fit(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """``rows`` with the columns of ``schema``: null where they have none, as rows of an earlier definition may."""
    return pa.concat_tables([schema.empty_table(), rows], promote_options="permissive").select(schema.names).cast(schema)
