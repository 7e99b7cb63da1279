"""The panel of open alarms: what has changed, since when and how much, with its windows; a click gives the events behind."""

from __future__ import annotations

import msgspec

from features.errors import StackError
from schemas.alarm import Alarm
from serving.http.page.alarm_events import Behind, behind
from serving.http.page.details import Detail, Parameters
from serving.http.page.drift import SOURCE
from serving.http.page.empties import nothing, waiting
from serving.http.page.monitored import Seen, judged
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.http.page.tail import NO_KAFKA
from serving.monitor.state import Version

MOST = 50
"""Alarms that are shown, at most: those that are furthest beyond their limits."""
MOST_WINDOWS = 35


class Window(msgspec.Struct, frozen=True):
    """What was said of the input in one window; it starts at a time of events, UTC milliseconds."""

    start: int
    psi: float
    limit: float | None
    drifted: bool


class Open(msgspec.Struct, frozen=True):
    """An alarm, and how its input went."""

    alarm: Alarm
    windows: list[Window]
    """The newest that were judged, oldest first."""


class Alarms(msgspec.Struct, frozen=True):
    """What the panel shows."""

    silent_since: int | None
    """When the monitor saved this, where that is long ago."""
    alarms: list[Open]
    """The furthest beyond its limit first; none: nothing has drifted."""
    left_out: int
    judged: int
    """Windows that were judged, of the versions that are watched."""
    inputs: int
    """What is watched in them, the score too."""


def alarms(sources: Sources, service: str) -> Alarms | Empty:
    """The panel of a service."""
    seen = sources.monitored.seen(service)
    if seen is None:
        return nothing(service)
    windows = [judged(version, len(version.closed)) for version in seen.versions]
    if not any(windows):
        return waiting(seen)
    found = [_open(version, alarm) for version in seen.state.versions.values() for alarm in _alarms(version)]
    found.sort(key=lambda one: _beyond(one.alarm), reverse=True)
    return Alarms(
        silent_since=seen.silent_since,
        alarms=found[:MOST],
        left_out=max(0, len(found) - MOST),
        judged=sum(map(len, windows)),
        inputs=max(len(verdict.findings) for one in windows for verdict in one),
    )


def _alarms(version: Version) -> list[Alarm]:
    return [track.alarm for track in version.tracks.values() if track.alarm is not None]


def _open(version: Version, alarm: Alarm) -> Open:
    verdicts = judged(version, MOST_WINDOWS)
    of = alarm.input, alarm.segment
    of_input = [
        (one.start, finding)
        for one in verdicts
        for finding in (*one.findings, *one.segments)
        if (finding.input, finding.segment) == of
    ]
    return Open(alarm, [Window(start, finding.psi, finding.limit, finding.drifted) for start, finding in of_input])


def _beyond(alarm: Alarm) -> float:
    return alarm.psi / alarm.limit if alarm.limit else 0.0


def events(sources: Sources, service: str, parameters: Parameters) -> Behind | Empty:
    """The events behind an open alarm, by its id. Raises `StackError` where Kafka does not reply."""
    seen = sources.monitored.seen(service)
    found = _known(seen, parameters.get("id", "")) if seen else None
    if found is None:
        return Empty("This alarm is not open any more.")
    version, alarm = found
    reference = sources.monitored.reference(version)
    if reference is None:
        return Empty("The registry does not have this version any more, and so not the cells of its values.")
    if sources.reader is None:
        raise StackError(NO_KAFKA.say)
    return behind(alarm, reference, sources.reader)


def _known(seen: Seen, alarm_id: str) -> tuple[Version, Alarm] | None:
    of_all = ((version, alarm) for version in seen.state.versions.values() for alarm in _alarms(version))
    return next((one for one in of_all if one[1].id == alarm_id), None)


ALARMS = Panel("alarms", SOURCE, alarms, 5)
BEHIND = Detail("alarms", "events", "Kafka", events)
