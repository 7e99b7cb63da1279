"""What differs between the modes in the statements of a job: all of it is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from features.job import JobPlan
from features.plan import Mode as Name
from features.sql.flink.options import JobOptions


def _aligned(job: JobPlan, options: JobOptions) -> dict[str, str]:
    """Sources wait for one another, so that few rows wait for the watermark."""
    if options.bounded:  # flink-connector-kafka 5.0.0 fails when alignment pauses a partition that has come to its end
        return {}
    return {
        "scan.watermark.alignment.group": job.name,
        "scan.watermark.alignment.max-drift": f"{options.drift_ms} ms",
        "scan.watermark.alignment.update-interval": "50 ms",
    }


class Mode(msgspec.Struct, frozen=True):
    """What a mode adds (rule 6)."""

    alignment: Callable[[JobPlan, JobOptions], dict[str, str]]
    """Settings of a source."""
    time: tuple[str, ...]
    """SQL of the time that a stage's rows wait for, in the rows."""
    argument: str
    """The operator's argument that says so."""
    time_after: tuple[str, ...]
    """SQL of that time in what the operator gives."""


MODES: Mapping[Name, Mode] = {
    # The watermark says only which silent keys can be forgotten: no row and no source waits.
    "arrival": Mode(alignment=lambda job, options: {}, time=(), argument="", time_after=()),
    "event_time": Mode(
        alignment=_aligned,
        time=("`_rt`",),
        argument=",\n  on_time => DESCRIPTOR(`_rt`)",
        time_after=("`rowtime` AS `_rt`",),
    ),
}
