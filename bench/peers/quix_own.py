"""Quix Streams, the rows of a customer as a list in its state (``apply`` with ``stateful=True``). Runs in ``.venv-bench``."""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State

from bench.peers.job import Job
from bench.peers.own_code import Rescan


def main() -> None:
    """Run the job on the command line until a signal comes."""
    job = Job.given()
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.target,
        auto_offset_reset="earliest",
        state_dir=job.folder,
        producer_extra_config={"linger.ms": job.linger_ms},
        loglevel="WARNING",
    )

    def features(event: dict[str, Any], state: State) -> dict[str, Any]:
        kept = state.get("rows")
        spend = Rescan(*(kept or job.rows(event["customer_id"])))
        values = spend.features(event["event_time"], round(event["amount"] * 100))
        state.set("rows", [spend.times, spend.cents])
        return {"event_id": event["transaction_id"], **values}

    frame = app.dataframe(app.topic(job.source, value_deserializer="json"))
    if job.first_event:
        frame = frame.filter(lambda event: event["transaction_id"] >= job.first_event)
    frame = frame.apply(features, stateful=True)
    frame.to_topic(app.topic(job.target, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main()
