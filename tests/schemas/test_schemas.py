"""What travels: the published JSON Schemas, the samples of the documentation, and the codecs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from features.definitions.load import load
from schemas import Alarm, DeadLetter, Deployment, FeatureVector, LateRow, Origin, Outcome, Prediction, Receipt
from schemas.codec import (
    MESSAGES,
    decode_alarm,
    decode_dead_letter,
    decode_deployment,
    decode_features,
    decode_late_row,
    decode_outcome,
    decode_prediction,
    encode,
    json_schema,
    json_schema_text,
)
from schemas.dead_letter import REASONS
from schemas.deployment import Placed

ROOT = Path(__file__).parents[2]
ORIGIN = Origin("transactions", 3, 2**40)
VECTOR = FeatureVector("a-7", 1, "0123456789ab", ORIGIN, 2, False, {"text": "é", "flag": True, "none": None}, {"v__sum": 1e-9})
RECEIPT = Receipt(
    ORIGIN,
    "0123456789ab",
    "fraud",
    4,
    "f" * 64,
    {"v__sum": None, "v__count": 3},
    {"profile": 5},
    False,
    6,
    7,
    8,
    {"profile": "too_old"},
)
MESSAGE: dict[str, msgspec.Struct] = {
    "features": VECTOR,
    "prediction": Prediction(2**53, 1, 0.25, RECEIPT),
    "dead_letter": DeadLetter("not_json", "an event is one JSON object", ORIGIN, 9, bytes(range(256))),
    "late_row": LateRow("terminal_risk", "labels", ORIGIN, 1, 2**40, 3, 12, False),
    "deployment": Deployment(
        seq=2,
        service="fraud",
        action="promote",
        alias="production",
        model="fraud",
        version=7,
        share=None,
        before=Placed("fraud", 6),
        who="ann@laptop",
        why="",
        at=1,
        forced=False,
        instance="0",
        state="serving",
        error=None,
        offsets={0: 2**40, 11: 0},
        taken_at=2,
    ),
    "alarm": Alarm(
        id="shop/shop/1/v__sum/1",
        state="open",
        service="shop",
        model="shop",
        version=1,
        input="v__sum",
        what="nulls",
        text="v__sum has drifted",
        since=1,
        window_start=2,
        window_end=3,
        rows=4,
        psi=0.5,
        js=0.25,
        p_value=1e-9,
        limit=0.02,
        trained_from=0,
        trained_until=1,
        cells=["null", "0"],
        trained=[1, 2],
        found=[3, 1],
        raised_at=2**41,
    ),
    "outcome": Outcome(
        event_id="a",
        key=None,
        event_time=2**41,
        score=0.25,
        plan="0" * 12,
        model="shop",
        version=1,
        sha256="0" * 64,
        complete=True,
        scored_at=2**41 + 5,
        label=1.0,
        known_at=2**41 + 6,
        label_at=2**41 + 7,
        labels=2,
    ),
}
DECODE: dict[str, Callable[[bytes], msgspec.Struct]] = {
    "features": decode_features,
    "prediction": decode_prediction,
    "dead_letter": decode_dead_letter,
    "late_row": decode_late_row,
    "deployment": decode_deployment,
    "alarm": decode_alarm,
    "outcome": decode_outcome,
}


def samples() -> dict[str, Any]:
    """The messages that ``docs/messages.md`` shows, each below a comment with its name."""
    text = (ROOT / "docs" / "messages.md").read_text()
    return {name: json.loads(body) for name, body in re.findall(r"<!-- sample: (\w+) -->\n```json\n(.*?)```", text, re.DOTALL)}


@pytest.mark.parametrize("message", MESSAGES)
def test_published_schemas_are_up_to_date(message: str) -> None:
    """``docs/schemas/`` holds what the code says: ``python -m schemas.codec docs/schemas`` writes it."""
    assert (ROOT / "docs" / "schemas" / f"{message}.json").read_text() == json_schema_text(message)


@pytest.mark.parametrize("message", MESSAGES)
def test_schemas_are_valid(message: str) -> None:
    """Each schema is one by JSON Schema's own rules."""
    jsonschema.Draft202012Validator.check_schema(json_schema(message))


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_fit_their_schema(message: str) -> None:
    """What is encoded is valid, and comes back as it was."""
    written = encode(MESSAGE[message])
    jsonschema.validate(json.loads(written), json_schema(message))
    assert DECODE[message](written) == MESSAGE[message]


@pytest.mark.parametrize("message", MESSAGES)
def test_samples_of_the_documentation_fit_their_schema(message: str) -> None:
    """What the documentation shows is valid, and is read without loss."""
    sample = samples()[message]
    jsonschema.validate(sample, json_schema(message))
    assert json.loads(encode(DECODE[message](json.dumps(sample).encode()))) == sample


def test_samples_of_the_documentation_are_of_the_example() -> None:
    """The samples have the columns, windows and inputs of the fraud service, in order, and tell of one event."""
    plan = load(ROOT / "examples" / "fraud").service("fraud").plan
    shown = samples()
    event, vector, receipt = shown["event"], shown["features"], shown["prediction"]["receipt"]
    assert list(event) == list(vector["event"]) == [column.name for column in plan.spine_source.columns]
    assert list(vector["features"]) == [feature.name for feature in plan.window_features]
    assert tuple(receipt["inputs"]) == plan.inputs
    assert set(receipt["batch_as_of"]) == {view.view for view in plan.batch}
    assert event["transaction_id"] == vector["event_id"] == shown["prediction"]["event_id"]
    assert vector["features"].items() <= receipt["inputs"].items()
    assert vector["origin"] == receipt["origin"]


def test_the_documentation_lists_every_reason() -> None:
    """The table of dead letters has a row for each reason, and no other."""
    text = (ROOT / "docs" / "messages.md").read_text().partition("## dead_letters")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(REASONS)


def test_bytes_are_base64() -> None:
    """A dead letter's bytes are the standard base64 that Flink writes, with padding; a tombstone has none."""
    assert json.loads(encode(MESSAGE["dead_letter"]))["value"] == base64.b64encode(bytes(range(256))).decode()
    tombstone = DeadLetter("empty", "the record has no value", ORIGIN, 9, None)
    assert decode_dead_letter(encode(tombstone)) == tombstone


@pytest.mark.parametrize("message", MESSAGES)
def test_fields_of_a_later_version_are_passed_over(message: str) -> None:
    """A reader takes messages with fields that it does not know."""
    written = {**json.loads(encode(MESSAGE[message])), "later": {"more": [1]}}
    assert DECODE[message](json.dumps(written).encode()) == MESSAGE[message]


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_that_lack_a_field_are_refused(message: str) -> None:
    """A reader takes no message without all fields that it knows, but those that have a default."""
    written = json.loads(encode(MESSAGE[message]))
    for field in (one.encode_name for one in msgspec.structs.fields(MESSAGE[message]) if one.required):
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{field}`"):
            DECODE[message](json.dumps({k: v for k, v in written.items() if k != field}).encode())


def test_a_reason_is_one_of_the_known() -> None:
    """A dead letter with another reason is refused."""
    written = {**json.loads(encode(MESSAGE["dead_letter"])), "reason": "bad_luck"}
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'bad_luck'"):
        decode_dead_letter(json.dumps(written).encode())
