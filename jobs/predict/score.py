"""Batch prediction: the features of history, and a score for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from features.errors import SettingError
from features.inputs.columns import features_of
from features.inputs.onnx import ScoredTable
from features.service import Service
from jobs.history.compute import Progress, stream_features
from jobs.history.places import Written
from jobs.history.rows_file import together
from jobs.predict.entities import of_entities

Score = Callable[[pa.Table], ScoredTable]
"""Scores the rows of a table with a plan's features, as `features.inputs.onnx.Onnx.score_table` does."""
SCORE, UNSCORABLE, OUTPUTS, MODEL, VERSION = "score", "unscorable", "outputs", "model", "version"
"""The columns of a prediction."""


def stream_scores(
    service: Service,
    score: Score,
    *,
    inputs: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Written | None = None,
    histories: Mapping[str, Written] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Iterator[pa.Table]:
    """What `jobs.history.compute.stream_features` gives, with ``score``, ``unscorable``: why there is none, and any ``outputs``.

    ``inputs`` are the model's, lists as their columns: the tables have the features ``wanted``, by default the plan's, and those.
    Raises `SettingError` where the spine has a column of such a name, and what `stream_features` raises.
    """
    tables = stream_features(
        service,
        wanted=_wanted(service, wanted, inputs),
        start_ms=start_ms,
        end_ms=end_ms,
        events=events,
        histories=histories,
        threads=threads,
        on_progress=on_progress,
    )
    return _scored(service, tables, score)


def stream_entity_scores(
    service: Service,
    score: Score,
    entities: Written,
    at_ms: int,
    *,
    inputs: Sequence[str] = (),
    histories: Mapping[str, Written] | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Iterator[pa.Table]:
    """The same for the rows of a file of entities as of ``at_ms``, UTC milliseconds: see `jobs.predict.entities`."""
    over = of_entities(service)
    tables = stream_features(
        over,
        wanted=_wanted(service, None, inputs),
        start_ms=at_ms,
        end_ms=at_ms + 1,
        histories={**(histories or {}), over.plan.spine: entities},
        entities_at=at_ms,
        threads=threads,
        on_progress=on_progress,
    )
    return _scored(over, tables, score)


def score_history(
    service: Service,
    score: Score,
    *,
    inputs: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> pa.Table:
    """What `stream_scores` gives, as one table in memory."""
    return together(stream_scores(service, score, inputs=inputs, wanted=wanted, start_ms=start_ms, end_ms=end_ms))


def by_version(service: Service, tables: Iterator[pa.Table], model: str, version: int) -> Iterator[pa.Table]:
    """The tables with the model and version that every row's prediction is of, as its receipt would say.

    Raises `SettingError` where the spine of ``service`` has a column of such a name.
    """
    _refuse(service, (MODEL, VERSION))
    names = {MODEL: pa.scalar(model), VERSION: pa.scalar(version, pa.int64())}
    return (_appended(table, {name: pa.repeat(one, table.num_rows) for name, one in names.items()}) for table in tables)


def _wanted(service: Service, wanted: Sequence[str] | None, inputs: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(wanted or service.plan.inputs), *features_of(service.plan, inputs))))


def _scored(service: Service, tables: Iterator[pa.Table], score: Score) -> Iterator[pa.Table]:
    _refuse(service, (SCORE, UNSCORABLE, OUTPUTS))
    return _with_scores(tables, score)


def _refuse(service: Service, names: Sequence[str]) -> None:
    taken = [column.name for column in service.plan.spine_source.columns if column.name in names]
    if taken:
        raise SettingError(
            f"a prediction has the columns {', '.join(names)}; source '{service.plan.spine}' has '{taken[0]}' too; rename that"
        )


def _with_scores(tables: Iterator[pa.Table], score: Score) -> Iterator[pa.Table]:
    """A table is scored while the one before it is written and the one after it is made: a million rows take a fifth less."""
    with ThreadPoolExecutor(1, "score") as thread:
        waiting: tuple[pa.Table, Future[ScoredTable]] | None = None
        for table in tables:
            scoring = table, thread.submit(score, table)
            if waiting:
                yield _scored_table(*waiting)
            waiting = scoring
        if waiting:
            yield _scored_table(*waiting)


def _scored_table(table: pa.Table, scoring: Future[ScoredTable]) -> pa.Table:
    found = scoring.result()
    columns: dict[str, Any] = {SCORE: found.scores, UNSCORABLE: found.unscorable}
    if found.outputs is not None:
        columns[OUTPUTS] = found.outputs
    return _appended(table, columns)


def _appended(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table
