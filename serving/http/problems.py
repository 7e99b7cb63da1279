"""What goes wrong with a request, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

PROBLEM = "application/problem+json"


class ProblemError(Exception):
    """A request that is refused; the text says the rule, what came, and what to do."""

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None, close: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["retry-after"] = str(retry_after)
        if close:
            self.headers["connection"] = "close"
        if status == HTTPStatus.UNAUTHORIZED:
            self.headers["www-authenticate"] = "Bearer"


def no_service(name: str, known: Iterable[str]) -> ProblemError:
    """A service that is not among those ``known``."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"there is no service '{name}' here; there is {', '.join(known)}")


def problem_body(status: int, detail: str, request_id: str, **more: Any) -> bytes:
    """The body of a response of that status, one JSON object."""
    title = HTTPStatus(status).phrase
    known = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id}
    return msgspec.json.encode({**known, **more})
