"""JSON on the topics, and the JSON Schema of every message."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from schemas.alarm import Alarm
from schemas.dead_letter import DeadLetter
from schemas.deployment import Deployment
from schemas.features import FeatureVector
from schemas.late_row import LateRow
from schemas.outcome import Outcome
from schemas.prediction import Prediction
from schemas.stored_prediction import StoredPrediction

MESSAGES: dict[str, type[msgspec.Struct]] = {
    "features": FeatureVector,
    "prediction": Prediction,
    "dead_letter": DeadLetter,
    "late_row": LateRow,
    "deployment": Deployment,
    "alarm": Alarm,
    "outcome": Outcome,
}

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises: of what is no JSON or another message, no UTF-8, or too deep. Anybody may write to a topic."""

encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
decode_features = msgspec.json.Decoder(FeatureVector).decode
decode_prediction = msgspec.json.Decoder(Prediction).decode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode
decode_late_row = msgspec.json.Decoder(LateRow).decode
decode_deployment = msgspec.json.Decoder(Deployment).decode
decode_alarm = msgspec.json.Decoder(Alarm).decode
decode_outcome = msgspec.json.Decoder(Outcome).decode
decode_stored_prediction = msgspec.json.Decoder(StoredPrediction).decode


def without_repeats(message: bytes) -> bytes:
    """An object with each of its fields once: of one that is repeated the last value counts, whatever the others are.

    >>> without_repeats(b'{"a": "x", "b": 1, "a": 2.50}')
    b'{"a":2.50,"b":1}'
    """
    return encode(_fields(message))


def json_schema(message: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``message``, one of `MESSAGES`."""
    schema = msgspec.json.schema(MESSAGES[message])
    for definition in schema["$defs"].values():
        definition["description"] = inspect.cleandoc(definition["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def json_schema_text(message: str) -> str:
    """`json_schema` as the text that ``docs/schemas/`` holds."""
    return json.dumps(json_schema(message), indent=2) + "\n"


def write_json_schemas(folder: Path) -> None:
    """Write ``<message>.json`` for every message."""
    for message in MESSAGES:
        (folder / f"{message}.json").write_text(json_schema_text(message))


if __name__ == "__main__":  # python -m schemas.codec docs/schemas
    write_json_schemas(Path(sys.argv[1]))
