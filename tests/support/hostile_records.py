"""Records that are hard to read: what producers with faults, other programs and malice write, all of it legal to Kafka."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

T = 1_714_550_400_000
DEFINITIONS = """
from datetime import timedelta

from feast import Aggregation, Entity, FeatureService, Field, FileSource, KafkaSource, RequestSource, StreamFeatureView
from feast.data_format import JsonFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, String

entity = Entity(name="k", join_keys=["k"])
num = KafkaSource(
    name="num",
    topic="num",
    kafka_bootstrap_servers="",
    timestamp_field="at",
    message_format=JsonFormat(
        schema_json="id string, at timestamp, k string, v decimal(18,2), c string, n long, d double, b boolean, since timestamp"
    ),
    batch_source=FileSource(name="num_history", path="num.parquet", timestamp_field="at"),
    tags={"event_id": "id"},
)
AGGREGATIONS = (
    ("count", "v"), ("sum", "v"), ("max", "v"), ("mean", "v"), ("sum", "n"), ("last_3", "n"), ("p50", "n"),
    ("count_distinct", "c"), ("sum", "d"), ("std_pop", "d"), ("last_2", "b"),
)
recent = StreamFeatureView(
    name="recent",
    entities=[entity],
    source=num,
    timestamp_field="at",
    aggregations=[
        Aggregation(column=column, function=function, time_window=timedelta(hours=1), name=f"{function}_{column}")
        for function, column in AGGREGATIONS
    ],
)


@on_demand_feature_view(
    sources=[RequestSource(name="event", schema=[Field(name="c", dtype=String)])],
    mode="python",
    schema=[Field(name="length", dtype=Float64)],
)
def text(inputs):
    for c in inputs["c"]:
        if c == "raise":
            raise ValueError("\\ud800" + "x" * 2_000_000 + "\\n")
    return {"length": [None if c is None else float(len(c)) for c in inputs["c"]]}


