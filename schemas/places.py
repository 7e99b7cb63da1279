"""The places from which predictions are read on: ids of server-sent events, over HTTP and from Kafka alike."""

from __future__ import annotations

import re
from collections.abc import Mapping

_OFFSET = "[0-9]{1,9}:[0-9]{1,18}"
PLACE = f"{_OFFSET}(,{_OFFSET})*"
"""A place as a regular expression."""


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
    parts = place.split(",") if re.fullmatch(PLACE, place) else []
    found = {int(partition): int(offset) for partition, offset in (part.split(":") for part in parts)}
    if not parts or len(found) < len(parts):
        raise ValueError(f"a place is the one of a prediction that was read, 0:124,1:456 say; got {place!r:.80}")
    return found
