"""Cases on a stream job: many in one job, each with keys of its own, so that they don't meet.

Kafka keeps no order across topics, and all cases of a job have one watermark. So a case's events are sent in steps: `Lockstep`
knows when the job has taken what was sent, and moves the watermark to where a case wants it.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from features.plan import Mode, Plan, WindowFeature
from features.times import DAY_MS
from infra.local.broker import Broker
from tests.contract.cases import COLUMNS, Case, Row, field, name_of, plan_of, repeated
from tests.support.flink import Cluster
from tests.support.streams import PARTITIONS, Submitted, dead_letters, own_topics, records, run_to_end, submitted

AGE_MS = 200 * 365 * DAY_MS
"""Longer than the times in all cases are apart: with such a delay no row is late, with such a lateness none is forgotten."""
DELAY_MS = 1000 * DAY_MS
"""How far behind the newest row the watermark is where cases move it: longer than a case."""
MAX_AHEAD_MS = 100 * 365 * DAY_MS
MAX_AGE_DAYS = 100 * 365
"""Cases go back to 1970."""
KEYS = 1_000_000
"""A case's small numbers become keys of its own by this many for each case; large ones stay as they are."""
SECONDS = 240
IDLE_MS = 1500
"""The idle timeout of cases with a silence."""

Vectors = dict[int, Mapping[str, Any] | str]
"""By the row's place in its case: features and ``complete``, or the reason of a dead letter."""


def vectors(broker: Broker, cluster: Cluster, cases: Sequence[Case], mode: Mode, folder: Path) -> dict[str, Vectors]:
    """What the stream job gives for every case, by the case's name, in as few jobs as their watermarks and lateness allow."""
    apart: dict[tuple[Any, ...], list[Case]] = defaultdict(list)
    together: list[Case] = []
    silent: list[Case] = []
    for case in cases:
        if case.lateness_ms is not None:  # whether a vector is complete depends on all the stages of its job
            apart[case.lateness_ms, case.longest_ms, *sorted({(f.source, f.key) for f in case.features})].append(case)
        elif mode == "event_time" and case.has_watermarks:
            apart[(DAY_MS,)].append(case)
        elif mode == "event_time" and case.has_silence:
            silent.append(case)
        else:
            together.append(case)
    found = _together(broker, cluster, together, mode, folder / "together") if together else {}
    found |= _in_silence(broker, cluster, silent, folder / "silent") if silent else {}
    for number, (group, members) in enumerate(apart.items()):
        plan = plan_of(members, mode, lateness_ms=group[0], delay_ms=DELAY_MS)
        found |= _one_by_one(broker, cluster, members, plan, folder / f"apart_{number}")
    return found


def _together(broker: Broker, cluster: Cluster, cases: Sequence[Case], mode: Mode, folder: Path) -> dict[str, Vectors]:
    """Cases of which no row is late and none is forgotten: their events are mixed, a step of each, then the next of each."""
    steps = [_steps(case) for case in cases]
    with closing(Lockstep(broker, plan_of(cases, mode, AGE_MS, AGE_MS), cases)) as lockstep:
        if mode == "event_time":  # which waits until all has come
            for case, step in ((case, step) for case, of in zip(cases, steps, strict=True) for step in of):
                lockstep.send_rows(case, step)
            lockstep.producer.flush()
            run_to_end(broker, cluster, lockstep.plan, folder, max_ahead_ms=MAX_AHEAD_MS, max_age_days=MAX_AGE_DAYS)
            return lockstep.vectors()
        with _running(lockstep, cluster, folder):
            for number in range(max(map(len, steps))):
                for case, of in zip(cases, steps, strict=True):
                    lockstep.send_rows(case, of[number] if number < len(of) else [])
                lockstep.settle(0)
            return lockstep.vectors()


