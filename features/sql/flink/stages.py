"""A stage as two views: its rows, and what the operator makes of them.

The rows of a stage are one union. One half are the rows of the spine, which are queries and carry on all that a feature vector
has by then; the other, where the stage is over another source, that source's rows, which contribute to the windows::

                   _key  _time  _contributes  _is_query  _value_…  _arrived  the spine's columns  features so far
    of the spine    ●      ●       FALSE        TRUE       null        ●              ●                  ●
    of the source   ●      ●       TRUE         FALSE       ●         null           null               null

Where the stage is over the spine itself there is one half, and a row both contributes and is a query.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import msgspec

from features.job import JobPlan
from features.plan import Source, Stage, WindowFeature
from features.sql.flink.modes import MODES
from features.sql.flink.options import JobOptions
from features.sql.flink.sources import TRACE
from features.sql.flink.text import lines, named, select
from features.sql.flink.types import HEADERS, feature_type, null, sql_type
from features.sql.quoting import backquoted, literal


class Column(msgspec.Struct, frozen=True):
    """A column of a stage's rows, in both halves of their union."""

    name: str
    of_spine: str
    """SQL of it in a row of the spine, as the stage before gives it."""
    of_source: str
    """SQL of it in a row of the stage's source, where that is another."""
    carried: bool = False
    """Whether the stage gives it on."""


class Step(msgspec.Struct, frozen=True):
    """A stage at its place in the chain of a job."""

    job: JobPlan
    place: int

    @property
    def stage(self) -> Stage:
        """The stage."""
        return self.job.windows[self.place]

    @property
    def before(self) -> tuple[Stage, ...]:
        """The stages before it."""
        return self.job.windows[: self.place]

    @property
    def source(self) -> Source:
        """The source that its windows are over."""
        return self.job.source(self.stage.source)

    @property
    def is_over_spine(self) -> bool:
        """Whether the rows of the spine contribute to its windows."""
        return self.stage.source == self.job.spine

    @property
    def name_of_rows(self) -> str:
        """The view of its rows."""
        return f"{self.stage.name}_rows"


def chain(job: JobPlan) -> Iterator[Step]:
    """The stages of a job, in order."""
    return (Step(job, place) for place in range(len(job.windows)))


def rows_view(step: Step, options: JobOptions) -> str:
    """The view of a stage's rows."""
    columns, time = _columns(step, options), MODES[step.job.mode].time
    spine = [named(column.of_spine, column.name) for column in columns]
    halves = [select([*spine, *time], *_rows_of_spine(step, options))]
    if not step.is_over_spine:
        source = [named(column.of_source, column.name) for column in columns]
        halves.append(select([*source, *time], step.source.name, "`_reason` IS NULL"))
    return f"CREATE TEMPORARY VIEW {backquoted(step.name_of_rows)} AS\n" + "\nUNION ALL\n".join(halves)


def stage_view(step: Step, options: JobOptions) -> str:
    """The view of what a stage gives: a row for each query, and among them, with `_late` set, its entries in the ledger."""
    stage, mode = step.stage, MODES[step.job.mode]
    carried = [column.name for column in _columns(step, options) if column.carried]
    out = [backquoted(name) for name in (*carried, *(feature.name for feature in stage.features))]
    out += [named("`_complete`", complete(stage)), *(backquoted(valid_until(view)) for view in stage.views)]
    out += ["`_late`", *mode.time_after]
    return (
        f"CREATE TEMPORARY VIEW {backquoted(stage.name)} AS\nSELECT\n{lines(out)}\nFROM sliding_windows(\n"
        f"  r => TABLE {backquoted(step.name_of_rows)} PARTITION BY `_key`,\n"
        f"  spec => {literal(json.dumps(spec(step, options)))}{mode.argument},\n"
        f"  uid => {literal(stage.name)}\n)"
    )


def spec(step: Step, options: JobOptions) -> dict[str, object]:
    """What the operator is told of a stage. Times in milliseconds."""
    job, stage = step.job, step.stage
    return {
        "mode": job.mode,
        "retention": stage.longest_ms + job.lateness_ms,
        "lateness": job.lateness_ms,
        **({} if options.history is None else {"seam": options.history.seam.until_ms}),
        "whole_from": options.whole_after_ms.get(stage.source),
        "cache": options.cache_bytes,
        "kept": options.kept_bytes,
        "values": [_value(name) for name in stage.columns],
        "features": [_feature(stage, feature) for feature in stage.features],
        "carry": [column.name for column in _columns(step, options) if column.carried],
    }


def _feature(stage: Stage, feature: WindowFeature) -> dict[str, object]:
    parameter = feature.aggregation.parameter
    return {
        "name": feature.name,
        "function": feature.aggregation.function,
        "parameter": None if parameter is None else f"{parameter:f}",
        "value": stage.columns.index(feature.column),
        "window": feature.window_ms,
        "fill": feature.fill,
        "view": feature.view,
    }


def _columns(step: Step, options: JobOptions) -> tuple[Column, ...]:
    """All columns of a stage's rows: those of the operator, the values that are aggregated, and what is carried on."""
    return (*_of_operator(step, options), *_values(step), *_of_vector(step))


