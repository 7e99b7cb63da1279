"""`headrace tail`: whatever lies on a topic is one line, as text and as JSON."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli import messages
from schemas import DeadLetter, FeatureVector, LateRow, Origin, Prediction
from schemas.prediction import Receipt
from tests.support.hostile_files import BINARY, LATIN_1

ORIGIN = Origin("num", 0, 1)
KINDS: dict[str, tuple[type, Any]] = {
    "features.num": (
        FeatureVector,
        {"event": {"k": "a"}, "features": {"totals__sum_v": 1.5, "totals__last_2_d": [1.5, 2]}, "valid_until": {"totals": 1}},
    ),
    "predictions.num": (
        Prediction,
        {
            "receipt": {"inputs": {"totals__sum_v": 1.5}, "batch_as_of": {}, "incomplete": {}, "segments": {"channel": "web"}},
            "outputs": {"label": "x"},
        },
    ),
    "dead_letters": (DeadLetter, {"reason": "not_json", "value": "AAAA"}),
    "late_rows": (LateRow, {}),
    "num": (dict, {}),
}
"""What each kind of topic has, and those of its fields that are no plain number or text."""
HOSTILE = [
    None,
    b"",
    b"\x00",
    BINARY,
    LATIN_1,
    b'{"k": "k\xe9y"}',
    b"[" * 10_000 + b"]" * 10_000,
    b"1e999",
    b'"\\ud800"',
    b'{"a":\n 1}',
]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.just({"a": {}})


def record(value: bytes | None, key: bytes | None = None) -> Any:
    """A record as kafka-python gives it."""
    return SimpleNamespace(topic="num", partition=0, offset=7, timestamp=1, key=key, value=value)


def whole(kind: type, given: dict[str, Any]) -> dict[str, Any]:
    """A message of this kind, as JSON has it."""
    if not issubclass(kind, msgspec.Struct):
        return {"id": 1}
    made: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        inner = field.type
        if inner in (Origin, Origin | None):
            made[field.name] = msgspec.to_builtins(ORIGIN)
        elif inner is Receipt:
            made[field.name] = whole(Receipt, given.get(field.name, {}))
        else:
            made[field.name] = given.get(field.name, {bool: True, str: "x"}.get(inner, 1))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("topic", KINDS)
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_a_value_of_another_kind_is_one_line(topic: str, value: bytes | None) -> None:
    """On a topic of any name."""
    assert not set(str(messages.line_of(topic)(record(value)))) & {"\n", "\r", "\x1b", "\x9b"}  # nor does a terminal obey it


@pytest.mark.parametrize("topic", KINDS)
@given(data=st.data())
def test_a_message_with_a_field_of_another_type_is_one_line(topic: str, data: st.DataObject) -> None:
    """Or of a value that no calendar has."""
    message = whole(*KINDS[topic])
    field = data.draw(st.sampled_from(sorted(message)))
    value = data.draw(VALUES | st.sampled_from([10**18, -(10**18), 2**63, "x" * 300, "a\nb\n"]))
    given = json.dumps(message | {field: value}).encode()
    assert "\n" not in str(messages.line_of(topic)(record(given)))


@pytest.mark.parametrize("topic", [topic for topic in KINDS if topic != "num"])
def test_the_messages_of_these_tests_are_what_they_seem(topic: str) -> None:
    """A whole one is shown by its parts, not as JSON."""
    assert "{" not in str(messages.line_of(topic)(record(json.dumps(whole(*KINDS[topic])).encode())))


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_any_record_is_one_line_of_json(value: bytes | None) -> None:
    """With all of its bytes: as JSON, as text, or in base64."""
    line = messages.as_json(record(value, value))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["partition"], found["offset"]) == (0, 7)
    assert restored(found, "key") == value
    if value is None or "value_base64" in found:
        assert restored(found, "value") == value
    else:
        assert found["value"] in (value.decode(), json_of(value))


def test_a_number_that_no_double_holds_is_json_all_the_same() -> None:
    """The value is as it was written."""
    assert messages.as_json(record(b'{"a": [1e999]}')).endswith('"value":{"a":[1e999]}}')


@given(st.binary(max_size=50))
def test_random_bytes_come_back(value: bytes) -> None:
    """From the key, of which nothing is taken for JSON."""
    assert restored(json.loads(messages.as_json(record(value, value))), "key") == value


def restored(found: dict[str, Any], field: str) -> bytes | None:
    """The bytes that a field was made of."""
    if f"{field}_base64" in found:
        return base64.b64decode(found[f"{field}_base64"])
    given = found[field]
    return None if given is None else given.encode()


def json_of(value: bytes) -> Any:
    """What the bytes are as JSON."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
