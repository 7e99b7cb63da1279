"""Quix Streams, its own sliding windows, one for each length: three records for an event. Runs in ``.venv-bench``.

Its windows hold both ends, so one that is a millisecond shorter is the contract's. An event may change windows that end later:
only the window that ends with the event itself is read. A late event finds the rows of one more day, as in Headrace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows.aggregations import Count, Latest, Mean

from bench.peers.job import Job
from bench.peers.own_code import DAY, DAYS


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
    source = app.topic(job.source, value_deserializer="json", timestamp_extractor=event_time)
    target = app.topic(job.target, value_serializer="json")
    frame = app.dataframe(source)
    for days in DAYS:
        window = frame.sliding_window(duration_ms=days * DAY - 1, grace_ms=DAY)
        aggregated = window.agg(
            count=Count(), mean=Mean("amount"), event_id=Latest("transaction_id"), event_time=Latest("event_time")
        )
        aggregated.current().filter(is_own).apply(named(days)).to_topic(target)
    app.run()


def event_time(event: dict[str, Any], headers: Any, timestamp: int, kind: Any) -> int:
    """The event's own time in place of the record's."""
    return int(event["event_time"])


def is_own(window: dict[str, Any]) -> bool:
    """Whether the window ends with the event that changed it."""
    return bool(window["end"] == window["event_time"])


def named(days: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The record of a window of so many days."""
    return lambda window: {
        "event_id": window["event_id"],
        f"count_{days}d": window["count"],
        f"mean_{days}d": window["mean"],
    }


if __name__ == "__main__":
    main()
