"""``GET /v1/stream/{service}``: a service's predictions as server-sent events (WHATWG HTML, section 9.2).

An event's id is where to go on, in every partition: ``0:124,1:456``. Whoever sends it back as ``Last-Event-ID`` has what comes
next, nothing twice and nothing left out. A reader has a consumer of its own, which is polled once what it gave was taken: so a
slow reader costs no memory, and one who takes nothing is disconnected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import structlog
from kafka import TopicPartition
from kafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from features.plan import Plan
from schemas.places import offsets_of, place_text
from serving.http.config import HttpConfig, KafkaConfig
from serving.http.gate import RETRY_SECONDS
from serving.http.media import EVENT_STREAM
from serving.http.metrics import Metrics
from serving.http.positions import GROW_SECONDS, Offsets, beginnings, ends, go_on, grow, partitions
from serving.http.problems import ProblemError, no_service
from serving.kafka.clients import PollingConsumer

POLL_MS = 500
RECORDS = 100
"""Predictions that are read at once."""
READER = {
    "max_poll_records": RECORDS,
    "fetch_max_bytes": 2**20,
    "max_partition_fetch_bytes": 2**18,
    "bootstrap_timeout_ms": 5_000,
    "request_timeout_ms": 5_000,
    "auto_offset_reset": "none",
}
"""A reader's consumer keeps about a megabyte, whatever there is to read, gives up soon where Kafka does not reply, and where what
comes next is deleted: to go on behind it would leave it out without a word."""
HEADERS = ((b"content-type", EVENT_STREAM.encode()), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
ABORT = "headrace.abort"
"""The extension of the ASGI scope that closes a connection without waiting for its reader."""
ALL = "it has all that was there"
"""Why a bounded stream ends as it should."""

log = structlog.get_logger()


class Wanted(NamedTuple):
    """What a reader wants."""

    start: str
    """``beginning`` or ``end``, where there is no `places`."""
    places: Mapping[int, int] | None
    """By partition, the offset to go on from."""
    is_bounded: bool
    """Whether the stream ends with what is there now."""


class Stream:
    """The endpoint, for all services whose predictions are on Kafka."""

    def __init__(self, config: HttpConfig, kafka: KafkaConfig, metrics: Metrics, is_stopping: Callable[[], bool]) -> None:
        self._plans = {plan.service: plan for plan in kafka.plans}
        self._reader = {**kafka.reader, **READER}
        self._config, self._metrics, self._is_stopping = config, metrics, is_stopping
        self.patience = config.slow_reader_ms / 1000
        """How many seconds a reader may take nothing."""
        self._readers = 0
        self._threads = ThreadPoolExecutor(config.max_streams, "stream")

    async def __call__(self, request: Request) -> Response:
        """Predictions, until the reader goes, or takes nothing any more, or the service ends."""
        plan = self._plan(request.path_params["service"])
        wanted = _wanted(request)
        if self._readers >= self._config.max_streams:
            detail = f"at most {self._config.max_streams} readers of streams at once (http.max_streams); try again later"
            raise ProblemError(429, detail, retry_after=RETRY_SECONDS)
        self._readers += 1
        self._metrics.streams.labels(plan.service).inc()
        try:
            return await self._opened(plan, wanted)
        except BaseException:
            self.leave(plan)
            raise

    def close(self) -> None:
        """End the threads; the streams have ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _plan(self, service: str) -> Plan:
        found = self._plans.get(service)
        if found is None:
            raise no_service(service, self._plans)
        return found

    async def _opened(self, plan: Plan, wanted: Wanted) -> Response:
        """Whatever is wrong is said before the stream begins."""
        opening = self._threads.submit(_open, self._reader, plan.predictions_topic, wanted)
        try:
            async with asyncio.timeout(self._config.deadline_ms / 1000):
                consumer, offsets, until = await asyncio.shield(asyncio.wrap_future(opening))
        except (KafkaError, TimeoutError) as error:
            if not opening.cancel():  # it is begun: else it would be in the queue of the threads that others need
                opening.add_done_callback(_close_when_open)
            detail = f"Kafka did not reply within {self._config.deadline_ms} ms ({type(error).__name__}); try again"
            raise ProblemError(503, detail, retry_after=RETRY_SECONDS) from None
        work = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        return _Streaming(self, plan, consumer, offsets, until, work)

    def leave(self, plan: Plan) -> None:
        """A reader has gone."""
        self._readers -= 1
        self._metrics.streams.labels(plan.service).dec()

    async def run(self, streaming: _Streaming, send: Any, is_gone: Callable[[], bool]) -> str:
        """Send what comes; gives why it ended."""
        consumer, offsets, until, work = streaming.consumer, streaming.offsets, streaming.until, streaming.work
        topic, now = streaming.plan.predictions_topic, time.monotonic()
        heard, grown = now, now
        sent = self._metrics.streamed.labels(streaming.plan.service)
        while not (is_gone() or self._is_stopping()):
            polled = await work(partial(consumer.poll, timeout_ms=POLL_MS))
            now = time.monotonic()
            if polled:
                await send(b"".join(_events(polled, offsets)))
                sent.inc(sum(map(len, polled.values())))
                heard = now
            elif now - heard > self._config.heartbeat_ms / 1000:
                await send(b":\n\n")
                heard = now
            if until is not None and await work(_has_all, consumer, until):
                return ALL
            if now - grown > GROW_SECONDS:
                await work(grow, consumer, (topic,), offsets)
                grown = now
        return "the reader left" if is_gone() else "the service ends"


