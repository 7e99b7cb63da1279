"""Predictions as they are read, and the places from which reading goes on: the ids of server-sent events, from Kafka too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from schemas import Prediction

PLACE = re.compile(r"(\d+):(\d+)")


class Received(NamedTuple):
    """A prediction of a stream."""

    place: str
    """Where reading goes on after it: keep it, and give it as ``after``."""
    prediction: Prediction


def place_text(offsets: Mapping[int, int]) -> str:
    """A place, of the offset of the next prediction in each partition.

    >>> place_text({0: 124, 1: 456})
    '0:124,1:456'
    """
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))


def offsets_of(place: str) -> dict[int, int]:
    """The offsets that `place_text` has made a text of. Raises `ValueError`.

    >>> offsets_of("0:124,1:456")
    {0: 124, 1: 456}
    """
    matches = [PLACE.fullmatch(part) for part in place.split(",")]
    found = {int(match[1]): int(match[2]) for match in matches if match}
    if len(found) < len(matches):
        raise ValueError(f"a place is the one of a prediction that was read, 0:124,1:456 say; got {place!r:.80}")
    return found
