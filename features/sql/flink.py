"""The plan of a job as Flink SQL: statements that make the tables, a view for each stage, and the inserts.

Columns whose names start with an underscore are ours; the others are the event's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

from features.definitions import aggregations
from features.job import JobPlan
from features.plan import ColumnType, Plan, Source, Stage, WindowFeature

SQL_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "string": "STRING", "bool": "BOOLEAN", "timestamp": "BIGINT"}
NO_FEATURES = "CAST(NULL AS ROW<>)"
"""``ROW()`` does not parse; the sink writes an object without fields."""
SINK_BATCH_BYTES = 256 * 1024
OPERATORS = (
    "CREATE TEMPORARY SYSTEM FUNCTION sliding_windows AS 'headrace.SlidingWindows'",
    "CREATE TEMPORARY SYSTEM FUNCTION epoch_millis AS 'headrace.EpochMillis'",
)


class JobOptions(msgspec.Struct, frozen=True):
    """What the plan does not say: where Kafka is, how the job reads it and what it may hold in memory. Times in milliseconds."""

    bootstrap: str = "localhost:9092"
    group: str = "headrace"
    dead_letters: str = "dead_letters"
    late_rows: str = "late_rows"
    max_ahead_ms: int = 3_600_000
    """How far an event may be ahead of the clock (rule 8)."""
    vectors_from_ms: int | None = None
    """Spine events before this time fill the windows and are not answered: a backfill from the topic."""
    idle_timeout_ms: int = 10_000
    """A partition that is silent this long no longer holds the watermark back."""
    drift_ms: int = 86_400_000
    """Event-time mode: how far one source may read ahead of another, so that the waiting rows stay few."""
    batch_ms: int = 0
    """How long a message may wait for others that go to the same partition."""
    bounded: bool = False
    """Stop at the offsets that the topics have at the start."""
    cache_bytes: int = 0
    """How much of its state a stage keeps decoded in memory; 0: none, for state that is in memory as it is."""
    kept_bytes: int = 64 * 1024 * 1024
    """What a stage keeps in memory of the values of its windows, for functions that have no small partial."""


class Job(msgspec.Struct, frozen=True):
    """The statements, in order: ``setup`` one by one, then ``inserts`` as one set."""

    setup: tuple[str, ...]
    inserts: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it, for a person."""
        return ";\n\n".join([*self.setup, *self.inserts]) + ";\n"


def job_sql(job: JobPlan, options: JobOptions) -> Job:
    """The Flink job of ``job``."""
    views: list[str] = []
    rows = job.spine
    features: tuple[WindowFeature, ...] = ()
    for index, stage in enumerate(job.windows):
        views.append(_stage_rows(job, index, rows, features, options))
        views.append(_stage(job, index, features, options))
        rows, features = stage.name, (*features, *stage.features)
    sources = [_source_table(job, s, options) for s in job.sources]
    vectors = [_features_table(job, plan, options) for plan in job.plans]
    late_rows = [_late_rows_table(options)] if job.windows else []
    return Job(
        setup=(*OPERATORS, *sources, *vectors, _dead_letters_table(options), *late_rows, *views),
        inserts=(
            *(_insert_features(job, plan, options) for plan in job.plans),
            *(_insert_dead_letters(s) for s in job.sources),
            *(_insert_late_rows(job, stage) for stage in job.windows),
        ),
    )


def identifier(name: str) -> str:
    """``name`` quoted."""
    return "`" + name.replace("`", "``") + "`"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _lines(items: Iterable[str], indent: str = "  ") -> str:
    return ",\n".join(indent + item for item in items)


def _options(options: dict[str, str]) -> str:
    return _lines(f"{_literal(k)} = {_literal(v)}" for k, v in options.items())


def sql_type(column: ColumnType) -> str:
    """The Flink type of a column, or of a feature."""
    one = f"DECIMAL({column.precision}, {column.scale})" if column.kind == "decimal" else SQL_TYPES[column.kind]
    return f"ARRAY<{one}>" if column.length else one


