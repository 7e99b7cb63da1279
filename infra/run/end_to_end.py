"""The end-to-end run: a project's stream from its history to a report; starts everything, and ends it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from features.errors import SettingError, StackError
from features.feast.online import clear_online
from features.service import Service
from features.signals import signals_to
from features.times import Span, day_ms, day_of
from infra.config import GROUP, with_settings
from infra.local import stack
from infra.models import registering, registry_of
from infra.run.backfill import load_history
from infra.run.day_by_day import EARLIEST
from infra.run.publisher import Publisher
from infra.run.report import Report, Stream, build
from infra.run.watch import Seen, Watch, caught_up
from infra.settings import FILE, RunSettings, ScorerSettings, Settings, StreamSettings
from jobs.history.batch_views import materialize, push_online
from jobs.ingest.publish import feeds
from serving.models.registry import Registry

LOOK_SECONDS = 0.25
STUCK_SECONDS = 60.0
"""How long no prediction may come. In event-time mode the last events wait as long as a source is silent, and for its delay."""
BEHIND_SECONDS = 2.0
"""How long a partition of the predictions may be a day behind another before the next day's batch features are pushed."""
RUN_DIR = ".headrace/run"
ALIAS = "production"

OnStep = Callable[[str], None]
OnSeen = Callable[[Seen], None]


class Run(msgspec.Struct, frozen=True):
    """One end-to-end run of a service."""

    service: Service
    days: RunSettings
    settings: Settings
    """The project's, as they are for this run."""
    on_step: OnStep
    """Told what is done next."""
    on_seen: OnSeen
    """Told what the watch sees while events are published."""

    @property
    def client(self) -> dict[str, Any]:
        """What a kafka-python client is given, once the stack is up."""
        return self.settings.kafka.client(stack.bootstrap(self.service.folder, self.settings))


def execute(project: Path, settings: Settings, on_step: OnStep, on_seen: OnSeen) -> Report:
    """Run the service of ``[run]`` from history to a report, and stop all that was started.

    Kafka's data, logs and checkpoints of the run are in `RUN_DIR`, made anew each time. Raises `StackError` where predictions
    stop coming.
    """
    days = run_days(project, settings)
    used = settings_of_run(settings, days)
    shutil.rmtree(project / RUN_DIR, ignore_errors=True)
    try:
        stack.begin_kafka(project, used, on_step)
        on_step("reading definitions.py")
        from features.definitions.load import load  # imports Feast: seconds

        run = Run(with_settings(load(project).service(days.service), settings), days, used, on_step, on_seen)
        for step in STEPS:
            step(run)
        report = compare_with_batch(run, publish_days(run))
    finally:
        on_step("stopping")
        with undisturbed():
            stack.down(project, used)
    on_step("done")
    return report


def undisturbed() -> AbstractContextManager[None]:
    """Within, a second Ctrl-C, or SIGTERM, is not heard: it would leave processes behind."""
    return signals_to(signal.SIG_IGN)


def run_days(project: Path, settings: Settings) -> RunSettings:
    """The section ``[run]``; raises `SettingError` where it is missing, or does not say what its model learns."""
    if settings.run is None:
        raise SettingError(f"{project / FILE}: [run] describes the end-to-end run; there is none; see docs/settings.md")
    if settings.run.service not in settings.train:
        raise SettingError(f"{project / FILE}: the run trains a model first; write [train.{settings.run.service}]")
    return settings.run


def settings_of_run(settings: Settings, days: RunSettings) -> Settings:
    """``settings`` with a folder of the run's own and its service alone.

    A day of the stream lasts seconds, so a checkpoint and a cached row are good for less time; what the user has set stays.
    """
    stream = {"checkpoint_interval_ms": 1000, **settings.stream.model_dump(exclude_unset=True)}
    scorer = {"batch_cache_seconds": 1, **settings.scorer.model_dump(exclude_unset=True)}
    changed = {
        "run_dir": RUN_DIR,
        "services": (days.service,),
        "stream": StreamSettings(**stream),
        "scorer": ScorerSettings(**scorer),
    }
    return settings.model_copy(update=changed)


def prepare(project: Path, days: RunSettings) -> None:
    """Make the project's history with its own program, which does nothing where it is there already."""
    if days.prepare is None:
        return
    program = project / days.prepare
    if not program.is_file():
        raise SettingError(f"{project / FILE}: run.prepare is a Python file of the project; {program} is not there")
    # In a session of its own: Ctrl-C is ours to say something about, and ends it.
    done = subprocess.run([sys.executable, str(program), str(project / "data")], check=False, start_new_session=True)
    if done.returncode:
        raise StackError(f"{program} ended with exit code {done.returncode}; see what it printed")


def compute_batch_views(run: Run) -> None:
    """Compute the daily rows of the batch views, where a day of the run is missing or was made of another history."""
    days = run.days
    if run.service.plan.batch:
        run.on_step(f"computing batch features from {days.train_from} to {days.end}")
        materialize(run.service, days.train_from, days.end - timedelta(days=1))


