"""The main job: a project's stream, end to end, from its history to a report; starts everything, and ends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from features.errors import SettingError, StackError
from features.feast.online import clear_online
from features.plan import DAY_MS, Plan
from features.service import Service
from infra.local import stack
from infra.run.report import Report, Stream, build
from infra.run.watch import Seen, Watch, caught_up, day_of
from infra.settings import RunSettings, Settings, load_settings
from jobs.history.batch_views import materialize, push_online
from jobs.training.experiment import Labels, positives
from jobs.training.train import TrainConfig, train
from serving.models.manifest import Manifest
from serving.models.registry import Registry

LOOK_SECONDS = 0.25
STUCK_SECONDS = 60.0
RUN_DIR = ".headrace/run"
ALIAS = "production"

OnStep = Callable[[str], None]
OnSeen = Callable[[Seen], None]


def prepare(project: Path, run: RunSettings) -> None:
    """Make the project's history with its own program, which does nothing where it is there already."""
    if run.prepare is None:
        return
    program = project / run.prepare
    if not program.is_file():
        raise SettingError(f"{project / 'headrace.toml'}: run.prepare is a Python file of the project; {program} is not there")
    done = subprocess.run([sys.executable, str(program), str(project / "data")], check=False)
    if done.returncode:
        raise StackError(f"{program} ended with exit code {done.returncode}; see what it printed")


def execute(folder: Path, on_step: OnStep, on_seen: OnSeen) -> Report:
    """Train where there is no model, start the stack, publish the days of ``[run]``, wait for each answer; then stop it all.

    Kafka's data, logs and checkpoints of the run are in `RUN_DIR`, made anew each time. Raises `StackError` where answers stop
    coming.
    """
    run = _run_settings(folder, load_settings(folder))
    start = _ms(run.start)
    shutil.rmtree(folder / RUN_DIR, ignore_errors=True)
    with _environment(
        HEADRACE_RUN_DIR=RUN_DIR,
        HEADRACE_SERVICES=run.service,
        HEADRACE_STREAM__ANSWER_FROM_MS=str(start),  # what comes before only fills the windows
        HEADRACE_STREAM__CHECKPOINT_INTERVAL_MS="1000",
        HEADRACE_SCORER__BATCH_CACHE_SECONDS="1",  # a day of the stream lasts seconds
    ):
        settings = load_settings(folder)
        on_step("reading definitions.py")
        from features.definitions.load import load

        service = load(folder).service(run.service)
        plan = service.plan
        _batch_views(service, run, on_step)
        manifest = _model(service, settings, run, on_step)
        if plan.batch:
            on_step(f"pushing batch features of {run.start} to the online store")
            clear_online(service)
            push_online(service, run.start)
        try:
            started = stack.up(folder, settings, [run.service], on_step)
            client = settings.kafka.client(started.bootstrap)
            on_step("filling the windows from history")
            _publish(folder, run.service, _history_start(plan, start), run.start).wait()
            caught_up(client, plan, f"headrace.{run.service}")
            on_step(f"publishing {run.start} to {run.end} at {run.rate:g} events/s")
            stream = _live(service, run, settings, client, on_step, on_seen)
            on_step("comparing with the batch engine")
            report = build(service, settings.train[run.service], run, manifest, stream)
        finally:
            on_step("stopping")
            stack.down(folder, settings)
    on_step("done")
    return report


def _run_settings(folder: Path, settings: Settings) -> RunSettings:
    if settings.run is None:
        raise SettingError(f"{folder / 'headrace.toml'}: the main job is described by [run]; there is none; see docs/cli.md")
    if settings.run.service not in settings.train:
        raise SettingError(f"{folder / 'headrace.toml'}: a model is trained first; write [train.{settings.run.service}]")
    return settings.run


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Settings for this process and those that it starts; what the user has set stays."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _history_start(plan: Plan, start: int) -> date:
    longest = max((stage.longest_ms for stage in plan.windows), default=0)
    return datetime.fromtimestamp((start - longest) / 1000, UTC).date()


def _batch_views(service: Service, run: RunSettings, on_step: OnStep) -> None:
    """The daily rows of the batch views, where a day of the run is missing."""
    plan = service.plan
    if not plan.batch or all(_has_days(service.folder / view.path, view.timestamp, run) for view in plan.batch):
        return
    on_step(f"computing batch features from {run.train_from} to {run.end}")
    materialize(service, run.train_from, run.end - timedelta(days=1))


