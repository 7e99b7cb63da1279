"""What goes wrong with a request, by what its caller does about it.

::

    ClientError
    ├── RefusedError         the service said no: send something else
    │   ├── DeniedError      401, 403: a token that it knows, with the scope that is needed
    │   ├── NotFoundError    404: there is no such service, topic or stored prediction
    │   └── ExpiredError     410: there was one, or a place in a stream was kept once
    └── UnavailableError     429, 503, or no response, after all retries: try again later
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from schemas.codec import UNREADABLE


class _Problem(msgspec.Struct):
    """Problem details (RFC 9457)."""

    detail: str = ""
    request_id: str = ""


class ClientError(Exception):
    """The text is what the service said, or what became of the request."""

    def __init__(self, detail: str, status: int | None = None, request_id: str = "") -> None:
        super().__init__(detail)
        self.status = status
        """Of the response; None where there was none."""
        self.request_id = request_id
        """By which the service's log has it; empty where there was no response."""


class RefusedError(ClientError):
    """The request is wrong, and is so again."""


class DeniedError(RefusedError):
    """No token, another one, or one without the scope."""


class NotFoundError(RefusedError):
    """There is no such thing."""


class ExpiredError(RefusedError):
    """There was such a thing."""


class UnavailableError(ClientError):
    """The service has too much to do, lacks what it needs, or cannot be reached."""


KINDS: dict[int, type[ClientError]] = {
    HTTPStatus.UNAUTHORIZED: DeniedError,
    HTTPStatus.FORBIDDEN: DeniedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.GONE: ExpiredError,
    HTTPStatus.TOO_MANY_REQUESTS: UnavailableError,
}


def error_of(status: int, body: bytes) -> ClientError:
    """The error that a response is, of whatever body: a proxy has its own."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except UNREADABLE:
        problem = _Problem()
    at_fault = UnavailableError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else RefusedError
    kind = KINDS.get(status, at_fault)
    return kind(problem.detail or f"the service responded with status {status}", status, problem.request_id)