def _source_table(job: JobPlan, source: Source, options: JobOptions) -> str:
    columns = [f"{identifier(c.name)} {sql_type(c.type)}" for c in source.columns]
    columns += ["`_reason` STRING", "`_detail` STRING", "`_value` BYTES"]
    columns += ["`_partition` INT METADATA FROM 'partition' VIRTUAL", "`_offset` BIGINT METADATA FROM 'offset' VIRTUAL"]
    columns += ["`_arrived` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL"]
    settings = {
        "connector": "kafka",
        "topic": source.topic,
        "properties.bootstrap.servers": options.bootstrap,
        "properties.group.id": f"{options.group}.{job.name}",
        "scan.startup.mode": "earliest-offset",
        "format": "headrace-event",
        "headrace-event.required": ";".join(_required(job, source)),
        "headrace-event.time": source.time,
        "headrace-event.timestamps": ";".join(c.name for c in source.columns if c.type.kind == "timestamp"),
        "headrace-event.max-ahead-ms": str(options.max_ahead_ms),
    }
    columns.append(f"`_rt` AS TO_TIMESTAMP_LTZ({identifier(source.time)}, 3)")
    # One millisecond behind: rows of the newest time may still come.
    columns.append(f"WATERMARK FOR `_rt` AS TO_TIMESTAMP_LTZ({identifier(source.time)} - {source.delay_ms + 1}, 3)")
    # A bounded source ends its watermark itself, and flink-connector-kafka 5.0.0 fails when alignment pauses a partition that
    # has come to its end.
    if options.bounded:
        settings["scan.bounded.mode"] = "latest-offset"
    else:
        settings["scan.watermark.idle-timeout"] = f"{options.idle_timeout_ms} ms"
    # In arrival mode the watermark only says which silent keys can be forgotten: no source waits for another.
    if job.mode == "event_time" and not options.bounded:
        settings |= {
            "scan.watermark.alignment.group": job.name,
            "scan.watermark.alignment.max-drift": f"{options.drift_ms} ms",
            "scan.watermark.alignment.update-interval": "50 ms",
        }
    return f"CREATE TEMPORARY TABLE {identifier(source.name)} (\n{_lines(columns)}\n) WITH (\n{_options(settings)}\n)"


def _required(job: JobPlan, source: Source) -> list[str]:
    """The columns without which an event is bad input (rule 8), whichever of the services needs them."""
    names = [source.event_id]
    for stage in job.windows:
        if source.name in (stage.source, job.spine):
            names += stage.key
    if source.name == job.spine:
        names += [key for plan in job.plans for view in plan.batch for key in view.key]
    return list(dict.fromkeys(names))


def _stage_rows(job: JobPlan, index: int, rows: str, features: tuple[WindowFeature, ...], options: JobOptions) -> str:
    """The rows of a stage's source, which contribute, and those of the spine, which ask; a row may do both."""
    stage = job.windows[index]
    selects = [_spine_rows(job, index, rows, features, options)]
    if stage.source != job.spine:
        selects.append(_other_rows(job, index, features))
    return f"CREATE TEMPORARY VIEW {identifier(stage.name + '_rows')} AS\n" + "\nUNION ALL\n".join(selects)


def _spine_rows(job: JobPlan, index: int, rows: str, features: tuple[WindowFeature, ...], options: JobOptions) -> str:
    stage, spine, first = job.windows[index], job.spine_source, index == 0
    contributes = stage.source == job.spine
    contributes_later = _spine_contributes_after(job, index)
    answered = _answered(spine, options)
    columns = [f"{_key(stage)} AS `_key`", f"{identifier(spine.time)} AS `_time`"]
    columns += [f"{str(contributes).upper()} AS `_contributes`"]
    # What a later stage still needs goes on, answered or not.
    columns += [f"{answered if contributes and not contributes_later else 'TRUE'} AS `_asks`", "`_partition`", "`_offset`"]
    for name in stage.columns:
        value = identifier(name) if contributes else _null(job.source(stage.source).column(name).type)
        columns.append(f"{value} AS {identifier('_value_' + name)}")
    columns.append("epoch_millis(`_arrived`) AS `_arrived`" if first else "`_arrived`")
    columns += [identifier(c.name) for c in spine.columns]
    columns += [identifier(f.name) for f in features]
    columns += [identifier(_complete(before)) for before in job.windows[:index]]
    if job.mode == "event_time":
        columns.append("`_rt`")
    conditions = ["`_reason` IS NULL" if first else "`_late` IS NULL"]
    if first and not contributes and not contributes_later and options.vectors_from_ms is not None:
        conditions.append(answered)
    return f"SELECT\n{_lines(columns)}\nFROM {identifier(rows)}\nWHERE {' AND '.join(conditions)}"


def _spine_contributes_after(job: JobPlan, index: int) -> bool:
    """Whether a later stage is over the spine, and so needs all rows of it."""
    return any(stage.source == job.spine for stage in job.windows[index + 1 :])


def _complete(stage: Stage) -> str:
    """The column that says whether the windows of ``stage`` are whole (rule 6)."""
    return f"_complete_{stage.name}"


