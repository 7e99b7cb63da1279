"""Headers that a producer of another language may write."""

from __future__ import annotations


class NoText(str):
    """A name whose bytes are no UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """As a producer encodes it."""
        return b"a\xff"
