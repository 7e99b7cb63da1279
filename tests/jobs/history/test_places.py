"""Where events may lie: several files, folders that hold a column, an object store, a table of a database. All read alike."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from features.errors import SettingError
from features.plan import Source, WindowFeature
from features.sql.quoting import quoted
from features.times import ALWAYS, DAY_MS, EVENT_TIMES
from infra.cli import run
from jobs.history.files import connect
from jobs.history.places import located
from jobs.history.point_in_time import Windows, queries_of, windows_as_of
from jobs.history.tables import File, create_table
from jobs.ingest.event_files import Feed, read
from tests.support.files import NOW, source_of
from tests.support.num import num_project
from tests.support.postgres import PASSWORD, postgres

pytestmark = pytest.mark.slow

ORDERS = source_of("id long, at timestamp, account string, price decimal(18,2), paid boolean, weight double", "orders")
ROWS = [
    {"id": 1, "at": NOW + 2, "account": "a", "price": Decimal("12.34"), "paid": True, "weight": 1.5},
    {"id": 2, "at": NOW + 1, "account": "b", "price": None, "paid": False, "weight": 3.0},
    {"id": 3, "at": NOW + 3, "account": "a'; --", "price": Decimal("1234567890123456.78"), "paid": None, "weight": None},
]
TYPES = {"id": pa.int64(), "at": pa.int64(), "account": pa.string(), "price": pa.decimal128(18, 2), "paid": pa.bool_()}
SCHEMA = pa.schema({**TYPES, "weight": pa.float64()})
BY_TIME = [ROWS[1], ROWS[0], ROWS[2]]


def rows_at(place: str | Path, source: Source = ORDERS, key: str = "id") -> list[dict[str, Any]]:
    """What history reads at a place, in the order of the rows' arrival."""
    names = ", ".join(quoted(column.name) for column in source.columns)
    with connect() as connection:
        create_table(connection, source, [File(place)], {"id", key}, ALWAYS, EVENT_TIMES)
        return connection.sql(f"SELECT {names} FROM {source.name} ORDER BY _arrival").to_arrow_table().to_pylist()


