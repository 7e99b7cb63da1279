"""The topics: what is fixed of them, and that the limits fit each other."""

from __future__ import annotations

from schemas import DeadLetter, Origin, topics
from schemas.codec import encode


def test_a_service_has_its_own_topics() -> None:
    """Named after it, with as many partitions as the settings say and Kafka's own limits."""
    for topic, name in ((topics.features("risk"), "features.risk"), (topics.predictions("risk"), "predictions.risk")):
        assert (topic.name, topic.partitions, topic.config) == (name, None, {})


def test_a_record_of_a_mebibyte_fits_a_dead_letter() -> None:
    """Base64 makes four bytes of three; a dead letter of the longest value fits what its topic takes."""
    assert topics.DEAD_LETTERS.config == {"max.message.bytes": str(8 * 1024 * 1024)}
    assert topics.DEAD_LETTERS.max_message_bytes > 1024 * 1024 * 4 // 3
    assert topics.dead_letter_value_bytes(topics.DEAD_LETTERS.longest) > 1024 * 1024
    for longest in (topics.KAFKA_BYTES, topics.LONGEST_BYTES):
        value = b"x" * topics.dead_letter_value_bytes(longest)
        letter = DeadLetter("not_json", "\0" * topics.DETAIL_LENGTH, Origin("t" * 249, 2**31 - 1, 2**63 - 1), 2**63 - 1, value)
        assert len(value) > longest * 7 // 10
        assert len(encode(letter)) + len(letter.origin.text) < topics.room(longest) < longest - 1024
    assert topics.DEAD_LETTERS.partitions == topics.LATE_ROWS.partitions == 1
