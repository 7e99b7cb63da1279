"""What leaves a job: feature vectors, dead letters and late rows, each as a table and what is inserted into it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from features.job import JobPlan
from features.plan import Plan, Source, Stage
from features.sql.flink.options import JobOptions
from features.sql.flink.sizes import longest_dead_letter, longest_vector, vector_key
from features.sql.flink.sources import TRACE
from features.sql.flink.stages import complete, is_wanted, spine_is_needed_after, valid_until
from features.sql.flink.text import create_table, insert
from features.sql.flink.types import HEADERS, feature_type, sql_type
from features.sql.quoting import backquoted, literal
from schemas.topics import LATE_ROWS

BATCH_BYTES = 256 * 1024
"""Kafka's 16 kB are thirty vectors: under load a request for each thirty cost more than all else."""
NO_FEATURES = "CAST(NULL AS ROW<>)"
"""``ROW()`` does not parse; the sink writes an object without fields."""
HEADERS_COLUMN = f"`headers` {HEADERS} METADATA"
"""The headers of the record that is written; null: none."""
ORIGIN = "`origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>"
JSON = {"format": "headrace-vector"}
KEYED_JSON = {
    "key.format": "raw",
    "key.fields": "_key",
    "value.format": "headrace-vector",
    "value.fields-include": "EXCEPT_KEY",
}
NO_ROW = "CHAR_LENGTH(`_reason`) < 0"
"""What is never true, and what Flink's planner does not see through: it would leave the insert out."""


class Sink(msgspec.Struct, frozen=True):
    """A table that writes to a topic, and the statements that fill it."""

    table: str
    inserts: tuple[str, ...]


def vectors(job: JobPlan, plan: Plan, options: JobOptions) -> Sink:
    """The feature vectors of a service, from the last stage that it uses: it waits for no later one."""
    spine, name = job.spine_source, f"_features_{plan.service}"
    event = _row_type({column.name: sql_type(column.type) for column in spine.columns})
    features = _row_type({f.name: feature_type(plan, stage, f) for stage in plan.windows for f in stage.features})
    valid = _row_type(dict.fromkeys(plan.views_of_windows, "BIGINT"))
    columns = [
        "`_key` STRING",
        f"`event_id` {sql_type(spine.column(spine.event_id).type)}",
        "`event_time` BIGINT",
        "`plan` STRING",
        ORIGIN,
        "`arrived_at` BIGINT",
        "`complete` BOOLEAN",
        f"`event` {event}",
        f"`features` {features}",
        f"`valid_until` {valid}",
        HEADERS_COLUMN,
    ]
    return Sink(
        create_table(name, columns, {**to_topic(plan.features_topic, longest_vector(plan, options), options), **KEYED_JSON}),
        (insert(name, _vector(job, plan), *_rows_of_vectors(job, plan, options)),),
    )


def _row_type(fields: dict[str, str]) -> str:
    return f"ROW<{', '.join(f'{backquoted(name)} {of}' for name, of in fields.items())}>"


def _vector(job: JobPlan, plan: Plan) -> list[str]:
    """SQL of each column of a vector."""
    spine, stages = job.spine_source, [job.windows[place] for place in job.stages_of(plan)]
    return [
        _key(plan),
        backquoted(spine.event_id),
        backquoted(spine.time),
        literal(plan.short_digest),
        _origin(spine),
        "`_arrived`" if stages else "epoch_millis(`_arrived`)",
        " AND ".join(backquoted(complete(stage)) for stage in stages) or "TRUE",
        _row([column.name for column in spine.columns]),
        _row([feature.name for feature in plan.window_features]) if stages else NO_FEATURES,
        _row([valid_until(view) for view in plan.views_of_windows]) if stages else NO_FEATURES,
        "`_trace`" if stages else TRACE,
    ]