def _key(stage: Stage) -> str:
    """One column: Flink 2.3 fails on PARTITION BY of several in a table argument (FLINK-40205)."""
    keys = ", ".join(map(identifier, stage.key))
    return keys if len(stage.key) == 1 else f"ROW({keys})"


def _answered(spine: Source, options: JobOptions) -> str:
    return "TRUE" if options.vectors_from_ms is None else f"{identifier(spine.time)} >= {options.vectors_from_ms}"


def _null(column: ColumnType) -> str:
    return f"CAST(NULL AS {sql_type(column)})"


def _other_rows(job: JobPlan, index: int, features: tuple[WindowFeature, ...]) -> str:
    stage = job.windows[index]
    source = job.source(stage.source)
    columns = [_key(stage), identifier(source.time), "TRUE", "FALSE", "`_partition`", "`_offset`"]
    columns += [identifier(name) for name in stage.columns]
    columns += ["CAST(NULL AS BIGINT)"]
    columns += [_null(c.type) for c in job.spine_source.columns]
    columns += [f"CAST(NULL AS {_feature_type(job, f)})" for f in features]
    columns += ["CAST(NULL AS BOOLEAN)" for _ in job.windows[:index]]
    if job.mode == "event_time":
        columns.append("`_rt`")
    return f"SELECT\n{_lines(columns)}\nFROM {identifier(source.name)}\nWHERE `_reason` IS NULL"


def _feature_type(plan: Plan | JobPlan, feature: WindowFeature) -> str:
    """The type of a feature's values: what the operator gives."""
    stage = next(w for w in plan.windows if feature in w.features)
    column = plan.source(stage.source).column(feature.column).type
    if feature.function == "sum" and column.kind != "float64":
        return f"DECIMAL(38, {column.scale})"
    return sql_type(aggregations.gives(feature.function, column))


def _stage(job: JobPlan, index: int, features: tuple[WindowFeature, ...], options: JobOptions) -> str:
    """The answers of a stage, and among them, with `_late` set, its entries in the ledger of late rows."""
    stage = job.windows[index]
    carry = ["_partition", "_offset", "_arrived", *(c.name for c in job.spine_source.columns), *(f.name for f in features)]
    carry += [_complete(before) for before in job.windows[:index]]
    spec = {
        "mode": job.mode,
        "retention": stage.longest_ms + job.lateness_ms,
        "lateness": job.lateness_ms,
        "cache": options.cache_bytes,
        "kept": options.kept_bytes,
        "values": [f"_value_{name}" for name in stage.columns],
        "features": [
            {
                "name": f.name,
                "function": f.function,
                "value": stage.columns.index(f.column),
                "window": f.window_ms,
                "fill": f.fill,
                "view": f.view,
            }
            for f in stage.features
        ],
        "carry": carry,
    }
    out = [identifier(name) for name in (*carry, *(f.name for f in stage.features))]
    out += [f"`_complete` AS {identifier(_complete(stage))}", "`_late`"]
    on_time = ""
    if job.mode == "event_time":
        out.append("`rowtime` AS `_rt`")
        on_time = ",\n  on_time => DESCRIPTOR(`_rt`)"
    return (
        f"CREATE TEMPORARY VIEW {identifier(stage.name)} AS\nSELECT\n{_lines(out)}\nFROM sliding_windows(\n"
        f"  r => TABLE {identifier(stage.name + '_rows')} PARTITION BY `_key`,\n"
        f"  spec => {_literal(json.dumps(spec))}{on_time},\n"
        f"  uid => {_literal(stage.name)}\n)"
    )


def _features_table(job: JobPlan, plan: Plan, options: JobOptions) -> str:
    spine = job.spine_source
    event = ", ".join(f"{identifier(c.name)} {sql_type(c.type)}" for c in spine.columns)
    features = ", ".join(f"{identifier(f.name)} {_feature_type(plan, f)}" for f in plan.window_features)
    columns = [
        "`_key` STRING",
        f"`event_id` {sql_type(spine.column(spine.event_id).type)}",
        "`event_time` BIGINT",
        "`plan` STRING",
        "`origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>",
        "`arrived_at` BIGINT",
        "`complete` BOOLEAN",
        f"`event` ROW<{event}>",
        f"`features` ROW<{features}>",
    ]
    settings = {
        **_sink(plan.features_topic, options),
        "key.format": "raw",
        "key.fields": "_key",
        "value.format": "headrace-vector",
        "value.fields-include": "EXCEPT_KEY",
    }
    return f"CREATE TEMPORARY TABLE {identifier(_vectors(plan))} (\n{_lines(columns)}\n) WITH (\n{_options(settings)}\n)"


