"""Events a second, and bytes of state, as a key holds more and more events: ``python -m bench hot_keys``.

The events of one key (of a few, where a key holds few), in order of time, so spaced that the longest window always holds as many
as it says. First the key is filled: Headrace and Quix Streams' windows are sent the events of the 30 days before, and have
``FILL_SECONDS`` for them; own code starts with its list filled, as after a restore. Then it is timed.
"""

from __future__ import annotations

import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.common import row
from bench.peers import records
from bench.peers.contenders import Contender, checkpoints, ensure, ours, own_code, own_code_with_sums, quix_windows
from bench.peers.job import Job, made_up
from bench.peers.own_code import KEEP, LENGTHS
from infra.local.broker import Broker
from jobs.ingest.publish import Event, publish

HELD = (10, 100, 1_000, 10_000, 100_000)
"""Events of a key in the longest window."""
TIMED = 400_000
"""Events behind those that fill: the most that are timed."""
SECONDS = 20
FILL_SECONDS = 60
CHECKPOINT_SECONDS = 30
"""In which a checkpoint is begun and done."""
FEW = 6
"""Batches, of which the second half of a slow contender's vectors may be fewer."""
PERIODS = 500
"""Of the longest window, which a key's events may span: 41 years."""

BYTEWAX, QUIX_WINDOWS = own_code("bytewax"), quix_windows()
CONTENDERS = (ours(), BYTEWAX, own_code_with_sums(), own_code("quix"), QUIX_WINDOWS)
GOALS = {BYTEWAX.name: 50, QUIX_WINDOWS.name: 1000}
"""How many times as fast ours is to be where a key holds the most."""


class Point(NamedTuple):
    """One contender with one number of events a key."""

    contender: str
    held: int
    reached: int
    """How many a key held at most; the rest is of no use where that is less than ``held``."""
    speed: float
    """Events a second."""
    bytes_an_event: float
    different: int
    """Values that are not ours."""
    failure: str = ""


def rows(
    held: tuple[int, ...] = HELD, timed: int = TIMED, seconds: float = SECONDS, fill_seconds: float = FILL_SECONDS
) -> list[dict[str, Any]]:
    """All contenders at each number of events, one after the other on one broker."""
    ensure()
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        for number in held:
            points += _points(broker, Path(temporary), number, timed, seconds, fill_seconds)
    return [line for point in points for line in _lines(point)] + list(_ratios(points))


def _points(broker: Broker, folder: Path, held: int, timed: int, seconds: float, fill_seconds: float) -> Iterator[Point]:
    source, keys, reference = f"hot-{held}", -(-timed // (held * PERIODS)), None
    broker.create_topics({source: 1})
    publish(_events(source, held, keys, timed), {"bootstrap_servers": broker.bootstrap})
    for contender in CONTENDERS:
        target = f"{contender.topic}.{held}"
        job = Job(broker.bootstrap, source, target, str(folder / target), linger_ms=5, history=held, keys=keys)
        records.create(broker, job, 1)
        try:
            reached = _run(contender, job, timed, seconds, fill_seconds)
        except records.EndedError as error:  # Quix Streams' state of 1 MB does not fit a record of its changelog
            if contender is CONTENDERS[0]:
                raise
            yield Point(contender.name, held, 0, 0, 0, 0, str(error).splitlines()[-1])
            continue
        if reached < held:
            yield Point(contender.name, held, reached, 0, 0, 0)
            continue
        vectors = records.read(job, job.first_event + timed)
        reference = reference or vectors
        kept = job.first_event * (1 if contender.starts_filled else KEEP / LENGTHS[-1])
        different, _ = reference.differences(vectors)
        speed = _speed(vectors, contender, job)
        failure = "" if speed else f"a single batch of vectors in {seconds} s"
        yield Point(contender.name, held, held, speed, contender.state_bytes(job) / kept, different, failure)


def _events(topic: str, held: int, keys: int, timed: int) -> Iterator[Event]:
    for number in range(held * keys + timed):
        (when, cents), customer = made_up(number, keys, held), number % keys
        value = (
            f'{{"transaction_id":{number},"event_time":{when},"customer_id":{customer},"terminal_id":{number % 97},'
            f'"amount":{cents // 100}.{cents % 100:02}}}'
        )
        yield Event(when, topic, str(customer).encode(), value.encode())


def _run(contender: Contender, job: Job, timed: int, seconds: float, fill_seconds: float) -> int:
    """Fill and time it; how many events a key held in the end."""
    fill = 0 if contender.starts_filled else job.first_event * contender.records
    with contender.start(job) as alive:
        filled = records.wait_for(job, alive, fill, fill_seconds)
        if filled >= fill:
            records.wait_for(job, alive, fill + timed * contender.records, seconds, at_least=fill + 1)
            if contender is CONTENDERS[0]:
                _next_checkpoint(job)
    return job.history if filled >= fill else filled // contender.records // job.keys


def _next_checkpoint(job: Job) -> None:
    before, deadline = set(checkpoints(job)), time.monotonic() + CHECKPOINT_SECONDS
    while set(checkpoints(job)) <= before and time.monotonic() < deadline:
        time.sleep(0.2)


def _speed(vectors: records.Vectors, contender: Contender, job: Job) -> float:
    """Over the second half of what was timed, or over all where that is few batches, from the end of one batch to another's."""
    stamps = vectors.stamps[0 if contender.starts_filled else job.first_event * contender.records :]
    half = stamps[len(stamps) // 2 :]
    first = half[0] if len(set(half)) >= FEW else stamps[0]
    return (len(stamps) - bisect_right(stamps, first)) / max(stamps[-1] - first, 1) * 1000 / contender.records


def _lines(point: Point) -> Iterator[dict[str, Any]]:
    what, of = f"{point.held:,} events a key", {"contender": point.contender, "held": point.held}
    if point.failure:
        yield row(f"{what}: {point.contender}: failed, {point.failure}", 0, "events a key") | of
        return
    if point.reached < point.held:
        yield row(f"{what}: {point.contender}: not reached, ended at", point.reached, "events a key") | of
        return
    yield row(f"{what}: {point.contender}", round(point.speed), "events/s") | of
    yield row(f"{what}: {point.contender}, state", round(point.bytes_an_event, 1), "bytes/event", better="lower") | of
    if point.different:
        yield row(f"{what}: {point.contender}, differ from ours", point.different, "values", better="lower") | of


def _ratios(points: list[Point]) -> Iterator[dict[str, Any]]:
    """Ours with the most events a key that it reached, over a peer with as many, or with the most below that it reached."""
    reached = [point for point in points if point.reached == point.held and not point.failure]
    ours = [point for point in reached if point.contender == CONTENDERS[0].name][-1]
    most = max(point.held for point in points)
    for name, goal in GOALS.items():
        peer = [point for point in reached if point.contender == name and point.held <= ours.held][-1]
        at = "" if peer.held == ours.held else f" with {peer.held:,}"
        what = f"{ours.held:,} events a key: Headrace over {name}{at}"
        yield row(what, round(ours.speed / peer.speed, 1), "times", goal=goal if ours.held == most else None, baseline=1)
