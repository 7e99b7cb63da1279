"""Of which request and trace a record is: the headers that its feature vectors, predictions and dead letters have from it."""

from __future__ import annotations

from collections.abc import Iterable

NAMES = ("traceparent", "tracestate", "x-request-id")
"""W3C's trace context, and the id of a request. A record's other headers are its own affair."""
LONGEST = 512
"""Bytes of a value; a longer one is left out. So much of a ``tracestate`` has to be passed on (W3C's trace context, 3.3.1.5)."""
BYTES = sum(len(name) + LONGEST + 3 for name in NAMES)
"""What they take in a record at most, with their lengths."""


def carried(headers: Iterable[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    """Those of a record's headers that go on with what is made of it; of several of one name the last, as the stream job has it.

    >>> carried([("traceparent", b"00-4bf9-00f0-01"), ("schema", b"7"), ("x-request-id", None)])
    [('traceparent', b'00-4bf9-00f0-01')]
    """
    last = dict(headers)
    return [(name, value) for name, value in last.items() if name in NAMES and value is not None and len(value) <= LONGEST]
