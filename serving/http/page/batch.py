"""The panel of batch views: how old the rows were that the newest predictions used, and why others had none."""

from __future__ import annotations

import statistics
from collections import Counter
from contextlib import suppress

import msgspec

from features.plan import BatchView
from schemas.codec import UNREADABLE
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Sources
from serving.http.page.tail import NO_KAFKA, Tail

LOOKED_AT = 200
"""Predictions of each partition that are looked at."""


class _Receipt(msgspec.Struct):
    batch_as_of: dict[str, int]
    incomplete: dict[str, str] = {}


class _Predicted(msgspec.Struct):
    event_time: int
    receipt: _Receipt


class View(msgspec.Struct, frozen=True):
    """One batch view. Times are UTC milliseconds."""

    view: str
    ttl_ms: int
    """How old a row may be at the event; 0: as old as it likes."""
    newest_as_of: int | None
    """The time of the newest row that a prediction used; None: none had one."""
    median_age_ms: int | None
    """How old the rows were at the event."""
    oldest_ms: int | None
    used: int
    """Predictions that had a row."""
    without: dict[str, int]
    """Predictions that had none to use, by why: missing, too_old, too_new, unread."""
    newest_day: str | None
    """The newest day that its file has; None: there is no file here."""


class Batch(msgspec.Struct, frozen=True):
    """What the panel shows."""

    views: list[View]
    predictions: int
    """That were looked at, the newest."""
    newest_event: int | None
    """The event time of the newest of them."""


_decode = msgspec.json.Decoder(_Predicted).decode


class BatchPanel:
    """The panel; one thread at a time calls it."""

    def __init__(self) -> None:
        self._tail: Tail | None = None

    def __call__(self, sources: Sources, service: str) -> Batch | Empty:
        """What the newest predictions say of the batch views. Raises `StackError` where Kafka is away."""
        plan = sources.plans.get(service)
        if plan is None or sources.reader is None:
            return NO_KAFKA
        if not plan.batch:
            return Empty(f"{service} has no batch view: its features are of windows and of the event alone.")
        self._tail = self._tail or Tail(sources.reader)
        found = []
        for record in self._tail.newest(plan.predictions_topic, LOOKED_AT):
            with suppress(*UNREADABLE):  # no prediction
                found.append(_decode(record.value or b""))
        if not found:
            return Empty(f"{plan.predictions_topic} has no prediction yet, and so none that used a batch row: publish events.")
        days = sources.batch_days(service)
        views = [_view(view, found, days.get(view.view)) for view in plan.batch]
        return Batch(views, len(found), max(one.event_time for one in found))


def _view(view: BatchView, found: list[_Predicted], newest_day: str | None) -> View:
    name = view.view
    used = [one for one in found if name in one.receipt.batch_as_of and name not in one.receipt.incomplete]
    ages = [one.event_time - one.receipt.batch_as_of[name] for one in used]
    return View(
        view=name,
        ttl_ms=view.ttl_ms,
        newest_as_of=max((one.receipt.batch_as_of[name] for one in used), default=None),
        median_age_ms=round(statistics.median(ages)) if ages else None,
        oldest_ms=max(ages, default=None),
        used=len(used),
        without=dict(Counter(one.receipt.incomplete[name] for one in found if name in one.receipt.incomplete)),
        newest_day=newest_day,
    )


def batch_panel() -> Panel:
    """One with a consumer of its own."""
    return Panel("batch", "Kafka", BatchPanel(), 10)
