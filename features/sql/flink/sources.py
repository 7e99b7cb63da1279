"""A source's topic as a table: its columns as they are decoded, what was wrong with a bad record, and the watermark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from features.job import JobPlan
from features.outcomes import AnyJob
from features.plan import Source
from features.sql.flink.modes import MODES
from features.sql.flink.options import JobOptions
from features.sql.flink.sizes import longest_dead_letter, room_for_texts, texts_in_vectors
from features.sql.flink.text import create_table
from features.sql.flink.types import HEADERS, sql_type
from features.sql.quoting import backquoted, literal
from features.times import DAY_MS
from schemas import trace
from schemas.topics import dead_letter_value_bytes

RECORD = (
    "`_reason` STRING",
    "`_detail` STRING",
    "`_value` BYTES",
    "`_partition` INT METADATA FROM 'partition' VIRTUAL",
    "`_offset` BIGINT METADATA FROM 'offset' VIRTUAL",
    "`_arrived` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL",
    f"`_headers` {HEADERS} METADATA FROM 'headers' VIRTUAL",
)
"""What comes with an event's own columns: why it is bad input, or null, where its record lies, and its headers."""
TRACE = f"trace_headers(`_headers`, {literal(';'.join(trace.NAMES))}, {trace.LONGEST})"
"""Those headers that go on with what is made of the event, as SQL; null where there are none."""


def source_table(job: JobPlan, source: Source, options: JobOptions) -> str:
    """The table of a source."""
    columns = [f"{backquoted(column.name)} {sql_type(column.type)}" for column in source.columns]
    settings = {
        **from_topic(job, source, _required(job, source), options),
        **(_room_in_vectors(job, options) if source.name == job.spine else {}),
        **_history(source, options),
        **to_end(options, MODES[job.mode].live(job, source, options)),
    }
    return create_table(source.name, [*columns, *RECORD, *watermark(source)], settings)


def watermark(source: Source) -> tuple[str, str]:
    """The time that rows wait for, and the watermark: a millisecond further behind than the delay, as more of a time may come."""
    time = backquoted(source.time)
    return (
        f"`_rt` AS TO_TIMESTAMP_LTZ({time}, 3)",
        f"WATERMARK FOR `_rt` AS TO_TIMESTAMP_LTZ({time} - {source.delay_ms + 1}, 3)",
    )


def from_topic(job: AnyJob, source: Source, required: Iterable[str], options: JobOptions) -> dict[str, str]:
    """How records of a topic are read; those without a ``required`` column are bad input."""
    return {
        "connector": "kafka",
        "topic": source.topic,
        **options.kafka,
        "properties.group.id": options.group_of(job),
        "properties.isolation.level": options.isolation_level,
        "scan.startup.mode": "earliest-offset",
        "format": "headrace-event",
        "headrace-event.required": ";".join(required),
        "headrace-event.time": source.time,
        "headrace-event.timestamps": ";".join(column.name for column in source.columns if column.type.kind == "timestamp"),
        "headrace-event.max-ahead-ms": str(options.max_ahead_ms),
        "headrace-event.max-age-ms": str(options.max_age_days * DAY_MS),
        "headrace-event.value-bytes": str(dead_letter_value_bytes(longest_dead_letter(options))),
    }


def _history(source: Source, options: JobOptions) -> dict[str, str]:
    """What a backfilled job reads before the topic. A source that no window is over has no files, and waits for the others."""
    if options.history is None:
        return {}
    seam = options.history.seam
    return {
        "connector": "headrace-kafka",
        "quiet.timeout": "0 ms",
        "quiet.delay": f"{source.delay_ms} ms",
        "history.folder": options.history.folder,
        "history.source": source.name,
        "history.files": str(seam.files if source.name in seam.from_ms else 0),
        "history.sources": ";".join(sorted(seam.from_ms)),
        "history.start": options.history.start,
    }


def _room_in_vectors(job: JobPlan, options: JobOptions) -> dict[str, str]:
    """How much text an event may have: another source's is in no vector."""
    texts = texts_in_vectors(job)
    return {
        "headrace-event.vector-bytes": str(room_for_texts(job, options)),
        **({"headrace-event.in-vector": ";".join(texts)} if texts else {}),
    }


def to_end(options: JobOptions, live: Mapping[str, str]) -> dict[str, str]:
    """How new partitions are found, and what is ``live``, of a source that goes on for ever: a bounded one needs neither."""
    if options.bounded:  # no alignment: flink-connector-kafka 5.0.0 fails when it pauses a partition that has come to its end
        return {"scan.bounded.mode": "latest-offset"}
    return {
        "scan.topic-partition-discovery.interval": f"{options.discovery_ms} ms",
        **live,
    }


def _required(job: JobPlan, source: Source) -> list[str]:
    """The columns without which an event is bad input (rule 8), whichever of the services needs them; the time is told apart."""
    names = dict.fromkeys(name for plan in job.plans for name in plan.required(source))
    return [name for name in names if name != source.time]
