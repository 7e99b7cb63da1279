"""Each prediction and its label: an interval join by event id, over files or topics as they are now.

::

                 event time - horizon      event time      event time + horizon
                          │                    │                    │
        ──────────○───────●──────────●─────────●──────────●─────────●──────○────►  the label's own time
                 out      in                                        in     out

The rules, whatever order labels and predictions come in:

1. Of an event with several predictions the first counts: it is what was acted upon. Repeats after a restart are equal.
2. A label counts where its time is no more than the horizon away from its event's, on either side: one that was known before the
   prediction counts as well.
3. Of several labels of an event the one of the newest time holds, of equal times the one that came last; ``known_at`` is the time
   of the first, ``label_at`` that of the one that holds, ``labels`` how many there were, equal ones too.
4. A prediction without a label stays, its label null. A label without a prediction is no outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.service import Service
from features.sql.quoting import quoted
from features.times import ALWAYS, DAY_MS, Span
from jobs.history.files import connect
from jobs.history.labels import KNOWN, LABEL, add_labels
from jobs.history.places import Written, history_of
from jobs.history.queries import Progress
from jobs.history.readings import within
from jobs.history.scans import within_memory
from jobs.history.served import Record, add_predictions, fill_table
from jobs.history.tables import File, create_table
from schemas import Prediction
from schemas.codec import UNREADABLE, decode_outcome, encode

PREDICTED, WRITTEN = "_predicted", "_written"
SAID = {
    "event_time": pa.int64(),
    "score": pa.float64(),
    "model": pa.string(),
    "version": pa.int64(),
    "sha256": pa.string(),
    "complete": pa.bool_(),
    "scored_at": pa.int64(),
}
"""The columns of an outcome that its prediction says."""
OF_LABEL = {LABEL: pa.float64(), "known_at": pa.int64(), "label_at": pa.int64(), "labels": pa.int64()}
OWN = ("event_id", *SAID, *OF_LABEL)
"""Those that every outcome has."""


class Joined(msgspec.Struct, frozen=True):
    """Predictions with their labels, and how far labels reach."""

    table: pa.Table
    """A row for each event that was predicted, in the order of the predictions: ``event_id``, `SAID`, ``label`` (double),
    ``known_at``, ``label_at`` and ``labels``, and the columns of the spine that were wanted, null where history lacks the event.
    """
    newest_label: int | None
    """The newest time of a label, UTC milliseconds; None: there is none."""

    def matured_until(self, delay_days: int) -> int:
        """The day (since 1970) before which every event's label is due: the newest label's day may lack some."""
        return 0 if self.newest_label is None else self.newest_label // DAY_MS - delay_days


def join(
    service: Service,
    records: Iterable[Record],
    label: str,
    horizon_ms: int,
    *,
    times: Span = ALWAYS,
    columns: Sequence[str] = (),
    if_there: Sequence[str] = (),
    histories: Mapping[str, Written] | None = None,
    on_progress: Progress | None = None,
) -> Joined:
    """The outcomes of ``records``, predictions as the scorer writes them, by the rules above; ``label`` is ``<source>.<column>``.

    Those of events of other ``times`` are left out. ``columns`` are the spine's or inputs in the receipts; those of ``if_there``
    that are neither are left out. Raises `SettingError` for a record that is no prediction, a column that is neither, and as
    `jobs.history.labels.labels` does.
    """
    spine = service.plan.spine_source
    more = [name for name in if_there if name not in OWN]
    of_spine = _of_spine(service, [*columns, *more])
    told = on_progress or (lambda what, done, total: None)
    with within_memory(), closing(connect(2, service.resources)) as connection:
        told("reading labels", 0, 4)
        add_labels(connection, service, label, histories or {})
        told("reading predictions", 1, 4)
        wanted = [name for name in (*columns, *more) if name not in of_spine]
        inputs = _add_predictions(connection, records, wanted)
        unknown = [name for name in columns if name not in of_spine and name not in inputs]
        if unknown:
            known = ", ".join([*(column.name for column in spine.columns), *sorted(inputs)])
            raise SettingError(f"a segment is a column of {spine.name} or a model's input; got '{unknown[0]}'; there are {known}")
        told(f"reading {spine.name}", 2, 4)
        _add_spine(connection, service, of_spine, histories or {})
        told("joining", 3, 4)
        table = connection.sql(_sql(horizon_ms, times, of_spine)).to_arrow_table()
        (newest,) = connection.execute(f"SELECT max(_at) FROM {KNOWN}").fetchall()[0]
        told("joining", 4, 4)
    return Joined(_with_inputs(table, [name for name in wanted if name in inputs]), newest)


def already_joined(
    service: Service,
    records: Iterable[Record],
    *,
    columns: Sequence[str] = (),
    if_there: Sequence[str] = (),
    histories: Mapping[str, Written] | None = None,
    on_progress: Progress | None = None,
) -> Joined:
    """The outcomes in ``records``, as the stream's join writes them: of an event the last record holds.

    ``columns`` are the spine's; those of ``if_there`` that are not are left out. Raises `SettingError` for a record that is no
    outcome, and another column.
    """
    spine = service.plan.spine_source
    of_spine = _of_spine(service, [*columns, *(name for name in if_there if name not in OWN)])
    unknown = [name for name in columns if name not in of_spine]
    if unknown:
        known = ", ".join(column.name for column in spine.columns)
        raise SettingError(
            f"a written outcome has no inputs, so a segment is a column of {spine.name}; got '{unknown[0]}'; there are {known}"
        )
    told = on_progress or (lambda what, done, total: None)
    with within_memory(), closing(connect(2, service.resources)) as connection:
        told("reading outcomes", 0, 2)
        _add_outcomes(connection, records)
        told(f"reading {spine.name}", 1, 2)
        _add_spine(connection, service, of_spine, histories or {})
        more = "".join(f", _spine.{quoted(name)}" for name in of_spine)
        table = connection.sql(f"""
            SELECT _last.* EXCLUDE (_number, _first){more} FROM (
                SELECT *, min(_number) OVER (PARTITION BY event_id) AS _first FROM {WRITTEN}
                QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY _number DESC) = 1) AS _last
            LEFT JOIN _spine ON _spine._event = _last.event_id ORDER BY _last._first""").to_arrow_table()
        (newest,) = connection.execute(f"SELECT max(label_at) FROM {WRITTEN}").fetchall()[0]
        told("reading outcomes", 2, 2)
    return Joined(table, newest)


def _of_spine(service: Service, columns: Sequence[str]) -> list[str]:
    """Those of the columns that the spine has. Raises `SettingError` for one that an outcome has itself."""
    own = [name for name in columns if name in OWN]
    if own:
        raise SettingError(
            f"an outcome has columns of its own, {', '.join(OWN)}; got '{own[0]}' as a segment or group; take another"
        )
    known = {column.name for column in service.plan.spine_source.columns}
    return [name for name in columns if name in known]


def _add_outcomes(connection: duckdb.DuckDBPyConnection, records: Iterable[Record]) -> None:
    """Make the table `WRITTEN` of all records, numbered in their order."""
    schema = pa.schema({"_number": pa.int64(), "event_id": pa.string(), **SAID, **OF_LABEL})
    fill_table(connection, WRITTEN, schema, (_written(number, record) for number, record in enumerate(records)))


def _written(number: int, record: Record) -> dict[str, Any]:
    try:
        outcome = decode_outcome(record.value)
    except UNREADABLE as error:
        raise SettingError(f"{record.where}: it is no outcome, docs/messages.md; got {error}; leave it out") from None
    return {"_number": number, **msgspec.structs.asdict(outcome), "event_id": str(outcome.event_id)}


def _add_predictions(connection: duckdb.DuckDBPyConnection, records: Iterable[Record], wanted: Sequence[str]) -> set[str]:
    """Make the table `PREDICTED` of all records, with the ``wanted`` of their inputs; gives the inputs that receipts name."""
    fields = {**SAID, "_inputs": pa.string()}
    return set(add_predictions(connection, PREDICTED, fields, records, partial(_row, wanted), "it is no prediction"))


def _row(wanted: Sequence[str], prediction: Prediction) -> dict[str, Any]:
    receipt = prediction.receipt
    return {
        "event_time": prediction.event_time,
        "score": prediction.score,
        "model": receipt.model,
        "version": receipt.version,
        "sha256": receipt.sha256,
        "complete": receipt.complete,
        "scored_at": receipt.scored_at,
        "_inputs": encode({name: receipt.inputs.get(name) for name in wanted}).decode() if wanted else None,
    }


def _add_spine(
    connection: duckdb.DuckDBPyConnection, service: Service, columns: Sequence[str], histories: Mapping[str, Written]
) -> None:
    """Make the table ``_spine`` of the events' ids and ``columns``; without any, of no row."""
    spine = service.plan.spine_source
    event_id = f"CAST({quoted(spine.event_id)} AS VARCHAR) AS _event"
    if not columns:
        connection.execute("CREATE TABLE _spine (_event VARCHAR)")
        return
    files = [File(history_of(spine, service.folder, histories))]
    create_table(connection, spine, files, {spine.event_id, spine.time}, ALWAYS, service.event_times)
    values = ", ".join(f"arg_max_null({quoted(name)}, _arrival) AS {quoted(name)}" for name in columns)
    connection.execute(f"CREATE TABLE _spine AS SELECT {event_id}, {values} FROM {quoted(spine.name)} GROUP BY ALL")


