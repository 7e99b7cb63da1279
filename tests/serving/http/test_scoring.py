"""The thread that scores, without a service around it."""

from __future__ import annotations

from asyncio import new_event_loop
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

from serving.http.rows import Queries
from serving.http.scoring import InService, Job, Outcome, Scored, Scoring
from serving.http.store import StoreDownError


def test_a_fault_while_the_store_is_down_does_not_end_the_thread() -> None:
    """The request has the fault as its outcome, and the next one is scored."""
    found: SimpleQueue[list[tuple[Job, Outcome]]] = SimpleQueue()
    raised: list[Exception] = [StoreDownError("away"), KeyError("a fault"), StoreDownError("away"), StoreDownError("away")]

    def predict(*_: Any) -> list[bytes]:
        if raised:
            raise raised.pop(0)
        return []

    vectors = SimpleNamespace(of_rows=lambda *_: None)
    lineup: Any = SimpleNamespace(vectors=vectors, predict=predict, leave_out=lambda _: None)
    serving, loop = InService(lineup, SimpleNamespace()), new_event_loop()  # type: ignore[arg-type]
    scoring = Scoring("orders", 10, "fill", found.put, lambda *_: None)
    outcomes = []
    for _ in range(2):
        scoring.put(Job(serving, Queries([], [], [], []), float("inf"), loop.create_future()))
        ((_, outcome),) = found.get(timeout=5)
        outcomes.append(outcome)
    scoring.close()
    loop.close()
    assert isinstance(outcomes[0], KeyError)
    assert outcomes[1] == Scored([], degraded=True)
