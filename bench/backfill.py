"""A stream job that begins with 30 days of history: from files, and, beside it, published to its topics and read from them.

    python -m bench.backfill

Both ways start the same job of examples/fraud on one broker, and end when a live event has its vector, which is compared with
what history says of it. The history is what can still matter: the longest window, 30 days, and the allowed lateness of one, of
transactions and labels. Published, it is waited for before the live event is sent: an event that comes earlier finds windows half
full.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console

from bench.common import EXAMPLE, handbook_data, history_events, process, row
from features.job import job_plan
from features.plan import Plan
from features.seam import Seam, seam_at
from features.service import Service
from features.times import DAY_MS, Span, utc_ms
from infra.config import GROUP, stream_config
from infra.local import jars
from infra.local.broker import Broker
from infra.run.watch import caught_up
from infra.settings import StreamSettings
from jobs.history.backfill import write_history
from jobs.history.compute import compute
from jobs.ingest.publish import feed, merged, publish
from jobs.stream.backfill import history_folder, record
from jobs.stream.files import state_folder
from jobs.stream.job import run
from schemas import FeatureVector
from schemas.codec import decode_features
from schemas.topics import DEAD_LETTERS, LATE_ROWS

UNTIL_MS = utc_ms("2018-06-11") or 0
"""Seventy-one days after the example's first."""
PARTITIONS = 2


def rows() -> list[dict[str, Any]]:
    """Published first, then from files."""
    from features.definitions.load import load

    handbook_data()
    service = load(EXAMPLE).service("handbook")
    jars.ensure()
    with tempfile.TemporaryDirectory() as temporary, Broker(Path(temporary) / "kafka") as broker:
        loaded, published = _published(broker, service, Path(temporary) / "published")
        filed, backfilled = _from_files(broker, service, Path(temporary) / "backfilled")
    assert loaded == filed, (loaded, filed)
    return [
        row(
            "backfill: seconds to the first exact live vector",
            round(backfilled, 1),
            "s",
            better="lower",
            baseline=round(published, 1),
        ),
        row(
            "backfill: rows a second, of the whole time", round(filed / backfilled), "rows/s", baseline=round(loaded / published)
        ),
        row("publish and replay / backfill, seconds", round(published / backfilled, 2), "ratio", goal=5, baseline=1.0),
    ]


def _published(broker: Broker, service: Service, folder: Path) -> tuple[int, float]:
    """How many rows, and the seconds to the first exact live vector."""
    plan = _own(broker, service, "published")
    client = {"bootstrap_servers": broker.bootstrap}
    first = min(_seam(plan).from_ms.values())
    began = time.monotonic()
    with _job(broker, plan, folder, vectors_from_ms=UNTIL_MS):
        sent = publish(history_events(service.folder, plan, Span(first, UNTIL_MS)), client).events
        caught_up(client, plan, f"{GROUP}.{plan.service}")
        return sent, _exact(broker, service, plan) - began


def _from_files(broker: Broker, service: Service, folder: Path) -> tuple[int, float]:
    """The same, with a backfill."""
    plan = _own(broker, service, "backfilled")
    job = job_plan([plan])
    state = state_folder(job, folder, StreamSettings().state_backend)
    began = time.monotonic()
    written = write_history(job, _seam(plan), service.folder, history_folder(state))
    record(state, _seam(plan))
    with _job(broker, plan, folder):
        return sum(one.rows for one in written.values()), _exact(broker, service, plan) - began


def _seam(plan: Plan) -> Seam:
    return seam_at(job_plan([plan]), UNTIL_MS, 1)


def _own(broker: Broker, service: Service, name: str) -> Plan:
    """The service's plan with topics of its own, which have nothing in them."""
    sources = tuple(msgspec.structs.replace(s, topic=f"{s.topic}-{name}") for s in service.plan.sources)
    plan = msgspec.structs.replace(service.plan, service=f"handbook-{name}", sources=sources)
    broker.create_topics(dict.fromkeys([*(s.topic for s in sources), plan.features_topic], PARTITIONS))
    broker.create_topics({shared.name: 1 for shared in (DEAD_LETTERS, LATE_ROWS)})
    return plan


@contextmanager
def _job(broker: Broker, plan: Plan, folder: Path, **changes: Any) -> Iterator[None]:
    settings = StreamSettings(checkpoint_interval_ms=1000, **changes)
    config = stream_config(settings, bootstrap=broker.bootstrap, checkpoints=folder)
    with process(run, job_plan([plan]), config):
        yield


def _exact(broker: Broker, service: Service, plan: Plan) -> float:
    """Send one live event, and give the moment at which its vector is there; raises where that is not history's."""
    spine = plan.spine_source
    of_spine = feed(service.folder / spine.history, spine.topic, [plan])
    live = next(merged([of_spine], Span(UNTIL_MS, UNTIL_MS + DAY_MS)))
    publish(iter([live]), {"bootstrap_servers": broker.bootstrap})
    vector = _first(broker, plan)
    now = time.monotonic()
    table = compute(service, wanted=[f.name for f in plan.window_features], start_ms=live.time, end_ms=live.time + 1)
    expected = next(one for one in table.to_pylist() if one[spine.event_id] == vector.event_id)
    assert vector.complete
    for feature in plan.window_features:
        got, want = vector.features[feature.name], expected[feature.name]
        assert (got is None) == (want is None), feature.name
        assert got is None or float(got) == float(want), (feature.name, got, want)
    return now


def _first(broker: Broker, plan: Plan) -> FeatureVector:
    """The first vector, as soon as it is there."""
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        places = [TopicPartition(plan.features_topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        while True:
            for records in consumer.poll(timeout_ms=100).values():
                return decode_features(records[0].value)


if __name__ == "__main__":
    from bench.report import table

    Console().print(table(rows()))