def _sql(horizon_ms: int, times: Span, columns: Sequence[str]) -> str:
    """SQL of the outcomes of events of these ``times``: the rules of this module."""
    number = "row_number() OVER (PARTITION BY _event ORDER BY _number)"
    first = f"(SELECT * FROM {PREDICTED} QUALIFY {number} = 1 AND {within('event_time', times)})"
    labels = f"""(
        SELECT _first._event, arg_max({LABEL}, (_at, _arrival)) AS {LABEL}, min(_at) AS known_at, max(_at) AS label_at,
               count(*) AS labels
        FROM {first} AS _first JOIN {KNOWN} ON CAST({KNOWN}.event_id AS VARCHAR) = _first._event
        WHERE _at BETWEEN _first.event_time - {horizon_ms} AND _first.event_time + {horizon_ms}
        GROUP BY _first._event)"""
    said = ", ".join(f"_first.{name}" for name in SAID)
    more = "".join(f", _spine.{quoted(name)}" for name in columns)
    return f"""
        SELECT _first._event AS event_id, {said}, _label.{LABEL}, _label.known_at, _label.label_at,
               coalesce(_label.labels, 0) AS labels{more}, _first._inputs
        FROM {first} AS _first LEFT JOIN {labels} AS _label USING (_event) LEFT JOIN _spine USING (_event)
        ORDER BY _first._number"""


def _with_inputs(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table with a column for each of these inputs, in place of the receipts' text."""
    if names:
        decoded = [msgspec.json.decode(text) for text in table["_inputs"].to_pylist()]
        for name in names:
            table = table.append_column(name, pa.array(_plain(one.get(name) for one in decoded)))
    return table.drop_columns("_inputs")


def _plain(values: Iterator[Any]) -> list[Any]:
    """Numbers as doubles where some are: Arrow takes no mixture."""
    found = list(values)
    if any(isinstance(value, float) for value in found):
        return [None if value is None else float(value) for value in found]
    return found
