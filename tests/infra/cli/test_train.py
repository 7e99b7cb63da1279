"""`headrace train --promote`: the new version comes to its environment as any other does."""

from __future__ import annotations

import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer

from infra.cli import run
from infra.local.broker import Broker
from infra.models import registry_of
from infra.settings import load_settings
from jobs.training import train
from schemas.deployment import Placed
from schemas.topics import predictions
from serving.models.registry import Registry
from tests.support.num import num_project

DAYS = ("--from", "2024-05-01", "--days", "1", "--delay", "1", "--test-days", "1")


def trained(project: Path, alias: str) -> int:
    """The exit code of a training that puts its version there."""
    return run(["train", "num", *DAYS, "--promote", alias, "--project", str(project)])


def registry_at(project: Path) -> Registry:
    """The project's."""
    return registry_of(project, load_settings(project))


@pytest.mark.stack
def test_a_shadow_has_its_topic(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it no scorer takes the version: the log would have a shadow that has failed until somebody made the topic."""
    project, alias = num_project(tmp_path / "num"), f"tried-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", broker.bootstrap)
    broker.create_topics({predictions("num").name: 2})
    assert trained(project, alias) == 0
    assert registry_at(project).aliases("num")[alias] == 2
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap)) as consumer:
        assert len(consumer.partitions_for_topic(predictions("num", alias).name) or ()) == len(
            consumer.partitions_for_topic(predictions("num").name) or ()
        )


def test_what_came_to_production_while_it_trained_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate is not passed by: what may go to production at the beginning of a training may not at its end."""
    project = num_project(tmp_path / "num")
    (project / "models" / "deployments" / "num" / "00000001.json").unlink()
    learn = train.train

    def overtaken(*given: Any, **known: Any) -> Any:
        registry_at(project).set_alias("num", "production", 1)
        return learn(*given, **known)

    monkeypatch.setattr(train, "train", overtaken)
    assert trained(project, "production") == 2
    assert registry_at(project).deployed("num").production == Placed("num", 1)
    said = " ".join(capsys.readouterr().err.split())
    assert "num v1 came to production while num v2 was trained" in said
    assert "'headrace models promote num 2 staging'" in said


@pytest.mark.slow
def test_what_nobody_has_promoted_has_a_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Production where there is nothing to hold it against, else a shadow beside that; JSON is data alone."""
    project = num_project(tmp_path / "num")
    train_alone = ["train", "num", *DAYS, "--project", str(project)]
    assert run(train_alone) == 0
    assert "\nNext: 'headrace models promote num 2 staging' tries it beside num v1\n" in capsys.readouterr().out
    (project / "models" / "deployments" / "num" / "00000001.json").unlink()
    assert run(train_alone) == 0
    assert "\nNext: 'headrace models promote num 3' puts it in production\n" in capsys.readouterr().out
    assert run([*train_alone, "--json"]) == 0
    assert "Next" not in capsys.readouterr().out