class _Streaming(Response):
    """The response of one reader."""

    def __init__(self, stream: Stream, plan: Plan, consumer: Any, offsets: Offsets, until: Offsets | None, work: Any) -> None:
        self.stream, self.plan, self.consumer, self.offsets, self.until, self.work = stream, plan, consumer, offsets, until, work

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the stream."""
        most, why = self.stream.patience, ""

        async def write(body: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(most):
                await send({"type": "http.response.body", "body": body, "more_body": more})

        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            if scope["method"] == "HEAD":
                await write(b"", more=False)
                return
            async with _watched(receive) as is_gone:
                await write(b"retry: 1000\nid: %b\n\n" % _place(self.offsets))  # also of who hears nothing before it is lost
                try:
                    why = await self.stream.run(self, write, is_gone)
                except KafkaError as error:  # who comes back with the last id goes on, or hears what is the matter
                    why = repr(error)
                if self.until is None or why == ALL:
                    await write(b"", more=False)
                else:  # a proper end would say that this was all
                    await _abort(scope)
        except TimeoutError:
            why = f"the reader took nothing for {most:g} s (http.slow_reader_ms)"
            await _abort(scope)
        finally:
            self.stream.leave(self.plan)
            log.info("a stream ended", service=self.plan.service, why=why, request_id=scope["request_id"])
            await asyncio.shield(self.work(self.consumer.close))


async def _abort(scope: Any) -> None:
    """Close the connection: its reader takes the response for one that was cut."""
    scope["extensions"][ABORT]()
    await asyncio.sleep(0)  # the connection is lost: nothing more is expected of this response


@asynccontextmanager
async def _watched(receive: Any) -> AsyncIterator[Callable[[], bool]]:
    """Whether the client has gone."""

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    watching = asyncio.create_task(until_gone())
    try:
        yield watching.done
    finally:
        watching.cancel()


def _wanted(request: Request) -> Wanted:
    """Raises `ProblemError` for what is no place to begin at."""
    start, until = request.query_params.get("from", "end"), request.query_params.get("until", "")
    if start not in ("beginning", "end"):
        raise ProblemError(400, f"a stream begins from=beginning or from=end, which is now; got '{start}'")
    if until not in ("", "end"):
        raise ProblemError(400, f"a stream goes on, or has until=end, which is what is there now; got '{until}'")
    last = request.headers.get("last-event-id")
    if not last:
        return Wanted(start, None, bool(until))
    try:
        return Wanted(start, offsets_of(last), bool(until))
    except ValueError:
        detail = f"Last-Event-ID is the id of an event of this stream, as 0:124,1:456; got '{last:.80}'"
        raise ProblemError(400, detail) from None


def _open(reader: dict[str, Any], topic: str, wanted: Wanted) -> tuple[Any, Offsets, Offsets | None]:
    """A consumer at the reader's place, that place, and where it ends."""
    consumer = PollingConsumer(**reader)
    try:
        places = partitions(consumer, (topic,))
        if not places:
            raise ProblemError(503, f"Kafka has no {topic}; it is there once 'headrace up' has run", retry_after=RETRY_SECONDS)
        first, last = beginnings(consumer, places), ends(consumer, places)
        offsets = dict(last if wanted.start == "end" else first)
        if wanted.places is not None:
            offsets = _resumed(topic, wanted.places, first, last)
        go_on(consumer, offsets)
    except BaseException:
        consumer.close()
        raise
    return consumer, offsets, last if wanted.is_bounded else None


def _resumed(topic: str, places: Mapping[int, int], first: Offsets, last: Offsets) -> Offsets:
    """Where to go on; a partition that was added since is new as a whole.

    Raises `ProblemError`, 410, for what is no longer there.
    """
    offsets = {place: places.get(place.partition, first[place]) for place in first}
    unknown = [number for number in places if TopicPartition(topic, number) not in first]
    gone = [f"{place.partition}:{offset}" for place, offset in offsets.items() if not first[place] <= offset <= last[place]]
    if unknown or gone:
        known = ", ".join(f"{place.partition}:{first[place]} to {place.partition}:{last[place]}" for place in first)
        what = ", ".join([*gone, *(f"partition {number}" for number in unknown)])
        raise ProblemError(410, f"Last-Event-ID is a place that {topic} still has: {known}; got {what}; read from=beginning")
    return offsets


def _has_all(consumer: Any, until: Offsets) -> bool:
    """By the consumer's own positions: a Kafka transaction's end has an offset, and is no record."""
    return all(consumer.position(place) >= end for place, end in until.items())


def _close_when_open(opening: Future[Any]) -> None:
    """Of a reader that nobody waits for any more; on its thread, for that may take a while."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


def _events(polled: Mapping[TopicPartition, Sequence[Any]], offsets: Offsets) -> Iterator[bytes]:
    """The records as events, each with the place after it; ``offsets`` goes along."""
    for place, records in polled.items():
        for record in records:
            offsets[place] = record.offset + 1
            if record.value is not None:
                data = record.value.replace(b"\r", b"").replace(b"\n", b"\ndata: ")
                yield b"id: %b\ndata: %b\n\n" % (_place(offsets), data)


def _place(offsets: Offsets) -> bytes:
    """An event's id."""
    return place_text({one.partition: offset for one, offset in offsets.items()}).encode()
