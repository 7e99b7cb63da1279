"""docs/own-stream.md, walked: from an empty folder, whose name has a space, to predictions on a topic that is there already."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from features.errors import HeadraceError
from infra.init import sample
from infra.local import stack
from infra.local.broker import Broker
from infra.settings import load_settings
from schemas.codec import decode_prediction
from tests.support.clone import ROOT, scripts
from tests.support.streams import records
from tests.support.walk import blocks, walk

pytestmark = pytest.mark.stack

NAMES = {"order_id": "visit_id", "event_time": "at", "account_id": "visitor", "channel": "page", "amount": "seconds"}
LIVE = 400
"""Events on the topic: the last of the history."""


@pytest.fixture
def visits(broker: Broker, tmp_path: Path) -> Path:
    """A folder with the history of a topic that the broker has: the sample's orders under the names of the page."""
    folder = tmp_path / "my streams"
    (tmp_path / "sample" / "data").mkdir(parents=True)
    sample.write(tmp_path / "sample")
    orders = pq.read_table(tmp_path / "sample" / sample.HISTORY)
    returned = pq.read_table(tmp_path / "sample" / sample.OUTCOMES)["returned"]
    table = orders.drop_columns(["items"]).rename_columns([NAMES[name] for name in orders.column_names if name in NAMES])
    ids = [f"v{number}" for number in table["visit_id"].to_pylist()]
    table = table.set_column(0, "visit_id", [ids]).append_column("bought", returned)
    folder.mkdir()
    pq.write_table(table, folder / "visits.parquet")
    broker.create_topics({"visits": 2})
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for event in table.drop_columns(["bought"]).slice(table.num_rows - LIVE).to_pylist():
            value = event | {"at": int(event["at"].timestamp() * 1000), "seconds": float(event["seconds"])}
            producer.send("visits", json.dumps(value).encode(), event["visitor"].encode())
    return folder


@pytest.mark.timeout(720)
def test_the_page_leads_to_predictions(visits: Path, broker: Broker, tmp_path: Path) -> None:
    """Every command of the page ends well; each event of the topic and the one that is published has a prediction."""
    page = (ROOT / "docs" / "own-stream.md").read_text().replace("localhost:9092", broker.bootstrap)
    notes = tmp_path / "notes"
    notes.mkdir()
    try:
        walked = walk(blocks(page), visits, notes, {"PATH": scripts(tmp_path / "bin")}, seen="v-new")
    finally:
        for project in ("shop", "site"):
            with suppress(HeadraceError):
                stack.down(visits / project, load_settings(visits / project))
    assert "unexplained" in walked.after("headrace run")
    assert "key visitor" in walked.after("headrace init site")
    assert "scorer-visits" in walked.after("headrace status")
    predictions = [decode_prediction(record.value) for record in records(broker, "predictions.visits")]
    assert len({prediction.event_id for prediction in predictions}) == LIVE + 1
    (new,) = [prediction for prediction in predictions if prediction.event_id == "v-new"]
    assert new.receipt.complete
    assert new.receipt.inputs["event__seconds"] == 48.5
    assert "v-new" in walked.elsewhere[0]
