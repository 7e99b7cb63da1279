"""Looks at what is deployed while the scorer works, and has the next lineup ready before the scorer has to take it.

::

    deployment log ──► load, warm up ──► offer ──► taken between two polls, at known offsets ──► report, topic `deployments`
                       └────── this thread ──────┘         └─ the scorer's loop ─┘               └──── this thread ────┘
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog
from kafka import TopicPartition

from features.errors import HeadraceError
from schemas import Deployment
from schemas.codec import encode
from schemas.deployment import LogEntry, Placed
from schemas.topics import DEPLOYMENTS
from serving.models.lifecycle import Entry
from serving.models.registry import Registry
from serving.models.reports import Report, Serving
from serving.predict.following import LOOK_SECONDS, RETRY_SECONDS, Following
from serving.predict.lineup import Lane
from serving.predict.loading import Failed, Loaded, Loader

REPORT_SECONDS = 5.0
CLOSE_SECONDS = 10.0

log = structlog.get_logger()
Offsets = Mapping[TopicPartition, int]


class Place(NamedTuple):
    """Since when an environment has what it has."""

    placed: Placed
    share: float | None
    since: int
    seq: int
    offsets: dict[int, int]


class Watch:
    """Watches the deployment log of one service on a thread of its own, between ``start`` and ``close``.

    ``send`` writes a record to a topic; it may wait.
    """

    def __init__(
        self,
        service: str,
        instance: str,
        registry: Registry,
        loader: Loader,
        loaded: Loaded,
        send: Callable[[str, bytes, bytes], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service, self._instance = service, instance
        self._registry, self._send, self._clock = registry, send, clock
        self._following = Following(service, registry, loader, loaded)
        self._current = self._taken = loaded
        self._offers: deque[Loaded] = deque(maxlen=1)
        self._news: deque[tuple[Loaded, Offsets]] = deque()
        self._places: dict[str, Place] = {}
        self._failures: dict[Failed, int] = {}
        self._untold = self._missed(loaded)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch-{service}", daemon=True)

    @property
    def current(self) -> Loaded:
        """The lineup that the loop has, or begins with."""
        return self._current

    def start(self) -> None:
        """Begin to look, if it has not begun."""
        if not self._thread.ident:
            self._following.log_failures(())
            self._thread.start()

    def close(self) -> None:
        """Stop looking, and say a last time what was done."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def offered(self) -> Loaded | None:
        """The next lineup, once."""
        return self._offers.popleft() if self._offers else None

    def taken(self, loaded: Loaded, offsets: Offsets) -> None:
        """The scorer's loop serves this lineup from these offsets on; also told anew whenever its partitions are others."""
        self._current = loaded
        self._news.append((loaded, dict(offsets)))
        self._wake.set()

    def _run(self) -> None:
        told = tried = time.monotonic()
        complained = ""
        while not self._stop.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            now = time.monotonic()
            try:
                retry = self._has_failed and now - tried > RETRY_SECONDS
                tried = now if self._look(retry) else tried
                if self._hear() or now - told > REPORT_SECONDS:
                    self._report()
                    told = now
                complained = ""
            except Exception as error:  # the registry is away, say: what serves goes on
                if complained != repr(error):
                    log.warning("the deployment log is not followed", service=self._service, error=repr(error))
                complained = repr(error)
        with suppress(Exception):  # as good as it goes: the scorer ends
            self._hear()
            self._report()

    def _look(self, retry: bool) -> bool:
        """Offer a new lineup where there is something new."""
        new, offered = self._following.look(retry)
        self._untold += new
        if offered is not None:
            self._offers.append(offered)
        return bool(new) or retry

    @property
    def _has_failed(self) -> bool:
        loaded = self._following.loaded
        return bool(loaded and loaded.failed)

    def _hear(self) -> bool:
        """Take note of what the loop has taken since, and tell it to the topic; what cannot be told now is told later."""
        heard = False
        while self._news:
            loaded, offsets = self._news[0]
            self._note(loaded, {place.partition: offset for place, offset in offsets.items()})
            self._news.popleft()
            heard = True
        return heard

    def _note(self, loaded: Loaded, offsets: dict[int, int]) -> None:
        at, seq = self._now(), loaded.deployed.seq
        self._taken = loaded
        places = {}
        for lane in loaded.lineup.lanes:
            before = self._places.get(lane.alias)
            if before and (before.placed, before.share) == (lane.placed, lane.share):
                places[lane.alias] = before._replace(offsets={p: before.offsets.get(p, offsets[p]) for p in offsets})
            else:
                places[lane.alias] = Place(lane.placed, lane.share, at, self._newest(lane.alias, seq), offsets)
        self._places = places
        told = [entry for entry in self._untold if entry.seq <= seq]
        for entry in told:
            self._tell(entry, told, offsets, at)
            self._untold.remove(entry)

    def _tell(self, entry: Entry, told: Sequence[Entry], offsets: dict[int, int], at: int) -> None:
        error = self._error_of(entry, told)
        change = {name: getattr(entry, name) for name in LogEntry.__struct_fields__}
        deployment = Deployment(
            **change,
            instance=self._instance,
            state="failed" if error else "serving",
            error=error,
            offsets={} if error else offsets,
            taken_at=at,
        )
        log.info("deployment", **{name: change[name] for name in ("seq", "action", "alias", "model", "version")}, error=error)
        self._send(DEPLOYMENTS.name, encode(deployment), self._service.encode())

    def _error_of(self, entry: Entry, told: Sequence[Entry]) -> str | None:
        """Why the change of an entry was not taken; None where it was."""
        environment = entry.environment
        later = next((one for one in told if one.seq > entry.seq and one.environment == environment), None)
        if later is not None and environment is not None:
            return f"entry {later.seq} followed before it was taken"
        return next((one.error for one in self._taken.failed if one.alias == environment and one.placed == entry.placed), None)

    def _report(self) -> None:
        at, seq = self._now(), self._taken.deployed.seq
        lanes = {lane.alias: lane for lane in self._taken.lineup.lanes}
        serving = [self._serving(lanes[alias], place) for alias, place in self._places.items()]
        self._failures = {one: self._failures.get(one, at) for one in self._taken.failed}
        serving += [_failed(one, since, self._newest(one.alias, seq)) for one, since in self._failures.items()]
        self._registry.report(self._service, self._instance, Report(instance=self._instance, at=at, serving=serving))

    def _serving(self, lane: Lane, place: Place) -> Serving:
        tally = lane.tally
        return Serving(
            alias=lane.alias,
            model=lane.placed.model,
            version=lane.placed.version,
            share=lane.share,
            state="serving",
            error=None,
            since=place.since,
            seq=place.seq,
            offsets=place.offsets,
            events=tally.events,
            errors=tally.errors,
            skipped=tally.skipped,
            events_per_second=tally.rate(time.monotonic()),
            p99_ms=tally.p99_ms,
        )

    def _missed(self, loaded: Loaded) -> list[Entry]:
        """The changes that this instance has not told: those since its last report, or, of a new one, those in force."""
        entries, reported = list(self._registry.entries(self._service)), None
        with suppress(HeadraceError):  # a damaged report is none
            reported = next((one for one in self._registry.reports(self._service) if one.instance == self._instance), None)
        if reported is not None:
            last = max((one.seq for one in reported.serving), default=0)
            return [entry for entry in entries if last < entry.seq <= loaded.deployed.seq]
        newest = {entry.environment: entry for entry in entries if entry.seq <= loaded.deployed.seq}
        return sorted(newest.values(), key=lambda entry: entry.seq)

    def _newest(self, alias: str, until: int) -> int:
        """The last of the first ``until`` entries that says which version an environment has."""
        entries = self._registry.entries(self._service)[:until]
        return next((entry.seq for entry in reversed(entries) if entry.environment == alias), until)

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _failed(one: Failed, since: int, seq: int) -> Serving:
    return Serving(
        alias=one.alias,
        model=one.placed.model,
        version=one.placed.version,
        share=one.share,
        state="failed",
        error=one.error,
        since=since,
        seq=seq,
    )