def _of_operator(step: Step, options: JobOptions) -> tuple[Column, ...]:
    key = _key(step.stage)
    return (
        Column("_key", key, key),
        Column("_time", backquoted(step.job.spine_source.time), backquoted(step.source.time)),
        Column("_contributes", "TRUE" if step.is_over_spine else "FALSE", "TRUE"),
        Column("_is_query", _is_query(step, options), "FALSE"),
        Column("_partition", "`_partition`", "`_partition`", carried=True),
        Column("_offset", "`_offset`", "`_offset`", carried=True),
        *_id(step, options),
    )


def _id(step: Step, options: JobOptions) -> tuple[Column, ...]:
    """What tells a backfilled job which row of the topic was in its history."""
    if options.history is None:
        return ()
    event_id = step.source.event_id
    of_spine = backquoted(event_id) if step.is_over_spine else null(sql_type(step.source.column(event_id).type))
    return (Column("_id", of_spine, backquoted(event_id)),)


def _values(step: Step) -> tuple[Column, ...]:
    """What is aggregated: a row of the spine has values where it contributes."""
    types = {name: sql_type(step.source.column(name).type) for name in step.stage.columns}
    return tuple(
        Column(_value(name), backquoted(name) if step.is_over_spine else null(of), backquoted(name)) for name, of in types.items()
    )


def _of_vector(step: Step) -> tuple[Column, ...]:
    """What the feature vector has by then. Rows of another source have none of it."""
    job = step.job
    arrived = "`_arrived`" if step.before else "epoch_millis(`_arrived`)"
    event = {column.name: sql_type(column.type) for column in job.spine_source.columns}
    features = {feature.name: feature_type(job, stage, feature) for stage in step.before for feature in stage.features}
    whole = {complete(stage): "BOOLEAN" for stage in step.before}
    valid = {valid_until(view): "BIGINT" for stage in step.before for view in stage.views}
    given = {**event, **features, **whole, **valid}
    return (
        Column("_arrived", arrived, null("BIGINT"), carried=True),
        *(Column(name, backquoted(name), null(of), carried=True) for name, of in given.items()),
        # The last: rows that waited in a checkpoint before it was carried have none (RowCodec).
        Column("_trace", "`_trace`" if step.before else TRACE, null(HEADERS), carried=True),
    )


def complete(stage: Stage) -> str:
    """The column that says whether the windows of ``stage`` are whole (rule 6)."""
    return f"_complete_{stage.name}"


def valid_until(view: str) -> str:
    """The column that says when the next row leaves a window of ``view``; null where no row is in any."""
    return f"_valid_until_{view}"


def _value(column: str) -> str:
    return f"_value_{column}"


def _key(stage: Stage) -> str:
    """One column: Flink 2.3 fails on PARTITION BY of several in a table argument (FLINK-40205)."""
    keys = ", ".join(map(backquoted, stage.key))
    return keys if len(stage.key) == 1 else f"ROW({keys})"


def _is_query(step: Step, options: JobOptions) -> str:
    """Rows without a vector go no further than the last stage over the spine: an earlier stage passes all of them on."""
    if step.is_over_spine and not spine_is_needed_after(step.job, step.place):
        return is_wanted(step.job.spine_source, options)
    return "TRUE"


def _rows_of_spine(step: Step, options: JobOptions) -> tuple[str, ...]:
    """The table that a stage's rows of the spine come from, and the conditions that they meet."""
    if step.before:
        return step.before[-1].name, "`_late` IS NULL"
    if options.wants_all or spine_is_needed_after(step.job, -1):
        return step.job.spine, "`_reason` IS NULL"
    # No window is over the spine: a row without a vector is of no use to any stage.
    return step.job.spine, "`_reason` IS NULL", is_wanted(step.job.spine_source, options)


def spine_is_needed_after(job: JobPlan, place: int) -> bool:
    """Whether a stage after the one at ``place`` is over the spine, and so needs all its rows."""
    return any(stage.source == job.spine for stage in job.windows[place + 1 :])


def is_wanted(spine: Source, options: JobOptions) -> str:
    """Whether a vector of an event of the spine is wanted, as SQL."""
    of_query = [] if options.queries is None else [f"{backquoted(options.queries)} IS NOT NULL"]
    of_time = [] if options.vectors_from_ms is None else [f"{backquoted(spine.time)} >= {options.vectors_from_ms}"]
    of_offset = [] if options.vectors_from is None else [_from_offsets(options.vectors_from)]
    return " AND ".join([*of_query, *of_time, *of_offset]) or "TRUE"


def _from_offsets(begins: Mapping[int, int]) -> str:
    """Whether a row is behind an offset of its partition, as SQL: a row of history never is, one of a new partition always."""
    whens = "".join(f" WHEN {partition} THEN `_offset` >= {begin}" for partition, begin in sorted(begins.items()))
    return f"CASE `_partition` WHEN -1 THEN FALSE{whens} ELSE TRUE END"
