"""A source's topic as a table: its columns as they are decoded, what was wrong with a bad record, and the watermark."""

from __future__ import annotations

from features.job import JobPlan
from features.plan import Source
from features.sql.flink.modes import MODES
from features.sql.flink.options import JobOptions
from features.sql.flink.text import create_table
from features.sql.flink.types import sql_type
from features.sql.quoting import backquoted
from features.times import DAY_MS

RECORD = (
    "`_reason` STRING",
    "`_detail` STRING",
    "`_value` BYTES",
    "`_partition` INT METADATA FROM 'partition' VIRTUAL",
    "`_offset` BIGINT METADATA FROM 'offset' VIRTUAL",
    "`_arrived` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL",
)
"""What comes with an event's own columns: why it is bad input, or null, and where its record lies."""


def source_table(job: JobPlan, source: Source, options: JobOptions) -> str:
    """The table of a source."""
    columns = [f"{backquoted(column.name)} {sql_type(column.type)}" for column in source.columns]
    return create_table(
        source.name, [*columns, *RECORD, *_watermark(source)], {**_kafka(job, source, options), **_end(job, options)}
    )


def _watermark(source: Source) -> tuple[str, str]:
    """One millisecond further behind than the source's delay: rows of the newest time may still come."""
    time = backquoted(source.time)
    return (
        f"`_rt` AS TO_TIMESTAMP_LTZ({time}, 3)",
        f"WATERMARK FOR `_rt` AS TO_TIMESTAMP_LTZ({time} - {source.delay_ms + 1}, 3)",
    )


def _kafka(job: JobPlan, source: Source, options: JobOptions) -> dict[str, str]:
    return {
        "connector": "kafka",
        "topic": source.topic,
        "properties.bootstrap.servers": options.bootstrap,
        "properties.group.id": f"{options.group}.{job.name}",
        "scan.startup.mode": "earliest-offset",
        "format": "headrace-event",
        "headrace-event.required": ";".join(_required(job, source)),
        "headrace-event.time": source.time,
        "headrace-event.timestamps": ";".join(column.name for column in source.columns if column.type.kind == "timestamp"),
        "headrace-event.max-ahead-ms": str(options.max_ahead_ms),
        "headrace-event.max-age-ms": str(options.max_age_days * DAY_MS),
    }


def _end(job: JobPlan, options: JobOptions) -> dict[str, str]:
    """How the watermark goes on where no events come: a bounded source ends it itself."""
    idle = {"scan.watermark.idle-timeout": f"{options.idle_timeout_ms} ms"}
    end = {"scan.bounded.mode": "latest-offset"} if options.bounded else idle
    return {**end, **MODES[job.mode].alignment(job, options)}


def _required(job: JobPlan, source: Source) -> list[str]:
    """The columns without which an event is bad input (rule 8), whichever of the services needs them."""
    names = [source.event_id]
    for stage in job.windows:
        if source.name in (stage.source, job.spine):
            names += stage.key
    if source.name == job.spine:
        names += [key for plan in job.plans for view in plan.batch for key in view.key]
    return list(dict.fromkeys(names))
