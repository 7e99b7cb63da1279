"""A project whose stack serves a running stream while its definitions change."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kafka import KafkaProducer

from features.definitions.load import load
from features.inputs.columns import input_columns
from features.plan import Mode
from features.times import moment_text
from infra.cli import run
from infra.local.broker import Broker
from infra.local.stack import Folders
from jobs.history.compute import compute
from schemas import DeadLetter, Prediction
from schemas.codec import decode_dead_letter, decode_prediction
from schemas.topics import DEAD_LETTERS
from tests.support.models import register, stumps
from tests.support.num import num_project
from tests.support.streams import records

KEYS = 7
RATE = 40
HISTORY_HOURS = 3
SECONDS = 90
SETTINGS = """
services = {services}

[kafka]
partitions = 2

[stream]
checkpoint_interval_ms = 1000
jvm_options = "-Xmx512m -XX:TieredStopAtLevel=1"
"""
ALSO_DEFINED = """
half = StreamFeatureView(
    name="half",
    entities=[key],
    source=num,
    timestamp_field="at",
    aggregations=[Aggregation(column="n", function="sum", time_window=timedelta(minutes=30), name="sum_n")],
)
also = FeatureService(name="ALSO", features=[half], tags={"spine": "num"})
"""
Values = dict[int, dict[str, Any]]
"""The row of each event."""
WINDOW = ("time_window=timedelta(hours=1)", "time_window=timedelta(hours=2)")


class Stream:
    """A project, its stack, and events that come at a steady rate from ``since`` on.

    In event-time mode each event is up to half a second old when it comes, so that many come after newer ones, and none is late.
    """

    def __init__(self, folder: Path, broker: Broker, name: str, mode: Mode = "arrival") -> None:
        """Its topics are of ``name``, which no other test of the broker has."""
        self.name, self.also, self.mode = name, f"{name}-also", mode
        self.folder = num_project(folder)
        self.broker = broker
        self.since = int(time.time() * 1000)
        self.sent: list[dict[str, Any]] = []
        self._oldest_ms = 500 if mode == "event_time" else 0
        self._chance = random.Random(15)
        self.serve(name)
        self.define("topic=name", f'topic="{name}-" + name')
        self.define("watermark_delay_threshold=timedelta(0)", "watermark_delay_threshold=timedelta(seconds=1)")
        self.define('FeatureService(name="num", features=[totals, doubled]', f'FeatureService(name="{name}", features=[totals]')
        self.define('tags={"spine": "num"}', f'tags={{"spine": "num", "mode": "{mode}"}}')
        self.history = [self.event(-i, self.since - i * 3_600_000 * HISTORY_HOURS // 500) for i in range(500, 0, -1)]
        self.write(folder, self.history)
        self.train()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    @staticmethod
    def event(number: int, at: int) -> dict[str, Any]:
        """An event whose values say which it is."""
        return {"id": number, "at": at, "k": f"k{number % KEYS}", "v": number % 50, "c": "é", "n": number, "d": number / 7}

    @staticmethod
    def write(folder: Path, events: list[dict[str, Any]]) -> None:
        """Events as the history of ``num``."""
        columns = {name: [event[name] for event in events] for name in events[0]}
        times = pa.array([datetime.fromtimestamp(at / 1000, UTC) for at in columns["at"]], pa.timestamp("ms", tz="UTC"))
        amounts = pa.array([Decimal(v) for v in columns["v"]], pa.decimal128(18, 2))
        pq.write_table(pa.table({**columns, "at": times, "v": amounts}), folder / "data" / "num.parquet")

    @property
    def folders(self) -> Folders:
        """The parts of its run folder."""
        return Folders(self.folder / ".headrace")

    def define(self, old: str, new: str) -> None:
        """Change definitions.py."""
        file = self.folder / "definitions.py"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def define_also(self) -> None:
        """A second service, over the same source."""
        file = self.folder / "definitions.py"
        file.write_text(file.read_text() + ALSO_DEFINED.replace("ALSO", self.also))

    def serve(self, *services: str) -> None:
        """Say in the settings which services there are to be."""
        (self.folder / "headrace.toml").write_text(SETTINGS.format(services=json.dumps(services)))

    def train(self, service: str | None = None) -> str:
        """A model in production for the plan as it is defined; gives the plan."""
        plan = load(self.folder).service(service or self.name).plan
        inputs = input_columns(plan, plan.inputs)
        register(self.folder / "models", plan, stumps([0.1] * len(inputs)), inputs=inputs)
        return plan.short_digest

    def begin(self) -> None:
        """Publish from now on."""
        self._thread.start()

    def end(self) -> None:
        """Publish no more."""
        self._stop.set()
        self._thread.join()

    def close(self) -> None:
        """Leave nothing that runs."""
        if self._thread.is_alive():
            self.end()
        self.command("down")

    def _publish(self) -> None:
        with closing(KafkaProducer(bootstrap_servers=self.broker.bootstrap, linger_ms=0)) as producer:
            while not self._stop.wait(1 / RATE):
                event = self.event(len(self.sent), int(time.time() * 1000) - self._chance.randint(0, self._oldest_ms))
                producer.send(f"{self.name}-num", json.dumps(event).encode(), event["k"].encode())
                self.sent.append(event)

    def predictions(self, service: str | None = None) -> list[Prediction]:
        """All that there are."""
        return [decode_prediction(record.value) for record in records(self.broker, f"predictions.{service or self.name}")]

    def await_all(self, service: str | None = None) -> list[Prediction]:
        """The predictions, once there is one for each event that was sent by now."""
        wanted = {event["id"] for event in self.sent}
        deadline = time.monotonic() + SECONDS
        while True:
            found = self.predictions(service)
            missing = wanted - {prediction.event_id for prediction in found}
            if not missing:
                return found
            assert time.monotonic() < deadline, f"{len(missing)} events have no prediction: {sorted(missing)[:5]}"
            time.sleep(0.5)

    def command(self, *words: str) -> int:
        """A command on this project, in this process, where Feast is loaded already."""
        return run([*words, "--project", str(self.folder)])

    def killed(self, *words: str, once: Path) -> None:
        """A command on this project, killed with -9 once a file is there."""
        command = [sys.executable, "-m", "infra.cli", *words, "--project", str(self.folder)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not once.exists():
                assert process.poll() is None, "it ended before it was killed"
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        """Of its processes."""
        files = (self.folder / ".headrace" / "processes").glob("*.json")
        return {file.stem: json.loads(file.read_bytes())["pid"] for file in files}

    @property
    def until(self) -> str:
        """Up to when its history goes, as a command takes it."""
        return moment_text(self.since).removesuffix(" UTC").replace(" ", "T")

    def dead_letters(self) -> list[DeadLetter]:
        """Of its events and feature vectors."""
        topics = {f"{self.name}-num", f"features.{self.name}", f"features.{self.also}"}
        letters = [decode_dead_letter(record.value) for record in records(self.broker, DEAD_LETTERS.name)]
        return [letter for letter in letters if letter.origin.topic in topics]

    def values(
        self, folder: Path, window: tuple[str, str] | None = None, service: str | None = None
    ) -> dict[int, dict[str, Any]]:
        """What history gives each event under a plan, over all events that there were."""
        copy = Path(shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".headrace", "models")))
        if window:
            file = copy / "definitions.py"
            file.write_text(file.read_text().replace(*window))
        self.write(copy, [*self.history, *self.sent])
        return {row["id"]: row for row in compute(load(copy).service(service or self.name)).to_pylist()}

    def check(self, found: list[Prediction], true: Mapping[str, Values], taken_over: Mapping[int, int]) -> Counter[str]:
        """Each event has one prediction, by the plan that it is of, with the values of history; how many are of each plan.

        ``true`` has the values by plan: of the one before first, which predicts the events before an offset of each partition. In
        event-time mode those that still wait for their time as it ends are the new plan's too.
        """
        assert Counter(prediction.event_id for prediction in found).most_common(1)[0][1] == 1
        assert len(found) == len(self.sent)
        old, new = next(iter(true)), list(true)[-1]
        plans = Counter[str]()
        waited = {new} if self.mode == "event_time" else set()  # for its time, as the plan before ended
        others = [
            (prediction.event_id, origin.partition, origin.offset, prediction.receipt.plan)
            for prediction in found
            if (origin := prediction.receipt.origin) is not None
            and prediction.receipt.plan not in ({old, *waited} if origin.offset < taken_over[origin.partition] else {new})
        ]
        assert not others, f"{others} of another plan; {new} takes over at {dict(taken_over)}"
        for prediction in found:
            receipt = prediction.receipt
            assert receipt.origin is not None
            row = true[receipt.plan][int(prediction.event_id)]
            assert {name: row[name] for name in receipt.inputs if name in row} == {
                n: v for n, v in receipt.inputs.items() if n in row
            }
            assert receipt.complete
            plans[receipt.plan] += 1
        return plans


@contextmanager
def moving(folder: Path, broker: Broker, name: str, mode: Mode = "arrival") -> Iterator[Stream]:
    """Within, a stack that was backfilled serves a stream."""
    made = Stream(folder, broker, name, mode)
    try:
        assert made.command("backfill", name, "--until", made.until) == 0
        made.begin()
        yield made
    finally:
        made.close()
