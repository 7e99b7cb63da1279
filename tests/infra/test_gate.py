"""The gate on a real broker: predictions of both versions, as scorers write them."""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer

from features.definitions.load import load
from features.inputs.columns import input_columns
from features.plan import Plan
from infra.gate import Judged, judged
from infra.local.broker import Broker
from infra.models import registry_of
from infra.settings import Settings, load_settings
from schemas import Origin, Prediction
from schemas.codec import encode
from schemas.deployment import Placed
from schemas.prediction import Receipt
from schemas.topics import predictions
from serving.models.gate import Check
from serving.models.registry import Registry
from serving.models.reports import Report, Serving
from tests.support.models import register, stumps
from tests.support.num import num_project
from tests.support.orders import PLAN

pytestmark = pytest.mark.stack

EVENTS = 1500


class Tried:
    """A service with one version in production and one in staging, and what both predicted."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.folder = folder
        self.plan = msgspec.structs.replace(PLAN, service=f"orders-{uuid.uuid4().hex[:8]}")
        self.settings: Settings = load_settings(folder, kafka={"bootstrap": broker.bootstrap})
        for alias in ("production", "staging"):
            register(folder / "models", self.plan, stumps([0.1] * 5), alias=alias)
            broker.create_topics({predictions(self.plan.service, alias).name: 2})

    @property
    def registry(self) -> Registry:
        """The project's."""
        return registry_of(self.folder, self.settings)

    def predict(self, alias: str, version: int, score: Callable[[int], float], milliseconds: int, events: int = EVENTS) -> None:
        """Write the predictions of a version."""
        topic = predictions(self.plan.service, alias).name
        with closing(KafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap, linger_ms=5)) as producer:
            for event in range(events):
                value = prediction(self.plan, event, version, score(event), milliseconds)
                producer.send(topic, value=value, key=str(event % 50).encode(), partition=event % 2)
            producer.flush()

    def judged(self, version: int = 2) -> Judged:
        """What the gate says."""
        return judged(self.folder, self.settings, self.registry, Placed(self.plan.service, version))


@pytest.fixture
def tried(broker: Broker, tmp_path: Path) -> Tried:
    """A service of the test's own."""
    return Tried(broker, tmp_path)


def prediction(plan: Plan, event: int, version: int, score: float, milliseconds: int) -> bytes:
    """What a scorer writes."""
    receipt = Receipt(Origin("orders", 0, event), plan.short_digest, plan.service, version, "0" * 64, {}, {}, True, 1, 10, 10)
    receipt = msgspec.structs.replace(receipt, scored_at=10 + milliseconds)
    return encode(Prediction(event, event, score, receipt))


def noise(event: int) -> float:
    """A score that looks like one."""
    return random.Random(event).random()


def test_a_version_that_agrees_on_live_traffic_passes(tried: Tried) -> None:
    """The same events are compared, of the newest predictions of each; those of other versions are left out."""
    tried.predict("production", 1, noise, 5)
    tried.predict("production", 7, lambda event: 0.0, 5, events=100)
    tried.predict("staging", 2, lambda event: noise(event) + 0.001, 9)
    found = tried.judged()
    assert found.passed
    assert found.checks[0].found == "1,500"
    assert found.note.startswith(f"{tried.plan.service} v2 in staging beside {tried.plan.service} v1 in production")


def test_what_falls_short_is_said_by_check(tried: Tried) -> None:
    """Scores that have nothing to do with production's, on too few events, much later."""
    tried.predict("production", 1, noise, 5)
    tried.predict("staging", 2, lambda event: noise(event + 10**6) + 1, 500, events=200)
    short = [check.name for check in tried.judged().checks if not check.passed]
    assert short == [
        "events scored by both",
        "agreement with production",
        "distribution of scores",
        "p99 from features to score",
    ]


def test_events_without_a_score_are_a_share_of_those_that_scorers_report(tried: Tried) -> None:
    """A week in a shadow has more errors than the last hour may have, and as many more events."""
    tried.predict("production", 1, noise, 5)
    tried.predict("staging", 2, lambda event: noise(event) + 0.001, 9)
    service = tried.plan.service
    for instance, events, errors in (("0", 1_500_000, 700), ("1", 500_000, 300)):
        serving = Serving("staging", service, 2, None, "serving", None, 1, 2, events=events, errors=errors)
        tried.registry.report(service, instance, Report(instance, 1, [serving]))
    assert tried.judged().checks[1][1:] == ("0.05%", "at most 0.10%", True)


def test_a_version_that_was_not_tried_falls_short(tried: Tried) -> None:
    """It is told how to try it."""
    made = register(tried.folder / "models", tried.plan, stumps([0.2] * 5), alias=None)
    found = tried.judged(made.version)
    assert not found.passed
    assert f"'headrace models promote {tried.plan.service} {made.version} staging' tries it first" in found.note


@pytest.mark.parametrize(("before", "candidate", "passed"), [("1" * 64, None, True), (None, "1" * 64, False)])
def test_where_there_is_nothing_to_compare_a_version_is_of_the_projects_plan(
    tmp_path: Path, before: str | None, candidate: str | None, passed: bool
) -> None:
    """The first of a new plan passes; one of a plan that definitions.py no longer has would be served by nobody."""
    project = num_project(tmp_path / "num")
    settings, plan = load_settings(project), load(project).service("num").plan
    inputs = input_columns(plan, plan.inputs)
    for alias, digest in (("production", before), (None, candidate)):
        register(project / "models", plan, stumps([0.1] * len(inputs)), inputs=inputs, alias=alias, digest=digest)
    found = judged(project, settings, registry_of(project, settings), Placed("num", 3))
    assert found.passed == passed
    assert found.note == "num v2 is of another plan, and cannot score what num v3 does: there is nothing to compare"
    given = candidate or plan.digest
    assert found.checks == (Check("plan", given[:12], f"that of definitions.py, {plan.digest[:12]}", passed),)


@pytest.mark.parametrize(("candidate", "passed"), [(None, True), ("1" * 64, False)])
def test_the_first_version_is_of_the_projects_plan(tmp_path: Path, candidate: str | None, passed: bool) -> None:
    """Nothing in production to compare with is no reason to serve what no scorer would load."""
    project = num_project(tmp_path / "num")
    settings, plan = load_settings(project), load(project).service("num").plan
    inputs = input_columns(plan, plan.inputs)
    shutil.rmtree(project / "models")
    made = register(project / "models", plan, stumps([0.1] * len(inputs)), inputs=inputs, alias=None, digest=candidate)
    found = judged(project, settings, registry_of(project, settings), Placed("num", made.version))
    assert found.note == "num has no version in production yet: there is nothing to compare with"
    assert [(check.name, check.passed) for check in found.checks] == [("plan", passed)]
