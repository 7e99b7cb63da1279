"""``[http]``: what the HTTP service is told by the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from infra.section import PREFIX, Section

TOKENS = f"{PREFIX}HTTP__TOKENS"
"""The environment variable of ``http.tokens``, a secret."""


class HttpSettings(Section):
    """The HTTP service, `headrace serve` (docs/serving.md)."""

    host: str = "127.0.0.1"
    """The address to listen on; another than this machine's loopback needs tokens and TLS."""
    port: int = Field(default=8080, ge=0, le=65_535)
    """The port to listen on; 0: a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which a service without tokens may be called, beside this machine's loopback: that of a proxy before it, say. A
    request with another `Host` is refused (421), and what a page of another site sends (403)."""
    tokens: SecretStr | None = None
    """Bearer tokens, a secret: `TOKEN SCOPE[,SCOPE]`, several with semicolons, of the scopes read, predict and publish. It
    is read from the environment only."""
    tokens_file: Path | None = None
    """A file of bearer tokens, a line for each, relative to the project; none and no `tokens`: everybody may do everything."""
    tls_certificate_file: Path | None = None
    """The service's certificate with those between it and its signer, a PEM file, relative to the project; none: no TLS."""
    tls_key_file: Path | None = None
    """The key of the certificate, a PEM file, relative to the project."""
    max_body_bytes: int = Field(default=4_194_304, ge=1024)
    """The longest body of a request; a longer one is refused (413)."""
    max_rows: int = Field(default=1000, ge=1)
    """The most rows of a request, beyond which it is refused (413), and of the requests that are scored as one batch."""
    max_concurrency: int = Field(default=256, ge=1)
    """The most requests for predictions that are in work at once; one beyond that is refused (429), to be tried again."""
    deadline_ms: int = Field(default=1000, ge=1)
    """How long a request waits for its predictions; then it is refused (503)."""
    store_timeout_ms: int = Field(default=100, ge=1)
    """How long the online store may take; then it is down, for a second, and after that until it gives rows."""
    on_store_error: Literal["refuse", "fill"] = "refuse"
    """What a request has when the online store is down: `refuse`, an error (503), or `fill`, predictions from null for every
    batch feature that is not cached, marked `degraded`."""
    batch_cache_seconds: float = Field(default=10, ge=0)
    """How long a row of batch features is used before it is read from the online store again."""
    batch_cache_rows: int = Field(default=500_000, ge=1)
    """How many rows of batch features are kept in memory."""
    shutdown_seconds: int = Field(default=30, ge=0)
    """How long requests that are in work may take once the service is to stop."""
    docs: bool = True
    """Whether there is an OpenAPI page, `/docs`; neither it nor `/openapi.json` needs a token."""
    access_log: bool = False
    """Whether each request is a line of the log: its id, its `traceparent`, what it wanted, its status and time. Faults of the
    service are logged with them in any case."""
    events: bool = True
    """Whether events are published and predictions streamed over HTTP, where it is known at the start where Kafka is."""
    remembered_events: int = Field(default=50_000, ge=1)
    """How many of the events that it published last the service remembers, with their predictions: one that is sent again is
    published once. They take about 1.5 KB each, and never more than some 130 MB."""
    max_streams: int = Field(default=16, ge=1)
    """The most readers of streams of predictions at once; one beyond that is refused (429)."""
    core_hour: float | None = Field(default=None, ge=0)
    """What an hour of a core costs you, for the page's cost of a million predictions; none: the page shows CPU seconds alone."""
    currency: str = "USD"
    """What `core_hour` is in."""
    heartbeat_ms: int = Field(default=15_000, ge=1, le=30_000)
    """A stream on which nothing came for so long says that it lives. Clients take one that is silent for 60 s for dead."""
    slow_reader_ms: int = Field(default=10_000, ge=1)
    """A reader of a stream who takes nothing for so long is disconnected; it may come back with its Last-Event-ID."""

    @model_validator(mode="after")
    def _files_go_together(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file go together; set both, to one file where it holds both")
        return self
