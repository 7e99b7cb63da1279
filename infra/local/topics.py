"""Topics: making them, and saying so when one is missing. ``client`` is always what a kafka-python client is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from features.errors import SettingError, StackError
from infra.kafka.listening import listening


def create(
    client: Mapping[str, Any], partitions: Mapping[str, int], config: Mapping[str, str] | None = None, replication: int = -1
) -> None:
    """Create the topics that are missing, by name and number of partitions, and wait until each has its leaders.

    What ``config`` and ``replication`` (-1) leave open is the cluster's default: a local broker keeps records for ever. A topic
    that exists stays as it is.
    """
    with connected(client), closing(KafkaAdminClient(**client)) as admin:
        missing = partitions.keys() - set(admin.list_topics())
        options = {"replication_factor": replication, "configs": dict(config or {})}
        if missing:
            admin.create_topics(
                {name: {"num_partitions": partitions[name], **options} for name in missing}, wait_for_metadata=True
            )


def require(client: Mapping[str, Any], topic: str) -> None:
    """Raise `SettingError` where ``topic`` is missing: a client would wait a minute for it."""
    with connected(client), closing(KafkaAdminClient(**client, bootstrap_timeout_ms=5000)) as admin:
        names = sorted(name for name in admin.list_topics() if not name.startswith("__"))
    if topic not in names:
        known = ", ".join(names) or "none"
        raise SettingError(
            f"a topic exists before it is used; got '{topic}', Kafka has {known}; run 'headrace up', or name one of these"
        )


@contextmanager
def connected(client: Mapping[str, Any]) -> Iterator[None]:
    """Kafka's errors within as a `StackError` of one line."""
    listening(client)
    try:
        yield
    except KafkaError as error:
        address = ",".join(client["bootstrap_servers"])
        raise StackError(f"Kafka at {address} did not reply; {type(error).__name__}: {error}; see 'headrace status'") from None