def _vectors(plan: Plan) -> str:
    """The table of the service's feature vectors."""
    return f"_features_{plan.service}"


def _dead_letters_table(options: JobOptions) -> str:
    columns = [
        "`reason` STRING",
        "`detail` STRING",
        "`origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>",
        "`arrived_at` BIGINT",
        "`value` BYTES",
    ]
    settings = {
        **_sink(options.dead_letters, options),
        "properties.max.request.size": str(8 * 1024 * 1024),  # base64 makes a record of 1 MB longer than Kafka's default
        "format": "headrace-vector",
    }
    return f"CREATE TEMPORARY TABLE `_dead_letters` (\n{_lines(columns)}\n) WITH (\n{_options(settings)}\n)"


def _late_rows_table(options: JobOptions) -> str:
    columns = [
        "`view` STRING",
        "`source` STRING",
        "`origin` ROW<`topic` STRING, `partition` INT, `offset` BIGINT>",
        "`event_time` BIGINT",
        "`late_ms` BIGINT",
        "`answers` BIGINT",
        "`changed` BIGINT",
        "`counted` BOOLEAN",
    ]
    settings = {**_sink(options.late_rows, options), "format": "headrace-vector"}
    return f"CREATE TEMPORARY TABLE `_late_rows` (\n{_lines(columns)}\n) WITH (\n{_options(settings)}\n)"


def _sink(topic: str, options: JobOptions) -> dict[str, str]:
    return {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": options.bootstrap,
        "properties.linger.ms": str(options.batch_ms),
        # Kafka's 16 kB are thirty vectors: under load a request for each thirty cost more than all else.
        "properties.batch.size": str(SINK_BATCH_BYTES),
        "sink.delivery-guarantee": "at-least-once",
    }


def _insert_features(job: JobPlan, plan: Plan, options: JobOptions) -> str:
    """The service's vectors, from the last stage that it uses: it waits for no later one."""
    spine, stages = job.spine_source, job.stages_of(plan)
    # A key's predictions stay in order, and a repeat after a restart falls on the partition of the first.
    key = next((w.key for w in plan.windows if w.source == plan.spine), (spine.event_id,))
    key_text = ", ".join(f"CAST({identifier(k)} AS STRING)" for k in key)
    columns = [
        f"CONCAT_WS('|', {key_text})" if len(key) > 1 else key_text,
        identifier(spine.event_id),
        identifier(spine.time),
        _literal(plan.short_digest),
        f"ROW({_literal(spine.topic)}, `_partition`, `_offset`)",
        "`_arrived`" if stages else "epoch_millis(`_arrived`)",
        " AND ".join(identifier(_complete(job.windows[i])) for i in stages) or "TRUE",
        f"ROW({', '.join(identifier(c.name) for c in spine.columns)})",
        f"ROW({', '.join(identifier(f.name) for f in plan.window_features)})" if stages else NO_FEATURES,
    ]
    rows = job.windows[stages[-1]].name if stages else spine.name
    conditions = ["`_late` IS NULL" if stages else "`_reason` IS NULL"]
    if options.vectors_from_ms is not None and (not stages or _spine_contributes_after(job, stages[-1])):
        conditions.append(_answered(spine, options))
    return (
        f"INSERT INTO {identifier(_vectors(plan))}\nSELECT\n{_lines(columns)}\nFROM {identifier(rows)}\n"
        f"WHERE {' AND '.join(conditions)}"
    )


def _insert_dead_letters(source: Source) -> str:
    columns = [
        "`_reason`",
        "`_detail`",
        f"ROW({_literal(source.topic)}, `_partition`, `_offset`)",
        "epoch_millis(`_arrived`)",
        "`_value`",
    ]
    return f"INSERT INTO `_dead_letters`\nSELECT\n{_lines(columns)}\nFROM {identifier(source.name)}\nWHERE `_reason` IS NOT NULL"


def _insert_late_rows(job: JobPlan, stage: Stage) -> str:
    columns = [
        "`_late`.`view`",
        _literal(stage.source),
        f"ROW({_literal(job.source(stage.source).topic)}, `_partition`, `_offset`)",
        "`_late`.`time`",
        "`_late`.`late_ms`",
        "`_late`.`answers`",
        "`_late`.`changed`",
        "`_late`.`counted`",
    ]
    return f"INSERT INTO `_late_rows`\nSELECT\n{_lines(columns)}\nFROM {identifier(stage.name)}\nWHERE `_late` IS NOT NULL"