def published(place: str | Path) -> list[dict[str, Any]]:
    """What is published of it."""
    found = [json.loads(value, parse_float=Decimal) for *_, value in read(Feed(place, "orders", ORDERS, "account"))]
    return [{**row, "weight": None if row["weight"] is None else float(row["weight"])} for row in found]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """A file with these rows, of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, SCHEMA)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps({**row, "price": None}, default=str) + "\n" for row in rows))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_the_files_of_a_glob_are_one(tmp_path: Path, suffix: str) -> None:
    """In the order of their names, in folders below too; a row that does not fit is named by the file that it is in."""
    write(tmp_path / f"2024/b.{suffix}", ROWS[2:])
    write(tmp_path / f"2024/a.{suffix}", ROWS[:2])
    found = rows_at(tmp_path / "**" / f"*.{suffix}")
    assert found == (ROWS if suffix != "jsonl" else [{**row, "price": None} for row in ROWS])
    write(tmp_path / f"2024/c.{suffix}", [ROWS[0], {**ROWS[0], "at": 17}])
    with pytest.raises(SettingError, match=rf"2024/c.{suffix}, rows of 'orders', row 2: column 'at' is a time within"):
        rows_at(tmp_path / "**" / f"*.{suffix}")


def test_files_of_a_glob_have_the_same_columns(tmp_path: Path) -> None:
    """A CSV says nothing of its columns' types: one of another order would be read as another's."""
    write(tmp_path / "a.csv", ROWS)
    (tmp_path / "b.csv").write_text("at,id,account,price,paid,weight\n")
    with pytest.raises(SettingError, match=r"b.csv, line 1: the files of a glob have the columns of its first, id,at,account"):
        rows_at(tmp_path / "*.csv")


def typed(path: Path, first: int, **columns: pa.Array) -> None:
    """A file of two orders, with these columns in place of what it would have."""
    own = {
        "id": pa.array([first, first + 1]),
        "at": pa.array([NOW + first, NOW + first + 1]),
        "account": ["a", "b"],
        "price": pa.array([Decimal("12.34"), None], pa.decimal128(18, 2)),
        "paid": [True, False],
        "weight": [1.5, None],
    }
    pq.write_table(pa.table({**own, **columns}), path)


@pytest.mark.parametrize(
    ("column", "values", "read_as"),
    [
        ("id", pa.array([3.0, 4.0]), [3, 4]),
        ("id", pa.array([3, 2**40], pa.uint64()), [3, 2**40]),
        ("at", pa.array([(NOW + 3) * 1000 + 999, (NOW + 4) * 1000], pa.timestamp("us", "UTC")), [NOW + 3, NOW + 4]),
        ("price", pa.array([Decimal("12.3400"), None], pa.decimal128(20, 4)), [Decimal("12.34"), None]),
        ("price", pa.array([12.34, None]), [Decimal("12.34"), None]),
        ("price", pa.nulls(2), [None, None]),
        ("paid", pa.nulls(2), [None, None]),
        ("weight", pa.array([0.1, 2**0.5]), [0.1, 2**0.5]),
        ("weight", pa.array([1, None]), [1.0, None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
@pytest.mark.parametrize("first", [False, True])
def test_each_file_of_a_glob_is_read_by_its_own_types(
    tmp_path: Path, column: str, values: pa.Array, read_as: list[Any], first: bool
) -> None:
    """As it would be alone, whichever file comes first: DuckDB would convert the later ones to the types of the first."""
    typed(tmp_path / ("a.parquet" if first else "b.parquet"), 3, **{column: values})
    typed(tmp_path / ("b.parquet" if first else "a.parquet"), 1)
    found = rows_at(tmp_path / "*.parquet")
    assert [row[column] for row in (found[:2] if first else found[2:])] == read_as
    assert found == [row for name in "ab" for row in rows_at(tmp_path / f"{name}.parquet")]
    assert published(tmp_path / "*.parquet") == [row for name in "ab" for row in published(tmp_path / f"{name}.parquet")]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("id", pa.array([3.7, 4.0]), "column 'id' is a whole number of 64 bits; a double holds them below 2.53; got 3.7"),
        ("id", pa.array(["3", "4"]), "column 'id' is int64, and the file has VARCHAR; got 3"),
        ("at", pa.array(["2024-05-01", "2024-05-02"]), "column 'at' is timestamp, and the file has VARCHAR; got 2024-05-01"),
        ("at", pa.array([17, 18], pa.int32()), "column 'at' is a time within .* got 17"),
        ("account", pa.array([7, 8]), "column 'account' is string, and the file has BIGINT; got 7"),
        ("price", pa.array([12.345, None]), "column 'price' is exact in decimal.18,2.; got 12.345"),
        ("paid", pa.array([2, 0]), "column 'paid' is bool, and the file has BIGINT; got 2"),
        ("paid", pa.array(["yes", "no"]), "column 'paid' is bool, and the file has VARCHAR; got yes"),
        ("weight", pa.array([float("nan"), 1.0], pa.float32()), "column 'weight' is finite .rule 5.; got nan"),
    ],
)
def test_a_later_file_of_a_glob_is_refused_as_it_would_be_alone(
    tmp_path: Path, column: str, values: pa.Array, message: str
) -> None:
    """3.7 was read as 4, 12.345 as 12.35, 'yes' as true."""
    typed(tmp_path / "a.parquet", 1)
    typed(tmp_path / "b.parquet", 3, **{column: values})
    for read_all in (partial(rows_at, key="account"), published):
        with pytest.raises(SettingError, match=rf"b.parquet, rows of 'orders', row 1: {message}"):
            read_all(tmp_path / "*.parquet")


def test_files_of_a_glob_have_names_of_any_kind(tmp_path: Path) -> None:
    """Also such that DuckDB writes otherwise than they were given."""
    for number, name in enumerate(("a[1].parquet", "b*c.parquet", "d?é.parquet", "e%20f.parquet", "g'h.parquet")):
        values = pa.array([number, number], pa.float64() if number % 2 else pa.int64())
        typed(tmp_path / name, 2 * number, weight=values)
    for glob in (tmp_path / "*.parquet", f"{tmp_path}/../{tmp_path.name}//*.parquet"):
        assert [row["weight"] for row in rows_at(glob)] == [n / 1 for n in range(5) for _ in range(2)]


def test_arrivals_are_of_each_files_own_type(tmp_path: Path) -> None:
    """1.5 is between 1 and 2, and was 2; a later file without them is told."""
    arriving = msgspec.structs.replace(ORDERS, arrival="seq")
    typed(tmp_path / "a.parquet", 1, seq=pa.array([1, 2]))
    typed(tmp_path / "b.parquet", 3, seq=pa.array([1.5, 2.5]))
    assert [row["id"] for row in rows_at(tmp_path / "*.parquet", arriving)] == [1, 3, 2, 4]
    typed(tmp_path / "b.parquet", 3)
    with pytest.raises(SettingError, match="rows arrive in the order of column 'seq'; got no such column; add it"):
        rows_at(tmp_path / "*.parquet", arriving)


def test_a_later_file_without_a_column_is_named(tmp_path: Path) -> None:
    """In our words, not with an option of DuckDB's that nobody can set."""
    typed(tmp_path / "a.parquet", 1)
    pq.write_table(pq.read_table(tmp_path / "a.parquet").drop_columns(["paid"]), tmp_path / "b.parquet")
    with pytest.raises(SettingError, match=r"b.parquet, rows of 'orders': source 'orders' has column 'paid' of type bool; got"):
        rows_at(tmp_path / "*.parquet")


