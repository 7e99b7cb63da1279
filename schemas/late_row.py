"""The message on ``late_rows``: a row that came after vectors which it would have changed, for each view that counts it."""

from __future__ import annotations

import msgspec

from schemas.features import Origin


class LateRow(msgspec.Struct, frozen=True):
    """What one row, by coming late, is missing from: feature vectors that had been given. Times are UTC milliseconds.

    A vector that was given stays as it is (rule 6); this says how many would read otherwise.
    """

    view: str
    source: str
    """The source that the row came from."""
    origin: Origin
    event_time: int
    """The row's own."""
    late_ms: int
    """How far behind it came: in arrival mode behind the newest row or query of its key, in event-time mode behind the
    watermark."""
    vectors: int
    """Feature vectors already given that have a window of the view which would hold the row."""
    changed: int
    """Values in these vectors, one for each feature of the view, that would have been different."""
    counted: bool
    """Whether these two are all. False where the row came later than the allowed lateness, so that vectors may be forgotten, and
    where more than 64 vectors would hold it: ``changed`` is then of the newest 64."""
