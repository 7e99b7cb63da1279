"""What was served: the rows of a time range with the values of their features as the receipts of their predictions have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import duckdb
import msgspec
import pyarrow as pa

from features.errors import SettingError
from features.inputs.arrow import from_list
from features.inputs.columns import input_columns
from features.plan import Plan
from features.service import Service
from features.sql.duckdb.batch_views import as_of_column, incomplete_column
from features.sql.quoting import quoted
from features.times import Span
from jobs.history.files import connect
from jobs.history.labels import LABEL, add_labels
from jobs.history.places import Written
from jobs.history.queries import (
    LABELS,
    QUERIES,
    Progress,
    Steps,
    create_labels,
    create_queries,
    files_of,
    requested,
    tables_of,
)
from jobs.history.scans import within_memory
from jobs.history.tables import create_table
from schemas import Prediction
from schemas.codec import UNREADABLE, decode_prediction, encode

AT_ONCE = 20_000
"""Rows of a table that are in Python's memory at once."""
RECEIPTS, SERVED = "_receipts", "_served"
"""The tables of all receipts, and of those of the queries."""
SERVED_AT, MODEL, VERSION, PLAN, COMPLETE = "_served_at", "_model", "_version", "_plan", "_complete"
"""The columns that say when, by which model and of which plan a row was served, and whether its inputs were whole."""
COLUMNS = {SERVED_AT: pa.int64(), MODEL: pa.string(), VERSION: pa.int64(), PLAN: pa.string(), COMPLETE: pa.bool_()}


class Record(NamedTuple):
    """A prediction as it was written, and where it lies."""

    where: str
    value: bytes


