"""``headrace outcomes --stream``: the Flink job that joins the predictions of a service with their labels as they come."""

from __future__ import annotations

from pathlib import Path

from infra.cli.options import train_config
from infra.cli.services import log_plainly, settings_of


def run_outcomes(service: str, where: Path, written: Path | None) -> None:
    """Make the topics that are missing, and run the job until it is stopped; ``written``: settings of `headrace up`."""
    from features.definitions.load import load
    from features.outcomes import outcomes_plan
    from infra.config import outcomes_section, stream_config
    from infra.kafka import rights
    from infra.local import stack, topics
    from infra.settings import run_folder
    from jobs.history.labels import check_label
    from jobs.stream.job import run
    from schemas.topics import DEAD_LETTERS, outcomes

    log_plainly()
    settings = settings_of(where, written)
    label = train_config(settings, service, "what happened is a label").label
    folders = stack.Folders(run_folder(where, settings))
    bootstrap = stack.bootstrap(where, settings)
    of = load(where).service(service)
    plan = outcomes_plan(of.plan, *check_label(of, label), settings.train[service].horizon_ms)
    client, topic = settings.kafka.client(bootstrap), outcomes(service).name
    topics.require(client, plan.predictions.topic)
    made = dict.fromkeys((plan.labels.topic, topic), settings.kafka.partitions)
    topics.create(client, made, replication=settings.kafka.replication)
    config = stream_config(
        outcomes_section(settings),
        bootstrap=bootstrap,
        client=settings.kafka.properties(),
        kafka=client,
        isolation_level=settings.kafka.isolation_level,
        longest=topics.longest_records(client, [DEAD_LETTERS.name, topic]),
        checkpoints=folders.checkpoints,
        ready_file=folders.ready(stack.outcomes_name(service)),
        logs=folders.logs,
    )
    rights.require(client, rights.of_outcomes(plan, config.sql.group_of(plan)))
    run(plan, config)
