"""What a process does on Kafka, and whether its principal may: said at the start, in one line, in place of an endless retry.

``client`` is always what a kafka-python client is given. Kafka says itself what a principal may do with a topic or a group
(KIP-430); docs/secured-kafka.md has the same rights as a table, for whoever grants them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal, NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import GroupAuthorizationFailedError, RetriableError, TopicAuthorizationFailedError

from features.errors import SettingError
from features.job import JobPlan
from features.outcomes import OutcomesPlan
from features.plan import Plan
from infra.kafka.reach import SECONDS, connected, principal
from schemas.topics import ALARMS, DEAD_LETTERS, DEPLOYMENTS, LATE_ROWS, outcomes, predictions

ADVICE = "grant what docs/secured-kafka.md lists for it"


class Right(NamedTuple):
    """An operation on one topic or consumer group, as Kafka's ACLs name it."""

    operation: Literal["READ", "WRITE"]
    resource: Literal["topic", "group"]
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def of_stream(job: JobPlan, group: str) -> list[Right]:
    """The rights of a stream job, which looks up what has its dead letter."""
    return [
        *(Right("READ", "topic", source.topic) for source in job.sources),
        *(Right("WRITE", "topic", plan.features_topic) for plan in job.plans),
        Right("READ", "topic", DEAD_LETTERS.name),
        Right("WRITE", "topic", DEAD_LETTERS.name),
        Right("WRITE", "topic", LATE_ROWS.name),
        Right("READ", "group", group),
    ]


def of_scorer(plan: Plan, group: str, shadows: Iterable[str] = ()) -> list[Right]:
    """The rights of a scorer, which reads back what it has predicted, and what has a dead letter; ``shadows`` by alias."""
    return [
        Right("READ", "topic", plan.features_topic),
        Right("READ", "topic", plan.predictions_topic),
        Right("WRITE", "topic", plan.predictions_topic),
        Right("READ", "topic", DEAD_LETTERS.name),
        Right("WRITE", "topic", DEAD_LETTERS.name),
        Right("WRITE", "topic", DEPLOYMENTS.name),
        *(Right("WRITE", "topic", predictions(plan.service, alias).name) for alias in shadows),
        Right("READ", "group", group),
    ]


def of_online(plan: Plan, group: str) -> list[Right]:
    """The rights of ``headrace online``."""
    return [Right("READ", "topic", plan.features_topic), Right("READ", "group", group)]


def of_monitor(service: str, group: str) -> list[Right]:
    """The rights of ``headrace monitor``, which looks up which of its alarms are written."""
    return [
        Right("READ", "topic", predictions(service).name),
        Right("READ", "topic", ALARMS.name),
        Right("WRITE", "topic", ALARMS.name),
        Right("READ", "group", group),
    ]


def of_outcomes(plan: OutcomesPlan, group: str) -> list[Right]:
    """The rights of ``headrace outcomes --stream``, which looks up what has its dead letter."""
    return [
        *(Right("READ", "topic", source.topic) for source in plan.sources),
        Right("WRITE", "topic", outcomes(plan.service).name),
        Right("READ", "topic", DEAD_LETTERS.name),
        Right("WRITE", "topic", DEAD_LETTERS.name),
        Right("READ", "group", group),
    ]


def of_publisher(topics: Iterable[str]) -> list[Right]:
    """The rights of one that publishes to ``topics``."""
    return [Right("WRITE", "topic", topic) for topic in topics]


def of_reader(topic: str) -> list[Right]:
    """The rights of ``headrace tail``, which is in no group."""
    return [Right("READ", "topic", topic)]


def of_http(plans: Sequence[Plan]) -> list[Right]:
    """The rights of ``headrace serve``, which publishes events, reads back the newest, and reads predictions, in no group."""
    sources = sorted({source.topic for plan in plans for source in plan.sources})
    read = (*sources, *(plan.predictions_topic for plan in plans), DEAD_LETTERS.name)
    return [*of_publisher(sources), *(Right("READ", "topic", topic) for topic in read)]


def of_audit(plan: Plan) -> list[Right]:
    """The rights of ``headrace audit`` and ``headrace explain``, which are in no group."""
    names = (plan.predictions_topic, plan.features_topic, LATE_ROWS.name, DEAD_LETTERS.name)
    return [Right("READ", "topic", name) for name in (*names, *sorted({source.topic for source in plan.sources}))]


def require(client: Mapping[str, Any], rights: Sequence[Right]) -> None:
    """Raise `SettingError` with the rights that are missing, `StackError` where Kafka does not reply.

    A topic or a group that does not exist is no matter of rights, and passes.
    """
    with connected(client), closing(KafkaAdminClient(**client, bootstrap_timeout_ms=SECONDS * 1000)) as admin:
        missing = [*_of_topics(admin, rights), *_of_groups(admin, rights)]
    if missing:
        lacks = ", ".join(map(str, missing))
        raise SettingError(f"{principal(client)} lacks rights on Kafka that this process needs: {lacks}; {ADVICE}")


def _of_topics(admin: Any, rights: Sequence[Right]) -> Iterator[Right]:
    wanted = [right for right in rights if right.resource == "topic"]
    described = {topic["name"]: topic for topic in admin.describe_topics(sorted({right.name for right in wanted}))}
    for right in wanted:
        topic = described[right.name]
        if topic["error_code"] == TopicAuthorizationFailedError.errno or not _allows(topic["authorized_operations"], right):
            yield right


def _of_groups(admin: Any, rights: Sequence[Right]) -> Iterator[Right]:
    for right in rights:
        if right.resource == "group" and not _allows(_operations(admin, right.name), right):
            yield right


def _operations(admin: Any, group: str) -> Sequence[str] | None:
    try:
        described = admin.describe_groups([group])[group]
    except GroupAuthorizationFailedError:
        return ()
    except RetriableError:  # a cluster without a group as yet has no coordinators
        return None
    unseen = GroupAuthorizationFailedError.message in (described["error"] or "")
    return () if unseen else described["authorized_operations"]


def _allows(operations: Sequence[str] | None, right: Right) -> bool:
    """``operations`` is None where the broker does not tell: of a topic or a group that does not exist, or at all."""
    return operations is None or right.operation in operations
