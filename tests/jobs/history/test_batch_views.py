"""Batch views: a day's rows from the history before it, joined by time and pushed in order."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.definitions.load import load
from features.errors import DefinitionError, SettingError
from features.feast.online import clear_online, open_online_store
from features.service import Service
from jobs.history.batch_views import compute_days, materialize, push_online
from jobs.history.compute import compute

pytestmark = pytest.mark.core

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
    assert pq.read_table(path).num_rows == first.num_rows + written["customer_profile"]


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
    """The missing file is named, with what to do."""
    with pytest.raises(
        SettingError, match=r"batch view 'customer_profile' .* no file .*customer_profile.parquet; materialize it"
    ):
        compute(service)


def test_sql_that_fails_is_the_definitions_fault(service: Service) -> None:
    """DuckDB's words come on one line, with the view's name."""
    with pytest.raises(DefinitionError, match=r"batch view 'customer_profile': .* DuckDB says: .*nowhere"):
        compute_days(with_sql(service, "SELECT * FROM nowhere"), day(1), day(1))


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
    with pytest.raises(SettingError, match="no rows of 2018-05-02; materialize that day"):
        push_online(service, day(2))
