"""JSON on the topics, and the JSON Schema of every message."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from schemas.dead_letter import DeadLetter
from schemas.features import FeatureVector
from schemas.prediction import Prediction

MESSAGES: dict[str, type[msgspec.Struct]] = {
    "features": FeatureVector,
    "prediction": Prediction,
    "dead_letter": DeadLetter,
}

encode = msgspec.json.Encoder().encode
decode_features = msgspec.json.Decoder(FeatureVector).decode
decode_prediction = msgspec.json.Decoder(Prediction).decode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode


def json_schema(message: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``message``, one of `MESSAGES`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(MESSAGES[message])}


def json_schema_text(message: str) -> str:
    """`json_schema` as the text that ``docs/schemas/`` holds."""
    return json.dumps(json_schema(message), indent=2) + "\n"