def train_model(run: Run) -> None:
    """Train a model and make it the production one, unless that is of this plan and these days, and was made as this one is."""
    from jobs.training.train import lineage, train

    registry, name, days = _registry(run), run.service.name, run.days
    config = run.settings.train[name].config
    if ALIAS in registry.aliases(name):
        current = registry.get(name, ALIAS).manifest
        same = current.plan == run.service.plan.digest and current.trained_from == day_ms(days.train_from)
        if same and lineage(config).items() <= current.lineage.items():
            return
    run.on_step(f"training on {days.train_days} days from {days.train_from}")
    made = train(run.service, config, days.split, register=registering(registry))
    registry.set_alias(name, ALIAS, made.manifest.version)


def push_batch_features(run: Run) -> None:
    """Put what the first day knows of batch features, and nothing of later days, in the online store."""
    if run.service.plan.batch:
        run.on_step(f"pushing batch features of {run.days.start} to the online store")
        clear_online(run.service)
        push_online(run.service, run.days.start, since=EARLIEST)


def load_windows(run: Run) -> None:
    """Put the history that the windows of the first day hold where the stream job begins with it."""
    load_history(run.service.folder, run.settings, [run.service.plan], day_ms(run.days.start), on_step=run.on_step)


def start_stack(run: Run) -> None:
    """Start Kafka, the stream job and the scorer, and wait until the windows are full."""
    stack.up(run.service.folder, run.settings, [run.service.name], run.on_step)


STEPS: tuple[Callable[[Run], None], ...] = (
    compute_batch_views,
    train_model,
    push_batch_features,
    load_windows,
    start_stack,
)
"""What comes before the days that are scored."""


def publish_days(run: Run) -> Stream:
    """Publish the days of the run, and watch until every event has its prediction."""
    from jobs.training.labels import positives

    days = run.days
    run.on_step(f"publishing {days.start} to {days.end} at {days.rate:g} events/s")
    learned = run.settings.train[run.service.name]
    known = positives(run.service, learned.label) if learned.task == "classification" else frozenset[Any]()
    with closing(Watch(run.client, run.service.plan, known)) as watch:
        with closing(_publisher(run, Span(day_ms(days.start), day_ms(days.end)), days.rate)) as publisher:
            seen = _until_predicted(run, watch, publisher)
        if not seen.published:
            raise SettingError(
                f"the run publishes the days from {days.start} to before {days.end}; the history of "
                f"'{run.service.plan.spine}' has no event in them; change [run] of {run.service.folder / FILE}"
            )
        run.on_step("waiting for late rows")  # up to 10 s: so long an idle Kafka source of Flink waits before it commits
        caught_up(run.client, run.service.plan, _group(run))
        return Stream(seen, watch.scores, watch.latencies, watch.vectors(), watch.ledger(), _silence_seconds(run))


def compare_with_batch(run: Run, stream: Stream) -> Report:
    """Compute the same days with the batch engine, and compare."""
    run.on_step("comparing with the batch engine")
    model = _registry(run).get(run.service.name, ALIAS)
    return build(run.service, run.settings.train[run.service.name], run.days, model, stream)


def _until_predicted(run: Run, watch: Watch, publisher: Publisher) -> Seen:
    """Look on, and push the batch features of each new day, until every event has its prediction."""
    pushed = run.days.start
    patience = STUCK_SECONDS + _silence_seconds(run)
    progress, since = 0, time.monotonic()
    day_began = since
    while True:
        seen = watch.seen()
        run.on_seen(seen)
        if publisher.done() and seen.accounted >= seen.published and len(watch.scores) >= seen.predictions:
            return seen
        if seen.accounted > progress:
            progress, since = seen.accounted, time.monotonic()
        if time.monotonic() - since > patience:
            raise StackError(
                f"no prediction came in {patience:.0f} s: {seen.published} events, {seen.features} feature vectors, "
                f"{seen.predictions} predictions; see the logs in {run.service.folder / RUN_DIR / 'logs'}"
            )
        if day_of(seen.event_time) <= pushed:
            day_began = time.monotonic()
        # A partition that is a little behind would find rows of its events' future; one without events is not waited for.
        today = day_of(seen.reached if time.monotonic() - day_began < BEHIND_SECONDS else seen.event_time)
        if today > pushed and run.service.plan.batch:
            push_online(run.service, today, since=pushed + timedelta(days=1))
            pushed = today
        time.sleep(LOOK_SECONDS)


def _silence_seconds(run: Run) -> float:
    """How long the newest events wait where none come after them (rule 6); in arrival mode none does."""
    plan = run.service.plan
    return (run.settings.stream.idle_timeout_ms + plan.delay_ms) / 1000 if plan.mode == "event_time" else 0.0


def _publisher(run: Run, span: Span, rate: float) -> Publisher:
    of = run.service
    return Publisher(feeds(of.folder, of.plan, of.event_times, of.resources), span, run.client, rate)


def _registry(run: Run) -> Registry:
    return registry_of(run.service.folder, run.settings)


def _group(run: Run) -> str:
    """The consumer group of the stream job, whose name is its service's."""
    return f"{GROUP}.{run.service.name}"