class Told:
    """Counts, while tables go by, what is to be said of them."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rows, self.without, self.incomplete, self.others = plan, 0, 0, 0, 0

    def of(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """``tables``, as they are."""
        for table in tables:
            plans = table[PLAN].to_pylist()
            self.rows += table.num_rows
            self.without += table[SERVED_AT].null_count
            self.incomplete += table[COMPLETE].to_pylist().count(False)
            self.others += sum(plan not in (None, self.plan.short_digest) for plan in plans)
            yield table

    def warnings(self) -> Iterator[str]:
        """A line for each thing that a reader of the rows should know."""
        if self.without:
            yield f"{self.without:,} of {self.rows:,} rows have no receipt: nothing was served of them, or it is gone"
        if self.incomplete:
            yield f"{self.incomplete:,} of {self.rows:,} rows were served with windows or batch rows that were not whole"
        if self.others:
            yield (
                f"{self.others:,} of {self.rows:,} rows were served by another plan than {self.plan.short_digest}, which the "
                f"definitions have now; column '{PLAN}' says by which"
            )


def stream_served(
    service: Service,
    records: Iterable[Record],
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    events: Written | None = None,
    histories: Mapping[str, Written] | None = None,
    label: str | None = None,
    threads: int = 2,
    on_progress: Progress | None = None,
) -> Iterator[pa.Table]:
    """The rows that `jobs.history.compute.stream_features` gives, with the inputs that a model was served, and `COLUMNS`.

    The inputs are those of the plan, lists as their columns, and what else a receipt has; null where a row has none. Of an event
    with several receipts the first counts: it is what was acted upon. ``records`` are predictions as the scorer writes them;
    raises `SettingError` for one that is none, and as `stream_features` does.
    """
    plan = service.plan
    request = requested(service, Span(start_ms, end_ms), events, histories, label)
    step = Steps(on_progress, 3)
    with within_memory(), closing(connect(threads, service.resources)) as connection:
        if label is not None:
            add_labels(connection, service, label, request.histories)
        step("reading receipts")
        names = _add_receipts(connection, plan, records)
        step(f"reading {plan.spine}")
        spine = plan.spine_source
        create_table(connection, spine, files_of(request, spine), plan.required(spine), request.times, request.event_times)
        step.rows_begin(2, create_queries(connection, plan))
        connection.execute(f"DROP TABLE {quoted(plan.spine)}; CREATE TABLE {SERVED} AS {_served_sql(plan)}")
        if label is not None:
            create_labels(connection, plan)
        columns = [*(f"{QUERIES}.{quoted(column.name)}" for column in spine.columns), f"{SERVED}.* EXCLUDE (_row)"]
        columns += [f"{LABELS}.{LABEL}"] if label is not None else []
        tables = " POSITIONAL JOIN ".join([QUERIES, SERVED, *([LABELS] if label is not None else [])])
        for rows in tables_of(connection, f"SELECT {', '.join(columns)} FROM {tables}"):
            step("rows")
            yield _with_inputs(rows, names, len(spine.columns))
        step("done")


def add_predictions(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    fields: Mapping[str, pa.DataType],
    records: Iterable[Record],
    row: Callable[[Prediction], Mapping[str, Any]],
    rule: str,
) -> tuple[str, ...]:
    """Make ``table`` of all records, in their order: ``_number``, ``_event`` and the ``fields``, which ``row`` gives.

    Gives the inputs that their receipts name. Raises `SettingError`, which says the ``rule``, for a record that is no prediction.
    """
    inputs = dict[str, None]()

    def rows() -> Iterator[dict[str, Any]]:
        for number, record in enumerate(records):
            one = _prediction(record, rule)
            inputs.update(dict.fromkeys(one.receipt.inputs))
            yield {"_number": number, "_event": str(one.event_id), **row(one)}

    fill_table(connection, table, pa.schema({"_number": pa.int64(), "_event": pa.string(), **fields}), rows())
    return tuple(inputs)


def fill_table(connection: duckdb.DuckDBPyConnection, table: str, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> None:
    """Make ``table`` of ``rows``, in their order, some at a time."""
    left = iter(rows)
    connection.register("_some", schema.empty_table())
    connection.execute(f"CREATE TABLE {table} AS SELECT * FROM _some")
    while some := list(islice(left, AT_ONCE)):
        connection.register("_some", pa.Table.from_pylist(some, schema))
        connection.execute(f"INSERT INTO {table} SELECT * FROM _some")
    connection.unregister("_some")


def _add_receipts(connection: duckdb.DuckDBPyConnection, plan: Plan, records: Iterable[Record]) -> tuple[str, ...]:
    """Make the table `RECEIPTS`; gives the names of all inputs, those of the plan first."""
    of_views = {as_of_column(view): pa.int64() for view in plan.batch} | {
        incomplete_column(view): pa.string() for view in plan.batch
    }
    fields = {"_inputs": pa.string(), **COLUMNS, **of_views}
    found = add_predictions(connection, RECEIPTS, fields, records, partial(_row, plan), "a receipt is in a prediction")
    return tuple(dict.fromkeys((*input_columns(plan, plan.inputs), *found)))


def _prediction(record: Record, rule: str) -> Prediction:
    try:
        return decode_prediction(record.value)
    except UNREADABLE as error:
        raise SettingError(f"{record.where}: {rule}, docs/messages.md; got {error}; leave it out") from None


def _row(plan: Plan, prediction: Prediction) -> dict[str, Any]:
    receipt = prediction.receipt
    row = {
        "_inputs": encode(receipt.inputs).decode(),
        SERVED_AT: receipt.scored_at,
        MODEL: receipt.model,
        VERSION: receipt.version,
        PLAN: receipt.plan,
        COMPLETE: receipt.complete,
    }
    for view in plan.batch:
        row[as_of_column(view)] = receipt.batch_as_of.get(view.view)
        row[incomplete_column(view)] = receipt.incomplete.get(view.view)
    return row


def _served_sql(plan: Plan) -> str:
    """SQL of the first receipt of each query, in the order of ``_row``."""
    first = f"(SELECT * FROM {RECEIPTS} QUALIFY row_number() OVER (PARTITION BY _event ORDER BY _number) = 1)"
    event = f"CAST({QUERIES}.{quoted(plan.spine_source.event_id)} AS VARCHAR)"
    columns = f"{QUERIES}._row, _first.* EXCLUDE (_event, _number)"
    return f"SELECT {columns} FROM {QUERIES} LEFT JOIN {first} AS _first ON _first._event = {event} ORDER BY {QUERIES}._row"


def _with_inputs(rows: pa.Table, names: tuple[str, ...], place: int) -> pa.Table:
    """The rows with a column for each input, after those of the spine."""
    inputs = [{} if text is None else msgspec.json.decode(text) for text in rows["_inputs"].to_pylist()]
    spine, rest = rows.column_names[:place], [name for name in rows.column_names[place:] if name != "_inputs"]
    served = {name: from_list([one.get(name) for one in inputs]) for name in names}
    return pa.table({**{name: rows[name] for name in spine}, **served, **{name: rows[name] for name in rest}})
