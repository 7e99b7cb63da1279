"""What a click in a panel asks for: read once, on a thread of its own, whatever else the page reads meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from features.errors import HeadraceError
from serving.http.page.panel import Down, Empty, Reply
from serving.http.page.reading import HIDDEN
from serving.http.page.sources import Sources
from serving.http.page.threads import Threads
from serving.http.problems import ProblemError

DEADLINE_SECONDS = 12.0
"""A source that has not replied by then is down."""
THREADS = 2
"""Details that are read at once; others wait for their turn, and for no longer than the deadline."""

Parameters = Mapping[str, str]
"""The query of the request."""
log = structlog.get_logger()


class Detail(NamedTuple):
    """One kind of detail: ``GET /v1/page/{panel}/{name}?service=S&…``."""

    panel: str
    name: str
    source: str
    """What it reads, as a person is told when that is down."""
    read: Callable[[Sources, str, Parameters], msgspec.Struct]
    """Its data of a service, or `Empty`. Raises `ProblemError`, 400, for parameters that are not as they should be."""
    seconds: float = DEADLINE_SECONDS


class Details:
    """All of them."""

    def __init__(self, details: tuple[Detail, ...], sources: Sources) -> None:
        self._known = {(detail.panel, detail.name): detail for detail in details}
        self._sources = sources
        self._threads = Threads(THREADS, "page-detail")

    async def reply(self, panel: str, name: str, service: str, parameters: Parameters) -> Reply:
        """One of the three states, as of a panel. Raises `ProblemError` for what there is not."""
        detail = self._known.get((panel, name))
        if detail is None:
            raise ProblemError(404, f"the page has no detail '{name}' of a panel '{panel}'")
        reading = self._threads.submit(partial(self._read, detail, service, parameters))
        try:
            async with asyncio.timeout(detail.seconds):
                return await asyncio.wrap_future(reading)
        except TimeoutError:
            return _down(detail, f"it did not reply within {detail.seconds:g} s")

    def close(self) -> None:
        """Let the threads end once they are free."""
        self._threads.close()

    def _read(self, detail: Detail, service: str, parameters: Parameters) -> Reply:
        try:
            read = detail.read(self._sources, service, parameters)
        except ProblemError:
            raise
        except HeadraceError as error:
            return _down(detail, str(error))
        except Exception:
            log.exception("a detail of the page failed", panel=detail.panel, detail=detail.name, service=service)
            return _down(detail, HIDDEN)
        return Reply(empty=read) if isinstance(read, Empty) else Reply(data=read)


def whole(parameters: Parameters, name: str) -> int:
    """A whole number of the query. Raises `ProblemError`, 400."""
    text = parameters.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ProblemError(400, f"'{name}' is a whole number; got '{text:.40}'")
    return int(text)


def _down(detail: Detail, why: str) -> Reply:
    return Reply(down=Down(detail.source, why, round(time.time() * 1000)))
