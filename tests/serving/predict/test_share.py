"""A canary's share of the keys: pure, stable, near what was asked, and only ever added to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.predict.share import point, takes

KEYS = [str(number).encode() for number in range(20_000)]


def test_points_of_keys_are_pinned() -> None:
    """They are the same in every process, on every machine, in every version: a canary's keys stay its own."""
    assert [point(key) for key in (b"", b"1", b"orders")] == [0.8931675160897388, 0.9647866495940682, 0.8346698229213007]


@given(st.binary(max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_greater_share_only_adds_keys(key: bytes, one: float, other: float) -> None:
    """What a canary of 5 % takes, one of 20 % takes too."""
    less, more = sorted((one, other))
    assert takes(key, more) or not takes(key, less)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5])
def test_the_share_is_near_what_was_asked(share: float) -> None:
    """Within four standard deviations."""
    taken = sum(takes(key, share) for key in KEYS) / len(KEYS)
    assert abs(taken - share) < 4 * (share * (1 - share) / len(KEYS)) ** 0.5


def test_none_and_all() -> None:
    """A share of 0 takes no key, one of 1 takes all."""
    assert not any(takes(key, 0.0) for key in KEYS)
    assert all(takes(key, 1.0) for key in KEYS)
