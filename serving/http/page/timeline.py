"""The panel of the time line: what was put in service, and which alarms opened and closed, by the clock."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from features.errors import StackError
from schemas.alarm import Alarm
from schemas.codec import UNREADABLE
from schemas.topics import ALARMS
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.http.page.tail import NO_KAFKA, Tail

MOST = 50
"""Changes and alarms that are shown, of each."""
LOOKED_AT = 1000
"""Records of `alarms` that are read, of all services."""

_decode = msgspec.json.Decoder(Alarm).decode


class Change(msgspec.Struct, frozen=True):
    """An entry of the deployment log. Times are UTC milliseconds."""

    at: int
    seq: int
    action: str
    environment: str | None
    model: str
    version: int | None
    share: float | None
    before: str | None
    who: str
    why: str
    forced: bool


class Raised(msgspec.Struct, frozen=True):
    """An alarm. Times are UTC milliseconds."""

    id: str
    input: str
    segment: str
    """Of which predictions; empty: of all."""
    what: str
    text: str
    model: str
    version: int
    since: int
    """Of event time: the start of the first window that drifted."""
    opened_at: int | None
    """By the monitor's clock; None: it is no longer on the topic."""
    closed_at: int | None
    """None: it is open."""


class Timeline(msgspec.Struct, frozen=True):
    """The newest first."""

    changes: list[Change]
    alarms: list[Raised]
    alarms_down: str
    """Why the alarms are not known, if they are not."""


class TimelinePanel:
    """The panel; one thread at a time calls it."""

    def __init__(self) -> None:
        self._tail: Tail | None = None

    def __call__(self, sources: Sources, service: str) -> Timeline | Empty:
        """The deployment log of a service, and its alarms where Kafka replies."""
        entries = sources.registry.entries(service)[-MOST:]
        changes = [
            Change(
                one.at,
                one.seq,
                one.action,
                one.environment,
                one.model,
                one.version,
                one.share,
                str(one.before) if one.before else None,
                one.who,
                one.why,
                one.forced,
            )
            for one in reversed(entries)
        ]
        alarms, down = self._alarms(sources, service)
        if not changes and not alarms and (not down or sources.reader is None):
            return Empty(f"Nothing of {service} was put in service yet.", f"headrace train {service} --promote production")
        return Timeline(changes, alarms, down)

    def _alarms(self, sources: Sources, service: str) -> tuple[list[Raised], str]:
        if sources.reader is None:
            return [], NO_KAFKA.say
        self._tail = self._tail or Tail(sources.reader)
        found: dict[str, Raised] = {}
        try:
            for record in sorted(self._tail.newest(ALARMS.name, LOOKED_AT), key=lambda one: one.offset):
                with suppress(*UNREADABLE):  # no alarm
                    alarm = _decode(record.value or b"")
                    if alarm.service == service:
                        found[alarm.id] = _raised(alarm, found.get(alarm.id))
        except StackError as error:
            return [], str(error)
        newest = sorted(found.values(), key=lambda one: one.closed_at or one.opened_at or 0, reverse=True)
        return newest[:MOST], ""


def _raised(alarm: Alarm, before: Raised | None) -> Raised:
    """An alarm, as its records say so far."""
    is_open = alarm.state == "open"
    opened = alarm.raised_at if is_open else before.opened_at if before else None
    closed = None if is_open else alarm.raised_at
    text = before.text if before and not is_open else alarm.text
    who = alarm.model, alarm.version
    return Raised(alarm.id, alarm.input, alarm.segment, alarm.what, text, *who, alarm.since, opened, closed)


def timeline_panel() -> Panel:
    """One with a consumer of its own."""
    return Panel("timeline", "the deployment log", TimelinePanel(), 5)