def _one_by_one(broker: Broker, cluster: Cluster, cases: Sequence[Case], plan: Plan, folder: Path) -> dict[str, Vectors]:
    """Cases that move the watermark: each begins where the one before has ended, its times moved by whole days."""
    with closing(Lockstep(broker, plan, cases)) as lockstep, _running(lockstep, cluster, folder):
        end = 0
        for case in cases:
            times = [row.at for row in case.rows if row.at is not None]
            shift = max(0, -(-(end - min(times) + 1) // DAY_MS)) * DAY_MS
            lockstep.advance(min(times) + shift - 1)
            for step in _steps(case):
                if case.rows[step[0]].source == "watermark":
                    lockstep.advance(int(case.rows[step[0]].at or 0) + shift)
                else:
                    lockstep.send_rows(case, step, shift)
                    lockstep.settle(lockstep.watermark)
            end = max(times) + shift
            lockstep.advance(end)
        return lockstep.vectors()


def _in_silence(broker: Broker, cluster: Cluster, cases: Sequence[Case], folder: Path) -> dict[str, Vectors]:
    """Cases in which nothing more comes: the rows before a silence have their vectors in it."""
    with (
        closing(Lockstep(broker, plan_of(cases, "event_time", DAY_MS), cases)) as lockstep,
        _running(lockstep, cluster, folder, idle_timeout_ms=IDLE_MS),
    ):
        for days, case in enumerate(cases):
            for step in _steps(case):
                if case.rows[step[0]].source == "silence":
                    lockstep.await_vectors(case)
                else:
                    lockstep.send_rows(case, step, days * DAY_MS)
        return lockstep.vectors()


def _steps(case: Case) -> list[list[int]]:
    """Places of rows that can be sent at once: those of one source have an order of their own."""
    return [[place for place, _ in rows] for _, rows in itertools.groupby(enumerate(case.rows), lambda row: row[1].source)]


@contextmanager
def _running(lockstep: Lockstep, cluster: Cluster, folder: Path, **changes: Any) -> Iterator[None]:
    """The job, on the tests' cluster."""
    options = {
        "bounded": False,
        "max_ahead_ms": MAX_AHEAD_MS,
        "max_age_days": MAX_AGE_DAYS,
        "idle_timeout_ms": 1000 * SECONDS,  # a slow machine is not a silent source
        "drift_ms": 2 * DELAY_MS,
        **changes,
    }
    with submitted(lockstep.broker, cluster, lockstep.plan, folder, **options) as job:
        lockstep.job = job
        yield


class Lockstep:
    """Sends events to a job, and knows how far it is.

    Probes show how far, events of a key of their own. A payment that is a probe has its vector after all payments before it; the
    vector has the newest probe among the reports, and so says that the job has taken all reports before that one.
    """

    def __init__(self, broker: Broker, plan: Plan, cases: Sequence[Case]) -> None:
        probed = [_with_probe(stage) if stage.source != plan.spine else stage for stage in plan.windows]
        self.broker = broker
        self.plan = own_topics(broker, msgspec.structs.replace(plan, windows=tuple(probed)))
        self.producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
        self.job: Submitted | None = None
        self.watermark = 0
        self._cases = list(cases)
        self._ids = itertools.count(1)
        self._sent: list[tuple[Case, int, int, Any]] = []
        self._seen: dict[int, dict[str, Any]] = {}
        self._consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, enable_auto_commit=False)
        places = [TopicPartition(self.plan.features_topic, number) for number in range(PARTITIONS)]
        self._consumer.assign(places)
        self._consumer.seek_to_beginning(*places)

    def close(self) -> None:
        """Close the clients."""
        self.producer.close()
        self._consumer.close()

    def send_rows(self, case: Case, places: Sequence[int], shift_ms: int = 0) -> None:
        """Send rows of a case, in their order; a line ``watermark`` or ``silence`` is none."""
        for place in places:
            row = case.rows[place]
            if row.is_event:
                number = next(self._ids)
                value = _record(row, 1 + self._cases.index(case), number, shift_ms)
                self._sent.append((case, place, number, self._send(row.source, value)))

    def await_vectors(self, case: Case) -> None:
        """Return when all queries of a case that were sent have a vector."""
        self.producer.flush()
        for sent, place, number, _ in self._sent:
            if sent is case and case.rows[place].source == self.plan.spine:
                self._features_of(number)

    def advance(self, to: int) -> None:
        """Move the watermark; return when the job has."""
        self.watermark = to
        for source, partition in itertools.product(self.plan.sources, range(PARTITIONS)):
            self._send(source.name, _marker("watermark", next(self._ids), to + source.delay_ms + 1), partition)
        self.settle(to)

    def settle(self, at: int) -> None:
        """Return when the job has taken all that was sent. ``at`` is a time that the watermark has passed or is to reach."""
        newest = next(self._ids)
        others = [source for source in self.plan.sources if source.name != self.plan.spine]
        for source in others:
            self._send(source.name, _marker("probe", newest, at))
        while True:
            query = next(self._ids)
            self._send(self.plan.spine, _marker("probe", query, at))
            self.producer.flush()
            features = self._features_of(query)
            if all((features[name] or 0) >= newest for name in features if name.startswith("probe_")):
                return

    def _send(self, source: str, value: bytes, partition: int = 0) -> Any:
        return self.producer.send(self.plan.source(source).topic, value=value, partition=partition)

    def _features_of(self, event_id: int) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while event_id not in self._seen:
            assert self.job, "rows are sent to a job that runs"
            assert self.job.is_alive(), "the stream job has ended; its output says why"
            assert time.monotonic() < deadline, "the stream job gives no vector"
            for polled in self._consumer.poll(timeout_ms=100).values():
                self._seen |= {vector["event_id"]: vector["features"] for vector in map(_vector, polled)}
        return self._seen[event_id]

    def vectors(self) -> dict[str, Vectors]:
        """All that the job has written, by case."""
        given = {vector["event_id"]: vector for vector in map(_vector, records(self.broker, self.plan.features_topic))}
        letters = {(letter.origin.topic, letter.origin.offset): letter.reason for letter in dead_letters(self.broker, self.plan)}
        found: dict[str, Vectors] = {case.name: {} for case in self._cases}
        for case, place, number, sent in self._sent:
            origin = sent.get(SECONDS)
            if (origin.topic, origin.offset) in letters:
                found[case.name][place] = letters[origin.topic, origin.offset]
            elif number in given:
                features = given[number]["features"]
                named = {feature.name: features[name_of(feature)] for feature in case.features}
                found[case.name][place] = {**named, "complete": given[number]["complete"]}
        return found


def _with_probe(stage: Any) -> Any:
    probe = WindowFeature(f"probe_{stage.name}__id", "max", "id", 1000)
    return msgspec.structs.replace(stage, features=(*stage.features, probe))


def _vector(record: Any) -> dict[str, Any]:
    """With every digit: a sum may have more than a double."""
    vector: dict[str, Any] = json.loads(record.value, parse_float=Decimal)
    return vector


def _marker(kind: str, number: int, at: int) -> bytes:
    """An event that belongs to no case."""
    card = {"probe": -1, "watermark": -2}[kind]
    return json.dumps({"id": number, "at": at, "card": card, "shop": kind}).encode()


def _record(row: Row, case: int, number: int, shift_ms: int) -> bytes:
    """A row as JSON, its cells as they are written; with an id, and with keys of its case's own."""
    fields = {column.name: field(column, row.cells.get(column.name, "-")) for column in COLUMNS}
    if "id" not in row.cells or fields["id"]:
        fields["id"] = str(number)
    if row.at is not None and not row.cells["at"].startswith('"'):
        fields["at"] = str(row.at + shift_ms)
    card = json.loads(fields["card"] or "null") if "card" in row.cells else 0
    if card is not None and abs(card) < KEYS / 2:
        fields["card"] = str(card + case * KEYS)
    shop = json.loads(fields["shop"] or "null") if "shop" in row.cells else ""
    if shop is not None:
        fields["shop"] = json.dumps(f"{case}/{shop}")
    written = [*repeated(row), *fields.items()]
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in written if value is not None) + "}").encode()
