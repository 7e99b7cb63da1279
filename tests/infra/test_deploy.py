"""A shadow's topic is on the Kafka that the change is made with, before the log has the change."""

from __future__ import annotations

import uuid
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer

from features.definitions.load import load
from features.errors import SettingError
from features.inputs.columns import input_columns
from infra.deploy import deploy
from infra.kafka.settings import KafkaSettings
from infra.local.broker import Broker
from infra.models import registry_of
from infra.settings import load_settings
from schemas.topics import predictions
from serving.models.lifecycle import Change
from tests.support.models import register, stumps
from tests.support.num import num_project


@pytest.mark.stack
def test_a_shadow_has_its_topic_on_the_kafka_of_the_settings(broker: Broker, tmp_path: Path) -> None:
    """Not of headrace.toml, where other settings are given. What is refused leaves no topic."""
    project = num_project(tmp_path / "num")
    settings = load_settings(project).model_copy(update={"kafka": KafkaSettings(bootstrap=broker.bootstrap)})
    plan = load(project).service("num").plan
    named = msgspec.structs.replace(plan, service=f"num-{uuid.uuid4().hex[:8]}")
    inputs = input_columns(plan, plan.inputs)
    for alias in ("production", None):
        register(project / "models", named, stumps([0.2] * len(inputs)), inputs=inputs, alias=alias)
    broker.create_topics({named.predictions_topic: 3})

    def tried(version: int, alias: str) -> str | None:
        change = Change(action="alias", model=named.service, version=version, who="me", alias=alias)
        return deploy(project, settings, registry_of(project, settings), named.service, change).alias

    assert tried(2, "staging") == "staging"
    with pytest.raises(SettingError):
        tried(9, "other")
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        assert predictions(named.service, "other").name not in consumer.topics()
        assert consumer.partitions_for_topic(predictions(named.service, "staging").name) == {0, 1, 2}


def test_without_kafka_the_log_has_the_change(tmp_path: Path) -> None:
    """`headrace up` makes the topic then."""
    project = num_project(tmp_path / "num")
    settings = load_settings(project)
    change = Change(action="alias", model="num", version=1, who="me", alias="staging")
    assert deploy(project, settings, registry_of(project, settings), "num", change).alias == "staging"
