"""The job that joins predictions with their labels: the statements that make its tables and views, and its inserts.

::

    predictions ──┐                       ┌──► outcomes
                  ├──► rows by event ──► join_labels
    labels ───────┘                       │
       └──────────────────────────────────┴──► dead letters
"""

from __future__ import annotations

from features.outcomes import LATENESS_MS, RECEIPT, OutcomesPlan
from features.plan import Source
from features.sql.flink import OPERATORS, Job
from features.sql.flink.modes import aligned, idle
from features.sql.flink.options import JobOptions
from features.sql.flink.sinks import KEYED_JSON, dead_letters, to_topic
from features.sql.flink.sizes import longest_record
from features.sql.flink.sources import RECORD, from_topic, to_end, watermark
from features.sql.flink.text import create_table, insert, select
from features.sql.flink.types import null, sql_type
from features.sql.quoting import backquoted
from schemas import topics

JOIN = "CREATE TEMPORARY SYSTEM FUNCTION join_labels AS 'headrace.outcomes.JoinLabels'"
ROWS, JOINED, OUTCOMES = "_rows", "_joined", "_outcomes"
PREDICTION = {
    "key": "STRING",
    "event_time": "BIGINT",
    "score": "DOUBLE",
    **{name: sql_type(kind) for name, kind in RECEIPT.items()},
}
"""What an outcome has of a prediction beside the event id, and of which type, in the order of the message."""
LABEL = {"label": "DOUBLE", "known_at": "BIGINT", "label_at": "BIGINT", "labels": "BIGINT"}
WITH_KEY = {"key.format": "raw", "key.fields": "_key", "value.fields-include": "EXCEPT_KEY"}
WITHIN_RECEIPT = {"headrace-event.within": "receipt"}
ANY_AGE = {"headrace-event.max-age-ms": str(2**62)}
"""What was predicted was young enough then: a job that reads on, or starts anew, may be years behind."""


def outcomes_sql(plan: OutcomesPlan, options: JobOptions) -> Job:
    """The Flink job of ``plan``."""
    bad = dead_letters(plan.sources, options, (plan.labels,) if plan.has_dead_letters else ())
    tables = (_predictions(plan, options), _labels(plan, options), _outcomes(plan, options), bad.table)
    return Job((*OPERATORS, JOIN, *tables, _rows(plan), _joined(plan)), (_insert(plan), *bad.inserts))


def _predictions(plan: OutcomesPlan, options: JobOptions) -> str:
    source = plan.predictions
    required = [column.name for column in source.columns if column.name != source.time]
    settings = {**from_topic(plan, source, required, options), **WITH_KEY, **WITHIN_RECEIPT, **ANY_AGE}
    return _source(plan, source, ["`_key` STRING", *_columns(source)], settings, options)


def _labels(plan: OutcomesPlan, options: JobOptions) -> str:
    source = plan.labels
    return _source(plan, source, _columns(source), from_topic(plan, source, [source.event_id], options), options)


def _columns(source: Source) -> list[str]:
    return [f"{backquoted(column.name)} {sql_type(column.type)}" for column in source.columns]


def _source(plan: OutcomesPlan, source: Source, columns: list[str], settings: dict[str, str], options: JobOptions) -> str:
    drift_ms = plan.horizon_ms + LATENESS_MS  # labels may lie so far behind predictions all the time
    live = idle(plan, source, options) | aligned(plan, drift_ms)
    return create_table(source.name, [*columns, *RECORD, *watermark(source)], {**settings, **to_end(options, live)})


def _outcomes(plan: OutcomesPlan, options: JobOptions) -> str:
    topic = topics.outcomes(plan.service)
    columns = {"_key": "STRING", "event_id": _type_of_id(plan), **PREDICTION, **LABEL}
    settings = {**to_topic(topic.name, longest_record(topic, options), options), **KEYED_JSON}
    return create_table(OUTCOMES, [f"{backquoted(name)} {of}" for name, of in columns.items()], settings)


def _type_of_id(plan: OutcomesPlan) -> str:
    return sql_type(plan.predictions.column(plan.predictions.event_id).type)


def _rows(plan: OutcomesPlan) -> str:
    """The view of predictions and labels as rows of one kind, by the event id as text."""
    of_receipt = {name: f"receipt.{name}" for name in RECEIPT}
    places = {"key": "_key", "event_time": "event_time", "score": "score", **of_receipt}
    predictions = select(
        [
            *_by_event(plan.predictions),
            *(f"{backquoted(places[name])} AS {backquoted(name)}" for name in PREDICTION),
            f"{null('DOUBLE')} AS `label`",
        ],
        plan.predictions.name,
        "`_reason` IS NULL",
    )
    label = backquoted(plan.label)
    labels = select(
        [*_by_event(plan.labels), *map(null, PREDICTION.values()), f"CAST({label} AS DOUBLE)"],
        plan.labels.name,
        "`_reason` IS NULL",
        f"{label} IS NOT NULL",
    )
    return f"CREATE TEMPORARY VIEW {backquoted(ROWS)} AS\n{predictions}\nUNION ALL\n{labels}"


def _by_event(source: Source) -> tuple[str, str]:
    return f"CAST({backquoted(source.event_id)} AS STRING) AS `_id`", f"{backquoted(source.time)} AS `at`"


def _joined(plan: OutcomesPlan) -> str:
    arguments = (
        f"r => TABLE {backquoted(ROWS)} PARTITION BY `_id`",
        f"horizon_ms => CAST({plan.horizon_ms} AS BIGINT)",
        f"lateness_ms => CAST({LATENESS_MS} AS BIGINT)",
        "uid => 'outcomes'",
    )
    return f"CREATE TEMPORARY VIEW {backquoted(JOINED)} AS\nSELECT * FROM join_labels(\n  " + ",\n  ".join(arguments) + "\n)"


def _insert(plan: OutcomesPlan) -> str:
    columns = ["`_id`", f"CAST(`_id` AS {_type_of_id(plan)})", *map(backquoted, (*PREDICTION, *LABEL))]
    return insert(OUTCOMES, columns, JOINED, "TRUE")
