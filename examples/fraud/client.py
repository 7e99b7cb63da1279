"""The Python client on this example, end to end: a stored prediction, one on demand, and one of an event that is published.

    headrace score fraud --entities entities.parquet --online      # rows of customer_id, terminal_id, amount
    headrace up                                                    # with [http] in headrace.toml
    python client.py http://127.0.0.1:8080

The token, where the service wants one, is in HEADRACE_TOKEN.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console

from schemas import FetchedPrediction, Prediction
from serving.client import Client, Failed, NotFoundError

out = Console(highlight=False)
CUSTOMER, TERMINAL = 12, 565
WINDOWS = {
    f"{view}__{function}_{days}d": nothing
    for view in ("customer_spend", "terminal_risk")
    for days in (1, 7, 30)
    for function, nothing in (("count", 0), ("mean", 0.0))
}
"""The window features of a customer and a terminal that nothing is known of. Who publishes events needs none of them."""


def stored(client: Client, customer: int = CUSTOMER, terminal: int = TERMINAL) -> FetchedPrediction | None:
    """What the last batch run said of this customer at this terminal; None: nothing."""
    try:
        return client.fetch("fraud", customer, terminal)
    except NotFoundError:
        return None


def on_demand(client: Client, event: Mapping[str, Any]) -> Prediction | Failed:
    """A prediction from batch features as they are now; the windows are the caller's."""
    (found,) = client.predict("fraud", [event], features=[WINDOWS])
    return found


def streamed(
    client: Client, event: Mapping[str, Any], topic: str = "transactions", service: str = "fraud"
) -> tuple[str, Prediction]:
    """Publish an event, and find its prediction among all of its service; gives it, and the place to read on from."""
    published = client.publish(topic, event, wait=1.0, service=service)  # as long as http.deadline_ms allows where it is not set
    for place, prediction in client.predictions(service, start="beginning"):
        if prediction.event_id == event["transaction_id"]:
            assert not isinstance(published, Prediction) or published == prediction  # noqa: S101 - it is the same record
            return place, prediction
    raise AssertionError("a stream has no end")


def new_event(amount: str = "236.50") -> dict[str, Any]:
    """A transaction of now."""
    now = time.time_ns()
    return {
        "transaction_id": now // 1000,
        "event_time": now // 1_000_000,
        "customer_id": CUSTOMER,
        "terminal_id": TERMINAL,
        "amount": Decimal(amount),
    }


def main(url: str) -> None:
    """Print what comes back."""
    with Client(url, token=os.environ.get("HEADRACE_TOKEN")) as client:
        out.print("stored:   ", stored(client))
        out.print("on demand:", on_demand(client, new_event()))
        place, prediction = streamed(client, new_event())
        out.print("streamed: ", prediction)
        out.print("read on:  ", place)
        streamed(client, new_event("9.99"))
        found = client.predictions("fraud", after=place, until_end=True)
        out.print("since:    ", [one.prediction.score for one in found])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080")