def test_a_topic_that_nobody_reads_takes_files_of_one_type(tmp_path: Path) -> None:
    """Nothing says which of the types is meant."""
    typed(tmp_path / "a.parquet", 1)
    typed(tmp_path / "b.parquet", 3, weight=pa.array([1, 2]))
    with pytest.raises(SettingError, match=r"b.parquet, events: the files of a glob have the columns of its first, .*a.parquet"):
        list(read(Feed(tmp_path / "*.parquet", "orders")))
    typed(tmp_path / "b.parquet", 3)
    assert len(list(read(Feed(tmp_path / "*.parquet", "orders")))) == 4


@pytest.mark.parametrize("name", ["a[1].parquet", "what?.csv", "all *.jsonl", "a[1].csv"])
def test_a_file_of_the_exact_name_is_the_file(tmp_path: Path, name: str) -> None:
    """Not a glob: another that the name would match as one is left alone."""
    write(tmp_path / name, ROWS[:1])
    write(tmp_path / name.replace("[1]", "1").replace("?", "x").replace("*", "x"), ROWS[1:])
    assert [row["id"] for row in rows_at(tmp_path / name)] == [1]


def test_folders_hold_a_column(tmp_path: Path) -> None:
    """Hive's partitions; what stands in a folder's name is a text, and read as a field of a CSV."""
    for account, day, rows in (("12", 7, ROWS[:1]), ("b", 8, ROWS[1:2])):
        table = pa.Table.from_pylist(rows, SCHEMA).drop_columns(["account"])
        path = tmp_path / f"account={account}" / f"day={day}" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(table, path)
    source = source_of("id long, at timestamp, account string, day long", "orders")
    found = rows_at(tmp_path / "*" / "*" / "*.parquet", source)
    assert [(row["id"], row["account"], row["day"]) for row in found] == [(1, "12", 7), (2, "b", 8)]
    (tmp_path / "account=b" / "day=8").rename(tmp_path / "account=b" / "day=x")
    with pytest.raises(SettingError, match=r"day=x/part.parquet, .* row 1: column 'day' is a whole number .*; got x"):
        rows_at(tmp_path / "*" / "*" / "*.parquet", source)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_an_object_store_holds_files(tmp_path: Path, s3_url: str, suffix: str) -> None:
    """Through fsspec, by a name or a glob; what is missing is told."""
    from s3fs import S3FileSystem

    write(tmp_path / f"a.{suffix}", ROWS[:2])
    write(tmp_path / f"b.{suffix}", ROWS[2:])
    files = S3FileSystem(use_listings_cache=False)
    for name in ("a", "b"):
        files.put(str(tmp_path / f"{name}.{suffix}"), f"{s3_url}/day 1/{name}.{suffix}")
    expected = ROWS if suffix != "jsonl" else [{**row, "price": None} for row in ROWS]
    assert rows_at(f"{s3_url}/day 1/a.{suffix}") == expected[:2]
    assert rows_at(f"{s3_url}/*/*.{suffix}") == expected
    with pytest.raises(SettingError, match=rf"rows of 'orders': no file s3://.*/c.{suffix}; put it there"):
        rows_at(f"{s3_url}/c.{suffix}")