def _has_days(path: Path, timestamp: str, run: RunSettings) -> bool:
    if not path.is_file():
        return False
    import duckdb

    with duckdb.connect() as connection:
        days = f"epoch_ms({timestamp}) // {DAY_MS}"
        query = f"SELECT count(DISTINCT {days}) FROM read_parquet(?) WHERE {days} BETWEEN ? AND ?"
        last = day_of(_ms(run.end)) - 1
        row = connection.execute(query, [str(path), day_of(_ms(run.train_from)), last]).fetchone()
    return row is not None and row[0] == (run.end - run.train_from).days


def _model(service: Service, settings: Settings, run: RunSettings, on_step: OnStep) -> Manifest:
    """The production model if it is of this plan and these days, else a new one."""
    registry = Registry(service.folder / settings.registry)
    plan = service.plan
    if ALIAS in registry.aliases(run.service):
        current = registry.get(run.service, ALIAS).manifest
        if current.plan == plan.digest and current.trained_from == _ms(run.train_from):
            return current
    on_step(f"training on {run.train_days} days from {run.train_from}")
    result = train(
        service,
        TrainConfig(**settings.train[run.service].model_dump()),
        train_from=run.train_from,
        days=run.train_days,
        delay_days=run.split.delay_days,
        test_days=run.days,
        register=registry.register,
    )
    manifest: Manifest = result.manifest
    registry.set_alias(run.service, ALIAS, manifest.version)
    return manifest


def _publish(folder: Path, service: str, start: date, end: date, rate: float | None = None) -> Publisher:
    options = ["--from", start.isoformat(), "--to", end.isoformat(), "--project", str(folder)]
    return Publisher([service, *options, *(["--rate", f"{rate:g}"] if rate else [])])


class Publisher:
    """``headrace replay`` in a process of its own, so that what it costs is not in the latencies that are measured here."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "replay", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def done(self) -> bool:
        """Whether every event has been sent; raises `StackError` where one could not be."""
        code = self._process.poll()
        if code:
            raise StackError(f"the publisher failed: {self._complaint()}")
        return code == 0

    def wait(self) -> None:
        """Wait until every event has been sent."""
        try:
            while not self.done():
                time.sleep(LOOK_SECONDS)
        finally:
            self.close()

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()

    def _complaint(self) -> str:
        lines = self._process.stderr.read().strip().splitlines() if self._process.stderr else []
        return lines[-1] if lines else "it said nothing"


def _live(
    service: Service, run: RunSettings, settings: Settings, client: dict[str, Any], on_step: OnStep, on_seen: OnSeen
) -> Stream:
    plan = service.plan
    known = positives(service, Labels(**settings.train[run.service].model_dump()))
    with closing(Watch(client, plan, known)) as watch:
        publisher = _publish(service.folder, run.service, run.start, run.end, run.rate)
        with closing(publisher):
            seen = _until_answered(service, run, watch, publisher, on_seen)
        on_step("waiting for what came late")  # up to 10 s: so long an idle Kafka source of Flink waits before it commits
        caught_up(client, plan, f"headrace.{run.service}")
        return Stream(seen, watch.scores, watch.latencies, watch.vectors(), watch.ledger())


def _until_answered(service: Service, run: RunSettings, watch: Watch, publisher: Publisher, on_seen: OnSeen) -> Seen:
    """Look on, day by day, until each event has its answer."""
    pushed = day_of(_ms(run.start))
    progress, since = 0, time.monotonic()
    while True:
        seen = watch.seen()
        on_seen(seen)
        if publisher.done() and seen.answered >= seen.published and len(watch.scores) >= seen.predictions:
            return seen
        if seen.answered > progress:
            progress, since = seen.answered, time.monotonic()
        if time.monotonic() - since > STUCK_SECONDS:
            raise StackError(
                f"no answer came in {STUCK_SECONDS:.0f} s: {seen.published} events, {seen.features} feature vectors, "
                f"{seen.predictions} predictions; see the logs in {service.folder / RUN_DIR / 'logs'}"
            )
        today = day_of(seen.event_time)
        if today > pushed and service.plan.batch:
            push_online(service, date(1970, 1, 1) + timedelta(days=today))
            pushed = today
        time.sleep(LOOK_SECONDS)
