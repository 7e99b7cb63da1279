"""The panel of the feed: the newest predictions of a service; and one of them, whole, with its receipt.

A look reads the newest few, however many came since: at thousands of events a second a stream of all of them would be megabytes a
second for each tab. Who wants all reads ``/v1/stream/{service}``.
"""

from __future__ import annotations

from contextlib import closing, suppress

import msgspec

from schemas.codec import UNREADABLE, decode_prediction
from schemas.prediction import Prediction
from serving.http.page.details import Detail, Parameters, whole
from serving.http.page.panel import Empty, Panel
from serving.http.page.sources import Explained, Sources
from serving.http.page.tail import NO_KAFKA, Tail
from serving.http.problems import ProblemError

MOST = 20
"""Predictions that are shown, and read of each partition."""
LONGEST_ID = 1000
EXPLAIN_SECONDS = 90.0
"""`headrace explain` reads history, in a process of its own."""


class Seen(msgspec.Struct, frozen=True):
    """One prediction. Times are UTC milliseconds."""

    partition: int
    offset: int
    event_id: str
    """As text: a browser has no whole numbers beyond 2⁵³."""
    event_time: int
    score: float
    model: str
    version: int
    complete: bool
    scored_at: int
    took_ms: int
    """From the event on Kafka to its score."""


class Feed(msgspec.Struct, frozen=True):
    """The newest first."""

    predictions: list[Seen]


class FeedPanel:
    """The panel; one thread at a time calls it."""

    def __init__(self) -> None:
        self._tail: Tail | None = None

    def __call__(self, sources: Sources, service: str) -> Feed | Empty:
        """The newest predictions. Raises `StackError` where Kafka is away."""
        plan = sources.plans.get(service)
        if plan is None or sources.reader is None:
            return NO_KAFKA
        self._tail = self._tail or Tail(sources.reader)
        found = []
        for record in self._tail.newest(plan.predictions_topic, MOST):
            with suppress(*UNREADABLE):  # no prediction
                found.append(_seen(decode_prediction(record.value or b""), record.partition, record.offset))
        if not found:
            topic = plan.spine_source.topic
            return Empty(
                f"{plan.predictions_topic} has no prediction yet: publish events.", f"headrace publish FILE --topic {topic}"
            )
        found.sort(key=lambda one: (one.scored_at, one.offset), reverse=True)
        return Feed(found[:MOST])


def _seen(one: Prediction, partition: int, offset: int) -> Seen:
    receipt = one.receipt
    return Seen(
        partition,
        offset,
        str(one.event_id),
        one.event_time,
        one.score,
        receipt.model,
        receipt.version,
        receipt.complete,
        receipt.scored_at,
        receipt.scored_at - receipt.arrived_at,
    )


class Whole(msgspec.Struct, frozen=True):
    """One prediction, as it was written."""

    prediction: Prediction
    inputs: dict[str, str]
    """The receipt's, each as the text that it is in JSON: a browser has no whole numbers beyond 2⁵³."""


def receipt(sources: Sources, service: str, parameters: Parameters) -> Whole | Empty:
    """The prediction at ``partition`` and ``offset``. Raises `StackError` where Kafka is away."""
    place = whole(parameters, "partition"), whole(parameters, "offset")
    plan = sources.plans.get(service)
    if plan is None or sources.reader is None:
        return NO_KAFKA
    with closing(Tail(sources.reader)) as tail:
        record = next(iter(tail.at(plan.predictions_topic, [place])), None)
    try:
        found = decode_prediction((record.value if record else None) or b"")
    except UNREADABLE:
        return Empty(f"{plan.predictions_topic} does not have that prediction any more.")
    return Whole(found, {name: msgspec.json.encode(value).decode() for name, value in found.receipt.inputs.items()})


def explain(sources: Sources, service: str, parameters: Parameters) -> Explained | Empty:
    """Why the event ``event`` has its values, with a picture. Raises `HeadraceError` where that cannot be said."""
    event = parameters.get("event", "")
    if not 0 < len(event) <= LONGEST_ID:
        raise ProblemError(400, f"'event' is the id of an event, of at most {LONGEST_ID} characters; got {len(event)}")
    if sources.explain is None:
        return Empty("Events are explained where the project and its history are.", f"headrace explain {service} EVENT_ID")
    return sources.explain(service, event)


RECEIPT = Detail("feed", "receipt", "Kafka", receipt)
EXPLAIN = Detail("feed", "explain", "`headrace explain`", explain, EXPLAIN_SECONDS)


def feed_panel() -> Panel:
    """One with a consumer of its own."""
    return Panel("feed", "Kafka", FeedPanel(), 1.5)
