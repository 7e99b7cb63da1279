"""What `headrace tail dead_letters` leaves out."""

from __future__ import annotations

from typing import NamedTuple

from infra.cli.messages import without_repeats


class Record(NamedTuple):
    """The part of a record that matters."""

    key: bytes | None
    offset: int


def test_a_dead_letter_is_shown_once() -> None:
    """A repeat has the key of the first; one without a key, of an earlier version, is always shown."""
    records = [Record(key, offset) for offset, key in enumerate((b"t-0-1", b"t-0-2", None, b"t-0-1", None, b"t-1-1"))]
    assert [record.offset for record in without_repeats(records)] == [0, 1, 2, 4, 5]
