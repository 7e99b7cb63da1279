"""What of scored rows is stored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pyarrow as pa

from features.definitions.load import load
from features.feast.keys import Key
from jobs.predict.store import Storing
from schemas import StoredPrediction
from tests.support.online_shop import SQLITE, make_shop


def test_rows_without_a_score_are_not_stored(tmp_path: Path) -> None:
    """What is stored of their entities stays; the others have their key, their time, and what else the model said."""
    plan = load(make_shop(tmp_path, SQLITE.format(kind="sqlite"))).service("shop").plan
    stored: list[tuple[Key, StoredPrediction]] = []

    def write(predictions: Iterable[tuple[Key, StoredPrediction]]) -> int:
        found = list(predictions)
        stored.extend(found)
        return len(found)

    outputs = pa.array([{"label": 1}, None, {"label": 0}], pa.struct([("label", pa.int64())]))
    columns = {"account_id": [1, 2, 3], "shop": ["a", "b", "c"], "product": [7, 8, 9], "at": [10, 20, 30]}
    table = pa.table({**columns, "score": pa.array([0.5, None, 0.25], pa.float32()), "outputs": outputs})
    storing = Storing(plan, write, model="m", version=4, computed_at=99, holds_ms=5)
    assert list(storing.of([table])) == [table]
    first = StoredPrediction(0.5, "m", 4, plan.short_digest, 10, 99, 15, {"label": 1})
    third = msgspec.structs.replace(first, score=0.25, as_of=30, valid_until=35, outputs={"label": 0})
    assert (storing.stored, stored) == (2, [((1, "a", 7), first), ((3, "c", 9), third)])
