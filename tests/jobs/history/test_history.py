"""Features over history: files in, a training set's columns out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import DefinitionError, SettingError
from features.plan import Stage
from features.service import Service
from features.times import DAY_MS
from jobs.history.compute import compute, write
from tests.contract.reference import Event, vectors

DAY_30 = 1_522_540_800_000 + 30 * DAY_MS  # 2018-05-01


def history(service: Service, source: str) -> pa.Table:
    """The history of a source as it lies there."""
    return pq.read_table(service.folder / service.plan.source(source).history)


def milliseconds(table: pa.Table) -> pa.Table:
    """The table with its event time as a number."""
    return set_column(table, "event_time", table["event_time"].cast(pa.int64()))


def set_column(table: pa.Table, name: str, column: Any) -> pa.Table:
    """The table with another column of that name."""
    return table.set_column(table.column_names.index(name), name, column)


def events_of(service: Service, source: str, key: str, value: int) -> list[Event]:
    """The rows of a source that have a key, in their order."""
    table = milliseconds(history(service, source))
    rows = table.filter(pc.equal(table[key], value)).to_pylist()
    return [Event(source, row["event_time"], row) for row in rows]


def check(service: Service, result: pa.Table, stage: Stage, key: int, events: list[Event]) -> None:
    """The result's rows of ``key`` have the reference's values."""
    rows = result.filter(pc.equal(result[stage.key[0]], key)).to_pylist()
    expected = vectors(stage, service.plan.spine, events)
    assert len(rows) == len(expected) > 0
    for row, vector in zip(rows, expected, strict=True):
        assert {name: row[name] for name in vector} == vector


@pytest.mark.slow
def test_every_window_is_that_of_the_reference(small: Service) -> None:
    """Customers' and terminals' windows over a file agree to the bit with the contract."""
    result = compute(small)
    customers, terminals = small.plan.windows
    for customer in (3, 17):
        check(small, result, customers, customer, events_of(small, "transactions", "customer_id", customer))
    terminal = pc.mode(result["terminal_id"])[0]["mode"].as_py()
    paid = events_of(small, "transactions", "terminal_id", terminal)
    check(small, result, terminals, terminal, [*paid, *events_of(small, "labels", "terminal_id", terminal)])


def test_the_result_has_the_spine_and_the_inputs_in_order(small: Service) -> None:
    """The spine's columns, the event time in milliseconds, then the model's inputs; rows as in the file."""
    result = compute(small)
    spine = milliseconds(history(small, "transactions"))
    assert result.column_names == [*spine.column_names, *small.plan.inputs]
    assert result.select(spine.column_names).equals(spine)


def test_a_range_has_the_values_of_the_whole(small: Service) -> None:
    """Earlier rows contribute to a range's first rows, and are not in the result."""
    whole = compute(small)
    inside = pc.and_(pc.greater_equal(whole["event_time"], DAY_30), pc.less(whole["event_time"], DAY_30 + DAY_MS))
    part = compute(small, start_ms=DAY_30, end_ms=DAY_30 + DAY_MS)
    assert part.num_rows > 100
    assert part.equals(whole.filter(inside))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_events_have_features_of_the_history_before_them(small: Service, tmp_path: Path, suffix: str) -> None:
    """A file of new events and the history that ends before it give what one history gives, in each format."""
    whole = compute(small, start_ms=DAY_30)
    table = history(small, "transactions")
    is_new = pc.greater_equal(table["event_time"].cast(pa.int64()), DAY_30)
    write(table.filter(pc.invert(is_new)), tmp_path / "old.parquet")
    events = tmp_path / f"new.{suffix}"
    new = milliseconds(table.filter(is_new))
    if suffix == "parquet":
        write(new, events)
    else:
        duckdb.sql(f"COPY new TO '{events}'" + ("" if suffix == "csv" else " (FORMAT json)"))
    assert compute(small, events=events, histories={"transactions": tmp_path / "old.parquet"}).equals(whole)


def test_an_event_that_is_in_history_too_counts_once(small: Service, tmp_path: Path) -> None:
    """Events that history has caught up with are not in their windows twice."""
    table = history(small, "transactions")
    write(table.filter(pc.greater_equal(table["event_time"].cast(pa.int64()), DAY_30)), tmp_path / "events.parquet")
    result = compute(small, events=tmp_path / "events.parquet")
    assert result.equals(compute(small, start_ms=DAY_30))


