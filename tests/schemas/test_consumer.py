"""The consumer that the packages read with: it takes what Kafka took."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords, MemoryRecordsBuilder

import schemas.kafka.consumer
from tests.support.headers import NoText

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("compression", [0, 1])
def test_a_header_whose_name_is_no_text_loses_no_record(compression: int) -> None:
    """Nor one behind it in its batch; what is no text of the name is replaced, as Kafka's Java client does it."""
    names = ["first", NoText("x"), "last"]
    records = list(read(batch(names, compression)))
    assert [record.value for record in records] == [b"0", b"1", b"2"]
    assert [record.headers for record in records] == [[("first", b"\xff")], [("a\ufffd", b"\xff")], [("last", b"\xff")]]


def test_a_record_of_another_size_than_it_says_is_corrupt_still() -> None:
    """Whatever the names of its headers are."""
    whole = bytearray(batch([NoText("x")], 0))
    whole[61] += 2  # the length of the first record, a varint
    with pytest.raises(CorruptRecordError):
        list(read(bytes(whole)))


@pytest.mark.slow
def test_every_consumer_of_the_packages_is_this_one() -> None:
    """kafka-python's own would stop at such a record for good."""
    assert schemas.kafka.consumer.KafkaConsumer.__module__.startswith("kafka.")
    assert dict(importers()) == {"schemas/kafka/consumer.py": "kafka"}


def importers() -> Iterator[tuple[str, str]]:
    """The modules that import it from elsewhere, and from where."""
    for folder in ("schemas", "features", "jobs", "serving", "infra"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                is_import = isinstance(node, ast.ImportFrom) and any(name.name == "KafkaConsumer" for name in node.names)
                if is_import and node.module != "schemas.kafka.consumer":
                    yield file.relative_to(ROOT).as_posix(), str(node.module)


def batch(names: list[str], compression: int) -> bytes:
    """The bytes of a batch, with a record for each of the names of headers."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=compression, batch_size=10_000)
    for number, name in enumerate(names):
        builder.append(timestamp=1, key=None, value=b"%d" % number, headers=[(name, b"\xff")])
    builder.close()
    return bytes(builder.buffer())


def read(written: bytes) -> Iterator[object]:
    """Its records."""
    found = MemoryRecords(written).next_batch()
    assert found is not None
    yield from found
