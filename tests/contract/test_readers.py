"""Whoever reads an event as JSON: the stream's decoder in Java, files of JSON Lines, and the HTTP service."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.definitions.load import load
from features.plan import Plan, Source
from features.sql.quoting import quoted
from features.taken import taken
from features.times import ALWAYS, EVENT_TIMES
from jobs.history.files import connect, rows_of_source
from serving.http.event_rules import Event, EventRules
from tests.contract.harness import decoded
from tests.support.hostile_records import COLUMNS, DEFINITIONS, VALUES, by_chance, event

TIMES = (
    *("2024-05-01T08:00:00.Z", "2024-05-01T08:00:00.123456789Z", "2024-05-01T08:00:00.1234567890Z", "2024-05-01T24:00:00Z"),
    *("2024-05-01T08:00:60Z", "2024-05-01T08:00:00+18:00:00", "2024-05-01T08:00:00+18:01", "2024-05-01T08:00:00-18"),
    *("2024-05-01T08:00:00+02", "2024-05-01T08:00:00+0200", "2024-05-01t08:00:00z", "2023-02-29T08:00:00Z", "2024-05-01 08:00Z"),
    *(
        "9999-12-31T23:59:59.999Z",
        "+2024-05-01T08:00:00Z",
        "-0001-05-01T08:00:00Z",
        "2024-05-01T8:00:00Z",
        "2024-05-01T08:00:00,5Z",
    ),
    *("1969-12-31T23:59:59.9999Z", "1900-01-01T00:00:00.0001+05:30:15", "2024-05-01T08:00:00+00:60", " 2024-05-01T08:00:00Z"),
)
NUMBERS = (
    *("1e-400", "2.4703282292062327e-324", "2.4703282292062328e-324", "1.7976931348623159e308", "9007199254740993", "1e23"),
    *("1.00000000000000011102230246251565404236316680908203126", "100e-2", "9999999999999999.990", "9999999999999999.991"),
    *("9.223372036854775807e18", "9.223372036854775808e18", "-9223372036854775809", "0.001e1", "00", "1e", "--1", "1_0"),
    *(f"1.{'0' * 998}", f"1.{'0' * 999}", f"0.{'0' * 500}1", "1 ", "Infinity", "+Infinity", "tru", "nulll"),
)
TEXTS = (
    *('"\\udc00"', '"\\ud83cx"', '"\\\\ud83c"', '"\\/"', '"\x7f"', '"\\U0041"', '"\\u004"', '"unterminated', '" null "'),
    *('["\\ud800"]', '{"a": NaN}', "[NaN]", "[1,]", '{"a": 1,}', '{"a" 1}', "[1 2]", '{"\\ud800": 1}', "9" * 1500, "1e999"),
)
BYTES = ("c080", "c1bf", "e08080", "f0808080", "eda080", "eda0bdedb880", "f4908080", "f5808080", "ff", "80", "c3", "efbfbe")
GOOD = {name: json.dumps(value) for name, value in event("one").items()}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Over a source with a column of every kind."""
    folder = tmp_path_factory.mktemp("every kind")
    (folder / "definitions.py").write_text(DEFINITIONS)
    return load(folder).service("hostile").plan


@pytest.mark.slow
def test_all_readers_read_alike(plan: Plan, tmp_path: Path) -> None:
    """What the stream takes, a file takes with the same values; what HTTP takes, the stream takes."""
    events = list(dict.fromkeys(line for line in made_up() if b"\n" not in line and not line.isspace()))
    on_the_stream = decoded(events)
    in_a_file = read_from_a_file(plan.spine_source, events, tmp_path)
    differing = [
        (line[:300], java, found)
        for line, java, found in zip(events, on_the_stream, in_a_file, strict=True)
        if (None if isinstance(java, str) else java) != found
    ]
    assert differing == []
    how = taken("num", [plan])
    assert how is not None
    rules = EventRules("num", how, EVENT_TIMES, most=1)
    over_http = [
        line for line, java in zip(events, on_the_stream, strict=True) if isinstance(java, str) and is_taken(rules, line)
    ]
    assert over_http == []
    assert sum(not isinstance(java, str) for java in on_the_stream) > 500
    assert {"not_json", "wrong_type", "not_finite", "missing_key", "missing_time", "time_out_of_bounds"} <= {
        java for java in on_the_stream if isinstance(java, str)
    }


def made_up() -> Iterator[bytes]:
    """Events with one strange value, in a column, a field that is none or one that is repeated; and what comes by chance."""
    shallow = [value for value in VALUES if not value.startswith("[[")]  # how deep is too deep, each reader says for itself
    strange = [*shallow, *NUMBERS, *TEXTS, *(f'"{text}"' for text in TIMES)]
    for name in (*COLUMNS, "new"):
        for value in strange:
            yield written({**GOOD, name: value})
        for text in BYTES:
            yield written({**GOOD, name: '"HERE"'}).replace(b"HERE", bytes.fromhex(text))
        for first in ('"x"', "1", "1.555", "[1, {}]", "NaN", "1e400", '"\\ud800"', "null"):
            for last in (GOOD.get(name, "1"), "null", "[]"):
                yield written({name: first})[:-1] + b", " + written({**GOOD, name: last})[1:]
    for around in ("[%s]", "%s%s", "%s,", "%sx", " \t%s\r", "\x0c%s", "%s\0", "/**/%s"):
        yield around.replace("%s", written(GOOD).decode()).encode()
    for seed in range(3):
        yield from (record.value for record in by_chance(400, seed) if record.value)


def written(fields: dict[str, str]) -> bytes:
    """An event of these names and texts."""
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


def read_from_a_file(source: Source, events: list[bytes], folder: Path) -> list[list[Any] | None]:
    """The columns of each event as `decoded` has them; None where a file is refused for it."""
    file = folder / "events.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in events))
    with connect() as connection:
        possible = EVENT_TIMES.span(int(time.time() * 1000))
        rows = rows_of_source(connection, source, file, {"id", "k"}, ALWAYS, possible)
        names = [column.name for column in source.columns]
        values = ", ".join(f"{quoted(name)}, {rows.value(name)}" for name in names)
        found = connection.execute(f"SELECT _fault, {values} FROM {rows.table} ORDER BY _line").fetchall()
    return [
        None if row[0] else columns_of(dict(zip(names, zip(row[1::2], row[2::2], strict=True), strict=True))) for row in found
    ]


def columns_of(read: dict[str, tuple[Any, Any]]) -> list[Any] | None:
    """``read`` is what stands in the file and what it is read as, by column."""
    if any(value is None and (stands is not None or name in {"id", "k", "at"}) for name, (stands, value) in read.items()):
        return None
    values = {name: value for name, (_, value) in read.items()}
    bits = None if values["d"] is None else struct.unpack(">q", struct.pack(">d", values["d"]))[0]
    return list((values | {"d": bits, "v": None if values["v"] is None else str(values["v"])}).values())


def is_taken(rules: EventRules, line: bytes) -> bool:
    """Whether HTTP would publish it."""
    return isinstance(rules.one(line), Event)