def test_events_alone_are_enough(small: Service, tmp_path: Path) -> None:
    """Where the spine has no history file, a stream begins with the events."""
    plan = small.plan
    spine = msgspec.structs.replace(plan.spine_source, history="data/none.parquet")
    sources = tuple(spine if source.name == plan.spine else source for source in plan.sources)
    service = msgspec.structs.replace(small, plan=msgspec.structs.replace(plan, sources=sources))
    assert compute(service, events=small.folder / "data" / "transactions.parquet").equals(compute(small))


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("us", "Europe/Rome")]
)
def test_times_of_every_type_are_the_same_moment(small: Service, tmp_path: Path, kind: pa.DataType) -> None:
    """Milliseconds, naive times (UTC) and times of a zone give the same features."""
    table = history(small, "transactions")
    other = set_column(table, "event_time", table["event_time"].cast(pa.int64() if kind == pa.int64() else kind))
    write(other, tmp_path / "other.parquet")
    histories = {"transactions": tmp_path / "other.parquet"}
    same = compute(small, start_ms=DAY_30)
    assert compute(small, start_ms=DAY_30, histories=histories).equals(same)


def test_rows_of_equal_time_are_ordered_by_the_arrival_column(small: Service, tmp_path: Path) -> None:
    """Rule 3, where the definition names the column: the row that arrived second sees both."""
    plan = small.plan
    table = history(small, "transactions").slice(0, 1)
    table = pa.concat_tables([table, set_column(table, "transaction_id", pa.array([-1]))]).append_column("seen", pa.array([2, 1]))
    write(table, tmp_path / "ties.parquet")
    spine = msgspec.structs.replace(plan.spine_source, arrival="seen")
    sources = tuple(spine if source.name == plan.spine else source for source in plan.sources)
    service = msgspec.structs.replace(small, plan=msgspec.structs.replace(plan, sources=sources))
    result = compute(service, histories={"transactions": tmp_path / "ties.parquet"})
    assert result["customer_spend__count_1d"].to_pylist() == [2, 1]


