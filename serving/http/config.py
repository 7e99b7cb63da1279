"""What the HTTP service is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

OnStoreError = Literal["refuse", "fill"]


class HttpConfig(msgspec.Struct, frozen=True):
    """What one HTTP service works with."""

    host: str
    port: int
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
