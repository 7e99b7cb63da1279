"""The message on ``late_rows``: a row that came after answers which it would have changed, for each view that counts it."""

from __future__ import annotations

import msgspec

from schemas.features import Origin


class LateRow(msgspec.Struct, frozen=True):
    """What one row, by coming late, left out of answers that had been given. Times are UTC milliseconds.

    An answer that was given stays as it is (rule 6); this says how many would read otherwise.
    """

    view: str
    source: str
    """The source that the row came from."""
    origin: Origin
    event_time: int
    """The row's own."""
    late_ms: int
    """How far behind it came: in arrival mode behind the newest row or question of its key, in event-time mode behind the
    watermark."""
    answers: int
    """Answers already given with a window of the view that would hold the row."""
    changed: int
    """Values in these answers, one for each feature of the view, that would have been different."""
    counted: bool
    """Whether these two are all. False where the row came later than the allowed lateness, so that answers may be forgotten, and
    where more than 64 answers would hold it: ``changed`` is then of the newest 64."""