def first_value(name: str, value: Any, kind: pa.DataType | None = None) -> Callable[[pa.Table], pa.Table]:
    """Replaces the first value of a column, and its type where one is given."""

    def change(table: pa.Table) -> pa.Table:
        column = table[name].cast(kind or table.schema.field(name).type)
        return set_column(table, name, pa.concat_arrays([pa.array([value], column.type), column.combine_chunks()[1:]]))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns("amount"), "column 'amount' of type decimal.12,2.; got no such column"),
        (
            lambda table: set_column(table, "amount", table["amount"].cast(pa.string())),
            "is decimal.12,2., and the file has VARCHAR",
        ),
        (
            first_value("amount", Decimal("1.239"), pa.decimal128(14, 3)),
            "row 1: column 'amount' is exact in decimal.12,2.; got 1.239",
        ),
        (first_value("amount", 1.239, pa.float64()), "exact in decimal.12,2.; got 1.239"),
        (first_value("amount", float("nan"), pa.float64()), "exact in decimal.12,2.; got nan"),
        (first_value("customer_id", None), "'customer_id' is never null: keys, ids and times"),
        (first_value("event_time", None), "'event_time' is never null: keys, ids and times"),
        (
            first_value("event_time", 1_522_540_800, pa.int64()),
            "'event_time' is a time within .*; got 1522540800, which looks like seconds",
        ),
        (first_value("customer_id", 1.5, pa.float64()), "column 'customer_id' is a whole number of 64 bits.*; got 1.5"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    small: Service, tmp_path: Path, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    """The error names the file, the rule, what came, and what to do."""
    write(change(history(small, "transactions")), tmp_path / "bad.parquet")
    with pytest.raises(SettingError, match=f"bad.parquet.*{message}"):
        compute(small, histories={"transactions": tmp_path / "bad.parquet"})


def test_doubles_that_are_decimals_are_taken(small: Service, tmp_path: Path) -> None:
    """12.34 as a double is the decimal 12.34: files of other tools need no conversion."""
    table = history(small, "transactions")
    write(set_column(table, "amount", table["amount"].cast(pa.string()).cast(pa.float64())), tmp_path / "doubles.parquet")
    assert compute(small, histories={"transactions": tmp_path / "doubles.parquet"}).equals(compute(small))


def test_finer_times_are_cut_to_milliseconds(small: Service, tmp_path: Path) -> None:
    """As on the stream, whose rules are history's."""
    table = history(small, "transactions")
    finer = pc.add(pc.multiply(table["event_time"].cast(pa.int64()), 1000), 999).cast(pa.timestamp("us", "UTC"))
    write(set_column(table, "event_time", finer), tmp_path / "finer.parquet")
    assert compute(small, histories={"transactions": tmp_path / "finer.parquet"}).equals(compute(small))


def test_events_without_a_row_have_no_features(small: Service, tmp_path: Path) -> None:
    """As pandas writes an empty frame: the result has its columns, and no row."""
    history(small, "transactions").slice(0, 0).to_pandas().to_parquet(tmp_path / "none.parquet")
    result = compute(small, events=tmp_path / "none.parquet")
    assert (result.num_rows, result.column_names) == (0, compute(small).column_names)


def test_a_missing_file_and_an_unknown_source_are_named(small: Service, tmp_path: Path) -> None:
    """A typing error in a flag is not an empty history."""
    with pytest.raises(SettingError, match="rows of 'labels': no file"):
        compute(small, histories={"labels": tmp_path / "none.parquet"})
    with pytest.raises(SettingError, match="got label; use transactions, labels"):
        compute(small, histories={"label": tmp_path / "none.parquet"})
    (tmp_path / "broken.parquet").write_bytes(b"no Parquet")
    with pytest.raises(SettingError, match=r"broken.parquet cannot be read"):
        compute(small, events=tmp_path / "broken.parquet")


def test_an_on_demand_function_gives_a_value_for_each_row(small: Service) -> None:
    """A function that returns too few values is refused, not padded."""
    service = msgspec.structs.replace(small, functions={**small.functions, "transaction_amount": lambda _: {"amount": [1.0]}})
    with pytest.raises(DefinitionError, match=r"on-demand view 'transaction_amount': output 'amount' .* got 1"):
        compute(service)


def test_an_on_demand_function_that_fails_is_the_definitions_fault(small: Service, tmp_path: Path) -> None:
    """A null amount is allowed in history; a function that does not expect it is named."""
    write(first_value("amount", None)(history(small, "transactions")), tmp_path / "null.parquet")
    with pytest.raises(DefinitionError, match=r"on-demand view 'transaction_amount': .* it raised TypeError"):
        compute(small, histories={"transactions": tmp_path / "null.parquet"})


def test_progress_goes_from_none_to_all(small: Service) -> None:
    """Each step is told as it begins, with how many are done."""
    told: list[tuple[str, int, int]] = []
    compute(small, on_progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told] == list(range(told[-1][2] + 1))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A reader sees the whole old file until the whole new one is there."""
    path = tmp_path / "out.parquet"
    write(pa.table({"a": [1]}), path)

    def broken() -> Iterator[pa.Table]:
        yield pa.table({"a": [2]})
        raise SettingError("no more")

    with pytest.raises(SettingError, match="no more"):
        write(broken(), path)
    assert pq.read_table(path).to_pydict() == {"a": [1]}
    assert [file.name for file in tmp_path.iterdir()] == ["out.parquet"]


def test_a_column_is_of_one_type_in_the_whole_file(tmp_path: Path) -> None:
    """As in one table, whatever its first rows are: of whole numbers and then others, it holds doubles."""
    path, columns = tmp_path / "out.parquet", ([None], [1, None], [True], [2.5])
    written = write((pa.table({"a": values, "b": [1] * len(values)}) for values in columns), path)
    table = pq.read_table(path)
    assert (written.rows, written.columns) == (table.num_rows, 2)
    assert table.schema == pa.schema([("a", pa.float64()), ("b", pa.int64())])
    assert table["a"].to_pylist() == [None, 1.0, None, 1.0, 2.5]


def test_other_features_than_the_inputs_can_be_had(small: Service) -> None:
    """What an on-demand function alone reads is compared with the stream, too."""
    name = "customer_spend__count_7d"
    assert compute(small, wanted=(name,), end_ms=0).column_names[-2:] == ["amount", name]
