"""The table of docs/files.md on the stream: what a file gives through Kafka and Flink is what history reads of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path

import pytest

from features.plan import Plan
from infra.local.broker import Broker
from jobs.ingest.event_files import Feed
from jobs.ingest.publish import Event, events, publish
from tests.support.files import COLUMNS, Cell, cells, source_of
from tests.support.flink import Cluster
from tests.support.streams import dead_letters, own_topics, records, run_to_end

pytestmark = pytest.mark.stack


def test_the_stream_reads_what_the_table_says(broker: Broker, cluster: Cluster, tmp_path: Path) -> None:
    """Every cell that is read has its value in a vector; every line of JSON that is refused is a dead letter."""
    schema = ", ".join(f"{name} {kind}" for kind, name in COLUMNS.items())
    source = source_of(f"id long, {schema}", "cells")
    plan = own_topics(broker, Plan("cells", "cells", (source,), (), (), (), (), "arrival", 0))
    tried = [cell for cell in cells() if cell.value is not None or cell.file == "JSON Lines"]
    sent = chain.from_iterable(feeds(tried, plan.spine_source.topic, tmp_path))
    assert publish(sent, {"bootstrap_servers": broker.bootstrap}).events == len(tried)
    run_to_end(broker, cluster, plan, tmp_path / "job")
    vectors = [json.loads(record.value, parse_float=Decimal)["event"] for record in records(broker, plan.features_topic)]
    found = {event["id"]: event for event in vectors}
    expected = {
        number: json.loads(cell.value, parse_float=Decimal) for number, cell in enumerate(tried) if cell.value is not None
    }
    assert {number: event[tried[number].column] for number, event in found.items()} == expected
    refused = {cell.written for cell in tried if cell.value is None}
    letters = [letter.value.decode() for letter in dead_letters(broker, plan) if letter.value]
    assert len(letters) == len(tried) - len(expected)
    assert all(any(written in letter for letter in letters) for written in refused)


def feeds(tried: list[Cell], topic: str, folder: Path) -> Iterator[Iterator[Event]]:
    """The events of each cell's file, whose id is the cell's place."""
    for number, cell in enumerate(tried):
        yield events(Feed(cell.write(folder, number), topic, cell.source))
