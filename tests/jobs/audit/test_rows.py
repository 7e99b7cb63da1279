"""The rows of history around the windows of one event, as an explanation shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from features.plan import Plan, Stage, WindowFeature
from features.service import Service
from jobs.audit.rows import History
from tests.support.files import NOW, source_of

HOUR = 3_600_000
SOURCE = source_of("id long, at timestamp, k string, v double", "num")
STAGE = Stage("num", ("k",), (WindowFeature("totals__sum", "sum", "v", HOUR),))
PLAN = Plan("s", "num", (SOURCE,), (STAGE,), (), (), ("totals__sum",), "arrival", 0)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([(1, -2), (2, -1), (3, 0), (4, 1)], [(1, "in"), (2, "in"), (3, "in"), (4, "after")]),
        ([(1, -2), (2, -1), (4, 1)], [(1, "in"), (2, "in"), (3, "in"), (4, "after")]),
        ([(1, -2), (3, -1), (4, 1)], [(1, "in"), (3, "in"), (4, "after")]),
        ([(1, -2), (2, -1), (3, 1), (4, 2)], [(1, "in"), (2, "in"), (3, "in"), (4, "after")]),
    ],
    ids=["history has it", "history lacks it", "history has it earlier", "history has it later"],
)
def test_the_event_is_among_its_rows_once(
    tmp_path: Path, history: list[tuple[int, int]], expected: list[tuple[int, str]]
) -> None:
    """At the time at which it was served, whatever time history has of it: an event is counted once."""
    file = tmp_path / "num.jsonl"
    file.write_text("".join(f"{json.dumps({'id': event, 'at': NOW + at, 'k': 'a', 'v': 1.5})}\n" for event, at in history))
    found = History(Service(tmp_path, PLAN, {}, {"num": SOURCE}, ()), {"num": file})
    rows = found.around(STAGE, {"id": 3, "at": NOW, "k": "a", "v": 1.5})
    assert [(row.event_id, row.where) for row in rows] == expected
    assert [row.event_time for row in rows if row.event_id == 3] == [NOW]
