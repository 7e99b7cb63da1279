"""Batch views: a day's rows from the history before it, joined by time and pushed in order."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from feast.types import Bool, Float32, Float64, Int64, String

from features.definitions.load import load
from features.errors import DefinitionError, SettingError
from features.feast.online import clear_online, open_online_store
from features.service import Service
from features.times import DAY_MS
from jobs.history.batch_rows import batch_rows, warnings
from jobs.history.batch_views import compute_days, materialize, push_online
from jobs.history.compute import compute

pytestmark = pytest.mark.slow

STORE = """
project: fraud
provider: local
registry: data/feast/registry.db
online_store: {type: sqlite, path: data/feast/online.db}
entity_key_serialization_version: 3
"""


@pytest.fixture
def service(small_copy: Path) -> Service:
    """A service of a project of its own, with a local online store."""
    (small_copy / "feature_store.yaml").write_text(STORE)
    return load(small_copy).service("fraud")


def day(number: int) -> date:
    """A day of May 2018: the data is of 2018-04-01 to 2018-05-15."""
    return date(2018, 5, number)


def midnight(when: date) -> datetime:
    """The first moment of a day, UTC."""
    return datetime(when.year, when.month, when.day, tzinfo=UTC)


def with_sql(service: Service, sql: str) -> Service:
    """The service with another SQL in its batch view."""
    batch = (msgspec.structs.replace(service.plan.batch[0], sql=sql),)
    return msgspec.structs.replace(service, plan=msgspec.structs.replace(service.plan, batch=batch))


def test_a_day_is_made_of_the_rows_before_it(service: Service) -> None:
    """A transaction of the day itself, at its midnight too, is not in the day's row."""
    rows = compute_days(service, day(1), day(1))["customer_profile"]
    table = pq.read_table(service.folder / "data" / "transactions.parquet")
    before = table.filter(pc.less(table["event_time"], pa.scalar(midnight(day(1)), table["event_time"].type)))
    expected = (
        before.group_by("customer_id").aggregate([("amount", "sum"), ("amount", "count")]).sort_by("customer_id").to_pylist()
    )
    assert rows.column_names == ["customer_id", "day", "mean_amount", "transactions_per_day"]
    assert rows["customer_id"].to_pylist() == [row["customer_id"] for row in expected]
    assert rows["mean_amount"].to_pylist() == pytest.approx([float(r["amount_sum"] / r["amount_count"]) for r in expected])
    assert rows["transactions_per_day"].to_pylist() == pytest.approx([row["amount_count"] / 30 for row in expected])
    assert set(rows["day"].to_pylist()) == {midnight(day(1))}


def test_days_are_replaced_not_repeated(service: Service) -> None:
    """Materializing days again gives the same file; other days stay."""
    materialize(service, day(1), day(5))
    path = service.folder / "data" / "customer_profile.parquet"
    first = pq.read_table(path)
    materialize(service, day(4), day(5))
    assert pq.read_table(path).equals(first)
    written = materialize(service, day(6), day(6))
    assert pq.read_table(path).num_rows == first.num_rows + written["customer_profile"].rows


def computed(service: Service, first: int, last: int, **changes: Any) -> list[int]:
    """The days of May that were computed, not kept."""
    return [when.day for when in materialize(service, day(first), day(last), **changes)["customer_profile"].days]


def test_a_day_that_is_done_is_not_computed_again(service: Service) -> None:
    """Nor are all days when the history has grown by one; on request they are."""
    assert computed(service, 1, 3) == [1, 2, 3]
    assert computed(service, 1, 4) == [4]
    assert computed(service, 1, 4) == []
    assert computed(service, 2, 3, again=True) == [2, 3]


def test_a_changed_history_is_computed_again_from_the_day_after(service: Service) -> None:
    """A day is made of all rows before it: one late row of 2 May changes the days from the third on."""
    materialize(service, day(1), day(5))
    path = service.folder / "data" / "transactions.parquet"
    table = pq.read_table(path)
    times = table["event_time"].cast(pa.int64()).to_pylist()
    place = next(i for i, ms in enumerate(times) if ms >= midnight(day(2)).timestamp() * 1000)
    late = table.slice(place, 1).set_column(0, "transaction_id", pa.array([-1], table["transaction_id"].type))
    pq.write_table(pa.concat_tables([table, late]), path)
    assert computed(service, 1, 5) == [3, 4, 5]


