"""A server that responds as a test says, request by request: for faults that a good service does not have on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Seen(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """A response; without a status the connection is closed."""

    status: int | None = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    is_cut: bool = False
    """Whether the connection is closed before the body's end."""


@contextmanager
def scripted(*replies: Reply | Callable[[Seen], Reply]) -> Iterator[tuple[str, list[Seen]]]:
    """Its address, and what it has seen; each request has the next reply, and the last one is for all that come after."""
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            one = Seen(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            seen.append(one)
            reply = replies[min(len(seen), len(replies)) - 1]
            reply = reply if isinstance(reply, Reply) else reply(one)
            self.close_connection = True
            if reply.status is None:
                return
            self.send_response(reply.status)
            self.send_header("Connection", "close")  # else the next request may go into a connection that is about to close
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body) + reply.is_cut))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = respond  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
