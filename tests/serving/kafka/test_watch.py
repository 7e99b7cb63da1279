"""What a scorer says of the changes that it took, where Kafka does not take it at once; without a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from features.definitions.load import Project
from infra.config import scorer_config
from infra.settings import ScorerSettings
from schemas.codec import decode_deployment
from serving.kafka.run import load
from serving.kafka.watch import Watch
from serving.models.lifecycle import Change
from serving.models.registry import Registry
from tests.support.models import register, stumps
from tests.support.waits import wait_until


@pytest.mark.slow
def test_a_change_that_cannot_be_told_is_told_later(project: Project, tmp_path: Path) -> None:
    """Kafka may be away as a change is taken: there is one message for each all the same, in their order."""
    service = project.service("handbook")
    register(tmp_path, service.plan, stumps([0.0] * len(service.plan.inputs)))
    registry, told, fails = Registry(tmp_path), list[int](), iter([True, False, True, False])
    registry.change(service.name, Change(action="alias", model=service.name, version=1, alias="staging", who="test"))

    def send(topic: str, value: bytes, key: bytes) -> None:
        if next(fails):
            raise KafkaTimeoutError("no partitions")
        told.append(decode_deployment(value).seq)

    loader, loaded = load(service, registry, scorer_config(ScorerSettings(), service.name, client={}), lambda topic: 1)
    watch = Watch(service.name, "0", registry, loader, loaded, send)
    watch.start()
    try:
        watch.taken(loaded, {TopicPartition("features", 0): 7})
        wait_until(lambda: len(told) == 2)
    finally:
        watch.close()
    assert told == [1, 2]