def test_a_changed_view_is_computed_again(service: Service) -> None:
    """And until it is, its days are neither read nor pushed: their rows are those of another definition."""
    materialize(service, day(1), day(3))
    other = with_sql(service, service.plan.batch[0].sql.replace("avg(amount)", "max(amount)"))
    advice = "got 3 days of an earlier one in .*run 'headrace batch-views fraud --from 2018-05-01 --to 2018-05-04'"
    for use in (lambda: compute(other), lambda: push_online(other, day(3))):
        with pytest.raises(SettingError, match=advice):
            use()
    assert computed(other, 1, 3) == [1, 2, 3]
    compute(other)


def test_what_is_computed_is_kept_where_the_work_is_interrupted(service: Service) -> None:
    """Ctrl-C on the fourth day: three are there, and the next call goes on from there."""

    def interrupt(view: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        materialize(service, day(1), day(6), on_progress=interrupt)
    assert computed(service, 1, 6) == [4, 5, 6]
    rows = pq.read_table(service.folder / "data" / "customer_profile.parquet")
    expected = compute_days(service, day(1), day(6))["customer_profile"]
    assert rows.equals(expected)


def test_days_of_another_program_stay(service: Service) -> None:
    """A file that says nothing of its days is added to; what it has of a day that is computed is replaced."""
    path = service.folder / "data" / "customer_profile.parquet"
    theirs = compute_days(service, day(1), day(2))["customer_profile"]
    pq.write_table(theirs.set_column(1, "day", theirs["day"].cast(pa.timestamp("us"))), path)
    assert computed(service, 2, 3) == [2, 3]
    assert pq.read_table(path).num_rows == compute_days(service, day(1), day(3))["customer_profile"].num_rows
    assert compute(service).num_rows > 0


def with_ttl(service: Service, days: float) -> Service:
    """The service with a greatest age of its batch view's rows."""
    batch = (msgspec.structs.replace(service.plan.batch[0], ttl_ms=int(days * DAY_MS)),)
    return msgspec.structs.replace(service, plan=msgspec.structs.replace(service.plan, batch=batch))


def test_a_row_beyond_its_ttl_is_null_in_history(service: Service) -> None:
    """A file that ends does not serve the days after it for ever: a row is used up to its ttl, and then is too old."""
    materialize(service, day(1), day(2))
    limited = with_ttl(service, 1.5)
    start = int(midnight(day(1)).timestamp() * 1000)
    table = compute(limited, start_ms=start)
    rows = table.to_pylist()
    for row in rows:
        age = row["event_time"] - row["_as_of_customer_profile"]
        assert row["_incomplete_customer_profile"] == ("too_old" if age > 1.5 * DAY_MS else None)
        assert (row["customer_profile__mean_amount"] is None) == (age > 1.5 * DAY_MS)
    (found,) = batch_rows(limited.plan, table)
    assert 0 < found.too_old == found.incomplete < found.events == len(rows)
    (line,) = warnings([found], "fraud")
    assert f"of {len(rows):,} events, {found.too_old:,} have a row older than its ttl of 36h; compute days with 'headrace" in line


def test_an_old_row_without_a_ttl_is_told(service: Service) -> None:
    """The rows of 2 May serve the rest of the month: how many events and keys had one of more than two days, and how old."""
    materialize(service, day(1), day(2))
    table = compute(service)
    (found,) = batch_rows(service.plan, table)
    rows = [row for row in table.to_pylist() if row["_as_of_customer_profile"]]
    ages = [row["event_time"] - row["_as_of_customer_profile"] for row in rows]
    old = [row["customer_id"] for row, age in zip(rows, ages, strict=True) if age > 2 * DAY_MS]
    assert (found.stale, found.stale_keys, found.oldest_ms) == (len(old), len(set(old)), max(ages))
    assert found.missing == table.num_rows - len(rows) > 0
    (line,) = warnings([found], "fraud")
    assert (
        f"{found.missing:,} have no row; {len(old):,} of {len(set(old)):,} keys have a row older than 2d, up to 13d 23h" in line
    )
    fresh = compute(service, end_ms=int(midnight(day(4)).timestamp() * 1000), start_ms=int(midnight(day(1)).timestamp() * 1000))
    assert list(warnings(batch_rows(service.plan, fresh), "fraud")) == []


def test_pushing_since_a_day_is_pushing_each(service: Service) -> None:
    """A key that the last day lacks has its newest row of the days before, as in history."""
    recent = "SELECT customer_id, 1.5 AS mean_amount, 2.0 AS transactions_per_day FROM transactions WHERE event_time >= $day - {}"
    materialize(with_sql(service, f"{recent.format('INTERVAL 6 HOUR')} GROUP BY 1"), day(1), day(4))
    of_hours = with_sql(service, f"{recent.format('INTERVAL 6 HOUR')} GROUP BY 1")
    table = pq.read_table(service.folder / "data" / "customer_profile.parquet")
    newest = {row["customer_id"]: row["day"] for row in table.sort_by("day").to_pylist()}
    assert len(set(newest.values())) > 1
    assert push_online(of_hours, day(4), since=day(1)) == {"customer_profile": len(newest)}
    read = open_online_store(service.folder, service.objects, service.plan.batch)
    rows = read(service.plan.batch[0], [(customer,) for customer in newest])
    assert [row and row.as_of for row in rows] == [when.timestamp() * 1000 for when in newest.values()]


def test_an_event_is_given_the_latest_row_at_or_before_it(service: Service) -> None:
    """The point-in-time join: null before the first day, then each day's own row."""
    materialize(service, day(2), day(4))
    result = compute(service).to_pylist()
    days = pq.read_table(service.folder / "data" / "customer_profile.parquet").to_pylist()
    profiles = {(row["customer_id"], row["day"].date()): row["mean_amount"] for row in days}
    for row in result:
        when = datetime.fromtimestamp(row["event_time"] / 1000, UTC).date()
        assert row["customer_profile__mean_amount"] == profiles.get((row["customer_id"], min(when, day(4))))


def test_a_view_is_materialized_before_it_is_read(service: Service) -> None:
    """The missing file is named, with what to do, before history is read."""
    steps: list[str] = []
    with pytest.raises(
        SettingError, match=r"'customer_profile' .* no file .*customer_profile.parquet; run 'headrace batch-views fraud --from"
    ):
        compute(service, on_progress=lambda name, done, parts: steps.append(name))
    assert steps == []


def test_sql_that_fails_is_the_definitions_fault(service: Service) -> None:
    """DuckDB's words come on one line, with the view's name."""
    with pytest.raises(DefinitionError, match=r"batch view 'customer_profile': .* DuckDB says: .*nowhere"):
        compute_days(with_sql(service, "SELECT * FROM nowhere"), day(1), day(1))


def with_types(service: Service, **types: Any) -> Service:
    """The service whose batch view declares these types of its features."""
    view = service.plan.batch[0]
    for field in next(one for one in service.objects if one.name == view.view).features:
        field.dtype = types.get(field.name, field.dtype)
    return service


@pytest.mark.parametrize(
    ("sql", "dtype", "value"),
    [
        ("count(DISTINCT customer_id)", Int64, 1),
        ("sum(DISTINCT 9007199254740993)", Int64, 2**53 + 1),
        ("sum(DISTINCT 3)", Float64, 3.0),
        ("CAST(2.50 AS DECIMAL(12,2))", Float64, 2.5),
        ("CAST(3.00 AS DECIMAL(12,2))", Int64, 3),
        ("4.0", Int64, 4),
        ("'nan'::DOUBLE", Int64, None),
        ("0.1::DOUBLE", Float32, 0.10000000149011612),
        ("NULL", String, None),
        ("'a'", String, "a"),
        ("count(*) > 0", Bool, True),
    ],
)
def test_history_and_the_online_store_have_the_declared_type(service: Service, sql: str, dtype: Any, value: Any) -> None:
    """A view gives training what it gives the scorer: an average that was declared as Int64 was 1.875 there and 1 here."""
    given = f"{sql} AS transactions_per_day, 0.5 AS mean_amount"
    sql = f"SELECT customer_id, {given} FROM transactions WHERE customer_id = 1 GROUP BY 1"
    typed = with_types(with_sql(service, sql), transactions_per_day=dtype)
    materialize(typed, day(2), day(2))
    (stored,) = pq.read_table(typed.folder / typed.plan.batch[0].path)["transactions_per_day"].to_pylist()
    push_online(typed, day(2))
    (row,) = open_online_store(typed.folder, typed.objects, typed.plan.batch)(typed.plan.batch[0], [(1,)])
    assert row is not None
    online = dict(zip(typed.plan.batch[0].features, row.values, strict=True))["transactions_per_day"]
    assert (stored, type(stored)) == (value, type(value))
    assert (online, type(online)) == (value, type(value))


@pytest.mark.parametrize(
    ("sql", "dtype", "came"),
    [
        ("1.875::DOUBLE", Int64, "of Int64 as double: Float value 1.875 was truncated"),
        ("1.875::DECIMAL(12,3)", Int64, "of Int64 as decimal128.12, 3.: "),
        ("'inf'::DOUBLE", Int64, "of Int64 as double: "),
        ("sum(DISTINCT 9223372036854775807) + 1", Int64, "of Int64 as decimal128.38, 0.: "),
        ("'1'", Int64, "of Int64 as string"),
        ("1", String, "of String as int32"),
        ("1", Bool, "of Bool as int32"),
        ("9007199254740993", Float64, "of Float64 as int64: Integer value 9007199254740993 not in range"),
    ],
)
def test_what_the_declared_type_does_not_hold_is_refused(service: Service, sql: str, dtype: Any, came: str) -> None:
    """With what came of what type; nothing is rounded, cut or read from a text."""
    sql = f"SELECT customer_id, {sql} AS transactions_per_day, 0.5 AS mean_amount FROM transactions GROUP BY 1"
    message = (
        f"its schema says the type of each feature, and its SQL gives it; got 'transactions_per_day' {came}.*; cast it in the SQL"
    )
    with pytest.raises(DefinitionError, match=message):
        compute_days(with_types(with_sql(service, sql), transactions_per_day=dtype), day(2), day(2))


def test_a_key_has_the_type_of_the_spines_column(service: Service) -> None:
    """In no other is it found; pushing it ended in a traceback."""
    sql = "SELECT customer_id::VARCHAR AS customer_id, 1 AS transactions_per_day, 0.5 AS mean_amount FROM transactions GROUP BY 1"
    with pytest.raises(
        DefinitionError, match=r"its key has the type of the spine's column.*; got 'customer_id' of Int64 as string"
    ):
        compute_days(with_sql(service, sql), day(2), day(2))


def test_rows_without_a_key_are_left_out(service: Service) -> None:
    """A history may have events of nobody; no event looks for theirs, and the online store has no such key."""
    given = "count(*) AS transactions_per_day, 0.5 AS mean_amount"
    nobody = with_sql(service, f"SELECT nullif(customer_id, 0) AS customer_id, {given} FROM transactions GROUP BY 1")
    materialize(nobody, day(2), day(2))
    path = nobody.folder / nobody.plan.batch[0].path
    rows = pq.read_table(path)
    assert (rows["customer_id"].null_count, min(rows["customer_id"].to_pylist())) == (0, 1)
    pq.write_table(
        pa.concat_tables([rows, pa.table({"day": rows["day"][:1]})], promote_options="default"), path
    )  # by an older one
    assert push_online(nobody, day(2)) == {nobody.plan.batch[0].view: rows.num_rows}


def test_a_day_has_one_row_for_each_key(service: Service) -> None:
    """SQL that forgets to group is refused."""
    sql = "SELECT customer_id, 1.0 AS mean_amount, 2.0 AS transactions_per_day FROM transactions"
    with pytest.raises(DefinitionError, match="a day has one row for each key"):
        compute_days(with_sql(service, sql), day(1), day(1))


def test_an_older_day_never_overwrites_a_newer_one_online(service: Service) -> None:
    """Pushing days out of order, and again, leaves the newest day's values in the store."""
    materialize(service, day(1), day(3))
    view = service.plan.batch[0]
    count = len(compute_days(service, day(1), day(1))["customer_profile"])
    assert push_online(service, day(1)) == {"customer_profile": count}
    push_online(service, day(3))
    push_online(service, day(3))
    push_online(service, day(2))
    rows = {row["customer_id"]: row for row in compute_days(service, day(3), day(3))["customer_profile"].to_pylist()}
    read = open_online_store(service.folder, service.objects, [view])
    for customer, row in zip(rows, read(view, [(customer,) for customer in rows]), strict=True):
        assert row is not None
        assert row.as_of == midnight(day(3)).timestamp() * 1000
        assert row.values == tuple(rows[customer][name] for name in view.features)


def test_after_clearing_an_older_day_is_read(service: Service) -> None:
    """A replay of the past starts with no rows online, and is given its own days'."""
    materialize(service, day(3), day(9))
    push_online(service, day(9))
    clear_online(service)
    push_online(service, day(3))
    view = service.plan.batch[0]
    customers = compute_days(service, day(3), day(3))["customer_profile"]["customer_id"].to_pylist()
    rows = open_online_store(service.folder, service.objects, [view])(view, [(customer,) for customer in customers])
    assert {row and row.as_of for row in rows} == {midnight(day(3)).timestamp() * 1000}


def test_a_day_that_was_not_materialized_is_not_pushed(service: Service) -> None:
    """An empty day is an error, not a silent success."""
    materialize(service, day(1), day(1))
    advice = "no rows of 2018-05-02; run 'headrace batch-views fraud --from 2018-05-02 --to 2018-05-03'"
    with pytest.raises(SettingError, match=advice):
        push_online(service, day(2))
