"""Which keys a canary takes: a pure function of the key, so that it is the same in every process and after every restart."""

from __future__ import annotations

from hashlib import blake2b

BITS = 53
"""So many a double holds exactly."""


def point(key: bytes) -> float:
    """Where a key lies in [0, 1): evenly spread, and for good.

    >>> [round(point(key), 6) for key in (b"1", b"2", b"orders")]
    [0.964787, 0.109194, 0.83467]
    """
    digest = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
    return float((digest >> (64 - BITS)) / (1 << BITS))


def takes(key: bytes, share: float) -> bool:
    """Whether a canary with this share takes the key. A greater share takes every key of a smaller one, and others beside."""
    return point(key) < share
