"""``POST /v1/events/{topic}``: events published to Kafka, and with ``?wait=50ms`` their predictions as soon as they are there.

::

    request ──► rules ──► ledger ──► Sender ──► Kafka: the topic ──► stream job, scorer ──► Kafka: predictions
                            ▲  ▲                  │ acknowledged                              │
                            │  └──────────────────┘                                           ▼
    response ◄──────────────┴────────────────────────────────────────────────────────────── Arrivals
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from features.plan import Plan
from features.taken import taken
from features.times import EventTimes
from schemas import Origin
from schemas.trace import LONGEST
from serving.http.arrivals import Arrivals
from serving.http.config import HttpConfig, KafkaConfig
from serving.http.event_rules import Event, EventId, EventRules, Refusal, is_array
from serving.http.gate import RETRY_SECONDS, Gate
from serving.http.ledger import Ledger, Name, Sent
from serving.http.media import JSON, NDJSON
from serving.http.metrics import Metrics
from serving.http.problems import ProblemError
from serving.http.sender import Headers, Sender, Wanted

UNITS = {"ms": 1, "s": 1000}
WAIT = re.compile(r"(\d{1,6})(ms|s)")
TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Entrance(NamedTuple):
    """A topic that events are published to."""

    rules: EventRules
    services: tuple[str, ...]
    """Those that make a prediction of each event."""


class Posted(NamedTuple):
    """A good event of a request."""

    id: EventId
    sent: Sent


Row = Posted | Refusal
Result = bytes | Origin | Refusal
"""A prediction; where Kafka has the event, of which there is none yet; or what is wrong."""


def entrances(services: Iterable[Plan], all_plans: Sequence[Plan], times: EventTimes, most: int) -> dict[str, Entrance]:
    """The topics of the sources of ``services``; what an event needs is what any of ``all_plans`` needs of it."""
    services = tuple(services)
    found = {}
    for topic in sorted({source.topic for plan in services for source in plan.sources}):
        if how := taken(topic, (*services, *all_plans)):
            spines = tuple(sorted(plan.service for plan in services if plan.spine_source.topic == topic))
            found[topic] = Entrance(EventRules(topic, how, times, most), spines)
    return found


class Events:
    """The endpoint, for all topics of the process's services, from `start` to `close`."""

    def __init__(
        self, entrances: Mapping[str, Entrance], config: HttpConfig, kafka: KafkaConfig, gate: Gate, metrics: Metrics
    ) -> None:
        self.entrances = entrances
        self._gate, self._metrics = gate, metrics
        self._seconds = config.deadline_ms / 1000
        self._deadline_ms = config.deadline_ms
        self._ledger = Ledger(config.remembered_events)
        ids = {topic: one.rules.id_of for topic, one in entrances.items()}
        self._arrivals = Arrivals(kafka.plans, kafka.reader, self._ledger, ids)
        rules = {topic: one.rules for topic, one in entrances.items()}
        self._sender = Sender(kafka, rules, self._ledger, self._arrivals.placed)

    def start(self) -> None:
        """Connect to Kafka, as soon as it replies."""
        self._sender.start()
        self._arrivals.start()

    def close(self) -> None:
        """Publish what was taken, and end."""
        self._sender.close()
        self._arrivals.close()

    async def __call__(self, request: Request) -> Response:
        """Publish the request's events."""
        began = time.monotonic()
        topic = request.path_params["topic"]
        entrance = self._entrance(topic)
        service, wait = self._wanted(request, topic, entrance)
        with self._gate.admit():
            body = await self._gate.body(request)
            rows, is_many = self._rows(topic, entrance, body, request)
            posted = [row for row in rows if isinstance(row, Posted)]
            await self._settle([row.sent for row in posted], service, began, wait)
        results = [self._result(row, service) for row in rows]
        self._count(topic, results, time.monotonic() - began)
        return _many(rows, results) if is_many else _one(rows[0], results[0])

    def _entrance(self, topic: str) -> Entrance:
        found = self.entrances.get(topic)
        if found is None:
            raise ProblemError(404, f"no service here reads '{topic}'; events are published to {', '.join(self.entrances)}")
        return found

    def _wanted(self, request: Request, topic: str, entrance: Entrance) -> tuple[str, float]:
        """Whose prediction is looked at, empty: nobody's; and how many seconds it is waited for."""
        text, service = request.query_params.get("wait"), request.query_params.get("service")
        known = ", ".join(entrance.services)
        if service is not None and service not in entrance.services:
            raise ProblemError(400, f"predictions of the events of '{topic}' are by {known or 'no service'}; got '{service}'")
        if service is None and len(entrance.services) == 1:
            service = entrance.services[0]
        if text is None:
            return service or "", 0.0
        if service is None:
            fix = "add service=NAME to wait for one" if known else "publish them without wait"
            raise ProblemError(400, f"predictions of the events of '{topic}' are by {known or 'no service'}; {fix}")
        match = WAIT.fullmatch(text)
        ms = int(match[1]) * UNITS[match[2]] if match else -1
        if not 0 <= ms <= self._deadline_ms:
            most = f"{self._deadline_ms} ms (http.deadline_ms)"
            raise ProblemError(400, f"wait is a whole number of ms or s, of {most} at most; got '{text:.40}'; write 50ms, say")
        return service, ms / 1000

    def _rows(self, topic: str, entrance: Entrance, body: bytes, request: Request) -> tuple[list[Row], bool]:
        """The events of a body, those that are good on their way, and whether it may be more than one."""
        lines = request.headers.get("content-type", "").partition(";")[0].strip().lower() in NDJSON
        is_many = lines or is_array(body)
        events = entrance.rules.many(body, lines=lines) if is_many else [entrance.rules.one(body)]
        headers = record_headers(request)
        return [self._publish(topic, event, headers) for event in events], is_many

    def _publish(self, topic: str, event: Event | Refusal, headers: Headers) -> Row:
        if isinstance(event, Refusal):
            return event
        entry = self._ledger.take(topic, event)
        if isinstance(entry, Refusal):
            return entry
        sent, is_new = entry
        if is_new:
            self._arrivals.loop = asyncio.get_running_loop()
            self._sender.put(Wanted(Name(topic, event.id), event, headers, sent))
        return Posted(event.id, sent)

    async def _settle(self, sent: Sequence[Sent], service: str, began: float, wait: float) -> None:
        """Return when all has become of the events that can, or the time is over."""
        if wait:
            await _until([one.outcome(service) for one in sent], began + wait)
        await _until([one.published for one in sent if not one.has_outcome(service)], began + self._seconds)

    def _result(self, row: Row, service: str) -> Result:
        if isinstance(row, Refusal):
            return row
        if row.sent.has_outcome(service):
            return row.sent.outcome(service).result()
        if row.sent.published.done():
            return row.sent.published.result()
        what = f"Kafka did not take the event within {self._deadline_ms} ms (http.deadline_ms)"
        return Refusal(503, row.id, f"{what}; it may yet: send it again with the same event id, and it is published once")

    def _count(self, topic: str, results: Sequence[Result], seconds: float) -> None:
        for status, count in Counter(map(_status, results)).items():
            self._metrics.events.labels(topic, str(status)).inc(count)
        self._metrics.event_seconds.labels(topic).observe(seconds)


