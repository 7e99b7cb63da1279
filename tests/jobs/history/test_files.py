"""One reading of a file: the table of docs/files.md, on history and on what is published, and how a file is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SettingError
from features.plan import Source
from features.sql.quoting import quoted
from features.times import ALWAYS, DAY_MS, EventTimes, Span
from jobs.history.files import connect
from jobs.history.tables import File, create_table
from jobs.ingest.event_files import Feed, checked, read
from tests.support.files import NOW, SUFFIX, Cell, cells, source_of

pytestmark = pytest.mark.slow

NUM = source_of("id long, at timestamp, k string, v decimal(18,2), c string, n long, d double", "num")
ROW = {"id": "1", "at": str(NOW), "k": '"a"', "v": "1.5", "c": '"c"', "n": "1", "d": "1.5"}


@cache
def one_duckdb() -> duckdb.DuckDBPyConnection:
    """One for all tests: it takes longer to make than a file to read."""
    return connect()


def history(source: Source, path: Path, span: Span = ALWAYS, times: EventTimes | None = None) -> list[dict[str, Any]]:
    """What history reads of a file."""
    connection = one_duckdb()
    connection.execute(f"DROP TABLE IF EXISTS {source.name}; DROP TABLE IF EXISTS _part_0")
    names = [column.name for column in source.columns]
    create_table(connection, source, [File(path)], {"id", "k"} & {*names}, span, times or EventTimes())
    rows = f"SELECT {', '.join(map(quoted, names))} FROM {source.name} ORDER BY _arrival"
    return connection.sql(rows).to_arrow_table().to_pylist()


def published(source: Source, path: Path, span: Span = ALWAYS) -> list[dict[str, Any]]:
    """What is published of it, as JSON texts; the check comes first, as for the command."""
    feed = Feed(path, "topic", source, None, frozenset({"id", "k"} & {column.name for column in source.columns}))
    checked(feed, span)
    return [dict(json.loads(value, parse_float=str, parse_int=str)) for *_, value in read(feed, span)]


def lines(folder: Path, *rows: dict[str, str], suffix: str = "jsonl") -> Path:
    """A file with these rows; what they leave out is as in `ROW`."""
    path = folder / f"num.{suffix}"
    full = [{**ROW, **row} for row in rows]
    if suffix == "csv":
        unquoted = [[value.strip('"') if len(value) > 2 else value for value in row.values()] for row in full]
        path.write_text("".join(f"{','.join(row)}\n" for row in [list(ROW), *unquoted]))
    else:
        path.write_text("".join("{" + ", ".join(f'"{name}": {value}' for name, value in row.items()) + "}\n" for row in full))
    return path


GOOD: dict[tuple[str, str], list[Cell]] = {}
for cell in cells():
    if cell.value is not None:
        GOOD.setdefault((cell.type, cell.file), []).append(cell)


@pytest.mark.parametrize("good", GOOD.values(), ids=[" of ".join(key) for key in GOOD])
def test_the_table_says_what_is_read(good: Sequence[Cell], tmp_path: Path) -> None:
    """Every cell of docs/files.md, in history and as it is published."""
    for cell in good:
        path = cell.write(tmp_path)
        expected = json.loads(cell.value or "", parse_float=str)
        (row,), (event,) = history(cell.source, path), published(cell.source, path)
        value = row[cell.column]
        assert (str(value) if isinstance(expected, str) else value) == expected, cell
        if cell.file != "JSON Lines":  # which go out as they stand
            wanted = str(expected) if type(expected) is int else expected
            assert event[cell.column] == wanted, cell


@pytest.mark.parametrize("cell", [cell for cell in cells() if cell.value is None], ids=str)
def test_the_table_says_what_is_refused(cell: Cell, tmp_path: Path) -> None:
    """With the file, the row and the column, by history and before anything is published."""
    path = cell.write(tmp_path)
    for reader in (history, published):
        with pytest.raises(SettingError, match=rf"cells-0\.\w+, rows of 'cells', row 1: column '{cell.column}' .*; got "):
            reader(cell.source, path)


def test_the_table_is_whole() -> None:
    """Each type has a row for each kind of file."""
    kinds = {(cell.type, cell.file) for cell in cells()}
    types = {"long", "decimal(18,2)", "double", "string", "boolean", "timestamp"}
    assert kinds == {(kind, file) for kind in types for file in ("Parquet", "CSV", "JSON Lines")}


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    """Times in nanoseconds with a zone, whole numbers beside nulls as doubles, and columns of nulls, in all it writes."""
    at = pd.to_datetime([NOW + 1, NOW + 2], unit="ms", utc=True)
    frame = pd.DataFrame(
        {"id": [1, 2], "at": at, "k": ["a", "b"], "v": [12.34, None], "c": [None, None], "n": [3, None], "d": None}
    )
    frame.to_parquet(tmp_path / "num.parquet", index=False)
    frame.to_csv(tmp_path / "num.csv", index=False)
    frame.to_json(tmp_path / "num.jsonl", orient="records", lines=True)
    expected = [
        {"id": 1, "at": NOW + 1, "k": "a", "v": Decimal("12.34"), "c": None, "n": 3, "d": None},
        {"id": 2, "at": NOW + 2, "k": "b", "v": None, "c": None, "n": None, "d": None},
    ]
    for suffix in SUFFIX.values():
        assert history(NUM, tmp_path / f"num.{suffix}") == expected


@pytest.mark.parametrize(("kind", "least"), [(pa.float32(), 24), (pa.float64(), 53)])
def test_whole_numbers_in_floats_are_read_as_far_as_these_count(tmp_path: Path, kind: pa.DataType, least: int) -> None:
    """Up to there each is told from the next; the error says how far that is."""
    path = tmp_path / "num.parquet"
    for number, good in ((2**least - 1, True), (2**least, False)):
        pq.write_table(pa.table({"id": [1], "at": [NOW], "k": ["a"], "n": pa.array([number], kind)}), path)
        source = source_of("id long, at timestamp, k string, n long", "num")
        if good:
            assert history(source, path)[0]["n"] == number
        else:
            with pytest.raises(SettingError, match=rf"column 'n' is a whole number .* holds them below 2\^{least}; got"):
                history(source, path)


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.timestamp("ns", "UTC")])
@pytest.mark.parametrize("number", [2**63 - 1, -(2**63) + 1])
def test_a_time_without_end_is_refused(tmp_path: Path, kind: pa.DataType, number: int) -> None:
    """It would be null, though a value stands there; of a topic that no service reads, too."""
    path = tmp_path / "num.parquet"
    pq.write_table(pa.table({"id": [1], "at": [NOW], "k": ["a"], "since": pa.array([number], kind)}), path)
    source = source_of("id long, at timestamp, k string, since timestamp", "num")
    for reader in (history, published):
        with pytest.raises(SettingError, match=r"row 1: column 'since' is a time, and none without end; got .*infinity"):
            reader(source, path)
    with pytest.raises(SettingError, match="column 'since' is a time, and none without end"):
        list(read(Feed(path, "topic")))


def test_what_duckdb_says_of_a_line_is_cut(tmp_path: Path) -> None:
    """It shows the line, however long that is."""
    path = tmp_path / "num.csv"
    path.write_text(f"{','.join(ROW)}\n1,{'x' * 3_000_000}\n")
    with pytest.raises(SettingError, match="cannot be read") as told:
        history(NUM, path)
    assert len(str(told.value)) < 1500


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    """Whatever types its columns have."""
    pd.DataFrame(columns=[*ROW]).to_parquet(tmp_path / "num.parquet")
    (tmp_path / "num.csv").write_text(",".join(ROW) + "\n")
    (tmp_path / "num.jsonl").touch()
    for suffix in SUFFIX.values():
        path = tmp_path / f"num.{suffix}"
        assert history(NUM, path) == published(NUM, path) == []


def test_a_field_that_is_absent_is_null(tmp_path: Path) -> None:
    """In JSON Lines, as on the stream; fields that the source does not have are passed over."""
    path = tmp_path / "num.jsonl"
    path.write_text(f'{{"id": 1, "more": [1], "at": {NOW}, "k": "a"}}\n')
    assert history(NUM, path) == [{"id": 1, "at": NOW, "k": "a", "v": None, "c": None, "n": None, "d": None}]


@pytest.mark.parametrize("first", ['"x"', "1", "[1]", "true", "null", "1.2345"])
def test_the_last_value_of_a_repeated_field_counts(tmp_path: Path, first: str) -> None:
    """Whatever the others are, as on the stream."""
    names = ("v", "c", "n", "d")
    event = "{" + ", ".join(f'"{name}": {value}' for name, value in [*((name, first) for name in names), *ROW.items()]) + "}"
    path = tmp_path / "num.jsonl"
    path.write_text(event)
    assert history(NUM, path) == [{"id": 1, "at": NOW, "k": "a", "v": Decimal("1.50"), "c": "c", "n": 1, "d": 1.5}]
    path.write_text(event[:-1] + ', "c": 2}')
    with pytest.raises(SettingError, match="row 1: column 'c' is string; got 2"):
        history(NUM, path)


@pytest.mark.parametrize("column", ["v", "n"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_number_has_a_thousand_characters_at_most(tmp_path: Path, suffix: str, column: str) -> None:
    """The stream reads no longer one, though only zeros make it so long."""
    longest = f"1.{'0' * 998}"
    assert history(NUM, lines(tmp_path, {column: longest}, suffix=suffix))[0][column] == 1
    with pytest.raises(SettingError, match=f"column '{column}' is .*; got 1.000"):
        history(NUM, lines(tmp_path, {column: f"{longest}0"}, suffix=suffix))


@pytest.mark.parametrize(
    ("suffix", "text"),
    [("csv", f"1,{NOW},,1,c,1,1"), ("jsonl", f'{{"id":1,"at":{NOW},"k":null}}'), ("jsonl", f'{{"id":1,"at":{NOW}}}')],
)
def test_a_key_is_never_null(tmp_path: Path, suffix: str, text: str) -> None:
    """An empty field is not the entity of the empty name."""
    path = tmp_path / f"num.{suffix}"
    path.write_text(f"{','.join(ROW)}\n{text}\n" if suffix == "csv" else f"{text}\n")
    for reader in (history, published):
        with pytest.raises(SettingError, match=r"row 1: column 'k' is never null: keys, ids and times .rule 8.; got null"):
            reader(NUM, path)


@pytest.mark.parametrize(("factor", "unit"), [(1, "seconds"), (10**6, "microseconds"), (10**9, "nanoseconds")])
@pytest.mark.parametrize("span", [ALWAYS, Span(NOW, NOW + 1)], ids=["all", "a span"])
def test_a_time_in_another_unit_is_refused_and_named(tmp_path: Path, factor: int, unit: str, span: Span) -> None:
    """Also where the span that is wanted would leave such a row out."""
    when = NOW // 1000 * factor
    pq.write_table(pa.table({"id": [0, 1], "at": [NOW, when], "x": [1, 1]}), tmp_path / "num.parquet")
    source = source_of("id long, at timestamp, x long", "num")
    for path in (
        tmp_path / "num.parquet",
        lines(tmp_path, {}, {"at": str(when)}),
        lines(tmp_path, {}, {"at": str(when)}, suffix="csv"),
    ):
        for reader in (history, published):
            with pytest.raises(
                SettingError, match=f"row 2: column 'at' is a time within .*; got {when}, which looks like {unit}"
            ):
                reader(source if path.suffix == ".parquet" else NUM, path, span)


def test_how_old_and_how_far_ahead_an_event_may_be_is_a_setting(tmp_path: Path) -> None:
    """The stream's own two settings."""
    path = lines(tmp_path, {"at": str(NOW // 1000)})
    assert history(NUM, path, times=EventTimes(max_age_days=30_000))[0]["at"] == NOW // 1000
    tomorrow = int(time.time() * 1000) + DAY_MS
    path = lines(tmp_path, {"at": str(tomorrow)})
    with pytest.raises(SettingError, match=r"column 'at' is a time within .*, which is \d+ ms ahead of the clock"):
        history(NUM, path)
    assert history(NUM, path, times=EventTimes(max_ahead_ms=2 * DAY_MS))[0]["at"] == tomorrow


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("num.csv", b"id,at,k,v,c,n,d\n1,1714550400000,a,1,\xe9,1,1\n", "num.csv cannot be read: .*not utf-8"),
        ("num.csv", b"id,at,k,v,c,n,d\n1,1714550400000\n", "CSV Error on Line: 2.* Expected Number of Columns: 7 Found: 2"),
        ("num.csv", b"id;at;k;v;c;n;d\n", "no such column, but id;at;k"),
        ("num.csv", b"", "the first line of a CSV names each column, once; got an empty file"),
        ("num.csv", bytes(range(128, 256)), "num.csv cannot be read: a CSV is text in UTF-8"),
        ("num.jsonl", b'\n{"id": 1, "k": "\xe9"}', "row 2: a line is one JSON object in UTF-8; got 'utf-8' codec"),
        ("num.jsonl", b"noise", "row 1: a line is one JSON object in UTF-8"),
        ("num.jsonl", b"[1]", r"row 1: a line is one JSON object in UTF-8; got \[1\]"),
        ("num.jsonl", b'{"id": 1}{"id": 2}', "row 1: a line is one JSON object in UTF-8"),
        ("num.jsonl", b'{"k": "\\ud83c"}', "row 1: a line is one JSON object in UTF-8"),
        ("num.jsonl", b"[" * 100_000, "row 1: a line is one JSON object in UTF-8"),
        ("num.parquet", b"PAR1", "num.parquet cannot be read"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """Bytes of another encoding, of another kind, of none."""
    (tmp_path / name).write_bytes(content)
    for reader in (history, published):
        with pytest.raises(SettingError, match=message):
            reader(NUM, tmp_path / name)


def test_one_bad_row_of_many_is_found(tmp_path: Path) -> None:
    """The last of 60,001 is named, and how many there are is said."""
    path = lines(tmp_path, *({"id": str(number)} for number in range(60_000)), {"v": "12.345"})
    for reader in (history, published):
        with pytest.raises(
            SettingError, match=r"row 60001: column 'v' is exact in decimal\(18,2\), .*; got 12.345; fix that row"
        ):
            reader(NUM, path)
    several = lines(tmp_path, {"v": "1e-3"}, {"v": "12.345"})
    with pytest.raises(SettingError, match=r"row 1: .* got 1e-3; fix the 2 rows that are so"):
        history(NUM, several)


def test_a_row_of_one_of_several_files_is_named(tmp_path: Path) -> None:
    """By the file in which it is."""
    for number, value in enumerate([1.5, 12.345]):
        rows = {"id": [number], "at": [NOW], "k": ["a"], "v": [value], "c": ["c"], "n": [1], "d": [1.5]}
        pq.write_table(pa.table(rows), tmp_path / f"part-{number}.parquet")
    with pytest.raises(SettingError, match=r"part-1.parquet, rows of 'num', row 1: column 'v'"):
        history(NUM, tmp_path / "part-*.parquet")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_arrivals_in_text_are_numbers(tmp_path: Path, suffix: str) -> None:
    """Rule 3: the tenth comes after the ninth, not after the first; the column need not be one of the source."""
    path = tmp_path / f"num.{suffix}"
    rows = [f"{number},{NOW},a,1,c,1,1,{seen}" for number, seen in ((1, 10), (2, 9))]
    path.write_text(
        "\n".join([",".join([*ROW, "seen"]), *rows])
        if suffix == "csv"
        else "\n".join(f'{{"id": {number}, "at": {NOW}, "k": "a", "seen": {seen}}}' for number, seen in ((1, 10), (2, 9)))
    )
    source = msgspec.structs.replace(NUM, arrival="seen")
    assert [row["id"] for row in history(source, path)] == [2, 1]
