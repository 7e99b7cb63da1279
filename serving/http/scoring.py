"""Scores the requests of one service on a thread: as one batch those that wait, none of which waits for more."""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import structlog

from serving.http.config import OnStoreError
from serving.http.rows import Queries, Rows
from serving.http.store import StoreDownError
from serving.predict.lineup import Lineup
from serving.predict.predictor import Result

CLOSE_SECONDS = 5.0

log = structlog.get_logger()


class InService(NamedTuple):
    """What serves from one moment on."""

    lineup: Lineup
    rows: Rows


class Scored(NamedTuple):
    """What the rows of one request have, in their order."""

    results: Sequence[Result]
    degraded: bool
    """Whether they were scored without the online store, with what of it was cached."""


Outcome = Scored | Exception
Done = Callable[[list[tuple["Job", Outcome]]], None]


class Job(NamedTuple):
    """A request."""

    serving: InService
    queries: Queries
    until: float
    """By `time.monotonic`, when nobody waits for it any more."""
    waiting: Future[Any]
    """Who waits for it: an `Outcome` is its result."""


class Scoring:
    """The thread. ``done`` is called there with the outcomes of a batch; ``observe`` with its rows and seconds."""

    def __init__(
        self, service: str, most: int, on_store_error: OnStoreError, done: Done, observe: Callable[[int, float], None]
    ) -> None:
        self._service, self._most, self._on_store_error = service, most, on_store_error
        self._done, self._observe = done, observe
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=f"score-{service}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs are not begun, those included for which nobody waits any more."""
        return self._queue.qsize()

    def put(self, job: Job) -> None:
        """Score it, as soon as what is in hand is scored."""
        self._queue.put(job)

    def close(self) -> None:
        """Score what was put, and end."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        held: Job | None = None
        while (first := held or self._queue.get()) is not None:
            jobs, held, ends = self._with_those_that_wait(first)
            now = time.monotonic()
            wanted = [job for job in jobs if job.until > now]
            if wanted:
                self._done(self._batch(wanted))
            if ends:
                return

    def _with_those_that_wait(self, first: Job) -> tuple[list[Job], Job | None, bool]:
        """A batch for one lineup, of no more rows than may be; the job that is not of it; whether it is the last."""
        jobs, rows = [first], len(first.queries.messages)
        while rows < self._most:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                return jobs, None, True
            rows += len(job.queries.messages)
            if job.serving is not first.serving or rows > self._most:
                return jobs, job, False
            jobs.append(job)
        return jobs, None, False

    def _batch(self, jobs: Sequence[Job]) -> list[tuple[Job, Outcome]]:
        began = time.perf_counter()
        try:
            found = self._outcomes(jobs)
        except Exception as error:  # ours: what a model or a function raises is a row's result
            log.exception("requests were not scored", service=self._service)
            return [(job, error) for job in jobs]
        self._observe(sum(len(job.queries.messages) for job in jobs), time.perf_counter() - began)
        return found

    def _outcomes(self, jobs: Sequence[Job]) -> list[tuple[Job, Outcome]]:
        try:
            return list(zip(jobs, self._scored(jobs), strict=True))
        except StoreDownError as error:
            return [(job, self._without_store(job, error)) for job in jobs]

    def _without_store(self, job: Job, error: StoreDownError) -> Outcome:
        """Of a job whose batch had keys for the store. Its own may all be in the cache."""
        try:
            return self._scored([job])[0]
        except StoreDownError:
            return error if self._on_store_error == "refuse" else self._scored([job], leave_out=True)[0]

    def _scored(self, jobs: Sequence[Job], *, leave_out: bool = False) -> list[Scored]:
        """The results of each job; ``leave_out``: without the online store. Raises `StoreDownError`."""
        lineup = jobs[0].serving.lineup
        events = lineup.vectors.of_rows(
            _chained(job.queries.messages for job in jobs),
            _chained([message.arrived_at for message in job.queries.messages] for job in jobs),
            _chained(job.queries.features for job in jobs),
            _chained(job.queries.event for job in jobs),
        )
        if leave_out:
            lineup.leave_out(events)
        results = iter(lineup.predict(events, _chained(job.queries.keys for job in jobs)))
        return [Scored(list(islice(results, len(job.queries.messages))), leave_out) for job in jobs]


def _chained(parts: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))
