"""Who is let in, and how much: tokens, the length of a body, requests in work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from serving.http import hosts
from serving.http.config import HttpConfig
from serving.http.metrics import Metrics
from serving.http.problems import ProblemError
from serving.http.tokens import Scope, Tokens

RETRY_SECONDS = 1


class Gate:
    """The limits of one service process. The event loop's thread alone has it."""

    def __init__(self, config: HttpConfig, tokens: Tokens, metrics: Metrics) -> None:
        self._config, self._tokens, self._metrics = config, tokens, metrics
        self._in_work = 0

    @property
    def has_tokens(self) -> bool:
        """Whether requests need one."""
        return bool(self._tokens)

    def check_site(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise `ProblemError` for what a page of another site sends, where a token would not keep it out."""
        if not self._tokens:
            hosts.check(headers, self._config.allowed_hosts)

    def authorize(self, request: Request, scope: Scope) -> None:
        """Raise `ProblemError` where the request bears no token with the scope: 401 without a known one, 403 with another."""
        if not self._tokens:
            return
        given = next((value for name, value in request.scope["headers"] if name == b"authorization"), None)
        scopes = self._tokens.scopes(given)
        if scopes is None:
            raise ProblemError(401, f"this needs a token with the scope '{scope}'; send Authorization: Bearer TOKEN")
        if scope not in scopes:
            raise ProblemError(403, f"this needs a token with the scope '{scope}'; got one with {', '.join(sorted(scopes))}")

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Within, the request is in work. Raises `ProblemError`, 429, where too many are."""
        if self._in_work >= self._config.max_concurrency:
            raise too_many(self._config.max_concurrency)
        self._in_work += 1
        self._metrics.in_work.set(self._in_work)
        try:
            yield
        finally:
            self._in_work -= 1
            self._metrics.in_work.set(self._in_work)

    async def body(self, request: Request) -> bytes:
        """The request's body. Raises `ProblemError`: 413 as soon as it is known to be too long, 408 where it comes too late.

        A client that sends a body byte by byte is in work as long as it does.
        """
        most = self._config.max_body_bytes
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise _too_long(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._config.deadline_ms / 1000):
                async for part in request.stream():
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        raise _too_long(most)
        except TimeoutError:
            detail = f"a body is there within {self._config.deadline_ms} ms (http.deadline_ms); got {size} bytes by then"
            raise ProblemError(408, detail, close=True) from None
        except ClientDisconnect:
            raise ProblemError(400, "the body ended early") from None
        return b"".join(parts)


def too_many(most: int) -> ProblemError:
    """What a request has beyond ``most`` of them."""
    detail = f"at most {most} requests are in work at once (http.max_concurrency); try again later"
    return ProblemError(429, detail, retry_after=RETRY_SECONDS)


def _too_long(most: int) -> ProblemError:
    return ProblemError(413, f"a body has at most {most} bytes (http.max_body_bytes); send fewer rows", close=True)
