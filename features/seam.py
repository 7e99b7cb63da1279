"""Where a job's history ends and its topics begin (docs/backfill.md)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from features.job import JobPlan


class Seam(msgspec.Struct, frozen=True):
    """What a job was backfilled with. Times in UTC milliseconds.

    ::

        from_ms                 until_ms
        │ history ● ● ●  ●  ●   │
                        ○  ●    │ ●    ●   ● topic     ○ was in the history, and counts once
    """

    until_ms: int
    """Rows before this time fill the windows; events from it on get vectors."""
    from_ms: Mapping[str, int]
    """By source that windows are over: the time of the first row that can matter."""
    files: int
    """How many files the history of each of these sources is in."""


def seam_at(job: JobPlan, until_ms: int, files: int) -> Seam:
    """The seam of a job at ``until_ms``: rows count for the longest window over their source and the allowed lateness."""
    longest: dict[str, int] = {}
    for stage in job.windows:
        longest[stage.source] = max(stage.longest_ms, longest.get(stage.source, 0))
    return Seam(until_ms, {name: until_ms - ms - job.lateness_ms for name, ms in longest.items()}, files)
