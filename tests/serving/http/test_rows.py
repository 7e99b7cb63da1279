"""The rows of a request, of a model whose receipts carry columns of the event that it does not take."""

from __future__ import annotations

import msgspec
import pytest

from features.definitions.load import load
from features.times import EventTimes
from serving.http.problems import ProblemError
from serving.http.rows import Rows
from serving.predict.vector import Vectors, needed_by
from tests.test_layers import ROOT

NOW = 1_714_550_400_000


def test_a_column_that_receipts_alone_carry_may_be_left_out() -> None:
    """Then it is null, one that is a key too; what the model takes has to be there, and a wrong type is one."""
    plan = load(ROOT / "examples" / "fraud").service("handbook").plan
    needed = needed_by(plan, ("transaction_amount__amount",), ("terminal_id", "customer_id"))
    vectors = Vectors(plan, [needed], {})
    rows = Rows(plan, vectors, EventTimes(3_600_000, 18_250), 10)
    given = [{"amount": 1.5}, {"amount": 1.5, "customer_id": 7}, {"terminal_id": 8, "customer_id": 7, "amount": 1.5}]
    found = rows.decode(msgspec.json.encode({"rows": [{"event": event} for event in given]}), NOW)
    events = vectors.of_rows(found.messages, [NOW] * len(given), found.features, found.event)
    assert events.segments(needed) == [(None, None), (None, 7), (8, 7)]
    assert found.keys[1:] == [b"7", b"7"]
    for event in ({"customer_id": 7}, {"amount": 1.5, "terminal_id": "8"}):
        with pytest.raises(ProblemError, match="a request is"):
            rows.decode(msgspec.json.encode({"rows": [{"event": event}]}), NOW)


def decoded(event: dict[str, object] | bytes) -> tuple[object, ...]:
    """The columns of one event, for a model of the fraud example that takes its customer's rows."""
    plan = load(ROOT / "examples" / "fraud").service("handbook").plan
    vectors = Vectors(plan, [needed_by(plan, ("transaction_amount__amount",), ("customer_id",))], {})
    raw = event if isinstance(event, bytes) else msgspec.json.encode(event)
    (found,) = Rows(plan, vectors, EventTimes(3_600_000, 18_250), 10).decode(b'{"rows": [{"event": %b}]}' % raw, NOW).event
    return found


def test_a_whole_number_is_read_to_its_last_digit() -> None:
    """As the stream reads it; one that is written with a point is refused where a double does not hold all of them."""
    assert decoded(b'{"amount": 1, "customer_id": 9007199254740993}')[-1] == 9007199254740993
    assert decoded(b'{"amount": 1, "customer_id": 9007199254740991.0}')[-1] == 9007199254740991
    for text in (b"9007199254740993.0", b"9.007199254740993e15", b"-9007199254740993.0"):
        with pytest.raises(ProblemError, match="without a point"):
            decoded(b'{"amount": 1, "customer_id": %b}' % text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"2024-05-01T08:00Z"', 1_714_550_400_000),
        ('"2024-05-01 13:30:00.001999999+05:30"', 1_714_550_400_001),
        ("1714550400000.0", 1_714_550_400_000),
    ],
)
def test_a_time_is_what_the_stream_makes_of_it(text: str, expected: int) -> None:
    """Without seconds too, and with finer digits, which are cut off."""
    plan = load(ROOT / "examples" / "fraud").service("handbook").plan
    rows = Rows(plan, Vectors(plan, [needed_by(plan, ("transaction_amount__amount",))], {}), EventTimes(3_600_000, 18_250), 10)
    (message,) = rows.decode(b'{"rows": [{"event": {"amount": 1, "event_time": %b}}]}' % text.encode(), NOW).messages
    assert message.event_time == expected
    with pytest.raises(ProblemError, match="ISO 8601 with its offset; got '2024-05-01T08:00:00'"):
        rows.decode(b'{"rows": [{"event": {"amount": 1, "event_time": "2024-05-01T08:00:00"}}]}', NOW)