def test_a_store_that_nobody_knows_is_refused() -> None:
    """With the kinds of places that there are."""
    with pytest.raises(SettingError, match=r"events lie at a path, at a URL of an object store, .*; got nowhere://x.csv"):
        rows_at("nowhere://x.csv")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database of SQLite, with a space in its name."""
    path = tmp_path / "a shop.db"
    with sqlite3.connect(path) as database:
        database.execute('CREATE TABLE "the orders" (id INTEGER, at INTEGER, account TEXT, price, paid BOOLEAN, weight, more)')
        for row in ROWS:
            price = None if row["price"] is None else str(row["price"])
            values = (row["id"], row["at"], row["account"], price, row["paid"], row["weight"], b"x")
            database.execute('INSERT INTO "the orders" VALUES (?, ?, ?, ?, ?, ?, ?)', values)
    database.close()
    return path


def changed(path: Path, sql: str) -> None:
    """The database after a statement."""
    with sqlite3.connect(path) as database:
        database.execute(sql)
    database.close()


def test_a_table_of_sqlite_is_read_by_the_same_rules(shop: Path) -> None:
    """Its rows are in order of time; history and what is published have the same values."""
    place = f"sqlite:///{shop}#the%20orders"
    assert rows_at(place) == BY_TIME
    assert published(place) == BY_TIME
    changed(shop, "UPDATE \"the orders\" SET price = '12.345' WHERE id = 2")
    with pytest.raises(SettingError, match=r"row 1: column 'price' is exact in decimal\(18,2\), .*; got 12.345; fix that row"):
        rows_at(place)
    changed(shop, 'UPDATE "the orders" SET price = 7, account = NULL')
    with pytest.raises(SettingError, match="column 'account' is never null: keys, ids and times"):
        rows_at(place, key="account")
    changed(shop, "UPDATE \"the orders\" SET weight = 'much' WHERE id = 1")
    with pytest.raises(SettingError, match="values of one type, numbers or texts; got real and text in column 'weight'"):
        rows_at(place)


def test_the_type_of_a_column_is_that_of_all_its_rows(shop: Path) -> None:
    """Also where the first thousands are null, or whole numbers: SQLite's driver looks at these alone."""
    with sqlite3.connect(shop) as database:
        rows = [(number, NOW - number, "a", None, None, None if number < 4000 else 1) for number in range(10, 5000)]
        database.executemany('INSERT INTO "the orders" VALUES (?, ?, ?, ?, ?, ?, NULL)', rows)
    database.close()
    found = rows_at(f"sqlite:///{shop}#the%20orders")
    assert len(found) == len(ROWS) + len(rows)
    assert found[-3:] == BY_TIME


def test_a_definitions_path_is_relative_to_the_project(shop: Path) -> None:
    """Of a table as of a file; a URL is where it says."""
    place = located(shop.parent, f"sqlite:///{shop.name}#the%20orders")
    assert rows_at(place) == BY_TIME
    assert located(shop.parent, "data/x.parquet") == shop.parent / "data" / "x.parquet"
    assert located(shop.parent, "s3://bucket/x.parquet") == "s3://bucket/x.parquet"


