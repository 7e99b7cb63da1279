"""Who may do what: bearer tokens, each with its scopes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, get_args

from features.errors import SettingError

Scope = Literal["read", "predict", "publish"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SHORTEST = 16


class Token(NamedTuple):
    """One token, by its digest."""

    sha256: bytes
    scopes: frozenset[str]


class Tokens:
    """The tokens of a service. Where there are none, everybody may do everything."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens)

    def scopes(self, authorization: bytes | None) -> frozenset[str] | None:
        """The scopes that a request with this Authorization header has; None where no token is the one that it bears.

        Every token is compared, in constant time.
        """
        kind, _, given = (authorization or b"").partition(b" ")
        if kind.lower() != b"bearer":
            return None
        digest, found = hashlib.sha256(given.strip()).digest(), None
        for token in self._tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = token.scopes
        return found


def parse(text: str, where: str) -> Tokens:
    """Tokens of a text: ``TOKEN SCOPE[,SCOPE]`` a line; in an environment variable a semicolon may part them.

    Raises `SettingError` for anything else, without the token in its text.

    >>> parse("0123456789abcdef predict,read", "tokens").scopes(b"Bearer 0123456789abcdef") == {"predict", "read"}
    True
    """
    rule = f"{where}: a token is a line, TOKEN SCOPE[,SCOPE], of the scopes {', '.join(SCOPES)}"
    tokens = []
    for number, line in enumerate(text.replace(";", "\n").splitlines(), 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        scopes = parts[1].split(",") if len(parts) == 2 else []
        if not scopes or not set(scopes) <= set(SCOPES):
            raise SettingError(f"{rule}; line {number} is none; write a token, a space and its scopes")
        if len(parts[0]) < SHORTEST:
            raise SettingError(
                f"{rule}, of {SHORTEST} characters or more; that of line {number} has {len(parts[0])}; "
                "make one with 'openssl rand -hex 32'"
            )
        tokens.append(Token(hashlib.sha256(parts[0].encode()).digest(), frozenset(scopes)))
    return Tokens(tokens)
