"""One panel's data, read on a thread of its own: a source that is slow or away holds up neither requests nor another panel."""

from __future__ import annotations

import asyncio
import hashlib
import time
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from features.errors import HeadraceError
from serving.http.page.panel import Down, Empty, Panel, Reply
from serving.http.page.sources import Sources
from serving.http.page.threads import Threads

DEADLINE_SECONDS = 3.0
"""A source that has not replied by then is down; what it gives later is shown with the next request."""
OLD_SECONDS = 30.0
"""What came so long ago and was shown to nobody is read anew: whoever looks now was not there then."""
HIDDEN = "it failed; the log of `headrace serve` says why"

log = structlog.get_logger()


class Body(NamedTuple):
    """A reply as it is sent."""

    content: bytes
    etag: str
    at: float
    """When it was made, by the monotonic clock."""


class _Read(NamedTuple):
    reply: Reply
    at: float
    """By the monotonic clock."""


class Reading:
    """One panel, of every service. The event loop's thread alone has it; `_read` runs on the panel's own."""

    def __init__(self, panel: Panel, sources: Sources) -> None:
        self._panel, self._sources = panel, sources
        self._thread = Threads(1, f"page-{panel.name}")
        self._pending: dict[str, asyncio.Future[_Read]] = {}
        self._made: dict[str, Body] = {}
        self._down: dict[str, Down] = {}

    async def body(self, service: str) -> Body:
        """The reply of now, or of less than the panel's seconds ago. One read is under way at a time, however many wait."""
        made = self._made.get(service)
        if made is not None and time.monotonic() - made.at < self._panel.seconds:
            return made
        pending = self._pending.get(service)
        if pending is None or (pending.done() and time.monotonic() - pending.result().at > OLD_SECONDS):
            pending = self._pending[service] = asyncio.wrap_future(self._thread.submit(partial(self._read, service)))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                read = await asyncio.shield(pending)
        except TimeoutError:
            return _body(self._since(service, Reply(down=self._is_down(f"it did not reply within {DEADLINE_SECONDS:g} s"))))
        if self._pending.get(service) is pending:
            del self._pending[service]
            self._made[service] = _body(self._since(service, read.reply))
        return self._made[service]

    def close(self) -> None:
        """Let the thread end once it is free."""
        self._thread.close()

    def _read(self, service: str) -> _Read:
        return _Read(self._reply(service), time.monotonic())

    def _reply(self, service: str) -> Reply:
        try:
            read = self._panel.read(self._sources, service)
        except HeadraceError as error:
            return Reply(down=self._is_down(str(error)))
        except Exception:
            log.exception("a panel of the page failed", panel=self._panel.name, service=service)
            return Reply(down=self._is_down(HIDDEN))
        return Reply(empty=read) if isinstance(read, Empty) else Reply(data=read)

    def _is_down(self, why: str) -> Down:
        return Down(self._panel.source, why, round(time.time() * 1000))

    def _since(self, service: str, reply: Reply) -> Reply:
        """The same; what was down before is down since then."""
        if reply.down is None:
            self._down.pop(service, None)
            return reply
        first = self._down.setdefault(service, reply.down)
        return Reply(down=msgspec.structs.replace(reply.down, since=first.since))


def _body(reply: Reply) -> Body:
    content = msgspec.json.encode(reply)
    return Body(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"', time.monotonic())
