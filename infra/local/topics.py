"""Topics: making them, and saying so when one is missing. ``client`` is always what a kafka-python client is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import AuthorizationError

from features.errors import SettingError
from infra.kafka.reach import SECONDS, principal
from infra.kafka.reach import connected as connected
from schemas.topics import KAFKA_BYTES

LONGEST = "max.message.bytes"


def create(
    client: Mapping[str, Any], partitions: Mapping[str, int], config: Mapping[str, str] | None = None, replication: int = -1
) -> None:
    """Create the topics that are missing, by name and number of partitions, and wait until each has its leaders.

    What ``config`` and ``replication`` (-1) leave open is the cluster's default: a local broker keeps records for ever. A topic
    that exists stays as it is. Raises `SettingError` where our principal may not create one, or does not see it.
    """
    with connected(client), closing(KafkaAdminClient(**client, bootstrap_timeout_ms=2 * SECONDS * 1000)) as admin:
        missing = sorted(partitions.keys() - set(admin.list_topics()))
        options = {"replication_factor": replication, "configs": dict(config or {})}
        if not missing:
            return
        try:
            admin.create_topics(
                {name: {"num_partitions": partitions[name], **options} for name in missing}, wait_for_metadata=True
            )
        except AuthorizationError:
            raise SettingError(
                f"a topic is there before it is used; {principal(client)} sees none called {', '.join(missing)}, and lacks "
                "CREATE for at least one; grant it, or make these topics and grant DESCRIBE (docs/secured-kafka.md)"
            ) from None


def partitions(client: Mapping[str, Any], topic: str) -> int:
    """How many partitions a topic has; 0 where there is none."""
    with connected(client), closing(KafkaAdminClient(**client, bootstrap_timeout_ms=SECONDS * 1000)) as admin:
        if topic not in set(admin.list_topics()):
            return 0
        return len(admin.describe_topics([topic])[0]["partitions"])


def longest_records(client: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
    """The longest record that each topic takes; Kafka's default where we may not ask."""
    names = list(names)
    with connected(client), closing(KafkaAdminClient(**client, bootstrap_timeout_ms=SECONDS * 1000)) as admin:
        wanted = [ConfigResource("TOPIC", name, [LONGEST]) for name in names]
        try:
            found = admin.describe_configs(wanted, config_filter="all").get("topic", {})
        except AuthorizationError:
            found = {}
    return {name: int(found.get(name, {}).get(LONGEST, {}).get("value") or KAFKA_BYTES) for name in names}


def require(client: Mapping[str, Any], topic: str) -> None:
    """Raise `SettingError` where ``topic`` is missing: a client would wait a minute for it."""
    with connected(client), closing(KafkaAdminClient(**client, bootstrap_timeout_ms=SECONDS * 1000)) as admin:
        names = sorted(name for name in admin.list_topics() if not name.startswith("__"))
    if topic not in names:
        known = ", ".join(names) or "none"
        raise SettingError(
            f"a topic exists before it is used; got '{topic}', Kafka has {known}; run 'headrace up', or name one of these"
        )
