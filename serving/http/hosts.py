"""By which names a service without tokens is spoken to: what a page of another site sends through a browser is refused.

Any page that somebody of this machine has open may send requests to its loopback. One that posts is a cross-site request, and has
an Origin; one whose own name leads to 127.0.0.1 by then may read what comes back (DNS rebinding), and has that name as its Host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

from serving.http.problems import ProblemError


def is_loopback(host: str) -> bool:
    """Whether nobody beyond this machine can reach it.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(headers: Iterable[tuple[bytes, bytes]], allowed: tuple[str, ...]) -> None:
    """Raise `ProblemError` for a request of another site: 421 by its Host, 403 by its Origin.

    The loopback's names are good, and those ``allowed``, in lower case. A request without the headers is of no browser.
    """
    found = {name: value.decode("latin-1").lower() for name, value in headers if name in (b"host", b"origin")}
    host, origin = found.get(b"host"), found.get(b"origin")
    if host is not None and not _is_ours(host, allowed):
        raise ProblemError(
            HTTPStatus.MISDIRECTED_REQUEST,
            f"without tokens this service is localhost, or what http.allowed_hosts says; got Host {host}; use tokens, or add it",
        )
    if origin is not None and origin.partition("://")[2] != host and _name(origin) not in allowed:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"without tokens no page of another site may send requests; got Origin {origin}; use tokens, or add its host to "
            "http.allowed_hosts",
        )


@lru_cache(64)
def _is_ours(host: str, allowed: tuple[str, ...]) -> bool:
    name = _name(f"//{host}")
    return name is not None and (is_loopback(name) or name in allowed)


def _name(url: str) -> str | None:
    """The host of a URL without its port; None where there is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
