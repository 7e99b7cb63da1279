"""Plans of other shapes than the example's, on a real broker and a real Flink."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from bench.common import publish_history
from features.plan import Plan, Stage, WindowFeature
from features.service import Service
from infra.local.broker import Broker
from schemas import FeatureVector
from tests.support.flink import Cluster
from tests.support.streams import own_topics, run_to_end, vectors

pytestmark = pytest.mark.stack

DAY = 86_400_000


def shaped(service: Service, *windows: Stage) -> Plan:
    """The handbook service with other windows, over its transactions alone."""
    plan = service.plan
    return msgspec.structs.replace(plan, windows=windows, sources=plan.sources[:1], on_demand=(), inputs=())


def test_a_key_may_have_two_columns(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Windows by customer and terminal count the payments of that customer at that terminal."""
    feature = WindowFeature("pair__count", "count", "amount", 30 * DAY)
    plan = own_topics(broker, shaped(small, Stage("transactions", ("customer_id", "terminal_id"), (feature,))))
    publish_history(broker, small.folder, plan)
    run_to_end(broker, cluster, plan, tmp_path)
    pairs: dict[tuple[Any, Any], list[FeatureVector]] = defaultdict(list)
    for vector in vectors(broker, plan):
        pairs[vector.event["customer_id"], vector.event["terminal_id"]].append(vector)
    found = {vector.event_id: vector.features["pair__count"] for of_pair in pairs.values() for vector in of_pair}
    expected = {vector.event_id: payments(vector, of_pair) for of_pair in pairs.values() for vector in of_pair}
    assert found == expected
    assert max(expected.values()) > 1


def payments(query: FeatureVector, of_pair: list[FeatureVector]) -> int:
    """How many of the customer's payments at the terminal are in the 30 days to ``query``."""
    return sum(
        query.event_time - 30 * DAY < v.event_time and (v.event_time, v.origin.offset) <= (query.event_time, query.origin.offset)
        for v in of_pair
    )


def test_a_service_may_have_no_windows(broker: Broker, cluster: Cluster, small: Service, tmp_path: Path) -> None:
    """Every event is passed on, with no features."""
    plan = own_topics(broker, shaped(small))
    publish_history(broker, small.folder, plan)
    run_to_end(broker, cluster, plan, tmp_path)
    found = vectors(broker, plan)
    events = pq.read_metadata(small.folder / small.plan.spine_source.history).num_rows
    assert len({v.event_id for v in found}) == len(found) == events > 1000
    assert all(v.features == {} and v.complete for v in found)
