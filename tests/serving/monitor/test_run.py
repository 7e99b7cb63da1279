"""The monitor on a real broker: killed and started again, each prediction counts once, and each alarm is written once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from kafka import KafkaProducer

from features.errors import StackError
from features.inputs.reference import SCORE, Length, encode_reference
from features.times import DAY_MS
from infra.config import monitor_config
from infra.local.broker import Broker
from infra.monitor_settings import MonitorSettings
from schemas import Alarm, Prediction, Receipt
from schemas.codec import decode_alarm, encode
from schemas.topics import ALARMS, predictions
from serving.monitor import run as run_module
from serving.monitor.config import MonitorConfig
from serving.monitor.run import run
from serving.monitor.state import State, read_state
from tests.serving.kafka.support import read, ready_process, wait_until
from tests.serving.monitor.support import DAY, INPUT, ROWS, reference, values

pytestmark = pytest.mark.stack

PARTITIONS = 2
PROGRAM = """
import sys
from pathlib import Path

import msgspec

from features.inputs.reference import decode_reference
from serving.monitor import run as module
from serving.monitor.config import MonitorConfig

module.SAVE_SECONDS = 0.05
service, reference, config = sys.argv[1:]
made = msgspec.json.decode(config, type=MonitorConfig, dec_hook=lambda kind, value: kind(value))
of = decode_reference(Path(reference).read_bytes())
module.run(service, lambda model, version: of, made)
"""


class Watched:
    """One test's service: its predictions' topic, and a monitor's configuration."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.service, self.folder, self.bootstrap = f"shop-{uuid.uuid4().hex[:8]}", folder, broker.bootstrap
        broker.create_topics({predictions(self.service).name: PARTITIONS})
        broker.create_topics({ALARMS.name: 1})
        (folder / "reference.json").write_bytes(encode_reference(reference()))

    def config(self, polled: int = 50, window: Length = "day") -> MonitorConfig:
        """Polls are small, so that a monitor is killed between two of them."""
        section = MonitorSettings(window=window, wait_ms=0, max_poll_records=polled, discovery_ms=200)
        client = {"bootstrap_servers": [self.bootstrap]}
        ready = self.folder / f"ready-{uuid.uuid4().hex}"
        return monitor_config(section, self.service, client=client, state=self.folder / "state", ready_file=ready)

    def send(self, day: int, found: np.ndarray) -> None:
        """A day's predictions, by turns to both partitions."""
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)) as producer:
            for number, value in enumerate(found.tolist()):
                receipt = Receipt(
                    origin=None,
                    plan="",
                    model="shop",
                    version=1,
                    sha256="",
                    inputs={INPUT: value},
                    batch_as_of={},
                    complete=True,
                    arrived_at=0,
                    featured_at=0,
                    scored_at=0,
                )
                when = DAY + day * DAY_MS + number
                message = Prediction(event_id=number, event_time=when, score=value / 10, receipt=receipt)
                producer.send(predictions(self.service).name, encode(message), partition=number % PARTITIONS)
            producer.flush()

    def state(self) -> State:
        """What the file says."""
        return read_state(self.config().state, self.service, "day")

    def alarms(self, count: int) -> list[Alarm]:
        """This service's, once there are so many, and a moment for more to come."""
        own = self.service.encode()  # other tests write what they like to this topic
        records = read(self.bootstrap, ALARMS.name, [0], count, lambda record: own in record.value)
        return [decode_alarm(record.value) for record in records]

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """A monitor as a process of its own, ready; killed after the block."""
        config = self.config()
        assert config.ready_file is not None
        command = [sys.executable, "-c", PROGRAM, self.service, str(self.folder / "reference.json")]
        command.append(msgspec.json.encode(config, enc_hook=str).decode())
        with ready_process(command, config.ready_file) as process:
            yield process


