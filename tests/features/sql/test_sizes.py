"""What a feature vector takes: an event whose texts have no more than the room that is kept for them fits its topic."""

from __future__ import annotations

import pytest

from features.errors import SettingError
from features.job import job_plan
from features.plan import Column, ColumnType, Plan, Source, Stage, WindowFeature
from features.sql.flink.sizes import room_for_texts, texts_in_vectors
from schemas import FeatureVector, Origin, topics
from schemas.codec import encode
from tests.support.options import options

TOPIC = "t" * 249
LEAST = -(2**63)
COLUMNS = (
    Column("id", ColumnType("string")),
    Column("at", ColumnType("timestamp")),
    Column("key", ColumnType("string")),
    Column("größe", ColumnType("int64")),
    Column("price", ColumnType("decimal", 18, 9)),
    Column("ratio", ColumnType("float64")),
    Column("web", ColumnType("bool")),
    Column("note", ColumnType("string")),
)
WIDEST = {"int64": LEAST, "decimal": -999999999.999999999, "float64": -2.2250738585072014e-308, "bool": False}


def plan_of(*features: WindowFeature, key: tuple[str, ...] = ("key",)) -> Plan:
    """Windows over the one source by a key, or none."""
    windows = (Stage("s", key, features),) if features else ()
    return Plan("risk", "s", (Source("s", TOPIC, COLUMNS, "at", "id", "h", 0),), windows, (), (), (), "arrival", 0)


def features_of(functions: tuple[str, ...]) -> tuple[WindowFeature, ...]:
    """Each function of each column that is a number."""
    names = ("größe", "price", "ratio")
    return tuple(WindowFeature(f"view__{function}_{name}", function, name, 1000) for function in functions for name in names)


@pytest.mark.parametrize("functions", [(), ("sum",), ("last", "sum", "mean", "last_100")])
def test_the_widest_vector_fits(functions: tuple[str, ...]) -> None:
    """Every number at its widest, and texts that fill the room: id, key and note, id and key as often as they are there."""
    plan = plan_of(*features_of(functions))
    room = room_for_texts(job_plan([plan]), options())
    counts = texts_in_vectors(job_plan([plan]))
    text = "x" * (room // len(counts))
    event = {column.name: WIDEST.get(column.type.kind, text) for column in COLUMNS} | {"at": LEAST}
    kinds = {f.name: "-" + "9" * 38 if f.function == "sum" else LEAST for f in plan.window_features}
    lists = {f.name: [WIDEST["float64"]] * 100 for f in plan.window_features if f.function == "last_100"}
    origin = Origin(TOPIC, -(2**31), LEAST)
    vector = FeatureVector(text, LEAST, "0" * 12, origin, LEAST, False, event, {**kinds, **lists})
    key = text  # the windows' key, or the event id
    assert room > topics.KAFKA_BYTES * 9 // 10
    assert len(encode(vector)) + len(key) <= topics.room(topics.KAFKA_BYTES)


def test_a_text_counts_as_often_as_it_is_written() -> None:
    """In the event, as the event id, and in the key; in the vector of that service which has it most often."""
    by_key = plan_of(*features_of(("sum",)), key=("key",))
    assert texts_in_vectors(job_plan([by_key])) == ["id", "id", "key", "key", "note"]
    assert texts_in_vectors(job_plan([plan_of()])) == ["id", "id", "id", "key", "note"]


def test_the_topic_with_least_room_counts() -> None:
    """What a topic takes is Kafka's word; one that takes no vector at all is refused at the start."""
    plan = plan_of()
    job, usual = job_plan([plan]), room_for_texts(job_plan([plan]), options())
    assert 0 < room_for_texts(job, options(longest={plan.features_topic: 50_000})) < 50_000 < usual
    assert room_for_texts(job, options(longest={plan.features_topic: 2**31 - 1})) < topics.LONGEST_BYTES
    with pytest.raises(SettingError, match=r"max\.message\.bytes=1000"):
        room_for_texts(job, options(longest={plan.features_topic: 1000}))
