"""The predictions that several commands read: of a file, or of a topic as it is now; and outcomes, of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.settings import Settings
    from jobs.history.served import Record


def predicted(project: Path, settings: Settings, service: str, file: str | None, alias: str = "production") -> Iterator[Record]:
    """The predictions of ``file``, or of the service's topic in an environment, up to its end as of now."""
    from jobs.history.receipts import of_file

    if file is not None:
        return of_file(file)
    from schemas.topics import predictions

    return of_topic_now(project, settings, predictions(service, alias).name)


def of_topic_now(project: Path, settings: Settings, topic: str) -> Iterator[Record]:
    """The records of ``topic``, up to its end as of now. Raises `SettingError` where there is none, or we may not read it."""
    from infra.kafka import rights
    from infra.local import stack, topics

    client, reader = (of(stack.bootstrap(project, settings)) for of in (settings.kafka.client, settings.kafka.reader))
    rights.require(client, rights.of_reader(topic))
    topics.require(client, topic)
    return _of_topic(client, reader, topic)


def _of_topic(client: dict[str, Any], reader: dict[str, Any], topic: str) -> Iterator[Record]:
    from infra.kafka.reach import connected
    from jobs.audit.topics import read
    from jobs.history.receipts import of_topic

    with connected(client):
        yield from of_topic(read(reader, topic))
