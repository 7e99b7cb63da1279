"""An S3 server: moto's, on loopback, one request at a time."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.server import ThreadedMotoServer

UNCONDITIONAL = "overwrites"
"""Begins the names of buckets that know no conditional writes, as those of some providers do not."""
TERSE = "terse"
"""Begins the names of buckets that refuse a conditional write without its condition, as MinIO does."""
CONDITION = b"<Condition>If-None-Match</Condition>"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """A server; gives what a client's environment says of it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    server._server.app = _one_at_a_time(server._server.app)  # type: ignore[union-attr]
    host, port = server.get_host_and_port()
    try:
        yield {
            "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "user",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


def new_bucket(prefix: str = "bucket") -> str:
    """The name of a bucket that is there from now on."""
    from s3fs import S3FileSystem

    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    S3FileSystem(use_listings_cache=False).mkdir(name)
    return name


def _one_at_a_time(app: Any) -> Callable[..., Iterable[bytes]]:
    """A conditional put of S3 is one step. moto 5.2 looks first and puts then, and two threads may both find nothing."""
    lock = threading.Lock()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(f"/{UNCONDITIONAL}"):
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with lock:
            body = b"".join(app(environ, start_response))
        is_terse = environ["PATH_INFO"].startswith(f"/{TERSE}")
        return [body.replace(CONDITION, b" " * len(CONDITION)) if is_terse else body]

    return application