def test_windows_of_queries_read_tables_too(shop: Path) -> None:
    """As `get_historical_features` has them: the history is where the definition says, as for all else."""
    source = msgspec.structs.replace(ORDERS, history=f"sqlite:///{shop.name}#the%20orders")
    windows = Windows(source, (("account", "account"),), (WindowFeature("spend__count", "count", "id", DAY_MS),))
    queries = queries_of(pa.array([NOW + 1, NOW + 2]), {"account": pa.array(["a", "a"])})
    with connect() as connection:
        found = windows_as_of(connection, shop.parent, [windows], queries)
    assert found["spend__count"].to_pylist() == [0, 1]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("sqlite:///none.db#orders", r"no database none.db, of sqlite:///none.db#orders; put it there"),
        ("sqlite:///{shop}", r"a table is named after '#'; got sqlite:.*; write sqlite:.*#orders"),
        ("sqlite:///{shop}#parcels", r"a shop.db#parcels cannot be read: .*no such table: parcels .*; fix the table"),
        ("sqlite://shop.db#x", r"an SQLite file has three slashes before its path; got sqlite://shop.db#x"),
        ("postgresql://me:hidden@127.0.0.1:1/x#y", r"a password is in the environment alone; got one in postgresql://me:…@127"),
        ("postgresql://me@h/x?password=hidden&a=b#y", r"a password is in the environment alone; got .*password=…&a=b#y; set PG"),
        (
            "postgresql://me:hidden/hidden@127.0.0.1:1/x#y",
            r"a password is in the environment alone; got .*://me:…@127.0.0.1:1/x#y;",
        ),
        ("postgresql://me:hidden@hidden@h/x#y", r"a password is in the environment alone; got one in postgresql://me:…@h/x#y;"),
        ("postgresql://me:hidden#hidden@h/x#y", r"a password is in the environment alone; got one in postgresql://me:…@h/x#y;"),
        ("postgresql://me@h/x?sslpassword=hidden#y", r"a password is in the environment alone; got .*sslpassword=…#y; set PG"),
        ("postgresql://me@127.0.0.1:1/x#y", r"postgresql://me@127.0.0.1:1/x#y cannot be read: .*refused"),
    ],
)
def test_a_table_that_is_not_there_is_told(shop: Path, place: str, message: str) -> None:
    """In one line that holds no password."""
    with pytest.raises(SettingError, match=message) as told:
        rows_at(place.replace("{shop}", str(shop)))
    assert "hidden" not in str(told.value)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL with the rows."""
    from adbc_driver_postgresql import dbapi

    with postgres() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA shop")
            columns = "id bigint, at timestamptz, account text, price numeric(18,2), paid boolean, weight float8, more json"
            cursor.execute(f"CREATE TABLE shop.orders ({columns})")
            for row in ROWS:
                cursor.execute(f"INSERT INTO shop.orders VALUES ({_values(row)}, '{{}}')")
            connection.commit()
        yield url


def _values(row: Mapping[str, Any]) -> str:
    account = str(row["account"]).replace("'", "''")
    others = ["NULL" if row[name] is None else str(row[name]) for name in ("price", "paid", "weight")]
    return f"{row['id']}, to_timestamp({row['at']} / 1000.0), '{account}', {', '.join(others)}"


def test_a_table_of_postgresql_is_read_by_the_same_rules(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numerics are exact; the password is in the environment, and in no error."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert rows_at(f"{server}#shop.orders") == BY_TIME
    with pytest.raises(SettingError, match=r"#shop.parcels cannot be read: .*\"shop.parcels\" does not exist"):
        rows_at(f"{server}#shop.parcels")
    other = source_of("id long, at timestamp, account string, price decimal(18,1)", "orders")
    with pytest.raises(SettingError, match=r"row 2: column 'price' is exact in decimal\(18,1\), .*; got 12.34; fix the 2 rows"):
        rows_at(f"{server}#shop.orders", other)
    monkeypatch.setenv("PGPASSWORD", "hidden")
    with pytest.raises(SettingError, match=r"cannot be read: .*authentication failed") as told:
        rows_at(f"{server}#shop.orders")
    assert "hidden" not in str(told.value)


def test_definitions_name_tables_too(tmp_path: Path) -> None:
    """As the path of a batch source: the features are those of the same rows in a file."""
    project, out = num_project(tmp_path / "a num"), tmp_path / "out.parquet"
    command = ["features", "num", "--label", "--out", str(out), "--project", str(project)]
    assert run(command) == 0
    expected = pq.read_table(out)
    with sqlite3.connect(project / "data" / "num.db") as database:
        for name in ("num", "outcomes"):
            table = pq.read_table(project / "data" / f"{name}.parquet")
            table = table.set_column(1, "at", table["at"].cast(pa.int64()))
            columns = ", ".join(map(quoted, table.column_names))
            database.execute(f"CREATE TABLE {name} ({columns})")
            rows = [[str(value) if isinstance(value, Decimal) else value for value in row.values()] for row in table.to_pylist()]
            database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(table.column_names))})", rows)
            (project / "data" / f"{name}.parquet").unlink()
    database.close()
    definitions = project / "definitions.py"
    definitions.write_text(definitions.read_text().replace('f"data/{name}.parquet"', 'f"sqlite:///data/num.db#{name}"'))
    assert run(command) == 0
    assert pq.read_table(out).equals(expected)
