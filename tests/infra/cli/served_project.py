"""The example over topics of its own, with what a scorer would have served of two days: for tests of audit and explain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from features.service import Service
from infra.local.broker import Broker
from schemas import FeatureVector, LateRow, Prediction
from schemas.topics import LATE_ROWS
from tests.support.receipts import changed, write


class Project(NamedTuple):
    """The example over topics of its own, with what a scorer would have served of two days."""

    folder: Path
    service: Service
    told: list[tuple[FeatureVector, Prediction]]

    @property
    def name(self) -> str:
        """The service's."""
        return self.service.name

    def topic(self, source: str) -> str:
        """The topic of a source."""
        return self.service.plan.source(source).topic


def publish(
    project: Project,
    broker: Broker,
    changes: dict[int, Callable[[Prediction], Prediction]] | None = None,
    skip: set[int] = frozenset(),  # type: ignore[assignment]
) -> None:
    """Put vectors and predictions on their topics, some of the predictions changed and some left out."""
    plan, changes = project.service.plan, changes or {}
    write(broker, plan.features_topic, [(one.receipt.featured_at, vector) for vector, one in project.told])
    predictions = [
        (one.receipt.scored_at, changes.get(number, _same)(one))
        for number, (_, one) in enumerate(project.told)
        if number not in skip
    ]
    write(broker, plan.predictions_topic, predictions)


def write_late(broker: Broker, at: int, entry: LateRow) -> None:
    """Put an entry on the topic that all tests share."""
    broker.create_topics({LATE_ROWS.name: 1}, LATE_ROWS.config)
    write(broker, LATE_ROWS.name, [(at, entry)])


def _same(prediction: Prediction) -> Prediction:
    return prediction


def of_plan(plan: str, topic: str, vector: FeatureVector, prediction: Prediction) -> tuple[FeatureVector, Prediction]:
    """As of a project with other topics, and so another plan."""
    origin = msgspec.structs.replace(vector.origin, topic=topic)
    return msgspec.structs.replace(vector, plan=plan, origin=origin), changed(prediction, plan=plan, origin=origin)
