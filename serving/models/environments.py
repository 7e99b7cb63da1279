"""What each environment of a service has, by the log, and how it is served, by the scorers' reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from schemas.deployment import Placed
from serving.models.lifecycle import CANARY, Deployed, Entry
from serving.models.reports import Report, Serving

SILENT_MS = 60_000
"""A scorer that has not reported for so long is taken to be gone."""

State = Literal["serving", "failed", "silent", "not reported"]


class Environment(msgspec.Struct, frozen=True):
    """One environment of a service. Times are UTC milliseconds."""

    service: str
    alias: str
    placed: Placed
    share: float | None
    """Of a canary."""
    since: int
    """When the version came there, by the log."""
    seq: int
    """Its entry of the log."""
    state: State
    """``failed``: a scorer could not put it in service. ``silent``: those that reported it no longer do. ``not reported``: no
    scorer has said anything of it."""
    errors: dict[str, str]
    """By scorer: why it could not put the version in service."""
    events_per_second: float | None
    """Of all scorers together, since they took the version."""
    p99_ms: float | None
    """The slowest scorer's."""


def environments(deployed: Deployed, entries: Sequence[Entry], reports: Sequence[Report], now: int) -> list[Environment]:
    """The environments of a service: production, its canary, and its shadows by name."""
    newest = {entry.environment: entry for entry in entries}
    placed = deployed.aliases | ({CANARY: deployed.canary.placed} if deployed.canary else {})
    return [_environment(deployed, alias, placed[alias], newest[alias], reports, now) for alias in sorted(placed, key=_place)]


def _place(alias: str) -> tuple[int, str]:
    """Production first, its canary next."""
    return {"production": 0, CANARY: 1}.get(alias, 2), alias


def _environment(
    deployed: Deployed, alias: str, placed: Placed, entry: Entry, reports: Sequence[Report], now: int
) -> Environment:
    said = [
        (report, serving)
        for report in reports
        for serving in report.serving
        if (serving.alias, serving.placed) == (alias, placed)
    ]
    live = [(report, serving) for report, serving in said if now - report.at <= SILENT_MS]
    errors = {report.instance: serving.error or "" for report, serving in live if serving.state == "failed"}
    serves = [(report, serving) for report, serving in live if serving.state == "serving"]
    return Environment(
        service=deployed.service,
        alias=alias,
        placed=placed,
        share=deployed.canary.share if alias == CANARY and deployed.canary else None,
        since=entry.at,
        seq=entry.seq,
        state=_state(bool(said), bool(live), bool(errors)),
        errors=errors,
        events_per_second=sum(_rate(report, serving) for report, serving in serves) if serves else None,
        p99_ms=max((serving.p99_ms for _, serving in serves if serving.p99_ms is not None), default=None),
    )


def _state(said: bool, live: bool, failed: bool) -> State:
    if not said:
        return "not reported"
    if not live:
        return "silent"
    return "failed" if failed else "serving"


def _rate(report: Report, serving: Serving) -> float:
    """Of late, or since it serves."""
    if serving.events_per_second is not None:
        return serving.events_per_second
    return 1000 * serving.events / max(report.at - serving.since, 1000)
