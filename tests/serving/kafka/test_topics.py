"""What becomes of the topics under a scorer that runs: transactions that are aborted, partitions that are added."""

from __future__ import annotations

from contextlib import closing

import pytest
from kafka import KafkaAdminClient

from schemas.codec import decode_prediction
from tests.serving.kafka.support import PARTITIONS, Setting, predicted_once, read, scoring, vector
from tests.support.transactions import write

pytestmark = pytest.mark.stack


def test_aborted_vectors_have_no_prediction(handbook: Setting) -> None:
    """Records of a transaction that was aborted never were; those before and behind them have their predictions."""
    transactions = [
        (is_committed, [(event % PARTITIONS, vector(handbook.plan, event)) for event in range(first, first + 5)])
        for first, is_committed in ((0, True), (5, False), (10, True), (15, False))
    ]
    write(handbook.bootstrap, handbook.plan.features_topic, *transactions)
    with scoring(handbook):
        predicted_once(handbook, [*range(5), *range(10, 15)])


def test_added_partition_is_scored(handbook: Setting) -> None:
    """A scorer that runs takes partitions that are added, the predictions' first, and the others' events stay single."""
    handbook.send([(0, vector(handbook.plan, 0))])
    with scoring(handbook, handbook.config(discovery_ms=500)):
        handbook.predictions(1)
        with closing(KafkaAdminClient(bootstrap_servers=handbook.bootstrap)) as admin:
            for topic in (handbook.plan.predictions_topic, handbook.plan.features_topic):
                admin.create_partitions({topic: PARTITIONS + 1})
        handbook.send([(PARTITIONS, vector(handbook.plan, 1)), (0, vector(handbook.plan, 2)), (0, vector(handbook.plan, 0))])
        records = read(handbook.bootstrap, handbook.plan.predictions_topic, range(PARTITIONS + 1), 3)
    assert sorted((decode_prediction(r.value).event_id, r.partition) for r in records) == [(0, 0), (1, PARTITIONS), (2, 0)]
