"""What differs between the modes in the statements of a job: all of it is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from features.job import JobPlan
from features.outcomes import AnyJob
from features.plan import Mode as Name
from features.plan import Source
from features.sql.flink.options import JobOptions


def aligned(job: AnyJob, drift_ms: int) -> dict[str, str]:
    """The job's sources wait for one another, so that none is read further ahead than ``drift_ms`` of event time."""
    return {
        "scan.watermark.alignment.group": job.name,
        "scan.watermark.alignment.max-drift": f"{drift_ms} ms",
        "scan.watermark.alignment.update-interval": "50 ms",
    }


def idle(job: AnyJob, source: Source, options: JobOptions) -> dict[str, str]:
    """A silent partition no longer holds the watermark back."""
    return {"scan.watermark.idle-timeout": f"{options.idle_timeout_ms} ms"}


def _quiet(job: JobPlan, source: Source, options: JobOptions) -> dict[str, str]:
    """The same, and when all are silent the watermark goes on to the newest event.

    Sources wait for one another, so that few rows wait for the watermark.
    """
    newest = options.newest_ms.get(source.name)
    return {
        "connector": "headrace-kafka",
        "quiet.timeout": f"{options.idle_timeout_ms} ms",
        "quiet.delay": f"{source.delay_ms} ms",
        **({} if newest is None else {"quiet.newest": str(newest)}),
        **aligned(job, options.drift_ms),
    }


class Mode(msgspec.Struct, frozen=True):
    """What a mode adds (rule 6)."""

    live: Callable[[JobPlan, Source, JobOptions], dict[str, str]]
    """Settings of a source that goes on for ever."""
    time: tuple[str, ...]
    """SQL of the time that a stage's rows wait for, in the rows."""
    argument: str
    """The operator's argument that says so."""
    time_after: tuple[str, ...]
    """SQL of that time in what the operator gives."""


MODES: Mapping[Name, Mode] = {
    # The watermark says only which silent keys can be forgotten: no row and no source waits.
    "arrival": Mode(live=idle, time=(), argument="", time_after=()),
    "event_time": Mode(
        live=_quiet,
        time=("`_rt`",),
        argument=",\n  on_time => DESCRIPTOR(`_rt`)",
        time_after=("`rowtime` AS `_rt`",),
    ),
}