@contextmanager
def watching(watched: Watched, window: Length = "day") -> Iterator[None]:
    """A monitor on a thread, ready; stopped after the block. What it raises is raised here."""
    config, stop, errors = watched.config(window=window), threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run(watched.service, lambda model, version: reference(), config, stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until(lambda: bool(errors) or config.ready_file.exists())  # type: ignore[union-attr]
        yield
    finally:
        stop.set()
        thread.join(60)
    if errors:
        raise errors[0]


@pytest.fixture
def watched(broker: Broker, tmp_path: Path) -> Watched:
    """A service of the test's own."""
    return Watched(broker, tmp_path)


def test_a_killed_monitor_counts_each_prediction_once(watched: Watched) -> None:
    """Killed again and again while it reads six days: windows, counters and alarms are as if it had never been."""
    shifts = [0, 0, 0.5, 0.5, 0, 0]
    for day, shift in enumerate(shifts):
        watched.send(day, values(day, shift))
    watched.send(len(shifts), values(99, rows=1))  # the stream goes on: the last day is over
    seen = 0
    for _ in range(4):
        with watched.process():
            before = seen
            wait_until(lambda: watched.state().events > before)  # noqa: B023 - called in this turn
        seen = watched.state().events
    with watching(watched):
        wait_until(lambda: len(watched.state().versions["shop/1"].closed) == len(shifts))
    state = watched.state()
    assert [verdict.rows for verdict in state.versions["shop/1"].closed] == [ROWS] * len(shifts)
    assert state.events == ROWS * len(shifts) + 1
    assert (state.late, state.unreadable, state.outbox) == (0, 0, [])
    bins = reference().histograms[0].bins
    expected = [bins.count(values(day, shift)).tolist() for day, shift in enumerate(shifts)]
    assert [verdict.counts[INPUT] for verdict in state.versions["shop/1"].closed] == expected
    told = [(alarm.state, alarm.input) for alarm in watched.alarms(4)]
    assert told == [("open", INPUT), ("open", SCORE), ("closed", INPUT), ("closed", SCORE)]


def test_an_alarm_that_was_being_written_is_written_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends after an alarm is on its topic, and before the state says so."""
    for day in range(2):
        watched.send(day, values(day, 0.5))
    watched.send(2, values(99, rows=1))
    save, write = run_module.write_state, list[State]()

    def ends(file: Path, state: State) -> None:
        if write and not state.outbox:
            raise StackError("killed")
        save(file, state)
        write.extend([state] if state.outbox else [])

    monkeypatch.setattr(run_module, "write_state", ends)
    with pytest.raises(StackError, match="killed"):
        _until_alarms_are_there(watched)
    assert len(watched.state().outbox) == 2
    monkeypatch.undo()
    with watching(watched):
        wait_until(lambda: not watched.state().outbox)
    assert [(alarm.state, alarm.input) for alarm in watched.alarms(2)] == [("open", INPUT), ("open", SCORE)]


def _until_alarms_are_there(watched: Watched) -> None:
    with watching(watched):
        wait_until(lambda: len(watched.alarms(2)) == 2)


def test_records_that_cannot_be_counted_are_passed_over(watched: Watched) -> None:
    """A text for a number, a number no double holds, a time that is none, lists without end: the others are counted."""
    receipt = {"model": "shop", "version": 1, "inputs": {INPUT: 1.0}}
    hostile = [
        {"event_time": DAY, "score": 1.0, "receipt": {**receipt, "inputs": {INPUT: "1.5"}}},
        {"event_time": DAY, "score": 1.0, "receipt": {**receipt, "inputs": {INPUT: 10**400}}},
        {"event_time": 10**30, "score": 1.0, "receipt": receipt},
        {"event_time": -1, "score": 1.0, "receipt": receipt},
    ]
    records = [*(json.dumps(one).encode() for one in hostile), b'{"more": ' + b"[" * 100_000]
    with closing(KafkaProducer(bootstrap_servers=watched.bootstrap)) as producer:
        for one in records:
            producer.send(predictions(watched.service).name, one, partition=0)
        producer.flush()
    watched.send(0, values(0))
    with watching(watched):
        wait_until(lambda: watched.state().events == ROWS)
    assert watched.state().unreadable == len(records)


@pytest.mark.parametrize("window", ["day", "hour"])
def test_one_monitor_at_a_time(watched: Watched, window: Length) -> None:
    """A second one of the service is refused, by windows of another length too, and told how to stop the first."""
    told = "one monitor of a service at a time; .*'headrace up' with monitor.run = false stops a stack's, Ctrl-C one"
    with watching(watched), pytest.raises(StackError, match=told), watching(watched, window):
        pass


def test_windows_of_another_length_close_the_alarms_of_those_before(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """As superseded, once each, also where the monitor is killed as it writes them; the state of before goes on without them."""
    for day in range(2):
        watched.send(day, values(day, 0.5))
    watched.send(2, values(99, rows=1))
    _until_alarms_are_there(watched)
    save = run_module.write_state

    def ends(file: Path, state: State) -> None:
        save(file, state)
        if state.outbox and state.outbox[0].state == "closed":
            raise StackError("killed")

    monkeypatch.setattr(run_module, "write_state", ends)
    with pytest.raises(StackError, match="killed"), watching(watched, "hour"):
        pass
    monkeypatch.undo()
    for _ in range(2):
        with watching(watched, "hour"):
            pass
    closed = [alarm for alarm in watched.alarms(4) if alarm.text.startswith("nothing is said of")]
    assert [(alarm.state, alarm.input) for alarm in closed] == [("closed", INPUT), ("closed", SCORE)]
    why = "windows are of an hour now, and this alarm was of windows of a day: it is superseded"
    assert closed[0].text == f"nothing is said of {INPUT} of shop v1 any more: {why}"
    assert (watched.state().alarms, watched.state().outbox, watched.state().events) == ([], [], 2 * ROWS + 1)


def test_another_topic_of_the_name_is_refused(watched: Watched) -> None:
    """What was counted is not of it."""
    watched.send(0, values(0))
    with watching(watched):
        wait_until(lambda: watched.state().events == ROWS)
    state = watched.state()
    state.offsets = dict.fromkeys(state.offsets, 10**6)
    run_module.write_state(watched.config().state, state)
    with pytest.raises(StackError, match="it is another topic"), watching(watched):
        pass
