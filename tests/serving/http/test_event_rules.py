"""Events of a request against the rules of the stream: what is taken, and what is said of the rest."""

from __future__ import annotations

import pytest

from features.definitions.load import load
from features.taken import taken
from features.times import EVENT_TIMES
from serving.http.event_rules import Event, EventRules, Refusal
from serving.http.problems import ProblemError
from tests.support.hostile_records import DEFINITIONS, T, encoded


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> EventRules:
    """Those of a source with a column of every kind."""
    folder = tmp_path_factory.mktemp("every kind")
    (folder / "definitions.py").write_text(DEFINITIONS)
    how = taken("num", [load(folder).service("hostile").plan])
    assert how is not None
    return EventRules("num", how, EVENT_TIMES, most=3)


def with_value(column: str, value: str) -> bytes:
    """An event whose column has this JSON."""
    return encoded("one", **{column: "HERE"}).replace(b'"HERE"', value.encode())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("v", "1234567890123456.78"),
        ("v", "-0"),
        ("v", "1.10000"),
        ("v", "0e999"),
        ("v", "null"),
        ("n", "3.0"),
        ("n", "3e0"),
        ("n", "-9223372036854775808"),
        ("since", '"2024-05-01T08:00:00.123456789+05:30"'),
        ("since", '"2024-05-01 08:00Z"'),
        ("since", '"2024-05-01t08:00:00-18"'),
        ("since", '"2024-05-01T08:00:00+17:59:59"'),
        ("c", '1, "c": "x"'),
        ("d", '1e400, "d": 1'),
        ("v", '"x", "v": null'),
        ("at", f'"yesterday", "at": {T}'),
        ("since", "3.0"),
        ("d", "-1e308"),
        ("c", '"\\u2028🌊"'),
        ("more", '{"a": [1]}'),
    ],
)
def test_what_the_stream_takes_is_taken_as_it_is(rules: EventRules, column: str, value: str) -> None:
    """The bytes go on as they came, under the entity's key."""
    raw = with_value(column, value)
    event = rules.one(raw)
    assert isinstance(event, Event), event
    assert (event.id, event.key, event.value) == ("eone", b"a", raw)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("v", "12345678901234567.8", "v is decimal(18,2); got 12345678901234567.8"),
        ("v", "0.005", "v is decimal(18,2); got 0.005"),
        ("v", "1e999999999", "v is decimal(18,2)"),
        ("v", '"1.25"', 'v is decimal(18,2); got "1.25"'),
        ("v", "true", "v is decimal(18,2); got true"),
        ("n", "9223372036854775808", "n is a whole number of 64 bits"),
        ("n", "3.0000000000000001", "n is a whole number of 64 bits"),
        ("n", "1e999999999", "n is a whole number of 64 bits"),
        ("n", "1" * 5000, "n is a whole number of 64 bits"),
        ("since", '"2024-05-01T08:00:00"', "ISO 8601 with its offset"),
        ("since", '"2024-02-30T08:00:00Z"', "ISO 8601 with its offset"),
        ("since", '"2024-05-01T08:00:00+0530"', "ISO 8601 with its offset"),
        ("since", '"2024-05-01T08:00:00+18:01"', "ISO 8601 with its offset"),
        ("n", f"1.{'0' * 999}", "n is a whole number of 64 bits"),
        ("c", '"x", "c": 7', "$.c"),
        ("d", "1e400", "an event is one JSON object"),
        ("d", '"1"', "$.d"),
        ("c", "7", "$.c"),
        ("c", '"\\ud800"', "an event is one JSON object"),
        ("b", "1", "$.b"),
        ("k", "null", "k is missing"),
        ("id", "null", "send one of your own"),
        ("at", "null", "at is missing"),
        ("at", str(T // 1000), "looks like seconds"),
    ],
)
def test_what_the_stream_refuses_is_refused(rules: EventRules, column: str, value: str, said: str) -> None:
    """With the column and the rule; the id is known where it can be read."""
    refusal = rules.one(with_value(column, value))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, said in refusal.detail) == (400, True), refusal.detail
    if column != "id" and "\\ud800" not in value and "e400" not in value:
        assert refusal.id == "eone"


@pytest.mark.parametrize("more", [b'"\xab": 1', b'"more": "\xe3"', b'"%b": 1' % (b"n" * 60_000)])
def test_what_is_passed_over_has_to_be_text(rules: EventRules, more: bytes) -> None:
    """The stream reads all of an event: bytes that are no UTF-8, or a name that it cannot hold, make a dead letter there."""
    refusal = rules.one(encoded("one")[:-1] + b", " + more + b"}")
    assert isinstance(refusal, Refusal)
    assert "an event is one JSON object" in refusal.detail


def test_one_event_written_in_two_ways_has_one_content(rules: EventRules) -> None:
    """Order, spaces, zeros at the end and unknown fields do not count; a value does."""
    one, other = rules.one(encoded("x", v=1.25)), rules.one(b'{ "new": 1, ' + encoded("x", v=1.25).replace(b"1.25", b"1.250")[1:])
    third = rules.one(encoded("x", v=1.26))
    assert isinstance(one, Event)
    assert isinstance(other, Event)
    assert isinstance(third, Event)
    assert one.content == other.content != third.content


@pytest.mark.parametrize("column", ["v", "n", "d", "since"])
def test_other_values_have_another_content(rules: EventRules, column: str) -> None:
    """Numbers too whose hashes are one in Python."""
    contents = set()
    for value in ("-1", "-2", "0", "1") if column != "n" else ("-1", "-2", "0", str(2**61 - 1)):
        event = rules.one(with_value(column, value))
        assert isinstance(event, Event)
        contents.add(event.content)
    assert len(contents) == 4


def test_many_are_taken_one_by_one(rules: EventRules) -> None:
    """Of an array and of lines; more than may be in a request are refused together."""
    good, bad = encoded("one"), b'{"id": "two"}'
    for body, lines in ((b"[%b,%b]" % (good, bad), False), (b"%b\n\n%b\r\n" % (good, bad), True)):
        first, second = rules.many(body, lines=lines)
        assert isinstance(first, Event)
        assert second == Refusal(400, "two", "at is missing; an event to 'num' has at, id, k")
    with pytest.raises(ProblemError, match="at most 3 rows"):
        rules.many(b"[1,2,3,4]", lines=False)
    with pytest.raises(ProblemError, match="an array of them"):
        rules.many(b"[1,2", lines=False)