def _status(result: Result) -> int:
    if isinstance(result, Refusal):
        return result.status
    return HTTPStatus.OK if isinstance(result, bytes) else HTTPStatus.ACCEPTED


def _one(row: Row, result: Result) -> Response:
    if isinstance(result, Refusal):
        again = RETRY_SECONDS if result.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        raise ProblemError(result.status, result.detail, retry_after=again)
    return Response(result if isinstance(result, bytes) else _accepted(row, result), _status(result), media_type=JSON)


def _many(rows: Sequence[Row], results: Sequence[Result]) -> Response:
    """207, with a result for each row, in their order."""
    parts = []
    for row, result in zip(rows, results, strict=True):
        if isinstance(result, bytes):
            parts.append(b'{"status":200,"prediction":%b}' % result)
        elif isinstance(result, Refusal):
            parts.append(msgspec.json.encode({"status": result.status, "event_id": result.id, "error": result.detail}))
        else:
            parts.append(b'{"status":202,%b' % _accepted(row, result)[1:])
    return Response(b'{"results":[%b]}' % b",".join(parts), HTTPStatus.MULTI_STATUS, media_type=JSON)


def _accepted(row: Row, origin: Origin) -> bytes:
    return msgspec.json.encode({"event_id": row.id, "origin": origin})


async def _until(futures: Iterable[asyncio.Future[Any]], when: float) -> None:
    """Return when all are done, or it is ``when``."""
    open_ones = [one for one in futures if not one.done()]
    left = when - time.monotonic()
    if open_ones and left > 0:
        await asyncio.wait(open_ones, timeout=left)


def record_headers(request: Request) -> Headers:
    """What the event's record has beside it: of which request it is, and of which trace, where it is of one.

    A ``tracestate`` in several headers is one list (W3C's trace context, 3.3.1).
    """
    found = [("x-request-id", request.scope["request_id"].encode())]
    trace = request.headers.get("traceparent", "")
    state = b",".join(value for name, value in request.headers.raw if name == b"tracestate")
    if TRACE.fullmatch(trace):
        found.append(("traceparent", trace.encode()))
        if 0 < len(state) <= LONGEST:
            found.append(("tracestate", state))
    return found