hostile = FeatureService(name="hostile", features=[recent, text], tags={"spine": "num"})
"""
VALUES = (
    *("null", "true", "[]", "{}", '""', "-0", "-0.0", "0e9", "1e5", "1E400", "-1e308", "1e308", "5e-324", "NaN", "-Infinity"),
    *("9223372036854775807", "-9223372036854775808", "9223372036854775808", "1" * 200, "0." + "3" * 200, "1e999999999"),
    *("1234567890123456.78", "12345678901234567.8", "0.005", "1.10", "007", "1.", "+1", "0x10", "'x'", "undefined"),
    *('"\\u0000"', '"\\ud800"', '"\\ud83c\\udf0a"', '"🌊"', '"\\u2028\\b\\f"', '"\t"', '"\\x"', '"raise"', '"' + "é" * 300 + '"'),
    *('"2024-05-01T08:00:00Z"', '"2024-05-01T08:00:00"', '"+999999999-12-31T23:59:59Z"', str(T), str(T // 1000), "1e18"),
    *('{"a": {"b": [1, {"c": null}]}}', "[" * 400 + "]" * 400, "[" * 2000 + "]" * 2000),
)
COLUMNS = ("id", "at", "k", "v", "c", "n", "d", "b", "since")


class Hostile(NamedTuple):
    """A record, and what must become of it: a reason of the dead letters, "vector", or None for either."""

    value: bytes | None
    becomes: str | None = None
    key: bytes | None = b"a"
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None


def event(number: int | str, **changes: Any) -> dict[str, Any]:
    """A good one; ``changes`` are laid over its columns."""
    columns = {"id": f"e{number}", "at": T, "k": "a", "v": 1.25, "c": "x", "n": 1, "d": 0.5, "b": True, "since": 0}
    return {**columns, **changes}


def encoded(number: int | str, **changes: Any) -> bytes:
    """The same as Kafka has it."""
    return json.dumps(event(number, **changes), ensure_ascii=False).encode()


def known() -> Iterator[Hostile]:
    """Records that have stopped a stream, or might."""
    big = (1 << 20) + 12 - 400  # of the record that Kafka takes by default, less what is around
    yield Hostile(encoded("x", c="x" * 1_048_300), "too_large")
    yield Hostile(encoded("emoji", c="🌊" * 90_000), "vector")
    yield Hostile(encoded("quotes", c='"' * 400_000), "vector")
    yield Hostile(encoded("controls", c="\0" * 170_000), "vector")  # each is six bytes, in as out
    yield Hostile(encoded("i" * 400_000), "vector")
    yield Hostile(encoded("i" * 600_000), "too_large")
    yield Hostile(encoded("key", k="k" * 400_000), "vector", key=b"k" * 600_000)
    yield Hostile(encoded("long key", k="k" * 600_000), "too_large")
    yield Hostile(encoded("ignored", new="x" * 1_000_000), "vector")
    yield Hostile(encoded("name", **{"n" * 60_000: 1}))
    yield Hostile(random.Random(1).randbytes(big), "not_json")
    yield Hostile(b"[" * big, "not_json")
    yield Hostile(b'{"new":' + b"[" * 100_000, "not_json")
    yield Hostile(b'{"v":' + b"9" * 1_000_000 + b"}")
    yield Hostile(b" " * big, "not_json")
    yield Hostile(b"x" * 7_000_000, "not_json")  # longer, in base64, than a dead letter may be
    yield Hostile(None, "empty")
    yield Hostile(b"", "empty", key=b"")
    yield Hostile(b"\xef\xbb\xbf" + encoded("bom"))
    yield Hostile(json.dumps(event("utf-16")).encode("utf-16"), "not_json")
    yield Hostile(json.dumps(event("latin-1", c="é"), ensure_ascii=False).encode("latin-1"), "not_json")
    yield Hostile(encoded("overlong").replace(b'"x"', b'"\xc0\x80"'), "not_json")
    yield Hostile(encoded("no number", new=float("nan")), "not_json")
    yield Hostile(encoded("half pair").replace(b'"x"', b'"\xed\xa0\x80"'), "wrong_type")
    yield Hostile(b"{}", "missing_time")
    yield Hostile(encoded("headers"), "vector", key=b"\xff\xfe", headers=(("", b""), ("h", b"h" * 500_000)))
    yield Hostile(encoded("old"), "vector", timestamp=0)
    yield Hostile(encoded("twice", v="x")[:-1] + b', "v": 2, "id": "twice"}', "vector")
    yield Hostile(encoded("most", k="sums", n=2**63 - 1), "vector")
    yield Hostile(encoded("most again", k="sums", n=2**63 - 1), "vector")
    yield Hostile(encoded("most once more", k="sums", n=2**63 - 1), "vector")
    yield Hostile(encoded("raises", c="raise"), "vector")
    yield Hostile(encoded("null", k=None), "missing_key")
    yield Hostile(encoded("huge", d=1e308, k="huge"), "vector")
    yield Hostile(encoded("huge again", d=1e308, k="huge"), "vector")


def by_chance(count: int, seed: int) -> Iterator[Hostile]:
    """Good events, some with a value or a few bytes that are not, and noise; each with an id of its own."""
    chance = random.Random(seed)
    for number in range(count):
        name = f"{seed}-{number}"
        kind = chance.random()
        if kind < 0.3:
            yield Hostile(encoded(name, k=f"{seed}{chance.choice('abcdef')}", v=chance.randrange(10**6) / 100))
        elif kind < 0.7:
            yield Hostile(_with_a_strange_value(chance, name), key=chance.choice((b"a", b"", None)))
        elif kind < 0.9:
            yield Hostile(_with_other_bytes(chance, encoded(name, k=f"{seed}{chance.choice('abcdef')}")))
        else:
            yield Hostile(chance.randbytes(chance.choice((1, 3, 40, 4000))))


def _with_a_strange_value(chance: random.Random, name: str) -> bytes:
    columns = {key: json.dumps(value) for key, value in event(name, k=chance.choice("abc")).items()}
    for column in chance.sample(COLUMNS[1:], chance.choice((1, 1, 2, 4))):
        columns[column] = chance.choice(VALUES)
    if chance.random() < 0.1:
        columns[chance.choice(("", "new", "ID", "_reason"))] = chance.choice(VALUES)
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in columns.items()) + "}").encode()


def _with_other_bytes(chance: random.Random, good: bytes) -> bytes:
    value = bytearray(good)
    begin = good.index(b'"at"')  # the id stays the event's own
    for _ in range(chance.choice((1, 2, 5))):
        value[chance.randrange(begin, len(value))] = chance.randrange(256)
    return bytes(value[: chance.choice((len(value), len(value), chance.randrange(1, len(value))))])
