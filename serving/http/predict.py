"""``POST /v1/predict/{service}``: rows in, predictions with their receipts out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serving.http.config import HttpConfig
from serving.http.gate import RETRY_SECONDS, Gate, too_many
from serving.http.media import JSON
from serving.http.metrics import Metrics
from serving.http.problems import ProblemError, no_service
from serving.http.rows import Queries
from serving.http.scoring import InService, Job, Outcome, Scored
from serving.http.served import Served
from serving.http.store import StoreDownError
from serving.predict.message import UnscorableError


class Predict:
    """The endpoint, for all services of the process."""

    def __init__(self, served: Mapping[str, Served], config: HttpConfig, gate: Gate, metrics: Metrics) -> None:
        self._served, self._gate, self._metrics = served, gate, metrics
        self._seconds, self._most = config.deadline_ms / 1000, config.max_concurrency

    async def __call__(self, request: Request) -> Response:
        """Score the request's rows."""
        until = time.monotonic() + self._seconds
        service = request.path_params["service"]
        one, now = self.serving(service)
        with self._gate.admit():
            body = await self._gate.body(request)
            queries = now.rows.decode(body, int(time.time() * 1000))
            scored = await self._score(one, now, queries, until) if queries.messages else Scored((), False)
        return Response(self._body(service, queries, scored), media_type=JSON)

    def serving(self, service: str) -> tuple[Served, InService]:
        """A service and what serves it. Raises `ProblemError`: 404 for an unknown one, 503 where nothing serves."""
        one = self._served.get(service)
        if one is None:
            raise no_service(service, self._served)
        if one.now is None:
            raise ProblemError(503, f"service '{service}' has no model in service: {one.reason}", retry_after=RETRY_SECONDS)
        return one, one.now

    async def _score(self, one: Served, now: InService, queries: Queries, until: float) -> Scored:
        if one.scoring.waiting >= self._most:  # a request that is past its deadline is in work until the scoring thread drops it
            raise too_many(self._most)
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        one.scoring.put(Job(now, queries, until, waiting))
        try:
            async with asyncio.timeout(until - time.monotonic()):
                outcome = await waiting
        except TimeoutError:
            raise ProblemError(
                503,
                f"a request has its predictions within {self._seconds * 1000:.0f} ms (http.deadline_ms); this had none by then",
                retry_after=RETRY_SECONDS,
            ) from None
        if isinstance(outcome, StoreDownError):
            raise ProblemError(
                503,
                "the online store is down; try again (http.on_store_error is 'refuse')",
                retry_after=RETRY_SECONDS,
            ) from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _body(self, service: str, queries: Queries, scored: Scored) -> bytes:
        """``{"predictions": […], "errors": 0, "degraded": false}``; the predictions are JSON already."""
        results: list[Any] = list(scored.results)
        errors = 0
        for place, result in enumerate(results):
            if isinstance(result, UnscorableError):
                errors += 1
                results[place] = msgspec.json.encode({"event_id": queries.messages[place].event_id, "error": str(result)})
        self._count(service, len(results), errors, scored.degraded)
        degraded = b"true" if scored.degraded else b"false"
        return b'{"predictions":[%b],"errors":%d,"degraded":%b}' % (b",".join(results), errors, degraded)

    def _count(self, service: str, rows: int, errors: int, degraded: bool) -> None:
        self._metrics.rows.labels(service).inc(rows - errors)
        if errors:
            self._metrics.errors.labels(service, "unscorable").inc(errors)
        if degraded:
            self._metrics.degraded.labels(service).inc(rows)


def deliver(outcomes: Sequence[tuple[Job, Outcome]]) -> None:
    """Hand the outcomes of a batch to the requests that wait for them, on their loop; called on another thread."""
    with suppress(RuntimeError):  # the loop has ended: nobody waits
        outcomes[0][0].waiting.get_loop().call_soon_threadsafe(_deliver, outcomes)


def _deliver(outcomes: Sequence[tuple[Job, Outcome]]) -> None:
    for job, outcome in outcomes:
        if not job.waiting.done():  # nobody waits any more
            job.waiting.set_result(outcome)
