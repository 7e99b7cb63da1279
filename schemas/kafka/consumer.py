"""kafka-python's consumer, which takes what Kafka took: the name of a record's header may be any bytes.

kafka-python 3.0.12 calls a record corrupt whose header has a name that is no UTF-8, whenever it is read, and gives none of those
behind it in their batch. Here the name has U+FFFD for what is no text, as with Kafka's Java client, and so in a stream job. It is
done in the class that reads a batch, so for a whole process; another version of kafka-python is left as it is.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch
from kafka.version import __version__

__all__ = ["KafkaConsumer"]

FITS = __version__ in {"3.0.12"}
"""Whether kafka-python reads a batch as this file takes it to."""

_strictly = DefaultRecordBatch.__next__


class _AnyText(bytearray):
    """The bytes of a batch, of which any part is a text."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _AnyText(found) if isinstance(place, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


def _next(batch: Any) -> Any:
    """The next record of a batch; of one whose header's name is no text, from the same place anew."""
    try:
        return _strictly(batch)
    except CorruptRecordError as error:
        if not isinstance(error.__context__, UnicodeDecodeError):
            raise
    batch._buffer = _AnyText(batch._buffer)
    return _strictly(batch)


if FITS:
    DefaultRecordBatch.__next__ = _next
