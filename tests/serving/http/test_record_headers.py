"""The headers that an event's record has of the request that published it."""

from __future__ import annotations

from starlette.requests import Request

from schemas.trace import LONGEST
from serving.http.events import record_headers

TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def of(*headers: tuple[bytes, bytes]) -> dict[str, bytes]:
    """The headers of the record, of a request with these."""
    return dict(record_headers(Request({"type": "http", "headers": list(headers), "request_id": "mine"})))


def test_a_trace_is_taken_to_the_byte() -> None:
    """Whatever the bytes of its state: a character of two bytes in UTF-8 made it another, and too long to go on."""
    state = b"v=" + b"\xff" * (LONGEST - 2)
    assert of((b"traceparent", TRACE), (b"tracestate", state)) == {
        "x-request-id": b"mine",
        "traceparent": TRACE,
        "tracestate": state,
    }


def test_the_state_may_be_in_several_headers() -> None:
    """It is a list, as long as all of them; one that is too long is left out."""
    state = of((b"traceparent", TRACE), (b"tracestate", b"a=1"), (b"other", b"x"), (b"tracestate", b"b=2"))["tracestate"]
    assert state == b"a=1,b=2"
    assert "tracestate" not in of((b"traceparent", TRACE), (b"tracestate", b"a" * LONGEST), (b"tracestate", b"b=2"))


def test_a_state_without_a_trace_is_of_nothing() -> None:
    """Nor is what is no trace handed on."""
    assert of((b"traceparent", TRACE + b"\n"), (b"tracestate", b"a=1")) == {"x-request-id": b"mine"}
