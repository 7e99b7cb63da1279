"""Alarms onto their topic, each once: the state has them first, with where the topic ended then."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from kafka import TopicPartition

from features.errors import StackError
from schemas.alarm import Alarm
from schemas.codec import UNREADABLE, decode_alarm, encode
from schemas.topics import ALARMS
from serving.monitor.state import State

POLL_MS = 500
READ_BACK_SECONDS = 60.0
PLACE = TopicPartition(ALARMS.name, 0)

log = structlog.get_logger()


class Outbox:
    """That of one state, which ``save`` writes whole; the consumer reads nothing else meanwhile."""

    def __init__(self, state: State, save: Callable[[], None], consumer: Any, producer: Any) -> None:
        self._state, self._save = state, save
        self._consumer, self._producer = consumer, producer

    def write(self, alarms: list[Alarm]) -> None:
        """Write new alarms."""
        self._state.outbox = alarms
        self._state.outbox_from = int(self._consumer.end_offsets([PLACE])[PLACE])
        self._save()
        self._empty()

    def write_left_over(self) -> None:
        """Write what a monitor that was killed left here, and the topic has not. Raises `StackError` where it cannot be read."""
        if self._state.outbox:
            written = self._written(self._state.outbox_from)
            self._state.outbox = [alarm for alarm in self._state.outbox if (alarm.id, alarm.state) not in written]
        self._empty()

    def _empty(self) -> None:
        outbox = self._state.outbox
        sent = [self._producer.send(ALARMS.name, encode(alarm), alarm.id.encode(), partition=0) for alarm in outbox]
        for alarm, future in zip(outbox, sent, strict=True):
            future.get()
            log.warning("alarm", state=alarm.state, id=alarm.id, text=alarm.text)
        self._state.outbox = []
        self._save()

    def _written(self, start: int) -> set[tuple[str, str]]:
        """The alarms on their topic from ``start`` on."""
        found = set[tuple[str, str]]()
        deadline = time.monotonic() + READ_BACK_SECONDS
        self._consumer.assign([PLACE])
        end = self._consumer.end_offsets([PLACE])[PLACE]
        self._consumer.seek(PLACE, max(start, self._consumer.beginning_offsets([PLACE])[PLACE]))
        while self._consumer.position(PLACE) < end:
            if time.monotonic() > deadline:
                raise StackError(f"alarms are written once; {ALARMS.name} could not be read back; start the monitor again")
            for records in self._consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    with suppress(*UNREADABLE):  # nobody else's is one of ours
                        alarm: Alarm = decode_alarm(record.value or b"")
                        found.add((alarm.id, alarm.state))
        self._consumer.unsubscribe()
        return found
