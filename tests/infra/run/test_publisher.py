"""Events published by a process of its own: it is known when they are all sent, or why one could not be."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from features.errors import StackError
from features.times import Span
from infra.local.broker import Broker
from infra.run.publisher import Publisher
from jobs.ingest.publish import feed
from tests.support.streams import records

pytestmark = pytest.mark.stack


def test_every_event_is_sent_when_the_wait_is_over(broker: Broker, tmp_path: Path) -> None:
    """The process has ended, and the topic holds the file's rows."""
    broker.create_topics({"published": 1})
    file = tmp_path / "events.jsonl"
    file.write_text('{"id": 1}\n{"id": 2}\n')
    with closing(Publisher([feed(file, "published", [])], Span(), {"bootstrap_servers": [broker.bootstrap]})) as publisher:
        wait(publisher)
        assert publisher.done()
    assert len(list(records(broker, "published"))) == 2


def test_what_cannot_be_published_is_said_here(broker: Broker, tmp_path: Path) -> None:
    """The process's own error, in this one."""
    missing = tmp_path / "missing.parquet"
    one = Publisher([feed(missing, "published", [])], Span(), {"bootstrap_servers": [broker.bootstrap]})
    with closing(one) as publisher, pytest.raises(StackError, match=r"the publisher failed: .*missing\.parquet"):
        wait(publisher)


def wait(publisher: Publisher) -> None:
    """Return when every event has been sent."""
    while not publisher.done():
        time.sleep(0.05)
