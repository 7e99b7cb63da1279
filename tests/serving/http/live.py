"""A service on the stream in tests of the HTTP service: its topics, its model, its scorer, and events for it."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from features.definitions.load import Project
from features.plan import Plan
from features.service import Service
from infra.config import kafka_config, scorer_config
from infra.kafka.settings import KafkaSettings
from infra.local.broker import Broker
from infra.settings import ScorerSettings
from schemas.topics import DEPLOYMENTS
from serving.kafka.config import ScorerConfig
from serving.models.registry import Registry
from tests.serving.http.support import Response, Running, serving
from tests.serving.kafka.support import scoring
from tests.support.models import register, stumps
from tests.support.streams import own_topics, records

WAIT = "wait=20s"
numbers = iter(range(1, 10**6))


class Live(NamedTuple):
    """A service on the stream, as `scoring` takes it."""

    broker: Broker
    service: Service
    folder: Path

    @property
    def plan(self) -> Plan:
        """Over topics of its own."""
        return self.service.plan

    @property
    def topic(self) -> str:
        """Of its spine."""
        return self.plan.spine_source.topic

    @property
    def registry(self) -> Registry:
        """With a model in production."""
        return Registry(self.folder)

    def config(self) -> ScorerConfig:
        """A scorer's."""
        client = {"bootstrap_servers": [self.broker.bootstrap]}
        ready = self.folder / f"ready-{uuid.uuid4().hex}"
        return scorer_config(ScorerSettings(), self.plan.service, client=client, ready_file=ready)

    def serving(self, **settings: Any) -> Any:
        """The HTTP service."""
        kafka = kafka_config(KafkaSettings(), self.broker.bootstrap, [self.plan])
        return serving([self.service], self.folder, kafka=kafka, **settings)


def made_live(broker: Broker, project: Project, folder: Path) -> Live:
    """The fraud example over topics of its own, with a model in production; nothing runs yet."""
    found = project.service("fraud")
    plan = own_topics(broker, found.plan)
    broker.create_topics({DEPLOYMENTS.name: 1})
    register(folder, plan, stumps([0.01] * len(plan.inputs)))
    return Live(broker, msgspec.structs.replace(found, plan=plan), folder)


class Scorer:
    """The service's scorer, which may be stopped and started."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._parts = ExitStack()

    def start(self) -> None:
        """Return when it scores."""
        self._parts.enter_context(scoring(self._live))  # type: ignore[arg-type]

    def stop(self) -> None:
        """Return when it has ended."""
        self._parts.close()


def event(**changes: Any) -> dict[str, Any]:
    """A good event with an id of its own, of now."""
    now = int(time.time() * 1000)
    columns = {"transaction_id": next(numbers), "event_time": now, "customer_id": 1, "terminal_id": 2, "amount": 12.5}
    return {**columns, **changes}


def post(running: Running, live: Live, body: Any, query: str = WAIT, **headers: str) -> Response:
    """Publish."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return running.request("POST", f"/v1/events/{live.topic}?{query}", headers=headers, raw=raw)


def published(live: Live) -> list[Any]:
    """The ids on the topic."""
    return [json.loads(record.value)["transaction_id"] for record in records(live.broker, live.topic)]
