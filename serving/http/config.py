"""What the HTTP service is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from features.plan import Plan

OnStoreError = Literal["refuse", "fill"]

READER: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "latest",
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}
"""A consumer that is in no group."""


class HttpConfig(msgspec.Struct, frozen=True):
    """What one HTTP service works with."""

    host: str
    port: int
    allowed_hosts: tuple[str, ...]
    """Names of the service beside this machine's loopback, where it has no tokens."""
    tls_certificate_file: Path | None
    tls_key_file: Path | None
    max_body_bytes: int
    """The longest body of a request."""
    max_rows: int
    """The most rows that a request may have, and that are scored as one batch."""
    max_concurrency: int
    """The most requests for predictions that may be in work."""
    deadline_ms: int
    """A request for predictions has its predictions by then, or an error."""
    store_timeout_ms: int
    """How long the online store may take."""
    on_store_error: OnStoreError
    batch_cache_seconds: float
    batch_cache_rows: int
    shutdown_seconds: int
    """How long what is in work may take once the service is to stop."""
    docs: bool
    """Whether there is an OpenAPI page."""
    access_log: bool
    """Whether each request is a line of the log."""
    remembered_events: int
    """How many of the events published last are known, should they be repeated."""
    max_streams: int
    """The most readers of streams at once."""
    heartbeat_ms: int
    """After so long without a prediction a stream says that it lives."""
    slow_reader_ms: int
    """A reader of a stream who takes nothing for so long is disconnected."""


class KafkaConfig(msgspec.Struct, frozen=True):
    """Where events are published to, and predictions come from."""

    client: dict[str, Any]
    """What a kafka-python client is given: where Kafka is, and how it is spoken to."""
    reader: dict[str, Any]
    """What a consumer without a group is given."""
    plans: tuple[Plan, ...]
    """Those of the services whose events are published, and whose predictions are read."""
    others: tuple[Plan, ...] = ()
    """Other plans that read the same topics: an event has what they need, too."""
