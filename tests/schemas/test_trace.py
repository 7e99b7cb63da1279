"""The headers that go on with an event: which, how long, and what they take in a record."""

from __future__ import annotations

from kafka.record.default_records import DefaultRecordBatchBuilder

from schemas import trace


def test_only_the_named_headers_go_on() -> None:
    """The trace and the request; no other, none without a value, and none that is longer than may be."""
    named = [(name, b"x" * trace.LONGEST) for name in ("traceparent", "tracestate", "x-request-id")]
    assert trace.carried([*named, ("baggage", b"x"), ("Traceparent", b"x")]) == named
    assert trace.carried([("traceparent", b"x" * (trace.LONGEST + 1)), ("x-request-id", None)]) == []


def test_of_several_headers_of_a_name_the_last_goes_on() -> None:
    """So what they take in a record has a bound; where the last is too long, none does, as in the job."""
    assert trace.carried([("traceparent", b"a"), ("x-request-id", b"b"), ("traceparent", b"c")]) == [
        ("traceparent", b"c"),
        ("x-request-id", b"b"),
    ]
    assert trace.carried([("traceparent", b"a"), ("traceparent", b"x" * (trace.LONGEST + 1))]) == []
    assert trace.carried([("traceparent", b"a"), ("traceparent", None)]) == []


def test_the_widest_headers_take_what_is_kept_for_them() -> None:
    """By the size that a record with them has in Kafka: no more, and hardly less."""
    widest = [(name, b"x" * trace.LONGEST) for name in trace.NAMES]
    size = DefaultRecordBatchBuilder.size_of(b"key", b"value", widest) - DefaultRecordBatchBuilder.size_of(b"key", b"value", [])
    assert size == trace.BYTES
