"""The tutorial of the client, examples/fraud/client.py, against a real service."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import create_autospec

import pytest

from bench.common import EXAMPLE, program
from features.feast.predictions import open_predictions_for_writing
from infra.local.broker import Broker
from schemas import Prediction, StoredPrediction
from serving.client import Client
from tests.serving.http.support import serving
from tests.serving.kafka.support import project_with_rows
from tests.support.flink import Cluster
from tests.support.models import register, stumps
from tests.support.waits import wait_until


@pytest.fixture(scope="module")
def tutorial() -> ModuleType:
    """The script."""
    return program(EXAMPLE / "client.py")


@pytest.mark.slow
def test_what_is_stored_and_what_is_predicted_on_demand(tutorial: ModuleType, tmp_path: Path) -> None:
    """Neither needs Kafka."""
    fraud = project_with_rows(tmp_path / "fraud").service("fraud")
    register(tmp_path, fraud.plan, stumps([0.01] * len(fraud.plan.inputs)))
    known = StoredPrediction(0.25, "fraud", 1, "plan", 1, 2, None)
    open_predictions_for_writing(fraud)([((12, 565), known)])
    with serving([fraud], tmp_path) as running, Client(f"http://{running.address}") as client:
        assert tutorial.stored(client).score == 0.25
        assert tutorial.stored(client, customer=13) is None
        found = tutorial.on_demand(client, tutorial.new_event())
    assert isinstance(found, Prediction)
    assert found.receipt.inputs["transaction_amount__amount"] == 236.5


def test_whose_prediction_is_waited_for_is_named(tutorial: ModuleType) -> None:
    """Where several services predict an event, one that is not named is refused."""
    event, client = tutorial.new_event(), create_autospec(Client, instance=True)
    said = SimpleNamespace(event_id=event["transaction_id"])
    client.predictions.return_value = [("0:1", said)]
    assert tutorial.streamed(client, event, service="handbook") == ("0:1", said)
    assert client.publish.call_args.kwargs["service"] == "handbook"


@pytest.mark.stack
def test_what_is_published_and_streamed(
    tutorial: ModuleType, broker: Broker, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With a stream job and a scorer: each event's prediction, by its id, and those after a place."""
    live = pytest.importorskip("tests.serving.http.live", reason="the routes for events are not here")
    streams = pytest.importorskip("tests.support.streams")
    folder = tmp_path_factory.mktemp("tutorial")
    made = live.made_live(broker, project_with_rows(folder / "fraud"), folder)
    ready, names = folder / "stream is ready", (made.topic, made.plan.service)
    scorer = live.Scorer(made)
    scorer.start()
    try:
        job = streams.submitted(broker, cluster, made.plan, folder, bounded=False, ready_file=ready)
        with job, made.serving() as running, Client(f"http://{running.address}") as client:
            wait_until(ready.exists, 120)
            place, first = tutorial.streamed(client, tutorial.new_event(), *names)
            _, second = tutorial.streamed(client, tutorial.new_event("9.99"), *names)
            since = list(client.predictions(made.plan.service, after=place, until_end=True))
    finally:
        scorer.stop()
    assert [one.prediction for one in since] == [second]
    assert (first.receipt.inputs["customer_spend__count_1d"], second.receipt.inputs["customer_spend__count_1d"]) == (1, 2)
