"""The OpenAPI description of events and streams."""

from __future__ import annotations

from typing import Any

from schemas.places import PLACE
from serving.http.config import HttpConfig
from serving.http.events import Entrance
from serving.http.media import EVENT_STREAM, JSON, NDJSON
from serving.http.openapi_parts import Schema, column, ok, operation

_ID: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
_PREDICTION = {"$ref": "#/components/schemas/Prediction"}
_ORIGIN: Schema = {
    "type": "object",
    "required": ["topic", "partition", "offset"],
    "properties": {"topic": {"type": "string"}, "partition": {"type": "integer"}, "offset": {"type": "integer"}},
}
EVENT_SCHEMAS: dict[str, Schema] = {
    "Accepted": {
        "type": "object",
        "description": "The event is in Kafka, and has no prediction as yet.",
        "required": ["event_id", "origin"],
        "properties": {"event_id": _ID, "origin": _ORIGIN},
    },
    "Results": {
        "type": "object",
        "required": ["results"],
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "description": "200 with the prediction, 202 with where the event lies in Kafka, else what is wrong.",
                    "required": ["status"],
                    "properties": {
                        "status": {"type": "integer"},
                        "prediction": _PREDICTION,
                        "event_id": {**_ID, "nullable": True},
                        "origin": _ORIGIN,
                        "error": {"type": "string"},
                    },
                },
            }
        },
    },
}


def events(topic: str, entrance: Entrance, config: HttpConfig) -> dict[str, Any]:
    """``POST /v1/events/{topic}``."""
    rules = entrance.rules
    event: Schema = {
        "type": "object",
        "required": sorted(rules.required),
        "properties": {one.name: column(one.type, one.name in rules.required) for one in rules.source.columns},
    }
    many = {"type": "array", "maxItems": config.max_rows, "items": event}
    content = {JSON: {"schema": {"anyOf": [event, many]}}, NDJSON[0]: {"schema": {"type": "string"}}}
    responses = {
        "200": {**ok(), "content": {JSON: {"schema": _PREDICTION}}},
        "202": {**ok(), "content": {JSON: {"schema": {"$ref": "#/components/schemas/Accepted"}}}},
        "207": {**ok(), "content": {JSON: {"schema": {"$ref": "#/components/schemas/Results"}}}},
    }
    made = operation(f"Publish events to {topic}", "events", responses, "publish")
    wait = {"type": "string", "pattern": "^[0-9]{1,6}(ms|s)$"}
    given = [_query("wait", f"How long to wait for the prediction, {config.deadline_ms} ms at most", wait)]
    if entrance.services:
        given.append(_query("service", "Whose prediction", {"type": "string", "enum": list(entrance.services)}))
    return {**made, "parameters": given, "requestBody": {"required": True, "content": content}}


def stream(service: str) -> dict[str, Any]:
    """``GET /v1/stream/{service}``."""
    made = operation(
        f"Predictions of {service} as server-sent events",
        "events",
        {"200": {**ok(), "content": {EVENT_STREAM: {"schema": {"type": "string"}}}}},
        "read",
    )
    begins = _query("from", "Where to begin, without a Last-Event-ID; end: with what comes", _one_of("end", "beginning"))
    until = _query("until", "end: with what is there now; absent: never", _one_of("end"))
    last: Schema = {"type": "string", "pattern": f"^{PLACE}$"}
    resumed = {"name": "Last-Event-ID", "in": "header", "description": "The id of the last event that was read", "schema": last}
    return {**made, "parameters": [begins, until, resumed]}


def _query(name: str, description: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}