def _key(plan: Plan) -> str:
    """A key's predictions stay in order, and a repeat after a restart falls on the partition of the first."""
    key = vector_key(plan)
    text = ", ".join(f"CAST({backquoted(name)} AS STRING)" for name in key)
    return f"CONCAT_WS('|', {text})" if len(key) > 1 else text


def _row(names: list[str]) -> str:
    return f"ROW({', '.join(map(backquoted, names))})"


def _rows_of_vectors(job: JobPlan, plan: Plan, options: JobOptions) -> tuple[str, ...]:
    """The table that a service's vectors come from, and the conditions that they meet."""
    last = max(job.stages_of(plan), default=None)
    rows = (job.spine, "`_reason` IS NULL") if last is None else (job.windows[last].name, "`_late` IS NULL")
    has_all_events = last is None or spine_is_needed_after(job, last)
    if has_all_events and not options.wants_all:
        return *rows, is_wanted(job.spine_source, options)
    return rows


def dead_letters(sources: Iterable[Source], options: JobOptions, elsewhere: Collection[Source] = ()) -> Sink:
    """What could not be read of the ``sources``, and what has no dead letter of an earlier start.

    Another job writes those of the sources ``elsewhere``, now: theirs are an insert of no row, as Flink finds the state of a
    checkpoint by the shape of the whole job.
    """
    columns = [
        "`_key` STRING",
        "`reason` STRING",
        "`detail` STRING",
        ORIGIN,
        "`arrived_at` BIGINT",
        "`value` BYTES",
        HEADERS_COLUMN,
    ]
    settings = to_topic(options.dead_letters, longest_dead_letter(options), options)
    return Sink(
        create_table("_dead_letters", columns, {**settings, **KEYED_JSON}),
        tuple(
            insert(
                "_dead_letters",
                _dead_letter(source),
                source.name,
                "`_reason` IS NOT NULL",
                NO_ROW if source in elsewhere else f"NOT {_written(source)}",
            )
            for source in sources
        ),
    )


def _dead_letter(source: Source) -> list[str]:
    key = f"CONCAT_WS('-', {literal(source.topic)}, CAST(`_partition` AS STRING), CAST(`_offset` AS STRING))"
    return [key, "`_reason`", "`_detail`", _origin(source), "epoch_millis(`_arrived`)", "`_value`", TRACE]


def _written(source: Source) -> str:
    return f"written({literal(source.topic)}, `_partition`, `_offset`, epoch_millis(`_arrived`))"


def late_rows(job: JobPlan, options: JobOptions) -> Sink:
    """The ledger of late rows, from every stage."""
    columns = [
        "`view` STRING",
        "`source` STRING",
        ORIGIN,
        "`event_time` BIGINT",
        "`late_ms` BIGINT",
        "`vectors` BIGINT",
        "`changed` BIGINT",
        "`counted` BOOLEAN",
    ]
    return Sink(
        create_table("_late_rows", columns, {**to_topic(options.late_rows, LATE_ROWS.longest, options), **JSON}),
        tuple(insert("_late_rows", _late_row(job, stage), stage.name, "`_late` IS NOT NULL") for stage in job.windows),
    )


def _late_row(job: JobPlan, stage: Stage) -> list[str]:
    counts = [f"`_late`.`{name}`" for name in ("time", "late_ms", "vectors", "changed", "counted")]
    return ["`_late`.`view`", literal(stage.source), _origin(job.source(stage.source)), *counts]


def _origin(source: Source) -> str:
    return f"ROW({literal(source.topic)}, `_partition`, `_offset`)"


def to_topic(topic: str, longest: int, options: JobOptions) -> dict[str, str]:
    """How records are written to a topic whose longest record is ``longest``."""
    return {
        "connector": "kafka",
        "topic": topic,
        **options.kafka,
        "properties.linger.ms": str(options.batch_ms),
        "properties.batch.size": str(BATCH_BYTES),
        "properties.max.request.size": str(longest),
        "sink.delivery-guarantee": "at-least-once",
    }
