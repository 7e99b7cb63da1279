"""A backfilled job on a real broker and a real Flink: its vectors are those of a job that has read everything."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow.compute as pc
import pytest

from bench.common import history_events
from features.errors import StackError
from features.job import job_plan
from features.plan import Plan
from features.seam import seam_at
from features.service import Service
from features.times import DAY_MS
from infra.local.broker import Broker
from jobs.audit.compare import compare
from jobs.history.backfill import write_history
from jobs.history.compute import compute
from jobs.ingest.publish import Event, publish
from jobs.stream.backfill import history_folder, record
from jobs.stream.files import state_folder
from jobs.stream.job import run
from tests.support.flink import Cluster
from tests.support.streams import (
    await_checkpoint,
    await_vectors,
    config_of,
    embedded,
    own_topics,
    run_to_end,
    submitted,
    vectors,
)

pytestmark = pytest.mark.stack

OVERLAP_MS = 3 * DAY_MS


class Halves(NamedTuple):
    """The events of a plan's history, dealt to a backfill and to the topics: some to both, none to neither."""

    until_ms: int
    history: list[Event]
    topic: list[Event]


def dealt(service: Service, plan: Plan, seed: int) -> Halves:
    """At a random time in the last third; of the days before it, each event is in one half or in both."""
    random_ = random.Random(seed)
    events = list(history_events(service.folder, plan))
    times = sorted(event.time for event in events)
    until = times[random_.randrange(len(times) * 2 // 3, len(times) * 9 // 10)]
    halves = Halves(until, [], [])
    for event in events:
        near = until - OVERLAP_MS <= event.time < until
        in_history = event.time < until and (not near or random_.random() < 0.8)
        if in_history:
            halves.history.append(event)
        if not in_history or (near and random_.random() < 0.7):
            halves.topic.append(event)
    return halves


def start_with(
    plan: Plan, halves: Halves, folder: Path, state: Path, *, backend: str = "heap", files: int = 1, others: int = 0
) -> None:
    """Load the history of ``halves`` for the job of ``plan`` whose checkpoints are below ``state``.

    With ``others``, each event so many times more, of other customers, who have no queries: a history that takes longer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for source in plan.sources:
        written[source.name] = folder / f"{source.name}.jsonl"
        lines = [event.value for event in halves.history if event.topic == source.topic]
        written[source.name].write_bytes(b"".join(line + b"\n" for line in (*lines, *_of_others(lines, others))))
    job = job_plan([plan])
    seam = seam_at(job, halves.until_ms, files)
    place = state_folder(job, state, backend)
    histories = {name: file for name, file in written.items() if name in seam.from_ms}
    rows = write_history(job, seam, folder, history_folder(place), histories=histories)
    assert all(rows.values()), rows
    record(place, seam)


def _of_others(lines: Sequence[bytes], others: int) -> Iterator[bytes]:
    for number in range(1, others + 1):
        for line in lines:
            event = msgspec.json.decode(line)
            ids = {"transaction_id": -event["transaction_id"] - 1, "customer_id": -100 * event["customer_id"] - number}
            yield msgspec.json.encode(event | ids)


def sent(broker: Broker, events: Iterable[Event]) -> None:
    """The events, in the topics."""
    publish(iter(events), {"bootstrap_servers": broker.bootstrap})


def unordered(plan: Plan) -> Plan:
    """``plan`` whose files have rows in the order of their arrival, and no column for it."""
    return msgspec.structs.replace(plan, sources=tuple(msgspec.structs.replace(s, arrival=None) for s in plan.sources))


@pytest.mark.parametrize("seed", range(2))
def test_vectors_after_the_seam_are_the_batch_engines(
    broker: Broker, cluster: Cluster, small: Service, tmp_path: Path, seed: int
) -> None:
    """In event-time mode, over two stages and two subtasks, each value after a random seam is that of all events."""
    plan = own_topics(broker, unordered(small.plan), mode="event_time")
    halves = dealt(small, plan, seed)
    start_with(plan, halves, tmp_path / "a history", tmp_path, files=2)
    sent(broker, halves.topic)
    run_to_end(broker, cluster, plan, tmp_path, parallelism=2)
    batch = compute(small)
    expected = batch.filter(pc.greater_equal(batch["event_time"], halves.until_ms))
    found = vectors(broker, plan)
    assert {vector.event_id for vector in found} == set(expected["transaction_id"].to_pylist())
    parity = compare(plan, batch, found)
    assert [stage.differing for stage in parity.stages] == [0, 0], parity
    assert all(vector.complete for vector in found)


def test_a_backfilled_job_goes_on_after_kills(broker: Broker, small: Service, tmp_path: Path) -> None:
    """In arrival mode, on RocksDB, killed with -9 while it reads its history and once more behind the seam, when the history is
    gone, each time with another parallelism: each value is the batch engine's, as the topic's rows arrive in order."""
    whole = unordered(small.plan)
    plan = own_topics(broker, msgspec.structs.replace(whole, sources=whole.sources[:1], windows=whole.windows[:1]))
    halves = dealt(small, plan, seed=7)
    early, late = halves.topic[: len(halves.topic) // 2], halves.topic[len(halves.topic) // 2 :]
    start_with(plan, halves, tmp_path / "history", tmp_path, backend="rocksdb", files=2, others=40)
    rows = list(history_folder(state_folder(job_plan([plan]), tmp_path, "rocksdb")).glob("*.rows"))
    settings = {"bounded": False, "state_backend": "rocksdb", "checkpoint_interval_ms": 200}
    sent(broker, early)
    with embedded(broker, plan, tmp_path, parallelism=2, **settings):
        await_checkpoint(tmp_path, seconds=180)
    assert all(file.exists() for file in rows), "it was killed while it read its history"
    with embedded(broker, plan, tmp_path, parallelism=3, **settings):
        await_vectors(broker, plan, sum(1 for event in early if event.time >= halves.until_ms))
    assert not any(file.exists() for file in rows), "it was killed behind the seam"
    sent(broker, late)
    with embedded(broker, plan, tmp_path, **settings):
        await_vectors(broker, plan, sum(1 for event in halves.topic if event.time >= halves.until_ms))
    found = vectors(broker, plan)
    wanted = {msgspec.json.decode(event.value)["transaction_id"] for event in halves.topic if event.time >= halves.until_ms}
    assert {vector.event_id for vector in found} == wanted
    (stage,) = compare(plan, compute(small), found).stages
    assert stage.differing == 0, stage
    assert all(vector.complete for vector in found)


def test_a_job_whose_history_is_gone_says_what_to_do(broker: Broker, small: Service, tmp_path: Path) -> None:
    """A job without a checkpoint does not begin with half of its history."""
    plan = own_topics(broker, unordered(small.plan))
    start_with(plan, dealt(small, plan, seed=1), tmp_path / "history", tmp_path)
    next(history_folder(state_folder(job_plan([plan]), tmp_path, "heap")).glob("*.rows")).unlink()
    with pytest.raises(StackError, match="1 files of it, and no checkpoint is beside it; run 'headrace backfill' again"):
        run(job_plan([plan]), config_of(broker, plan, tmp_path))


def test_what_fails_at_the_seam_ends_the_job(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """The thread that waits for the seam raises nowhere: nobody would ever hear that the job is ready, or why it is not."""
    plan = own_topics(broker, unordered(small.plan))
    start_with(plan, dealt(small, plan, seed=1), tmp_path / "history", tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    ready = tmp_path / "gone" / "ready"
    with (
        pytest.raises(FileExistsError, match="gone"),
        submitted(broker, cluster, plan, tmp_path, bounded=False, ready_file=ready) as job,
    ):
        job.join()
    cluster.await_no_job()
